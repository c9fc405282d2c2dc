"""The index of event ids, against a plain dictionary."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.log import seen
from serving.log.records import split_digests
from serving.log.seen import Seen


@dataclass
class Digests:
    """The table that other processes add to."""

    rows: list[tuple[int, int, bytes]] = field(default_factory=list)

    def execute(self, sql: str, values: tuple[int, ...]) -> Iterator[tuple[int, int, bytes]]:
        last, first_day = values
        return iter([row for row in self.rows if row[0] > last and row[1] >= first_day][:3])


# Few first and second halves, so that digests share them, and the ends of their range.
HALVES = st.sampled_from([0, 1, 2, 1 << 60, 3 << 60, (1 << 64) - 2, (1 << 64) - 1])
DIGESTS = st.builds(lambda a, b: a.to_bytes(8, "little") + b.to_bytes(8, "little"), HALVES, HALVES)
BATCH = st.lists(DIGESTS | st.binary(min_size=16, max_size=16), max_size=20)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), BATCH),
        st.tuples(st.just("others"), BATCH),
        st.tuples(st.just("ask"), BATCH),
        st.tuples(st.just("day"), st.integers(0, 3)),
    ),
    max_size=25,
)


@pytest.fixture(autouse=True)
def small_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen, "_FEW_BYTES", 4 * 16)
    monkeypatch.setattr(seen, "_MOST_RECENT", 6)
    monkeypatch.setattr(seen, "_FEWEST_BITS", 2)
    monkeypatch.setattr(seen, "_MOST_BITS", 4)
    monkeypatch.setattr(seen, "_PIECE", 5)


def repeats(batch: list[bytes], known: Collection[bytes]) -> list[bool]:
    """Return which digests are known or stand before in the batch, one after the other."""
    return [one in known or one in batch[:place] for place, one in enumerate(batch)]


@settings(max_examples=300)
@given(STEPS)
def test_index_knows_exactly_what_was_committed_in_the_days_it_keeps(
    steps: list[tuple[str, object]],
) -> None:
    index, table, known = Seen(), Digests(), dict[bytes, int]()
    day, last = 100, 0
    for step, given_ in steps:
        if step == "day":
            day += int(given_)  # type: ignore[call-overload]
            index.forget(day - 2)
            known = {digest: seen_on for digest, seen_on in known.items() if seen_on >= day - 2}
            continue
        batch = list(given_)  # type: ignore[call-overload]
        if step != "others":
            index.catch_up(table)

            assert index.known(b"".join(batch)).tolist() == repeats(batch, known)

        news = [one for one in dict.fromkeys(batch) if one not in known]
        if step != "ask" and news:
            last += len(news)
            table.rows.append((last, day, b"".join(news)))
            known.update(dict.fromkeys(news, day))
            if step == "add":
                index.add(b"".join(news), day=day, last=last)
    index.catch_up(table)

    assert index.known(b"".join(known)).all()
    assert len(index) == len(known)


def test_ids_of_two_days_read_at_once_are_forgotten_day_by_day() -> None:
    index, older, newer = Seen(), bytes(16), b"\x01" * 16
    index.catch_up(Digests([(1, 100, older), (2, 101, newer)]))

    index.forget(101)

    assert index.known(older + newer).tolist() == [False, True]


def test_tables_grow_to_the_greatest_size_and_no_further() -> None:
    index, rng = Seen(), np.random.default_rng(7)
    batches = [rng.bytes(5 * 16) for _ in range(20)]

    for last, digests in enumerate(batches):
        index.add(digests, day=100, last=last)

    assert all(index.known(digests).all() for digests in batches)
    assert [len(table) for table in index._tables] == [15] * 6 + [10]


def test_digest_that_ends_in_zeros_stays_whole() -> None:
    digest = b"\x01" + bytes(15)

    assert split_digests(digest + bytes(16)) == [digest, bytes(16)]


def test_empty_index_knows_nothing() -> None:
    index = Seen()

    index.forget(100)

    assert index.known(b"").tolist() == []
    assert index.known(bytes(16)).tolist() == [False]
    assert len(index) == 0
