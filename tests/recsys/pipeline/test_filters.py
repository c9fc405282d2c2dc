from __future__ import annotations

import pytest

from recsys.context import Contexts
from recsys.eligibility import Eligibility
from recsys.events import EventType
from recsys.pipeline.filters import NotMailed, NotShown, NotViewed
from recsys.pipeline.stages import Filter
from tests import shop

ANNA = shop.state(
    (EventType.DETAIL_VIEW, "bread", 2.0),
    (EventType.CLICK, "butter", 9.0),
    (EventType.ADD_TO_CART, "jam", 1.0),
    (EventType.IMPRESSION, "coffee", 1.0),
    (EventType.IMPRESSION, "milk", 1.0),
    (EventType.IMPRESSION, "milk", 3.0),
    (EventType.IMPRESSION, "sugar", 1.0),
    (EventType.IMPRESSION, "sugar", 30.0),
    (EventType.EMAIL_SENT, "soap", 3.0),
    (EventType.EMAIL_OPENED, "sponge", 3.0),
    (EventType.EMAIL_SENT, "tea", 40.0),
)


def refused(narrowing: Filter, contexts: Contexts) -> set[str]:
    eligible = Eligibility.everything(len(shop.ITEMS), len(contexts))
    return set(shop.names(narrowing.narrow(contexts, eligible).excluded.at(0)))


@pytest.mark.parametrize(
    ("narrowing", "names"),
    [
        (NotViewed(7.0), {"bread"}),
        (NotViewed(float("inf")), {"bread", "butter"}),
        (NotShown(7.0), {"coffee", "milk", "sugar"}),
        (NotShown(7.0, times=2), {"milk"}),
        (NotShown(float("inf"), times=2), {"milk", "sugar"}),
        (NotMailed(14.0), {"soap", "sponge"}),
        (NotMailed(float("inf")), {"soap", "sponge", "tea"}),
    ],
)
def test_a_window_refuses_what_happened_within_it_often_enough(
    narrowing: Filter, names: set[str]
) -> None:
    contexts = shop.contexts([ANNA])

    assert refused(narrowing, contexts) == names


def test_each_asker_has_a_window_of_their_own() -> None:
    contexts = shop.contexts([shop.bought("tea"), ANNA])
    eligible = Eligibility.everything(len(shop.ITEMS), 2)

    narrowed = NotShown(2.0).narrow(contexts, eligible)

    assert shop.names(narrowed.excluded.at(0)) == []
    assert set(shop.names(narrowed.excluded.at(1))) == {"coffee", "milk", "sugar"}


def test_what_was_shown_is_not_read_where_nothing_asks_for_it() -> None:
    contexts = shop.contexts([ANNA])

    refused(NotViewed(7.0), contexts)

    assert "shown" not in contexts.lines.made
