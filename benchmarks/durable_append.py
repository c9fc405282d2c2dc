"""How many events a second does the log make durable, beside Redis that fsyncs each batch?

All get the same events as JSON, made before the clock runs, from as many appenders at once, each
waiting for its batch before it sends the next. Redis gets them once as bytes ready for its socket,
and once through redis-py, which packs its commands while the clock runs, as it does for whoever
uses it. The log also numbers items and leaves out repeats; Redis is told only to add. SQLite alone
numbers nothing and looks nothing up: the floor, that is, how far any log in SQLite could get. They
take turns.
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
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import count
from pathlib import Path
from typing import TypeVar

import apsw
import uvloop
from redis import Redis
from rich.table import Table

from benchmarks import harness
from benchmarks.harness import Number, Spread
from recsys.events import Event, EventType, RecordKind
from recsys.ids import ItemId
from serving.clock import utc_now
from serving.log.records import NEWLINE, Lines, digest_of, encode
from serving.log.sqlite_log import SqliteLog
from serving.state.embedded import binary_path

T = TypeVar("T")

BATCHES = (1, 10, 100, 1_000)
APPENDERS = (1, 16)
N_ITEMS = 5_000
REPEATS = 5

_ITEMS = [ItemId(f"{number:05d}") for number in range(N_ITEMS)]
_FIRST_DAY = datetime(2026, 3, 2, tzinfo=UTC)
_MOST_EVENTS = 200_000
_MOST_BATCHES = 2_000
_START_S = 10.0
_PRAGMAS = """
PRAGMA auto_vacuum=INCREMENTAL;
PRAGMA journal_mode=WAL;
PRAGMA synchronous=FULL;
PRAGMA secure_delete=ON;
PRAGMA cache_size=-65536;
PRAGMA wal_autocheckpoint=2048;
"""
"""As `serving.log.database` sets them."""


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
    """Events a second in one case: of the log, of Redis in both ways, of SQLite alone.

    sqlite: None where there are several appenders, since it is one that commits.
    """

    case: Case
    log: Spread
    redis: Spread
    redis_py: Spread
    sqlite: Spread | None = None

    @property
    def ratios(self) -> dict[str, float]:
        """How many times as fast as the other the one is, by the medians, by their names."""
        found = {
            "log_ratio_to_redis": self.log.median / self.redis.median,
            "log_ratio_to_redis_py": self.log.median / self.redis_py.median,
        }
        if self.sqlite:
            found["sqlite_ratio_to_redis"] = self.sqlite.median / self.redis.median
        return found

    @property
    def rates(self) -> dict[str, Spread]:
        """Events a second of those that took part, by their names."""
        found = {"log": self.log, "redis": self.redis, "redis_py": self.redis_py}
        return {**found, "sqlite": self.sqlite} if self.sqlite else found


def main(arguments: Sequence[str] | None = None) -> None:
    options = harness.parser(__doc__ or "")
    options.add_argument("--repeats", type=int, default=REPEATS)
    options.add_argument("--folder", type=Path, help="on the disk to measure; default: temporary")
    chosen = options.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        found = measure(Path(folder), repeats=chosen.repeats)
    sizes = {"payload_bytes": len(encode(_event(0))), "repeats": chosen.repeats}
    report = harness.report_of(
        "durable_append", chosen, sizes=sizes, metrics=metrics(found), packages=("apsw", "redis")
    )
    harness.tell(report, [table(found)], chosen.json)


def measure(
    folder: Path, *, repeats: int = REPEATS, cases: Sequence[Case] = CASES
) -> list[Compared]:
    """Return the rates in each case: all in turn, each with its files in `folder`."""
    with redis_that_fsyncs(folder / "redis") as address:
        return uvloop.run(_measured(folder, address, repeats, cases))


def metrics(found: Sequence[Compared]) -> Mapping[str, Number]:
    """Return rates and ratios by their names in a report."""
    named: dict[str, Number] = {}
    for one in found:
        at = f"batch_{one.case.batch}_appenders_{one.case.appenders}"
        named |= {f"{name}_events_per_second_{at}": rate.median for name, rate in one.rates.items()}
        named |= {f"{name}_{at}": ratio for name, ratio in one.ratios.items()}
    return named


def table(found: Sequence[Compared]) -> Table:
    """Return the rates as a table for people."""
    made = harness.table(
        "Durable events a second: least / median / most",
        "appenders x batch", "log", "Redis, raw bytes", "Redis through redis-py", "SQLite alone",
        "log / raw", "log / redis-py", "SQLite / raw",
    )  # fmt: skip
    for one in found:
        rates = [rate.shown() for rate in one.rates.values()]
        ratios = [f"{ratio:.2f}" for ratio in one.ratios.values()]
        name = f"{one.case.appenders} x {one.case.batch:,}"
        made.add_row(name, *rates, *[""] * (4 - len(rates)), *ratios)
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
    alone = _sqlite(folder / "alone.sqlite")
    serial = count()
    found = []
    await log.append_lines(_lines([next(serial) for _ in range(2 * N_ITEMS)]))
    for case in cases:
        turns = []
        for _ in range(repeats):
            batches = [
                _lines([next(serial) for _ in range(case.batch)]) for _ in range(case.n_batches)
            ]
            rates = [
                await _log_rate(log, case, batches),
                await _redis_rate(address, case, batches),
                await _redis_py_rate(address, case, batches),
            ]
            if case.appenders == 1:
                rates.append(await _threads_rate(case, [_inserts(alone)], batches))
            turns.append(rates)
        found.append(Compared(case, *(Spread.of(rates) for rates in zip(*turns, strict=True))))
    alone.close()
    await log.close()
    return found


async def _log_rate(log: SqliteLog, case: Case, batches: Sequence[Lines]) -> float:
    waiting = iter(batches)

    async def append() -> None:
        for lines in waiting:
            await log.append_lines(lines)

    async def appended() -> None:
        await asyncio.gather(*(append() for _ in range(case.appenders)))

    return await _rate(case, appended)


async def _redis_rate(address: str, case: Case, batches: Sequence[Lines]) -> float:
    connections = [_connected(address) for _ in range(case.appenders)]
    appends = [_sends(connection, case.batch) for connection in connections]
    rate = await _threads_rate(case, appends, [_commands(lines) for lines in batches])
    for connection in connections:
        connection.close()
    _forget(address)
    return rate


async def _redis_py_rate(address: str, case: Case, batches: Sequence[Lines]) -> float:
    clients = [Redis(unix_socket_path=address) for _ in range(case.appenders)]
    for client in clients:
        client.ping()  # the connection is made before the clock runs, as the others' are
    payloads = [lines.payload.split(NEWLINE) for lines in batches]
    rate = await _threads_rate(case, [_adds(client) for client in clients], payloads)
    for client in clients:
        client.close()
    _forget(address)
    return rate


async def _threads_rate(
    case: Case, appends: Sequence[Callable[[T], None]], batches: Sequence[T]
) -> float:
    """Return events a second of appenders that wait in a thread each."""
    waiting = iter(batches)

    def work(append: Callable[[T], None]) -> None:
        for batch in waiting:
            append(batch)

    with ThreadPoolExecutor(case.appenders) as threads:
        return await _rate(
            case, lambda: asyncio.to_thread(lambda: list(threads.map(work, appends)))
        )


async def _rate(case: Case, appended: Callable[[], Awaitable[None]]) -> float:
    """Return events a second; what is ready made is no work of the collector meanwhile."""
    gc.collect()
    gc.freeze()
    started = time.perf_counter()
    await appended()
    seconds = time.perf_counter() - started
    gc.unfreeze()
    return case.n_batches * case.batch / seconds


def _lines(numbers: Sequence[int]) -> Lines:
    events = [_event(number) for number in numbers]
    return Lines(
        [RecordKind.EVENT.value] * len(events),
        [event.item_id for event in events],
        b"".join([digest_of(event.event_id) for event in events]),
        NEWLINE.join([encode(event) for event in events]),
    )


def _event(number: int) -> Event:
    """Return one view by one customer; ids are as long, and as hard to guess, as a UUID."""
    return Event(
        blake2b(b"%d" % number, digest_size=16).hexdigest(),
        EventType.DETAIL_VIEW,
        _FIRST_DAY + timedelta(milliseconds=number),
        _ITEMS[number % N_ITEMS],
        user_id=f"{number % 100_000:06d}",
    )


def _sqlite(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    connection.execute(_PRAGMAS).fetchall()
    for table in ("blocks", "digests"):
        connection.execute(f"CREATE TABLE {table}(last INTEGER PRIMARY KEY, bytes BLOB NOT NULL)")
    return connection


def _inserts(connection: apsw.Connection) -> Callable[[Lines], None]:
    def insert(lines: Lines) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO blocks(bytes) VALUES(?)", (lines.payload,))
        connection.execute("INSERT INTO digests(bytes) VALUES(?)", (lines.digests,))
        connection.execute("COMMIT")

    return insert


def _adds(client: Redis) -> Callable[[Sequence[bytes]], None]:
    def add(payloads: Sequence[bytes]) -> None:
        pipeline = client.pipeline(transaction=False)
        for payload in payloads:
            pipeline.xadd("events", {"e": payload})
        pipeline.execute()

    return add


def _sends(connection: socket.socket, n_answers: int) -> Callable[[bytes], None]:
    def send(commands: bytes) -> None:
        connection.sendall(commands)
        _answered(connection, n_answers)

    return send


def _commands(lines: Lines) -> bytes:
    """Return one pipeline as it goes over the wire."""
    return b"".join(
        _command(b"XADD", b"events", b"*", b"e", payload)
        for payload in lines.payload.split(NEWLINE)
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


def _forget(address: str) -> None:
    with Redis(unix_socket_path=address) as client:
        client.delete("events")


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
