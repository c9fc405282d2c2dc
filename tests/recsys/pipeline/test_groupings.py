from __future__ import annotations

from math import log2

import pytest

from recsys.assortment import Assortment
from recsys.conditions import Conditions
from recsys.errors import InvalidInput
from recsys.ids import ItemId
from recsys.pipeline.groupings import Grouping, RecommendedGroups, grouped
from recsys.query import (
    ItemField,
    Query,
    Reason,
    ReasonCode,
    Recommendation,
    RecommendedItem,
    Tier,
)
from tests import shop

WHY = Reason(ReasonCode.POPULAR, "Popular.")
SCHEMA = Conditions.of(Assortment.of(shop.catalog())).schema


def item(place: int, score: float, **fields: str | tuple[str, ...]) -> RecommendedItem:
    known = tuple(ItemField(name, value) for name, value in fields.items())
    return RecommendedItem(ItemId(f"i{place}"), "", place, score, "popular", WHY, known)


def groups(
    grouping: Grouping, *items: RecommendedItem, query: Query | None = None
) -> RecommendedGroups:
    answer = Recommendation(items, "home", Tier.PERSONAL, "v1", "token")
    return grouped(answer, grouping, query or shop.query())


def test_a_group_scores_the_discounted_sum_of_its_items_shares() -> None:
    found = groups(
        Grouping("brand"),
        item(1, 4.0, brand="Acme"),
        item(2, 2.0, brand="Zeta"),
        item(3, 2.0, brand="Zeta"),
        item(4, 1.0),
    )

    scores = {group.value: group.score for group in found.groups}
    assert scores == pytest.approx({"Acme": 1.0, "Zeta": 0.5 / log2(3) + 0.5 / 2})
    assert list(scores) == ["Acme", "Zeta"]


def test_two_good_items_can_lift_a_group_above_that_of_the_best_one() -> None:
    found = groups(
        Grouping("brand"),
        item(1, 4.0, brand="Acme"),
        item(2, 3.9, brand="Zeta"),
        item(3, 3.9, brand="Zeta"),
    )

    assert [group.value for group in found.groups] == ["Zeta", "Acme"]


def test_a_group_shows_its_best_items_at_places_of_their_own_with_their_reasons() -> None:
    found = groups(
        Grouping("brand", n_items=2),
        item(1, 1.0),
        *(item(place, 1 / place, brand="Acme", colour="red") for place in (2, 3, 4)),
        query=shop.query(item_fields=("colour",)),
    )

    (group,) = found.groups
    assert [(one.item_id, one.position) for one in group.items] == [("i2", 1), ("i3", 2)]
    assert group.items[0].reason == WHY
    assert group.items[0].fields == (ItemField("colour", "red"),)


def test_a_level_puts_categories_together_from_the_root() -> None:
    items = (
        item(1, 1.0, category="Food > Bread > Rye"),
        item(2, 1.0, category="Food > Bread"),
        item(3, 1.0, category="Toys"),
    )

    values = {
        level: [group.value for group in groups(Grouping("category", level), *items).groups]
        for level in (0, 1, 2)
    }

    assert values[0] == ["Food > Bread > Rye", "Food > Bread", "Toys"]
    assert values[1] == ["Food", "Toys"]
    assert values[2] == ["Food > Bread", "Toys"]


def test_an_item_counts_in_the_group_of_each_of_its_values() -> None:
    found = groups(
        Grouping("colour"), item(1, 1.0, colour=("red", "blue")), item(2, 1.0, colour=("red",))
    )

    assert [(group.value, len(group.items)) for group in found.groups] == [("red", 2), ("blue", 1)]


def test_groups_end_at_the_most_that_are_wanted_and_an_empty_list_has_none() -> None:
    items = [item(place, 1.0, brand=f"b{place}") for place in range(1, 6)]

    assert len(groups(Grouping("brand", n_groups=2), *items).groups) == 2
    assert groups(Grouping("brand")).groups == ()


def test_items_without_any_score_count_by_their_place() -> None:
    found = groups(Grouping("brand"), item(1, 0.0, brand="Zeta"), item(2, 0.0, brand="Acme"))

    assert [group.value for group in found.groups] == ["Zeta", "Acme"]


@pytest.mark.parametrize(
    ("grouping", "field"),
    [
        (Grouping("price"), "group_by"),
        (Grouping("title"), "group_by"),
        (Grouping("colour"), "group_by"),
        (Grouping("brand", level=1), "level"),
    ],
)
def test_what_items_cannot_be_grouped_by_is_refused_by_its_name(
    grouping: Grouping, field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        grouping.check(SCHEMA)

    assert caught.value.field == field


def test_the_list_behind_groups_is_asked_for_with_the_field_once() -> None:
    query = Grouping("brand").within(shop.query(item_fields=("price", "brand")))

    assert (query.limit, query.item_fields) == (200, ("price", "brand"))
