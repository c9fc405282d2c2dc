"""Counting from a real log and a real lake, against a count in plain Python."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from recsys.arrays import owners_of, rows_of
from recsys.errors import Unavailable
from recsys.events import Event, EventType, Position, Record
from recsys.ids import ItemId
from recsys.models.trends import DEEDS, Memory, Trends
from serving.lake import schema
from serving.lake.deeds import DeedsReader, Span
from serving.lake.drain import Drain
from serving.log.records import Lines
from serving.metrics import Registry, UpkeepMetrics
from serving.trends import counting
from serving.trends.counting import Counter, Counting, CountingPlan
from serving.trends.file import TrendsFile
from tests.serving.lake.drained import House, house

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MEMORY = Memory(6.0, 168.0)
ITEMS = tuple(f"i{number}" for number in range(5))

Sums = dict[tuple[str, str], tuple[float, float]]


@dataclass
class Counted:
    """A counter over a house, and what it wrote down."""

    house: House
    now: datetime = NOW
    counter: Counter | None = None
    events: list[Event] = field(default_factory=list)

    @property
    def file(self) -> Path:
        return self.house.folder / "trends.npz"

    @property
    def plan(self) -> CountingPlan:
        folder = self.house.folder
        return CountingPlan(folder / "log" / "log.sqlite", folder / "lake", self.file, 0.01, MEMORY)

    def take(self, *events: Event) -> None:
        """Bring events into the log."""
        self.events += events
        self.house.writer.append(Lines.of([Record(event) for event in events]))

    def drain(self, *, trim: bool = False) -> None:
        drain = Drain(self.house.tail, self.house.lake)
        list(drain.run())
        if trim:
            drain.trim(self.house.tail.last_position())

    def restart(self) -> None:
        """Leave what a kill leaves: nothing but files."""
        if self.counter is not None:
            self.counter.close()
        self.counter = None

    def look(self) -> None:
        if self.counter is None:
            reader = DeedsReader(self.plan.lake_folder)
            self.counter = Counter(self.plan, reader, lambda: self.now)
        self.counter.look()

    def read(self) -> Trends:
        return TrendsFile(self.file, lambda: self.now).read()

    def sums(self) -> Sums:
        """Return recent and usual sums by market and item, as the counter has them."""
        self.look()
        assert self.counter is not None
        assert self.counter.tally is not None
        names, found = self.counter.tally.trends(self.now.timestamp() / 3_600, MEMORY)
        ids = dict(self.house.tail.vocabulary(-1))
        markets, rows = owners_of(found.keys).tolist(), rows_of(found.keys).tolist()
        columns = zip(markets, rows, found.recent.tolist(), found.usual.tolist(), strict=True)
        return {(names[place], ids[row]): (new, usual) for place, row, new, usual in columns}


@pytest.fixture
def counted(tmp_path: Path) -> Iterator[Counted]:
    with house(tmp_path) as opened:
        made = Counted(opened)
        yield made
        made.restart()


def event(
    number: int,
    kind: EventType = EventType.PURCHASE,
    *,
    item: str = "i0",
    user: str = "ann",
    market: str = "DE",
    time: datetime = NOW - HOUR,
) -> Event:
    return Event(f"e{number}", kind, time, ItemId(item), user_id=user, market=market)


def expected(events: Sequence[Event], now: datetime, open_days: int = 2) -> Sums:
    """Return what one asker at a time comes to: a day that is over counts at its noon."""
    best: dict[tuple[str, str, int], tuple[int, int, str]] = {}
    for one in events:
        time = NOW if one.time - NOW > DAY else one.time  # the log took all of them at NOW
        hour = int(time.timestamp()) // 3_600
        who = one.user_id or one.visitor_id or one.session_id
        key = who, one.item_id, hour // 24
        if one.type in DEEDS and not one.robot:
            best[key] = max(best.get(key, (0, 0, "")), (DEEDS[one.type], hour, one.market))
    sums: Sums = {}
    first_open = int(now.timestamp()) // 86_400 - open_days + 1
    for (_, item, day), (weight, hour, market) in best.items():
        at = hour if day >= first_open else day * 24 + 12
        age = now.timestamp() / 3_600 - at
        if age >= 0 and day >= first_open + open_days - 1 - 28:
            recent, usual = sums.get((market, item), (0.0, 0.0))
            sums[market, item] = (
                recent + weight * 0.5 ** (age / 6),
                usual + weight * 0.5 ** (age / 168),
            )
    return sums


def assert_alike(found: Sums, wanted: Sums) -> None:
    assert found.keys() == wanted.keys()
    for key, sums in wanted.items():
        assert found[key] == pytest.approx(sums, rel=1e-6), key


events_drawn = st.lists(
    st.builds(
        lambda kind, item, user, market, hours, robot: dataclasses.replace(
            event(0, kind, item=item, user=user, market=market, time=NOW - hours * HOUR),
            robot=robot,
        ),
        kind=st.sampled_from((*DEEDS, EventType.REFUND, EventType.IMPRESSION)),
        item=st.sampled_from(ITEMS),
        user=st.sampled_from(("ann", "bob")),
        market=st.sampled_from(("", "DE", "FR")),
        hours=st.integers(-30, 24 * 30),
        robot=st.sampled_from((False, False, False, True)),
    ),
    max_size=12,
)
steps = st.lists(
    st.one_of(events_drawn, st.sampled_from(("drain", "trim", "look", "restart"))), max_size=8
)


@given(steps=steps)
@settings(max_examples=15, phases=(Phase.explicit, Phase.reuse, Phase.generate))
def test_counts_are_those_of_all_events_whatever_was_drained_trimmed_or_killed_between(
    tmp_path_factory: pytest.TempPathFactory, steps: list[list[Event] | str]
) -> None:
    with house(tmp_path_factory.mktemp("shop")) as opened:
        shop = Counted(opened)
        for step in steps:
            if step == "look":
                shop.look()
            elif step == "restart":
                shop.restart()
            elif isinstance(step, str):
                shop.drain(trim=step == "trim")
            else:
                first = len(shop.events)
                shop.take(
                    *(
                        dataclasses.replace(one, event_id=f"e{first + n}")
                        for n, one in enumerate(step)
                    )
                )
        shop.look()  # twice: what was trimmed before it was read is counted anew
        shop.look()
        late = shop.counter is not None and shop.counter.late
        if late:
            shop.restart()

        found = shop.sums()

        shop.restart()
    assert_alike(found, expected(shop.events, NOW))


def test_counts_of_the_log_and_of_the_lake_are_the_same(counted: Counted) -> None:
    counted.take(
        *(event(n, item=ITEMS[n % 5], user=f"u{n}", time=NOW - n * HOUR) for n in range(40))
    )
    of_log = counted.sums()

    counted.drain(trim=True)
    counted.restart()

    assert_alike(counted.sums(), of_log)
    assert_alike(of_log, expected(counted.events, NOW))


def test_events_that_left_the_log_before_they_were_read_are_counted_from_the_lake(
    counted: Counted,
) -> None:
    counted.take(event(1))
    counted.look()
    counted.take(event(2, user="bob"))
    counted.drain(trim=True)
    counted.take(event(3, user="eve"))

    counted.look()

    assert_alike(counted.sums(), expected(counted.events, NOW))


def test_reader_that_was_stopped_reads_no_more(counted: Counted) -> None:
    reader = DeedsReader(counted.plan.lake_folder)

    reader.stop()

    with pytest.raises(Unavailable):
        reader.of(schema.EVENTS.empty_table(), Span(0, 1, Position(0)))


def test_robots_refunds_and_looks_at_lists_count_nothing(counted: Counted) -> None:
    robot = dataclasses.replace(event(1), robot=True)
    counted.take(robot, event(2, EventType.REFUND), event(3, EventType.IMPRESSION))
    counted.take(Event("e4", EventType.SEARCH, NOW, ItemId(""), user_id="ann", query="tea"))

    assert counted.sums() == {}


def test_event_ahead_of_the_clock_counts_when_its_hour_has_come(counted: Counted) -> None:
    counted.take(event(1, time=NOW + 2 * HOUR))

    before = counted.sums()
    counted.now = NOW + 3 * HOUR

    assert before == {}
    assert counted.sums()["DE", "i0"][0] == pytest.approx(5 * 0.5 ** (1 / 6))


def test_events_of_days_that_are_over_count_once_all_is_counted_anew(
    counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "RECOUNT_S", 0.0)
    counted.look()
    counted.take(event(1, time=NOW - 5 * DAY))

    unseen = counted.sums()
    counted.drain()

    assert unseen == {}
    assert_alike(counted.sums(), expected(counted.events, NOW))


def test_new_day_is_counted_anew_with_its_own_days_open(counted: Counted) -> None:
    counted.take(event(1, time=NOW - HOUR), event(2, user="bob", time=NOW - 24 * HOUR))
    counted.look()
    counted.drain()

    counted.now = NOW + 2 * DAY

    assert_alike(counted.sums(), expected(counted.events, NOW + 2 * DAY))


def test_wave_of_buyers_trends_in_its_market_alone(counted: Counted) -> None:
    usual = [
        event(n, item=ITEMS[n % 4], user=f"u{n}", market=("DE", "FR")[n % 2], time=NOW - 3 * DAY)
        for n in range(400)
    ]
    wave = [event(1_000 + n, item="i4", user=f"w{n}") for n in range(12)]
    counted.take(*usual, *wave)
    counted.drain()

    counted.look()

    trends = counted.read()
    ids = dict(counted.house.tail.vocabulary(-1))
    assert [ids[row] for row in trends.trending("DE").rows.tolist()] == ["i4"]
    assert trends.trending("FR").rows.tolist() == []
    assert trends.tells_of("FR")


def test_nobody_makes_a_trend_alone_by_going_round_the_markets(counted: Counted) -> None:
    views = [event(n, EventType.DETAIL_VIEW, market=f"m{n:02}") for n in range(30)]

    for view in views:  # in the log, in the lake, and in both
        counted.take(view)
        counted.look()
    counted.drain()
    counted.restart()
    counted.look()

    assert_alike(counted.sums(), {("m29", "i0"): (0.5 ** (1 / 6), 0.5 ** (1 / 168))})
    assert not len(counted.read().trending("").rows)


def test_file_is_written_when_something_came_and_not_again(counted: Counted) -> None:
    counted.take(event(1))
    counted.look()
    first = counted.file.stat()

    counted.look()
    same = counted.file.stat()
    counted.take(event(2))
    counted.look()

    assert (same.st_ino, same.st_mtime_ns) == (first.st_ino, first.st_mtime_ns)
    assert counted.file.stat().st_ino != first.st_ino


def test_nothing_in_the_file_tells_who_it_was(counted: Counted) -> None:
    counted.take(event(1, user="a-name-to-be-found"), event(2, user="another"))

    counted.look()

    assert b"a-name-to-be-found" not in counted.file.read_bytes()
    with np.load(counted.file) as found:
        assert set(found.files) == {"names", "keys", "recent", "usual", "share", "at"}
        assert len(found["keys"]) == 1


async def test_counter_that_cannot_even_be_closed_ends_nothing(
    counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Counter) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(Counter, "look", fail)
    monkeypatch.setattr(Counter, "close", fail)
    metrics = UpkeepMetrics.of(Registry())

    async with Counting(counted.plan, lambda: NOW, metrics) as made:
        running = asyncio.create_task(made.keep_counting())
        async with asyncio.timeout(10):
            while metrics.failures.labels("trends")._value.get() < 3:  # as below
                assert not running.done()
                await asyncio.sleep(0.01)
        running.cancel()


async def test_fault_is_counted_said_once_and_counting_goes_on(counted: Counted) -> None:
    counted.take(event(1))
    metrics = UpkeepMetrics.of(Registry())
    counted.file.mkdir()

    async with Counting(counted.plan, lambda: NOW, metrics) as made:
        running = asyncio.create_task(made.keep_counting())
        while metrics.failures.labels("trends")._value.get() < 2:  # noqa: ASYNC110  # tells nobody
            await asyncio.sleep(0.01)
        counted.file.rmdir()
        while not counted.file.is_file():  # noqa: ASYNC110  # a file tells nobody
            await asyncio.sleep(0.01)
        running.cancel()

    assert len(counted.read().activity) == 1
