"""Sessions as neighbours: a plain reference, and the law that a step's absence is felt."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.arrays import frozen
from recsys.context import Contexts
from recsys.events import EVENT_CODES, EventType
from recsys.models.sessions import MOST_STEPS, SessionModel, steps_of
from recsys.state import UserState
from recsys.timelines import Ragged, Timeline
from tests import shop

N_ITEMS = 8
MINUTE = 1 / 1_440
"""Of a day."""

sessions_drawn = st.lists(
    st.lists(st.integers(0, N_ITEMS - 1), min_size=1, max_size=5, unique=True), max_size=12
)
steps_drawn = st.lists(
    st.lists(st.integers(0, N_ITEMS + 2), max_size=5, unique=True), min_size=1, max_size=3
)


def model_of(sessions: list[list[int]], decay: float = 0.6) -> SessionModel:
    """Return the model of these sessions, newest first; item 0 counts most, the last least."""
    whole = lists_of(sessions)
    by_item = Ragged.of_pairs(whole.rows, whole.owners(), N_ITEMS)
    rarities = np.linspace(1.0, 0.3, N_ITEMS, dtype=np.float32)
    return SessionModel(
        whole.offsets, whole.rows, by_item.offsets, by_item.rows, frozen(rarities), decay
    )


def lists_of(lists: list[list[int]]) -> Ragged:
    return Ragged.of([np.array(one, dtype=np.int32) for one in lists])


def plainly(
    sessions: list[list[int]], steps: list[int], without: int = -1, decay: float = 0.6
) -> dict[int, float]:
    """Return what each item scores, session by session; `without` a step, the others as were."""
    rarities = np.linspace(1.0, 0.3, N_ITEMS)
    scores: dict[int, float] = {}
    for session in sessions:
        common = sum(
            decay**place for place, step in enumerate(steps) if step in session and step != without
        )
        for item in session if common else ():
            scores[item] = scores.get(item, 0.0) + common**2 * rarities[item]
    return scores


def stepped(*events: tuple[EventType, str, float]) -> list[str]:
    """Return the steps of who did these (type, item, minutes ago)."""
    known = [(kind, item, minutes * MINUTE) for kind, item, minutes in events]
    contexts: Contexts = shop.contexts([shop.state(*known)])
    return shop.names(steps_of(contexts.history, contexts.purchases).rows)


@given(sessions_drawn, steps_drawn)
def test_scores_are_those_of_a_plain_count_for_every_query_of_a_batch(
    sessions: list[list[int]], steps: list[list[int]]
) -> None:
    scored = model_of(sessions).score(lists_of(steps))

    for query, own in enumerate(steps):
        entries = slice(scored.offsets[query], scored.offsets[query + 1])
        found = dict(
            zip(scored.rows[entries].tolist(), scored.weights[entries].tolist(), strict=True)
        )
        assert found == pytest.approx(plainly(sessions, own), rel=1e-4)


@given(sessions_drawn, steps_drawn)
def test_without_the_named_step_an_item_falls_and_most(
    sessions: list[list[int]], steps: list[list[int]]
) -> None:
    model, asked = model_of(sessions), lists_of(steps)
    scored = model.score(asked)

    anchors = model.anchors(asked, scored.owners(), scored.rows)

    for query, row, anchor in zip(
        scored.owners().tolist(), scored.rows.tolist(), anchors.tolist(), strict=True
    ):
        whole = plainly(sessions, steps[query])[row]
        left = {step: plainly(sessions, steps[query], step).get(row, 0.0) for step in steps[query]}
        assert left[anchor] < whole
        assert left[anchor] == pytest.approx(min(left.values()), abs=1e-4)


def test_a_session_with_two_items_in_common_counts_more_than_two_with_one() -> None:
    model = model_of([[0, 1, 2], [0, 3], [1, 3]], decay=1.0)

    scored = model.score(lists_of([[0, 1]]))

    weights = dict(zip(scored.rows.tolist(), scored.weights.tolist(), strict=True))
    assert weights[2] > weights[3]


def test_a_row_that_no_session_brings_has_no_anchor() -> None:
    model = model_of([[0, 1]])

    anchors = model.anchors(lists_of([[0]]), np.array([0], np.int32), np.array([5], np.int32))

    assert anchors.tolist() == [-1]


def test_without_sessions_nothing_is_proposed() -> None:
    scored = SessionModel.empty(N_ITEMS).score(lists_of([[0, 1]]))

    assert len(scored) == 1
    assert len(scored.rows) == 0


def test_steps_are_the_items_of_the_newest_session_each_once_newest_first() -> None:
    steps = stepped(
        (EventType.DETAIL_VIEW, "soap", 200.0),
        (EventType.CLICK, "bread", 50.0),
        (EventType.DETAIL_VIEW, "jam", 40.0),
        (EventType.ADD_TO_CART, "bread", 20.0),
        (EventType.PURCHASE, "milk", 10.0),
    )

    assert steps == ["milk", "bread", "jam"]


def test_a_session_goes_on_until_a_break_of_more_than_half_an_hour() -> None:
    assert stepped((EventType.CLICK, "tea", 30.0), (EventType.CLICK, "jam", 0.0)) == ["jam", "tea"]
    assert stepped((EventType.CLICK, "tea", 31.0), (EventType.CLICK, "jam", 0.0)) == ["jam"]


def test_the_newest_session_counts_however_long_ago_it_was() -> None:
    assert stepped((EventType.CLICK, "tea", 90_000.0)) == ["tea"]


def test_what_is_taken_out_of_the_cart_is_no_step() -> None:
    assert stepped((EventType.REMOVE_FROM_CART, "tea", 1.0)) == []


def test_each_query_has_its_own_steps() -> None:
    tea, jam = (shop.state((EventType.CLICK, item, MINUTE)) for item in ("tea", "jam"))
    contexts = shop.contexts([tea, UserState.unknown(), jam])

    steps = steps_of(contexts.history, contexts.purchases)

    assert [shop.names(steps.at(query)) for query in range(3)] == [["tea"], [], ["jam"]]


def test_a_long_session_counts_by_its_newest_steps() -> None:
    n_looks = MOST_STEPS + 5
    looks = Timeline(
        np.array([0, n_looks], dtype=np.int64),
        np.arange(n_looks, dtype=np.int32),
        np.datetime64("2026-01-31T12:00:00") - np.arange(n_looks).astype("timedelta64[m]"),
        np.full(n_looks, EVENT_CODES[EventType.CLICK], dtype=np.uint8),
        np.ones(n_looks, dtype=np.float32),
    )

    steps = steps_of(looks, looks.take(looks.rows < 0))

    assert steps.rows.tolist() == list(range(MOST_STEPS))
