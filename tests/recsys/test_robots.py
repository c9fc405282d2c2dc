from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from recsys.events import EVENT_CODES, EventType
from recsys.robots import BROWSING, RobotRule

RULE = RobotRule(a_minute=3, a_day=6, buyer_factor=2.0)
VIEW, BUY = EventType.DETAIL_VIEW, EventType.PURCHASE


@dataclass(frozen=True)
class Step:
    user: int
    second: int
    kind: EventType = VIEW
    declared: bool = False


def robots(steps: list[Step], rule: RobotRule = RULE) -> list[int]:
    found = rule.robots(
        np.array([step.user for step in steps], dtype=np.int32),
        np.array([step.second for step in steps]).astype("datetime64[s]"),
        kinds=np.array([EVENT_CODES[step.kind] for step in steps], dtype=np.uint8),
        declared=np.array([step.declared for step in steps], dtype=np.bool_),
        n_users=3,
    )
    return np.flatnonzero(found).tolist()


def test_more_than_the_limit_within_a_minute_is_a_robot_whatever_the_order() -> None:
    human = [Step(0, second) for second in (0, 20, 40, 60)]
    robot = [Step(1, second) for second in (59, 0, 40, 20)]

    assert robots(robot + human) == [1]


def test_a_minute_may_lie_across_two_of_the_clock() -> None:
    assert robots([Step(1, second) for second in (55, 58, 61, 64)]) == [1]


def test_more_than_the_limit_within_a_day_is_a_robot() -> None:
    hourly = [Step(1, 3_600 * hour) for hour in range(7)]
    slower = [Step(2, 4 * 3_600 * hour) for hour in range(7)]

    assert robots(hourly + slower) == [1]


def test_who_bought_anything_needs_more_evidence() -> None:
    fast = [Step(user, second) for user in (0, 1) for second in range(6)]
    faster = [Step(2, second) for second in range(7)]
    bought = [Step(0, 90_000, BUY), Step(2, 90_000, BUY)]

    assert robots(fast + faster + bought) == [1, 2]


def test_times_without_seconds_say_nothing_of_haste() -> None:
    by_day = [Step(1, day * 86_400) for day in range(3) for _ in range(100)]

    assert robots(by_day) == []


@pytest.mark.parametrize("kind", sorted(set(EventType) - BROWSING))
def test_what_is_not_done_one_at_a_time_is_no_haste(kind: EventType) -> None:
    assert robots([Step(1, second, kind) for second in range(50)]) == []


def test_who_calls_itself_a_robot_most_of_the_time_is_one() -> None:
    crawler = [Step(1, 0, declared=True), Step(1, 9_000, declared=True), Step(1, 18_000)]
    scanned = [Step(2, 0, declared=True), Step(2, 9_000), Step(2, 18_000)]

    assert robots(crawler + scanned) == [1]


def test_what_a_scanner_of_links_does_counts_for_nobody() -> None:
    scanner = [Step(2, second, declared=True) for second in range(5)]
    person = [Step(2, 9_000 * step) for step in range(6)]

    assert robots(scanner + person) == []


def test_a_limit_of_zero_is_none() -> None:
    steps = [Step(1, second) for second in range(50)]

    assert robots(steps, RobotRule(a_minute=0, a_day=0)) == []


def test_nobody_is_no_robot() -> None:
    assert robots([]) == []
