"""How many events a second does the log make durable, beside Redis that fsyncs each batch?

Both get the same JSON of the same length, made before the clock runs, from as many appenders at
once, each waiting for its batch before it sends the next. The log also numbers items and leaves
out repeats; Redis is told only to add. The two take turns.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import orjson
import uvloop
from rich.table import Table

from benchmarks import harness
from benchmarks.harness import Number, Spread
from recsys.events import RecordKind
from serving.clock import utc_now
from serving.log.records import NEWLINE, Lines, digest_of
from serving.log.sqlite_log import SqliteLog
from serving.state.embedded import binary_path

BATCHES = (1, 10, 100, 1_000)
APPENDERS = (1, 16)
PAYLOAD_BYTES = 200
N_ITEMS = 5_000
REPEATS = 5

_ITEMS = [f"item-{number:05d}" for number in range(N_ITEMS)]
_MOST_EVENTS = 200_000
_MOST_BATCHES = 2_000
_START_S = 10.0


@dataclass(frozen=True, slots=True)
class Case:
    """So many appenders at once, each sending batches of so many events."""

    batch: int
    appenders: int

    @property
    def n_batches(self) -> int:
        """How many batches are sent in all: enough to last, not more than memory likes."""
        return min(_MOST_BATCHES * min(self.appenders, 4), _MOST_EVENTS // self.batch)


CASES = tuple(Case(batch, appenders) for appenders in APPENDERS for batch in BATCHES)


@dataclass(frozen=True, slots=True)
class Compared:
    """Events a second of both in one case."""

    case: Case
    log: Spread
    redis: Spread

    @property
    def ratio(self) -> float:
        """How many times as fast as Redis the log is, by the medians."""
        return self.log.median / self.redis.median


def main(arguments: Sequence[str] | None = None) -> None:
    options = harness.parser(__doc__ or "")
    options.add_argument("--repeats", type=int, default=REPEATS)
    options.add_argument("--folder", type=Path, help="on the disk to measure; default: temporary")
    chosen = options.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        found = measure(Path(folder), repeats=chosen.repeats)
    sizes = {"payload_bytes": PAYLOAD_BYTES, "repeats": chosen.repeats}
    report = harness.report_of(
        "durable_append", chosen, sizes=sizes, metrics=metrics(found), packages=("apsw", "redis")
    )
    harness.tell(report, [table(found)], chosen.json)


def measure(
    folder: Path, *, repeats: int = REPEATS, cases: Sequence[Case] = CASES
) -> list[Compared]:
    """Return both rates in each case: log and Redis in turn, each with its files in `folder`."""
    with redis_that_fsyncs(folder / "redis") as address:
        return uvloop.run(_measured(folder, address, repeats, cases))


def metrics(found: Sequence[Compared]) -> Mapping[str, Number]:
    """Return rates and ratios by their names in a report."""
    named: dict[str, Number] = {}
    for one in found:
        at = f"batch_{one.case.batch}_appenders_{one.case.appenders}"
        named[f"log_events_per_second_{at}"] = one.log.median
        named[f"redis_events_per_second_{at}"] = one.redis.median
        named[f"log_ratio_to_redis_{at}"] = one.ratio
    return named


def table(found: Sequence[Compared]) -> Table:
    """Return the rates as a table for people."""
    made = harness.table(
        "Durable events a second: least / median / most",
        "appenders x batch", "log", "Redis, appendfsync always", "ratio",
    )  # fmt: skip
    for one in found:
        name = f"{one.case.appenders} x {one.case.batch:,}"
        made.add_row(name, one.log.shown(), one.redis.shown(), f"{one.ratio:.2f}")
    return made


@contextmanager
def redis_that_fsyncs(folder: Path) -> Iterator[str]:
    """Give the socket of a Valkey that answers a batch only when it is on the disk."""
    folder.mkdir()
    path = str(folder / "redis.sock")
    settings = {
        "port": "0", "unixsocket": path, "dir": str(folder), "save": "",
        "appendonly": "yes", "appendfsync": "always", "auto-aof-rewrite-percentage": "0",
    }  # fmt: skip
    arguments = [part for name, value in settings.items() for part in (f"--{name}", value)]
    server = subprocess.Popen([str(binary_path()), *arguments], stdout=subprocess.DEVNULL)
    try:
        _connected(path).close()
        yield path
    finally:
        server.kill()
        server.wait()


async def _measured(
    folder: Path, address: str, repeats: int, cases: Sequence[Case]
) -> list[Compared]:
    log = SqliteLog(folder / "log.sqlite", clock=utc_now)
    serial = count()
    found = []
    await log.append_lines(_lines([next(serial) for _ in range(2 * N_ITEMS)]))
    for case in cases:
        rates = [
            (await _log_rate(log, case, serial), await _redis_rate(address, case, serial))
            for _ in range(repeats)
        ]
        ours, theirs = zip(*rates, strict=True)
        found.append(Compared(case, Spread.of(ours), Spread.of(theirs)))
    await log.close()
    return found


async def _log_rate(log: SqliteLog, case: Case, serial: Iterator[int]) -> float:
    batches = [_lines(numbers) for numbers in _numbers(case, serial)]
    waiting = iter(batches)

    async def append() -> None:
        for lines in waiting:
            await log.append_lines(lines)

    async def appended() -> None:
        await asyncio.gather(*(append() for _ in range(case.appenders)))

    return await _rate(case, appended)


async def _redis_rate(address: str, case: Case, serial: Iterator[int]) -> float:
    waiting = iter([_commands(numbers) for numbers in _numbers(case, serial)])
    connections = [_connected(address) for _ in range(case.appenders)]

    def append(connection: socket.socket) -> None:
        for commands in waiting:
            connection.sendall(commands)
            _answered(connection, case.batch)

    with ThreadPoolExecutor(case.appenders) as threads:

        async def appended() -> None:
            done = asyncio.to_thread(lambda: list(threads.map(append, connections)))
            await done

        rate = await _rate(case, appended)
    connections[0].sendall(_command(b"DEL", b"events"))
    connections[0].recv(64)
    for connection in connections:
        connection.close()
    return rate


async def _rate(case: Case, appended: Callable[[], Awaitable[None]]) -> float:
    """Return events a second; what is ready made is no work of the collector meanwhile."""
    gc.collect()
    gc.freeze()
    started = time.perf_counter()
    await appended()
    seconds = time.perf_counter() - started
    gc.unfreeze()
    return case.n_batches * case.batch / seconds


def _numbers(case: Case, serial: Iterator[int]) -> Iterator[list[int]]:
    for _ in range(case.n_batches):
        yield [next(serial) for _ in range(case.batch)]


def _lines(numbers: Sequence[int]) -> Lines:
    return Lines(
        [RecordKind.EVENT.value] * len(numbers),
        [_ITEMS[number % N_ITEMS] for number in numbers],
        b"".join([digest_of(_event_id(number)) for number in numbers]),
        NEWLINE.join([_payload(number) for number in numbers]),
    )


def _commands(numbers: Sequence[int]) -> bytes:
    """Return one pipeline as it goes over the wire."""
    return b"".join(
        _command(b"XADD", b"events", b"*", b"e", _payload(number)) for number in numbers
    )


def _command(*parts: bytes) -> bytes:
    return b"*%d\r\n" % len(parts) + b"".join(
        b"$%d\r\n%b\r\n" % (len(part), part) for part in parts
    )


def _answered(connection: socket.socket, n_answers: int) -> None:
    """Return when all ids of added entries have come, two line ends each."""
    left = 2 * n_answers
    while left:
        left -= connection.recv(1 << 16).count(b"\n")


def _payload(number: int) -> bytes:
    event = {
        "event_id": _event_id(number),
        "type": "detail_view",
        "time": 1_714_564_800_000_000 + number,
        "item_id": _ITEMS[number % N_ITEMS],
        "user_id": f"customer-{number % 100_000:06d}",
        "session_id": "",
    }
    room = PAYLOAD_BYTES - len(orjson.dumps(event))
    return orjson.dumps({**event, "session_id": "s" * room})


def _event_id(number: int) -> str:
    return f"event-{number:012d}"


def _connected(address: str) -> socket.socket:
    deadline = time.monotonic() + _START_S
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(address)
            return connection
        except OSError:
            connection.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


if __name__ == "__main__":
    main()
