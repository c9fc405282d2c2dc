"""The tally against a count in plain Python, however deeds are split, repeated and ordered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.arrays import owners_of, rows_of
from recsys.models.trends import Memory
from serving.trends.tally import Deeds, Sums, Tally

MEMORY = Memory(6.0, 168.0)
TODAY = 20_000
MARKETS = ("", "DE", "FR")


@dataclass(frozen=True)
class Done:
    """One deed. asker: its pair is made of all but market, weight and hour."""

    asker: int
    market: str
    row: int
    day: int
    hour: int
    weight: int

    @property
    def pair(self) -> int:
        return (self.asker * 10 + self.row) * 10 + (self.day - TODAY + 5)

    @property
    def strength(self) -> tuple[int, int, str]:
        return self.weight, self.hour, self.market


deeds = st.builds(
    Done,
    asker=st.integers(0, 2),
    market=st.sampled_from(MARKETS),
    row=st.integers(0, 2),
    day=st.integers(TODAY - 1, TODAY + 1),
    hour=st.integers(0, 23),
    weight=st.sampled_from((1, 3, 5)),
)
steps = st.lists(st.lists(deeds, max_size=6), max_size=5)


def strongest(done: Sequence[Done]) -> dict[int, Done]:
    """Return of each pair the strongest deed; of equals that of the market named last."""
    best: dict[int, Done] = {}
    for one in done:
        best[one.pair] = max(best.get(one.pair, one), one, key=lambda deed: deed.strength)
    return best


def packed(done: Sequence[Done]) -> Deeds:
    """Return deeds as one query gives them: each pair once, its best."""
    best = strongest(done)
    kept = [best[pair] for pair in sorted(best)]
    names = tuple(dict.fromkeys(one.market for one in kept))
    return Deeds(
        names,
        np.array(sorted(best), dtype=np.uint64),
        np.array([names.index(one.market) for one in kept], dtype=np.int32),
        np.array([one.row for one in kept], dtype=np.int32),
        np.array([one.day for one in kept], dtype=np.int32),
        np.array([one.weight * 24 + one.hour for one in kept], dtype=np.int32),
    )


def counted(done: Sequence[Done], hour: float) -> dict[tuple[str, int], tuple[float, float]]:
    """Return recent and usual sums by market and row, deed by deed."""
    sums: dict[tuple[str, int], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for one in strongest(done).values():
        age = hour - (one.day * 24 + one.hour)
        if age >= 0:
            found = sums[one.market, one.row]
            found[0] += one.weight * 0.5 ** (age / MEMORY.recent_hours)
            found[1] += one.weight * 0.5 ** (age / MEMORY.usual_hours)
    return {key: (recent, usual) for key, (recent, usual) in sums.items()}


def told(tally: Tally, hour: float) -> dict[tuple[str, int], tuple[float, float]]:
    """Return recent and usual sums by market and row, as a tally has them."""
    names, found = tally.trends(hour, MEMORY)
    markets, rows = owners_of(found.keys).tolist(), rows_of(found.keys).tolist()
    sums = zip(found.recent.tolist(), found.usual.tolist(), strict=True)
    keys = [(names[place], row) for place, row in zip(markets, rows, strict=True)]
    return dict(zip(keys, sums, strict=True))


def empty_tally() -> Tally:
    nothing = np.empty(0, dtype=np.int32)
    sums = Sums((), nothing, nothing, nothing, np.empty(0))
    return Tally.of(TODAY - 1, sums, Deeds.none(), hour=0.0, memory=MEMORY)


@given(steps=steps, again=steps, data=st.data())
def test_tally_is_what_a_plain_count_of_all_deeds_is_in_any_split_and_order(
    steps: list[list[Done]], again: list[list[Done]], data: st.DataObject
) -> None:
    every = [*steps, *again]
    order = data.draw(st.permutations([*every, *steps]))
    hour = TODAY * 24 + data.draw(st.integers(0, 60))
    tally = empty_tally()

    for step in order:
        tally = tally.joined(packed(step))

    expected = counted([one for step in every for one in step], hour)
    found = told(tally, hour)
    assert found.keys() == expected.keys()
    for key, sums in expected.items():
        assert found[key] == pytest.approx(sums)


def test_visitor_who_comes_back_all_day_counts_once_by_what_they_wanted_most() -> None:
    views = [Done(1, "DE", 0, TODAY, hour, weight=1) for hour in range(12)]
    bought = Done(1, "DE", 0, TODAY, 3, weight=5)
    tally = empty_tally()

    for one in (*views, bought, *views):
        tally = tally.joined(packed([one]))

    sums = told(tally, TODAY * 24 + 12)
    assert sums == {("DE", 0): pytest.approx((5 * 0.5 ** (9 / 6), 5 * 0.5 ** (9 / 168)))}


def test_visitor_who_goes_round_the_markets_counts_once_where_they_wanted_most() -> None:
    tally = empty_tally()

    for place, market in enumerate(("FR", "DE", "FR", "")):
        tally = tally.joined(packed([Done(1, market, 0, TODAY, 3, weight=1 + (place == 1))]))

    assert told(tally, TODAY * 24 + 3) == {("DE", 0): pytest.approx((2.0, 2.0))}


def test_days_that_are_over_count_at_their_noon_and_fade_on() -> None:
    sums = Sums(
        ("DE",),
        np.zeros(2, dtype=np.int32),
        np.zeros(2, dtype=np.int32),
        np.array([TODAY - 3, TODAY - 2], dtype=np.int32),
        np.array([8.0, 4.0]),
    )
    open_deeds = packed([Done(1, "FR", 2, TODAY, 0, weight=1)])

    tally = Tally.of(TODAY - 1, sums, open_deeds, hour=TODAY * 24.0, memory=MEMORY)

    found = told(tally, TODAY * 24 + 6)
    ages = (3 * 24 - 12 + 6, 2 * 24 - 12 + 6)
    usual = 8 * 0.5 ** (ages[0] / 168) + 4 * 0.5 ** (ages[1] / 168)
    assert found["DE", 0][1] == pytest.approx(usual)
    assert found["FR", 2] == pytest.approx((0.5, 0.5 ** (6 / 168)))
