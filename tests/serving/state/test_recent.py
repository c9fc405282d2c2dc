from __future__ import annotations

from dataclasses import dataclass

import pytest

from recsys.events import Position
from serving.state import recent
from serving.state.recent import KEPT_S, NO_CHANGES, Change, RecentChanges

ANNA, BERT = b"anna", b"bert"


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def changes(clock: Clock) -> RecentChanges:
    """Give changes behind position 5, of just now."""
    made = RecentChanges(clock, fresh_s=1.0)
    made.begin(Position(5))
    made.looked(clock.now)
    return made


def change(position: int, *hashed: bytes) -> Change:
    return Change(Position(position), hashed)


def test_newest_change_of_any_of_the_ids_counts(changes: RecentChanges) -> None:
    changes.take([change(6, ANNA), change(7, BERT), change(8, ANNA, BERT)])

    assert changes.newest([ANNA]) == changes.newest([BERT, b"nobody"]) == 8
    assert changes.newest([b"nobody"]) == changes.newest([]) == 0


def test_store_behind_the_begin_is_not_covered(changes: RecentChanges) -> None:
    assert [changes.cover(Position(one)) for one in (4, 5, 9)] == [False, True, True]


def test_nothing_is_covered_before_the_begin_is_known(clock: Clock) -> None:
    made = RecentChanges(clock, fresh_s=1.0)
    made.looked(clock.now)

    assert not made.begun
    assert not made.cover(Position(9))


def test_look_that_is_too_long_ago_covers_nothing(changes: RecentChanges, clock: Clock) -> None:
    clock.now += 1.0
    still = changes.cover(Position(5))
    clock.now += 0.1

    assert (still, changes.cover(Position(5))) == (True, False)


def test_change_is_forgotten_once_it_is_applied_and_a_dying_store_would_keep_it(
    changes: RecentChanges, clock: Clock
) -> None:
    changes.take([change(6, ANNA), change(7, BERT)])
    told = []

    for seconds, applied in ((0.0, 9), (KEPT_S, 6), (0.0, 9)):
        clock.now += seconds
        changes.forget(Position(applied))
        changes.looked(clock.now)
        covered = [changes.cover(Position(one)) for one in (5, 6, 7)]
        told.append((changes.newest([ANNA]), changes.newest([BERT]), covered))

    assert told == [
        (6, 7, [True, True, True]),
        (0, 7, [False, True, True]),
        (0, 0, [False, False, True]),
    ]


def test_older_change_that_is_forgotten_leaves_the_newer_one(
    changes: RecentChanges, clock: Clock
) -> None:
    changes.take([change(6, ANNA), change(7, ANNA)])
    clock.now += KEPT_S

    changes.forget(Position(6))

    assert changes.newest([ANNA]) == 7


def test_more_changes_than_are_remembered_cover_a_store_that_has_the_oldest(
    changes: RecentChanges, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent, "MOST", 2)

    changes.take([change(6, ANNA), change(7, BERT), change(8, BERT)])

    assert changes.newest([ANNA]) == 0
    assert [changes.cover(Position(one)) for one in (5, 6)] == [False, True]


def test_store_that_only_its_reader_changes_is_always_covered() -> None:
    assert NO_CHANGES.cover(Position(0))
    assert NO_CHANGES.newest([ANNA]) == 0
