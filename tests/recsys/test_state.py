from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.events import EVENT_CODES, EVENT_TYPES, EventType
from recsys.state import (
    ENTRY,
    FACETS,
    HISTORY,
    NO_ROW,
    UserState,
    kinds_of_entries,
    merged,
    no_entries,
    packed,
    quantities_of_entries,
    rows_of_entries,
    ties_of,
)
from tests import shop

MOST = {
    EventType.PURCHASE: 128,
    EventType.REFUND: 32,
    EventType.ADD_TO_CART: 24,
    EventType.RATING: 5,
}


@given(
    kind=st.sampled_from(EVENT_TYPES), quantity=st.integers(1, 10_000), row=st.integers(-1, 10_000)
)
def test_an_entry_gives_back_what_went_in_up_to_the_pieces_its_type_can_hold(
    kind: EventType, quantity: int, row: int
) -> None:
    entry = _entries([(1_700_000_000, 7, row, kind, quantity)])

    assert EVENT_TYPES[kinds_of_entries(entry)[0]] is kind
    assert quantities_of_entries(entry).tolist() == [min(quantity, MOST.get(kind, 1))]
    assert rows_of_entries(entry).tolist() == [row if row >= 0 else NO_ROW]


def test_codes_of_types_and_pieces_stay_what_they_are_in_redis() -> None:
    one_of_each = [(0, 0, 0, kind, 1) for kind in EVENT_TYPES]
    several = [
        (0, 0, 0, EventType.PURCHASE, 2),
        (0, 0, 0, EventType.REFUND, 2),
        (0, 0, 0, EventType.ADD_TO_CART, 2),
        (0, 0, 0, EventType.RATING, 2),
        (0, 0, 0, EventType.RATING, 5),
    ]

    found = _entries(one_of_each + several)["what"] & 0xFF

    assert found.tolist() == [*range(19), 64, 191, 222, 245, 248]


def test_no_type_is_in_two_facets() -> None:
    kinds = [kind for facet in FACETS for kind in facet.kinds]

    assert len(kinds) == len(set(kinds))


def test_events_of_one_second_keep_their_order_and_one_id_gives_one_tie() -> None:
    times = np.array([5_000_000, 5_010_000, 5_999_999, 5_000_000], dtype=np.int64)

    ties = ties_of(times, ["a", "b", "c", "a"])

    assert ties[0] < ties[1] < ties[2]
    assert ties[0] == ties[3]


def test_a_state_reads_back_from_its_bytes() -> None:
    state = shop.state(
        (EventType.CLICK, "bread", 3.0),
        (EventType.PURCHASE, "milk", 2.0),
        (EventType.HIDE, "soap", 1.0),
        (EventType.UNSUBSCRIBE, "soap", 1.0),
        (EventType.IMPRESSION, "milk", 1.0),
        (EventType.EMAIL_SENT, "bread", 1.0),
    )

    read = UserState.from_bytes(state.to_bytes())

    assert [one.tolist() for one in read.facets] == [one.tolist() for one in state.facets]
    assert [len(one) for one in read.facets] == [1, 1, 1, 1, 1, 1]


@pytest.mark.parametrize("cut", [1, 11, 12, 23])
def test_bytes_that_are_no_whole_state_are_refused(cut: int) -> None:
    whole = shop.state((EventType.CLICK, "bread", 3.0)).to_bytes()

    with pytest.raises(ValueError, match="bytes"):
        UserState.from_bytes(whole[:cut])


@given(
    first=st.sets(st.integers(0, 60)), second=st.sets(st.integers(0, 60)), limit=st.integers(1, 20)
)
def test_merging_is_the_union_of_two_sets_cut_to_the_newest(
    first: set[int], second: set[int], limit: int
) -> None:
    def entries(numbers: set[int]) -> np.ndarray:
        found = [(n // 12, n // 4 % 3, n % 4, EventType.CLICK, 1) for n in numbers]
        return merged(_entries(found), no_entries(), HISTORY.limit)

    both = merged(entries(first), entries(second), limit)

    assert both.tolist() == entries(first | second)[:limit].tolist()
    assert [one.tobytes() for one in both] == sorted((one.tobytes() for one in both), reverse=True)


def _entries(events: list[tuple[int, int, int, EventType, int]]) -> np.ndarray:
    if not events:
        return np.empty(0, dtype=ENTRY)
    seconds, ties, rows, kinds, quantities = zip(*events, strict=True)
    return packed(
        np.array(seconds, dtype=np.int64),
        np.array(ties, dtype=np.uint32),
        np.array(rows, dtype=np.int32),
        np.array([EVENT_CODES[kind] for kind in kinds], dtype=np.uint8),
        np.array(quantities, dtype=np.float32),
    )
