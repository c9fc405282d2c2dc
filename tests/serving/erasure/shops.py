"""A small shop in which one customer is planted in every store, and a neighbour beside her."""

from __future__ import annotations

import asyncio
import gzip
import json
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from deltalake import DeltaTable

from recsys.customers import (
    AttributeChange,
    ConsentChange,
    ConsentStatement,
    CustomerChange,
    Identifier,
    IdKind,
    LinkChange,
    Purpose,
)
from recsys.events import Event, EventType, Position, Record
from recsys.ids import ItemId
from serving.erasure.gate import Erased, Gate
from serving.erasure.job import Eraser, Live, Threads
from serving.erasure.ledger import Entry, Ledger
from serving.erasure.places import Places
from serving.erasure.receipts import Receipt, Receipts
from serving.lake.drain import Drain
from serving.lake.keeping import Keeping
from serving.lake.lake import Lake
from serving.log.customer_reads import CustomerReader
from serving.log.customers import apply
from serving.log.database import connect, last_position
from serving.log.event_log import Placed, Rejected
from serving.log.records import Lines, microseconds
from serving.log.tail import LogTail
from serving.log.writer import Writer
from serving.state.address import RedisAddress
from serving.state.erasing import StateErasing
from serving.state.keys import Secret, StateKeys
from serving.state.redis_store import RedisSettings, RedisStateStore

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
ANNA = Identifier(IdKind.USER, "customer-anna-4711")
ANNAS_BROWSER = Identifier(IdKind.VISITOR, "browser-9f8e7d6c")
BERT = Identifier(IdKind.USER, "customer-bert-0815")
HERS = (ANNA, ANNAS_BROWSER)
SECRET = Secret(bytes(range(32)))
PATIENT = RedisSettings(read_timeout_ms=10_000)

T = TypeVar("T")


async def at_once(work: Callable[[], T]) -> T:
    """Run the work here and now."""
    return work()


async def in_another_thread(work: Callable[[], T]) -> T:
    return await asyncio.to_thread(work)


def event(event_id: str, at: datetime = NOON, **fields: Any) -> Event:
    given: dict[str, Any] = {"item_id": ItemId("bread"), **fields}
    return Event(event_id, EventType.PURCHASE, at, **given)


def of_anna(event_id: str, at: datetime = NOON, **fields: Any) -> Event:
    return event(event_id, at, user_id=ANNA.value, **fields)


def of_bert(event_id: str, at: datetime = NOON, **fields: Any) -> Event:
    return event(event_id, at, user_id=BERT.value, **fields)


