"""One data folder under test: its log and its lake, and everything that can be found in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from deltalake import DeltaTable

from recsys.events import Event, EventType, Position, Record
from recsys.ids import ItemId
from recsys.state import ties_of
from serving.lake.drain import Drain
from serving.lake.lake import Lake
from serving.log.event_log import Placed
from serving.log.records import Lines
from serving.log.tail import LogTail
from serving.log.writer import Writer
from tests.faults.checker import Journal, Verdict, disagreements, judged
from training.datasets.lake import read_dataset

START = datetime(2026, 3, 1, tzinfo=UTC)
_EVERYTHING = 10_000_000
_KINDS = (
    EventType.PURCHASE,
    EventType.DETAIL_VIEW,
    EventType.ADD_TO_CART,
    EventType.LIKE,
    EventType.CLICK,
)

Held = Sequence[tuple[int, str]]
"""Position and event id of each event that a place holds, as often as it holds it."""


def event(number: int, prefix: str = "e") -> Event:
    """Return the event of a number: its customer and time follow from it, so any order is fine."""
    return Event(
        f"{prefix}{number}",
        _KINDS[number % len(_KINDS)],
        START + timedelta(minutes=7 * number),
        ItemId(f"i{number % 13}"),
        user_id=f"{prefix}c{number % 7}",
        quantity=1.0 + number % 3,
    )


def event_of(event_id: str) -> Event:
    """Return the event that `event` made under this id."""
    prefix = event_id.rstrip("0123456789")
    return event(int(event_id[len(prefix) :]), prefix)


def events(first: int, last: int, prefix: str = "e") -> list[Event]:
    """Return the events of the numbers from first to last."""
    return [event(number, prefix) for number in range(first, last + 1)]


def ids(some: Collection[Event]) -> list[str]:
    """Return the ids of events."""
    return [one.event_id for one in some]


@dataclass(frozen=True, slots=True)
class Place:
    """A data folder, laid out as the server lays it out."""

    path: Path

    @property
    def log_file(self) -> Path:
        return self.path / "log" / "log.sqlite"

    @property
    def lake(self) -> Path:
        return self.path / "lake"

    def writer(self) -> Writer:
        return Writer(self.log_file, clock=lambda: START)

    @contextmanager
    def tail(self) -> Iterator[LogTail]:
        tail = LogTail(self.log_file)
        try:
            yield tail
        finally:
            tail.close()

    def drain(self, *, trim: bool = False) -> None:
        """Move everything to the lake; then trim the log, as if all of it were applied."""
        with self.tail() as tail:
            lake = Lake(self.lake)
            lake.open()
            drain = Drain(tail, lake)
            list(drain.run())
            if trim:
                drain.trim(tail.last_position())

    def ties_in_lake(self) -> Mapping[int, int]:
        """Return what `in_snapshot` should be."""
        columns = DeltaTable(self.lake / "events").to_pyarrow_table(columns=["time", "event_id"])
        times = columns["time"].cast("int64").to_numpy()
        return Counter(ties_of(times, columns["event_id"].to_pylist()).tolist())

    def in_log(self) -> Held:
        with self.tail() as tail:
            return [
                (record.position, record.fact.event_id)
                for record in tail.records(Position(0), _EVERYTHING)
                if isinstance(record.fact, Event)
            ]

    def in_lake(self) -> Held:
        table = self.lake / "events"
        if not DeltaTable.is_deltatable(str(table)):
            return []
        columns = DeltaTable(table).to_pyarrow_table(columns=["position", "event_id"])
        return list(
            zip(columns["position"].to_pylist(), columns["event_id"].to_pylist(), strict=True)
        )

    def item_ids(self) -> Mapping[int, str]:
        """Return the item id behind each row."""
        with self.tail() as tail:
            return dict(tail.vocabulary(-1))

    def in_snapshot(self) -> Mapping[int, int]:
        """Return how often training reads each event, by the tie that its id and time give."""
        return Counter(read_dataset(self.lake).interactions.ties.tolist())


def append(writer: Writer, some: Sequence[Event]) -> Placed:
    """Append events through a writer."""
    return writer.append(Lines.of([Record(one) for one in some]))


def verdict(place: Place, journal: Journal) -> Verdict:
    """Return what is wrong with a place as a crash left it: log and lake together.

    A position in both log and lake is one event: that is a drain without its trim. The lake is
    opened first, as a server does, which takes out what a power cut tore.
    """
    Lake(place.lake).open()
    in_log, in_lake = place.in_log(), place.in_lake()
    assert disagreements((in_log, in_lake)) == []
    assert len(set(in_lake)) == len(in_lake)
    return judged(journal, [event_id for _, event_id in set(in_log) | set(in_lake)])


def verdict_after_retries(place: Place, sent: Sequence[Event]) -> Verdict:
    """Return what is wrong once clients have sent everything again and all of it is drained.

    Then each event is in the lake once, and training reads the same.
    """
    writer = place.writer()
    append(writer, sent)
    writer.close()
    place.drain()
    lake, everything = place.in_lake(), frozenset(ids(sent))
    found = judged(Journal(everything, everything), [event_id for _, event_id in lake])
    assert found or place.in_snapshot() == place.ties_in_lake()
    return found
