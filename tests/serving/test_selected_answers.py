from __future__ import annotations

from dataclasses import replace

import pytest

from recsys.languages.reading import shipped
from recsys.pipeline.placement import ExplorationConfig, PlacementConfig, parse_placements
from recsys.query import Page, Query, Recommendation, Selection
from recsys.state import UserState
from serving.answers import AskedPage, Means, answered
from serving.snapshot import Snapshot
from serving.state.profiles import Known
from tests import shop

MEANS = Means(bytes, shipped())
HOME = parse_placements(shop.PLACEMENTS)["home"]


def answers(
    config: PlacementConfig, queries: list[Query], state: UserState
) -> list[Recommendation]:
    """Return the answers to queries that one customer asks at the same moment."""
    known = Known(state, personalise=True, email=False)
    asked = [AskedPage(Page((query,)), known) for query in queries]
    found = answered(Snapshot.of(shop.bundle(), {"home": config}), asked, MEANS)
    lists: list[Recommendation] = []
    for answer in found:
        assert not isinstance(answer, Exception)
        lists.extend(answer)
    return lists


def test_what_exploration_drew_carries_its_chance_and_the_others_are_certain() -> None:
    exploring = replace(HOME, exploration=ExplorationConfig(0.25))

    (answer,) = answers(exploring, [shop.query()], UserState.unknown())

    chances = {item.item_id: item.propensity for item in answer.items}
    (drawn,) = set(chances) - {"bread", "butter", "jam", "coffee"}
    assert chances.pop(drawn) == pytest.approx(1 / 5)  # of milk, sugar, soap, sponge and tea
    assert set(chances.values()) == {1.0}
    assert len(answer.items) == 4


def test_calls_that_wait_together_get_each_what_it_wishes_for() -> None:
    wishes = [Selection(), Selection(diversity=0.9), Selection(min_relevance=1.0)]
    queries = [shop.query(selection=wish) for wish in wishes]
    known = shop.bought("coffee", days=20.0)

    together = answers(HOME, queries, known)

    alone = [answers(HOME, [query], known)[0] for query in queries]
    assert [one.item_ids for one in together] == [one.item_ids for one in alone]
    assert together[0].item_ids != together[1].item_ids
    assert len(together[2].items) < len(together[0].items)
