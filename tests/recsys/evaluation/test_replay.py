import numpy as np

from recsys.evaluation.replay import cases_of
from recsys.evaluation.splits import Split, last_windows
from recsys.events import EVENT_CODES, EventType
from recsys.interactions import Interactions
from recsys.pipeline.placement import Situation

START = np.datetime64("2026-01-01T00:00:00", "s")


def bought(*lines: tuple[int, int, int]) -> Interactions:
    """Return purchases of (user, item, day); a user's day is a basket."""
    ordered = sorted(lines, key=lambda line: line[2])
    users, items, days = (np.array(column, dtype=np.int32) for column in zip(*ordered, strict=True))
    return Interactions(
        users,
        items,
        np.full(len(users), EVENT_CODES[EventType.PURCHASE], dtype=np.uint8),
        np.ones(len(users), dtype=np.float32),
        START + days.astype("timedelta64[D]"),
        np.arange(len(users), dtype=np.uint32),
        (users * 1_000 + days).astype(np.int32),
        int(users.max()) + 1,
        20,
    )


# Customer 0 buys 1 again and 2 for the first time; customer 1 buys 4 and 5 together;
# customer 2 comes for the first time.
SHOP = bought((0, 1, 0), (1, 3, 1), (0, 1, 10), (0, 2, 11), (1, 4, 12), (1, 5, 12), (2, 6, 12))
SPLIT = Split.at(SHOP, START + np.timedelta64(9, "D"), 28)


def cases(situation: Situation) -> dict[int, tuple[list[int], list[int]]]:
    """Return each asker's seeds and targets."""
    found = cases_of("home", situation, SPLIT, np.random.default_rng(0))
    return {
        int(user): (found.seeds.at(place).tolist(), found.targets.at(place).tolist())
        for place, user in enumerate(found.users)
    }


def test_the_last_window_is_tested_on_and_the_one_before_chosen_on() -> None:
    validation, test = last_windows(SHOP, 2, 2)

    end = SHOP.times[-1] + np.timedelta64(1, "s")
    assert test.instant == end - np.timedelta64(2, "D")
    assert validation.instant == end - np.timedelta64(4, "D")
    assert validation.future.items.tolist() == [1]
    assert test.future.items.tolist() == [2, 4, 5, 6]


def test_the_past_holds_nothing_of_the_future_and_nothing_is_lost() -> None:
    assert SPLIT.past.times.max() < SPLIT.instant <= SPLIT.future.times.min()
    assert len(SPLIT.past) + len(SPLIT.future) == len(SHOP)


def test_a_visit_wants_all_that_known_customers_buy_later() -> None:
    assert cases(Situation.VISIT) == {0: ([], [1, 2]), 1: ([], [4, 5])}


def test_a_discovery_wants_what_they_never_bought() -> None:
    assert cases(Situation.DISCOVERY) == {0: ([], [2]), 1: ([], [4, 5])}


def test_a_basket_is_half_seen_and_half_wanted() -> None:
    found = cases(Situation.BASKET)

    assert list(found) == [1]
    seeds, targets = found[1]
    assert len(seeds) == len(targets) == 1
    assert {*seeds, *targets} == {4, 5}
