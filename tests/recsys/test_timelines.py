from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recsys.events import EVENT_CODES, EventType
from recsys.refunds import PURCHASE, REFUND
from recsys.state import PURCHASES, Facet
from recsys.timelines import Ragged, Timeline, Weighted
from tests import shop

CLICK, HIDE = EVENT_CODES[EventType.CLICK], EVENT_CODES[EventType.HIDE]


CLICKS = Facet("clicks", frozenset({EventType.CLICK}), 5)


@given(
    log=st.lists(
        st.tuples(
            st.integers(0, 20), st.integers(0, 3), st.integers(0, 4), st.sampled_from([CLICK, HIDE])
        ),
        min_size=1,
        max_size=30,
    )
)
def test_a_timeline_keeps_the_newest_of_its_kinds_up_to_its_limit(
    log: list[tuple[int, int, int, int]],
) -> None:
    seconds, ties, items, kinds = np.array(sorted(log)).T
    happened = shop.interactions(seconds=seconds, ties=ties, items=items, kinds=kinds)

    line = Timeline.of_interactions(happened, np.array([0], dtype=np.int32), CLICKS)

    clicks = {(second, tie, item) for second, tie, item, kind in log if kind == CLICK}
    assert line.rows.tolist() == [item for *_, item in sorted(clicks, reverse=True)[:5]]


@given(
    log=st.lists(
        st.tuples(st.integers(0, 2), st.booleans(), st.integers(1, 4)), min_size=1, max_size=40
    )
)
def test_a_refund_takes_back_the_newest_purchases_before_it(
    log: list[tuple[int, bool, int]],
) -> None:
    kept: list[list[int]] = []  # item, place, pieces, oldest first
    for place, (item, refunded, pieces) in enumerate(log):
        if not refunded:
            kept.append([item, place, pieces])
            continue
        for one in reversed([one for one in kept if one[0] == item]):
            taken = min(one[2], pieces)
            one[2], pieces = one[2] - taken, pieces - taken
    items, refunds, quantities = np.array(log).T
    happened = shop.interactions(
        seconds=np.arange(len(log)),
        ties=np.zeros(len(log)),
        items=items,
        kinds=np.where(refunds, REFUND, PURCHASE),
        quantities=quantities,
    )

    settled = happened.settled()
    line = Timeline.of_interactions(happened, np.array([0], dtype=np.int32), PURCHASES).settled()

    wanted = [(item, place, pieces) for item, place, pieces in kept if pieces]
    found = zip(settled.items, settled.times.astype(int), settled.quantities, strict=True)
    seen = zip(line.rows, line.times.astype(int), line.quantities, strict=True)
    assert [tuple(map(int, one)) for one in found] == wanted
    assert [tuple(map(int, one)) for one in seen] == wanted[::-1]


def test_rows_of_two_lists_join_query_by_query() -> None:
    first = Ragged.of([np.array([1, 2], dtype=np.int32), np.array([], dtype=np.int32)])
    second = Ragged.of([np.array([3], dtype=np.int32), np.array([4], dtype=np.int32)])

    joined = first.joined(second)

    assert [joined.at(0).tolist(), joined.at(1).tolist()] == [[1, 2, 3], [4]]


def test_weights_of_one_item_add_up_within_a_query_only() -> None:
    queries = np.array([0, 1, 0], dtype=np.int32)
    rows = np.array([7, 7, 7], dtype=np.int32)

    total = Weighted.summed(queries, rows, np.array([1, 2, 4], dtype=np.float32), 3)

    assert total.offsets.tolist() == [0, 1, 2, 2]
    assert total.weights.tolist() == [5.0, 2.0]
