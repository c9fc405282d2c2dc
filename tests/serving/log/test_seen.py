"""The index of event ids, against a plain dictionary."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

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
        return iter([row for row in self.rows if row[0] > last and row[1] >= first_day])


# Few first and second halves, so that digests share them, and the ends of their range.
HALVES = st.sampled_from([0, 1, 2, 1 << 60, (1 << 64) - 2, (1 << 64) - 1])
DIGESTS = st.builds(lambda a, b: a.to_bytes(8, "little") + b.to_bytes(8, "little"), HALVES, HALVES)
BATCH = st.lists(DIGESTS, max_size=12, unique=True)
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
def small_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen, "_MOST_RECENT", 4)
    monkeypatch.setattr(seen, "_MANY_BYTES", 6 * 16)


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
        index.catch_up(table)
        batch = list(given_)  # type: ignore[call-overload]

        assert index.known(batch) == known.keys() & set(batch)

        news = [digest for digest in batch if digest not in known]
        if step != "ask" and news:
            last += len(news)
            table.rows.append((last, day, b"".join(news)))
            known.update(dict.fromkeys(news, day))
            if step == "add":
                index.add(b"".join(news), day=day, last=last)
    index.catch_up(table)

    assert index.known(list(known)) == set(known)
    assert len(index) == len(known)


def test_digest_that_ends_in_zeros_stays_whole() -> None:
    digest = b"\x01" + bytes(15)

    assert split_digests(digest + bytes(16)) == [digest, bytes(16)]


def test_empty_index_knows_nothing() -> None:
    index = Seen()

    index.forget(100)

    assert index.known([]) == set()
    assert index.known([bytes(16)]) == set()
    assert len(index) == 0
