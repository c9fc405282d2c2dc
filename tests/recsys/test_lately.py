from __future__ import annotations

import numpy as np

from recsys.events import EVENT_CODES, EventType
from recsys.lately import cart_left_behind, last_purchases, last_views, seen_between, traces_of
from recsys.state import FACETS, Entries, UserState, merged, no_entries, packed, ties_of
from tests import shop

ADD, REMOVE = EventType.ADD_TO_CART, EventType.REMOVE_FROM_CART
BUY, VIEW = EventType.PURCHASE, EventType.DETAIL_VIEW
Done = tuple[EventType, int, float, int]


def did(*events: Done) -> UserState:
    """Return the state of events: type, row, second, pieces."""

    def entries(kinds: frozenset[EventType], limit: int) -> Entries:
        mine = [one for one in events if one[0] in kinds]
        if not mine:
            return no_entries()
        types, rows, seconds, pieces = zip(*mine, strict=True)
        micros = np.array([round(second * 1e6) for second in seconds], dtype=np.int64)
        made = packed(
            micros // 1_000_000,
            ties_of(micros, [str(one) for one in mine]),
            np.array(rows, dtype=np.int32),
            np.array([EVENT_CODES[kind] for kind in types], dtype=np.uint8),
            np.array(pieces, dtype=np.float32),
        )
        return merged(made, no_entries(), limit)

    return UserState(*(entries(facet.kinds, facet.limit) for facet in FACETS))


def cart(*events: Done) -> list[tuple[int, int, int]]:
    return [(one.row, one.second, one.pieces) for one in cart_left_behind(did(*events))]


def test_what_was_added_and_neither_removed_nor_bought_since_is_left_in_the_cart() -> None:
    left = cart(
        (ADD, 1, 10, 1), (ADD, 2, 20, 1), (REMOVE, 2, 30, 1), (ADD, 3, 40, 1), (BUY, 3, 50, 1),
        (ADD, 4, 60, 3),
    )  # fmt: skip

    assert left == [(4, 60, 3), (1, 10, 1)]


def test_what_is_added_again_after_a_purchase_or_a_removal_is_left_behind() -> None:
    left = cart(
        (ADD, 1, 10, 5), (BUY, 1, 20, 5), (ADD, 1, 30, 2), (ADD, 1, 40, 1),
        (ADD, 2, 10, 1), (REMOVE, 2, 11, 1), (ADD, 2, 12, 1),
    )  # fmt: skip

    assert left == [(1, 40, 3), (2, 12, 1)]


def test_purchase_at_the_very_instant_empties_the_cart() -> None:
    assert cart((ADD, 1, 10.5, 1), (BUY, 1, 10.5, 1)) == []
    assert cart((ADD, 1, 10.5, 1), (BUY, 1, 10.4, 1)) == [(1, 10, 1)]


def test_refund_puts_nothing_back_into_the_cart() -> None:
    assert cart((ADD, 1, 10, 1), (BUY, 1, 20, 1), (EventType.REFUND, 1, 30, 1)) == []


def test_last_views_name_each_item_once_and_last_purchases_every_line() -> None:
    state = did(
        (VIEW, 1, 10, 1), (VIEW, 2, 20, 1), (EventType.CLICK, 1, 30, 1), (ADD, 5, 40, 1),
        (BUY, 7, 1, 2), (BUY, 7, 2, 1), (EventType.REFUND, 7, 3, 1),
    )  # fmt: skip

    assert [(one.row, one.second) for one in last_views(state, 9)] == [(1, 30), (2, 20)]
    assert [one.row for one in last_views(state, 1)] == [1]
    assert [(one.row, one.pieces) for one in last_purchases(state, 9)] == [(7, 1), (7, 2)]


def test_email_without_an_item_is_told_without_a_row() -> None:
    state = did((EventType.EMAIL_SENT, -1, 10, 1), (EventType.EMAIL_OPENED, 3, 20, 1))

    told = [(one.kind, one.row) for one in traces_of(state.mailed, 9)]

    assert told == [(EventType.EMAIL_OPENED, 3), (EventType.EMAIL_SENT, -1)]


def test_customer_is_seen_from_the_first_to_the_last_event_of_any_facet() -> None:
    state = did((BUY, 1, 50, 1), (EventType.LIKE, 1, 20, 1), (EventType.IMPRESSION, 1, 70, 1))

    assert seen_between(state) == (20, 70)
    assert seen_between(UserState.unknown()) is None
    assert cart_left_behind(shop.state()) == []
