"""How many events a second does the log make durable, beside Redis that fsyncs each batch?

All get the same events as JSON, made before the clock runs, from as many appenders at once, each
waiting for its batch before it sends the next, in turn. Redis is told only to add: once in bytes
ready for its socket, once through redis-py, which packs its commands while the clock runs. The log
also numbers items and leaves out repeats. SQLite alone does neither: the floor of any log in it.
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
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import blake2b
from itertools import count
from pathlib import Path
from typing import TypeVar

import apsw
import uvloop
from redis import Redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry
from rich.table import Table

from benchmarks import harness
from benchmarks.harness import Number, Spread
from recsys.events import Event, EventType, Record
from recsys.ids import ItemId
from serving.clock import utc_now
from serving.log.records import NEWLINE, Lines, encode
from serving.log.sqlite_log import SqliteLog
from serving.state.embedded import binary_path

T = TypeVar("T")

N_ITEMS = 5_000
_ITEMS = [ItemId(f"{number:05d}") for number in range(N_ITEMS)]
_FIRST_INSTANT = datetime(2026, 3, 2, tzinfo=UTC)
_MOST_EVENTS = 200_000
_MOST_BATCHES = 2_000
_UNTIL_STARTED = Retry(ConstantBackoff(0.02), 500)
_XADD = b"*5\r\n$4\r\nXADD\r\n$6\r\nevents\r\n$1\r\n*\r\n$1\r\ne\r\n$%d\r\n%b\r\n"
_TABLES = """
PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;
PRAGMA secure_delete=ON; PRAGMA cache_size=-65536; PRAGMA wal_autocheckpoint=2048;
CREATE TABLE blocks(last INTEGER PRIMARY KEY, payload BLOB NOT NULL);
CREATE TABLE digests(last INTEGER PRIMARY KEY, digests BLOB NOT NULL);
"""
"""Of SQLite alone; the pragmas are those of `serving.log.database`."""


@dataclass(frozen=True, slots=True)
class Case:
    """So many appenders at once, each sending batches of so many events."""

    batch: int
    appenders: int

    @property
    def n_batches(self) -> int:
        """How many batches are sent in all: enough to last, not more than memory likes."""
        return min(_MOST_BATCHES * min(self.appenders, 4), _MOST_EVENTS // self.batch)


CASES = tuple(Case(batch, appenders) for appenders in (1, 16) for batch in (1, 10, 100, 1_000))
RATIOS = (
    ("log", "raw_redis"), ("log", "redis_py"), ("sqlite", "raw_redis"), ("sqlite", "redis_py"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Compared:
    """Events a second in one case of each contestant: `log`, `raw_redis`, `redis_py`, `sqlite`.

    `sqlite` takes part only where there is one appender, as it is one that commits.
    """

    case: Case
    rates: Mapping[str, Spread]

    @property
    def ratios(self) -> dict[str, float]:
        """How many times as fast the one is as the other, by the medians."""
        return {
            f"{one}_ratio_to_{other}": self.rates[one].median / self.rates[other].median
            for one, other in RATIOS
            if one in self.rates
        }


def main(arguments: Sequence[str] | None = None) -> None:
    options = harness.parser(__doc__ or "")
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--folder", type=Path, help="on the disk to measure; default: temporary")
    chosen = options.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        found = measure(Path(folder), repeats=chosen.repeats)
    sizes = {"payload_bytes": len(encode(event(0))), "repeats": chosen.repeats}
    report = harness.report_of(
        "durable_append", chosen, sizes=sizes, metrics=metrics(found), packages=("apsw", "redis")
    )
    harness.tell(report, [table(found)], chosen.json)


def measure(folder: Path, *, repeats: int, cases: Sequence[Case] = CASES) -> list[Compared]:
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
        "log / raw", "log / redis-py", "SQLite / raw", "SQLite / redis-py",
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
        with Redis(unix_socket_path=path, retry=_UNTIL_STARTED) as client:
            client.ping()
        yield path
    finally:
        server.kill()
        server.wait()


async def _measured(
    folder: Path, address: str, repeats: int, cases: Sequence[Case]
) -> list[Compared]:
    log = SqliteLog(folder / "log.sqlite", clock=utc_now)
    sqlite = _sqlite(folder / "alone.sqlite")
    redis = Redis(unix_socket_path=address)
    serial = count()
    found = []
    await log.append_lines(_lines(serial, 2 * N_ITEMS))
    for case in cases:
        rates: dict[str, list[float]] = {"log": [], "raw_redis": [], "redis_py": []}
        for _ in range(repeats):
            batches = [_lines(serial, case.batch) for _ in range(case.n_batches)]
            rates["log"].append(await _log_rate(log, case, batches))
            rates["raw_redis"].append(await _raw_redis_rate(address, case, batches))
            redis.delete("events")
            rates["redis_py"].append(await _redis_py_rate(address, case, batches))
            redis.delete("events")
            if case.appenders == 1:
                alone = await _threads_rate(case, [partial(_insert, sqlite)], batches)
                rates.setdefault("sqlite", []).append(alone)
        found.append(Compared(case, {name: Spread.of(some) for name, some in rates.items()}))
    sqlite.close()
    redis.close()
    await log.close()
    return found


async def _log_rate(log: SqliteLog, case: Case, batches: Sequence[Lines]) -> float:
    waiting = iter(batches)

    async def append() -> None:
        for lines in waiting:
            await log.append_lines(lines)

    return await _rate(case, lambda: asyncio.gather(*(append() for _ in range(case.appenders))))


async def _raw_redis_rate(address: str, case: Case, batches: Sequence[Lines]) -> float:
    pipelines = [_commands(lines) for lines in batches]
    connections = [socket.socket(socket.AF_UNIX) for _ in range(case.appenders)]
    with ExitStack() as opened:
        for connection in connections:
            opened.enter_context(connection).connect(address)
        sends = [partial(_send, case.batch, connection) for connection in connections]
        return await _threads_rate(case, sends, pipelines)


async def _redis_py_rate(address: str, case: Case, batches: Sequence[Lines]) -> float:
    payloads = [lines.payload.split(NEWLINE) for lines in batches]
    clients = [Redis(unix_socket_path=address) for _ in range(case.appenders)]
    with ExitStack() as opened:
        for client in clients:
            opened.enter_context(client).ping()  # it connects before the clock runs
        return await _threads_rate(case, [partial(_add, client) for client in clients], payloads)


async def _threads_rate(
    case: Case, sends: Sequence[Callable[[T], None]], batches: Sequence[T]
) -> float:
    """Return events a second of senders that wait in a thread each."""
    waiting = iter(batches)

    def work(send: Callable[[T], None]) -> None:
        for batch in waiting:
            send(batch)

    with ThreadPoolExecutor(len(sends)) as threads:
        return await _rate(case, lambda: asyncio.to_thread(lambda: list(threads.map(work, sends))))


async def _rate(case: Case, appended: Callable[[], Awaitable[object]]) -> float:
    """Return events a second; what is ready made is no work of the collector meanwhile."""
    gc.collect()
    gc.freeze()
    started = time.perf_counter()
    await appended()
    seconds = time.perf_counter() - started
    gc.unfreeze()
    return case.n_batches * case.batch / seconds


def _lines(serial: Iterator[int], n_events: int) -> Lines:
    return Lines.of([Record(event(next(serial))) for _ in range(n_events)])


def event(number: int) -> Event:
    """Return one view by one customer; no two numbers give the same id."""
    return Event(
        blake2b(b"%d" % number, digest_size=16).hexdigest(),
        EventType.DETAIL_VIEW,
        _FIRST_INSTANT + timedelta(milliseconds=number),
        _ITEMS[number % N_ITEMS],
        user_id=f"{number % 100_000:06d}",
    )


def _sqlite(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    connection.execute(_TABLES).fetchall()
    return connection


def _insert(connection: apsw.Connection, lines: Lines) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO blocks(payload) VALUES(?)", (lines.payload,))
    connection.execute("INSERT INTO digests(digests) VALUES(?)", (lines.digests,))
    connection.execute("COMMIT")


def _add(client: Redis, payloads: Sequence[bytes]) -> None:
    pipeline = client.pipeline(transaction=False)
    for payload in payloads:
        pipeline.xadd("events", {"e": payload})
    pipeline.execute()


def _send(n_answers: int, connection: socket.socket, commands: bytes) -> None:
    """Send one pipeline, and wait for the ids of the added entries, two line ends each."""
    connection.sendall(commands)
    left = 2 * n_answers
    while left:
        answered = connection.recv(1 << 16)
        if not answered:
            raise ConnectionError("Redis hung up")
        left -= answered.count(b"\n")


def _commands(lines: Lines) -> bytes:
    """Return one pipeline as it goes over the wire."""
    return b"".join([_XADD % (len(each), each) for each in lines.payload.split(NEWLINE)])


if __name__ == "__main__":
    main()