@dataclass
class Shop:
    """A data folder, and the Redis that belongs to it."""

    folder: Path
    address: RedisAddress
    prefix: str
    now: datetime = NOON + timedelta(days=1)
    _closing: list[Callable[[], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.keys = StateKeys(SECRET, self.prefix)
        self.places = Places(
            data_folder=self.folder,
            ledger=self.folder / "erasures" / "ledger.jsonl",
            log_file=self.folder / "log" / "log.sqlite",
            lake=self.folder / "lake",
            releases=self.folder / "releases",
            artifacts=self.folder / "mlartifacts",
            texts={"rejects": self.folder / "rejects", "campaigns": self.folder / "campaigns"},
        )
        self.ledger = Ledger(self.places.ledger)
        self.gate = Gate(self.ledger, self.keys)
        self.store = RedisStateStore(self.address, self.keys, PATIENT, clock=self.clock)
        self.lake = Lake(self.places.lake)
        self.writer = Writer(self.places.log_file, clock=self.clock)

    def clock(self) -> datetime:
        return self.now

    def open(self) -> None:
        self.writer.open()
        self.lake.open()

    async def close(self) -> None:
        self.writer.close()
        await self.store.close()

    def take_in(self, *events: Event, rejected: tuple[Rejected, ...] = ()) -> list[Record]:
        """Append events as `Ingest` does, through the gate; return those that are new."""
        lines = Lines.of([Record(one) for one in events])
        lines, may = self.gate.lines(lines)
        kept = lines if may is None else lines.chosen(may)
        placed: Placed = self.writer.append(kept, rejected)
        chosen = [one for one, ok in zip(events, may or [True] * len(events), strict=True) if ok]
        return [
            Record(one, position, row)
            for one, position, row in zip(chosen, placed.positions, placed.item_rows, strict=True)
            if position
        ]

    def drain(self) -> None:
        tail = LogTail(self.places.log_file)
        drain = Drain(tail, self.lake)
        list(drain.run())
        drain.trim(tail.last_position())
        tail.close()

    def forget_the_mark(self) -> bool:
        """Leave what a crash between the lake's commit and the mark of the log leaves."""
        connection = connect(self.places.log_file)
        connection.execute("DELETE FROM marks WHERE name = 'drained_through'")
        gone = bool(connection.changes())
        connection.close()
        return gone

    def tidy(self) -> None:
        for _ in self.lake.tidy(Keeping(), self.now):
            continue

    def change(self, *changes: CustomerChange) -> None:
        """Make changes in the register of customers."""
        connection = connect(self.places.log_file)
        with connection:
            before = Position(last_position(connection))
            changed = apply(connection, changes, before=before, received=microseconds(self.now))
            connection.execute(
                "UPDATE sqlite_sequence SET seq = ? WHERE name = 'blocks'",
                (changed.last_position,),
            )
        connection.close()

    def ask(self, *identifiers: Identifier, alone: bool = False) -> Entry:
        """Add an erasure to the ledger."""
        tail = LogTail(self.places.log_file)
        position = tail.last_position()
        tail.close()
        return self.ledger.add(identifiers, self.keys, now=self.now, position=position, alone=alone)

    def eraser(self, run: Callable[..., Awaitable[Any]] = at_once) -> Eraser:
        live = Live(self.store, StateErasing(self.store, self.address, self.keys))
        threads = Threads(run, run)  # type: ignore[arg-type]
        return Eraser(self.places, self.keys, live, threads, clock=self.clock)

    async def erase(self, *identifiers: Identifier, alone: bool = False) -> Receipt:
        """Ask for an erasure, do it, and return its receipt."""
        entry = self.ask(*identifiers, alone=alone)
        receipts = await self.eraser().run()
        return next(one for one in receipts if one.erasure_id == entry.erasure_id)

    def erased(self) -> Erased:
        return Erased.of(self.ledger.entries(), self.keys)

    def event_ids(self) -> list[str]:
        """Return the ids of all events in the log and in the lake."""
        tail = LogTail(self.places.log_file)
        found = [one.fact.event_id for one in tail.records(tail.drained_through, 1_000_000)]
        tail.close()
        return sorted([*found, *self.table("events").column("event_id").to_pylist()])

    def records_in_log(self) -> list[Record]:
        """Return the records that the log holds still."""
        tail = LogTail(self.places.log_file)
        found = tail.records(Position(0), 1_000_000)
        tail.close()
        return found

    def receipts(self) -> list[Receipt]:
        """Return the receipts of all erasures."""
        receipts = Receipts(self.places.receipts)
        found = (receipts.read(one.erasure_id) for one in self.ledger.entries())
        return [one for one in found if one is not None]

    def table(self, name: str) -> Any:
        return DeltaTable(self.places.lake / name).to_pyarrow_table()

    def rows(self, name: str) -> list[dict[str, Any]]:
        return sorted(self.table(name).to_pylist(), key=repr)

    async def profiles(self) -> None:
        """Bring all profiles into the store."""
        reader = CustomerReader(self.places.log_file)
        await self.store.apply_profiles(reader.profiles_of(reader.identifiers(None, 1_000)))
        reader.close()

    async def known(self, identifier: Identifier) -> bool:
        """Return whether the store holds anything of an identifier."""
        key = self.keys.customer(identifier.kind, identifier.value)
        (state,) = await self.store.read([[key]])
        return bool(state)


async def plant(shop: Shop) -> None:
    """Put Anna, and Bert beside her, into every store."""
    shop.take_in(
        *(of_anna(f"a{n}", NOON - timedelta(days=n % 5, minutes=n)) for n in range(20)),
        *(of_bert(f"b{n}", NOON - timedelta(days=n % 5, minutes=n)) for n in range(20)),
        event("v1", visitor_id=ANNAS_BROWSER.value),
        of_bert("shared", visitor_id=ANNAS_BROWSER.value),
    )
    shop.drain()
    shop.take_in(of_anna("a20"), of_bert("b20"))
    shop.drain()
    shop.lake.write_customers(None)
    shop.tidy()
    records = shop.take_in(
        of_anna("a21", NOON + timedelta(minutes=1)),
        of_bert("b21"),
        of_anna("a22", NOON + timedelta(minutes=2)),
        rejected=(
            _rejected({"event_id": "q1", "user_id": ANNA.value, "quantity": "many"}),
            _rejected({"event_id": "q2", "user_id": BERT.value, "quantity": "many"}),
        ),
    )
    await shop.store.apply(records)
    shop.change(
        LinkChange(*HERS),
        AttributeChange(ANNA, "tier", "gold"),
        AttributeChange(BERT, "tier", "iron"),
        ConsentChange(ANNAS_BROWSER, ConsentStatement(Purpose.EMAIL, True, NOON)),
        ConsentChange(BERT, ConsentStatement(Purpose.EMAIL, True, NOON)),
    )
    await shop.profiles()
    _plant_files(shop.folder)


def _rejected(document: dict[str, Any]) -> Rejected:
    return Rejected(json.dumps(document), "INVALID_INPUT", "no number", "quantity", NOON)


def _plant_files(folder: Path) -> None:
    rejects, campaigns = folder / "rejects", folder / "campaigns"
    rejects.mkdir()
    campaigns.mkdir()
    lines = [
        json.dumps({"file": "x", "line": n, "came": "?", "row": {"customer": one.value, "n": n}})
        for n, one in enumerate((ANNA, BERT))
    ]
    (rejects / "orders.csv.rejects.jsonl").write_text("\n".join(lines) + "\n")
    with gzip.open(rejects / "old.rejects.jsonl.gz", "wt") as file:
        file.write("\n".join(lines) + "\n")
    (campaigns / "picks.csv").write_text(
        f'user_id,token,title\n{ANNA.value},t,"Bread,\nfresh"\n{BERT.value},t,"Rye\nbread"\n'
    )
    for one in (ANNA, BERT):
        with (campaigns / "picks.jsonl").open("a") as lines_file:
            lines_file.write(json.dumps({"user_id": one.value, "picks": []}) + "\n")
    runs = sqlite3.connect(folder / "mlflow.db")
    runs.execute("CREATE TABLE params(name TEXT, value TEXT)")
    runs.execute("INSERT INTO params VALUES('n_events', '40')")
    runs.commit()
    runs.close()
    (folder / "releases").mkdir()
