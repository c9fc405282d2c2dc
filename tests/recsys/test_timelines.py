from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recsys.events import EVENT_CODES, EventType
from recsys.interactions import Interactions
from recsys.state import ENTRY, Facet, merged, no_entries
from recsys.timelines import Ragged, Timeline, Weighted

CLICK, HIDE = EVENT_CODES[EventType.CLICK], EVENT_CODES[EventType.HIDE]


@given(
    seconds=st.lists(st.integers(0, 20), min_size=1, max_size=30),
    limit=st.integers(1, 8),
    data=st.data(),
)
def test_a_timeline_keeps_the_newest_of_its_kinds_up_to_its_limit(
    seconds: list[int], limit: int, data: st.DataObject
) -> None:
    facet = Facet("clicks", frozenset({EventType.CLICK}), limit)
    times = np.sort(np.array(seconds))
    kinds = np.array([data.draw(st.sampled_from([CLICK, HIDE])) for _ in seconds], dtype=np.uint8)
    positions = np.array(data.draw(st.permutations(range(1, len(seconds) + 1))), dtype=np.int64)
    items = np.arange(len(seconds), dtype=np.int32)
    nobody = np.zeros(len(seconds), dtype=np.int32)
    ones = np.ones(len(seconds), dtype=np.float32)
    instants = times.astype("datetime64[s]")
    happened = Interactions(
        nobody, items, kinds, ones, instants, positions, nobody, 1, len(seconds)
    )

    line = Timeline.of_interactions(happened, np.array([0], dtype=np.int32), facet)

    clicks = [
        (times[place], positions[place], items[place], CLICK, 1)
        for place in np.flatnonzero(kinds == CLICK)
    ]
    wanted = merged(np.array(clicks, dtype=ENTRY), no_entries(), limit)
    assert line.rows.tolist() == wanted["row"].tolist()


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
