"""What a recommender says beside its lists: why, in which language, with which fields, and if."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recsys.bundle import ModelBundle
from recsys.catalog import Catalog
from recsys.errors import InvalidInput, NotFound, NotReady
from recsys.events import EventType
from recsys.ids import ItemId, Vocabulary
from recsys.items import Attribute, Item, Offer
from recsys.pipeline.placement import parse_placements
from recsys.predicates.errors import InvalidFilter
from recsys.query import ItemField, Page, Query, ReasonCode
from recsys.why.explanation import FindingCode
from serving.metrics import Registry, totals
from serving.snapshot import Snapshot
from tests import shop
from tests.serving.test_recommender import (
    ANNA,
    KnownStates,
    Shelf,
    UnreachableStates,
    asked_by,
    recommender,
)

TEA = ItemId("tea")


def described(**changes: dict[str, object]) -> ModelBundle:
    """Return the shop's bundle with other descriptions of some items."""
    found = [replace(one, **changes.get(one.item_id, {})) for one in shop.items()]  # type: ignore[arg-type]
    items: dict[int, Item | None] = dict(enumerate(found))
    return replace(shop.bundle(), catalog=Catalog.of(Vocabulary.of(shop.ITEMS), items))


def shelf(**changes: dict[str, object]) -> Shelf:
    return Shelf(Snapshot.of(described(**changes), parse_placements(shop.PLACEMENTS)))


def page(**fields: object) -> Page:
    return Page((asked_by("anna", **fields),))  # type: ignore[arg-type]


async def test_answer_speaks_the_language_of_the_query() -> None:
    queries = [asked_by("nobody", language=tag) for tag in ("da", "en-GB", "fi")]

    answers = await recommender(KnownStates()).recommend_batch(queries)

    assert [answer.items[0].reason.text for answer in answers] == [
        "Populær blandt andre kunder lige nu",
        "Popular with other customers right now",
        "Popular with other customers right now",
    ]


async def test_reasons_of_an_answer_share_out_the_whole_score() -> None:
    answer = await recommender(KnownStates(ANNA)).recommend(asked_by("anna", "email"))

    for item in answer.items:
        assert sum(one.share for one in item.reason.contributions) == pytest.approx(1.0)
        assert item.source == item.reason.contributions[0].source


async def test_item_that_fills_a_list_up_says_so() -> None:
    again = (
        '[placements.again]\nsituation = "visit"\nsize = 3\nfallback = "home"\n'
        'sources = [{ kind = "buy_again", k = 5 }]\n'
    )
    placements = parse_placements(shop.PLACEMENTS + again)
    asked = recommender(KnownStates(), Shelf(Snapshot.of(shop.bundle(), placements)))

    answer = await asked.recommend(asked_by("nobody", "again", language="da"))

    assert {item.reason.code for item in answer.items} == {ReasonCode.FALLBACK}
    assert answer.items[0].reason.text == "Også populær blandt andre kunder"


async def test_chosen_fields_are_those_of_the_market_and_of_the_variant_that_is_shown() -> None:
    colors = (Attribute("color", "red"), Attribute("color", "blue"), Attribute("grams", "500"))
    bread: dict[str, object] = {"group_id": "loaf", "stock": 0.0}
    butter: dict[str, object] = {
        "group_id": "loaf",
        "brand": "Acme",
        "url": "https://shop/butter",
        "attributes": colors,
        "offers": (Offer(market="DE", price=3.0, sale_price=2.5),),
    }
    names = ("url", "image_url", "brand", "price", "list_price", "color", "grams", "category")
    asked = recommender(KnownStates(), shelf(bread=bread, butter=butter))

    answer = await asked.recommend(asked_by("nobody", market="DE", item_fields=names))

    (shown,) = (item for item in answer.items if item.item_id == "butter")
    assert shown.fields == (
        ItemField("url", "https://shop/butter"),
        ItemField("brand", "Acme"),
        ItemField("price", 2.5),
        ItemField("list_price", 3.0),
        ItemField("color", ("red", "blue")),
        ItemField("grams", 500.0),
        ItemField("category", "Dairy"),
    )


async def test_answer_has_no_fields_unless_asked() -> None:
    answer = await recommender(KnownStates()).recommend(asked_by("nobody"))

    assert {item.fields for item in answer.items} == {()}


async def test_unknown_field_is_refused_with_those_that_exist() -> None:
    asked = recommender(KnownStates(), shelf(bread={"attributes": (Attribute("color", "red"),)}))

    with pytest.raises(InvalidInput) as caught:
        await asked.recommend(asked_by("nobody", item_fields=("price", "colour")))

    assert caught.value.field == "item_fields[1]"
    assert {"title", "url", "image_url", "list_price", "color"} <= set(
        caught.value.wanted.replace(",", "").split()
    )


async def test_checked_request_names_its_bundle_and_reads_and_counts_nothing() -> None:
    store, registry = KnownStates(ANNA), Registry()
    asked = recommender(store, registry=registry)

    version = asked.check(page())

    assert (version, store.reads) == ("v1", [])
    assert totals(registry) == {}


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"placement": "nowhere"}, NotFound),
        ({"filter": "colour = 'red'"}, InvalidFilter),
        ({"item_fields": ("colour",)}, InvalidInput),
    ],
)
def test_request_that_would_fail_fails_when_it_is_checked(
    fields: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        recommender(KnownStates()).check(page(**fields))


async def test_without_a_release_nothing_is_checked_or_explained() -> None:
    empty = recommender(KnownStates(), Shelf(None))

    with pytest.raises(NotReady):
        empty.check(page())
    with pytest.raises(NotReady):
        await empty.explain(page(), TEA)


async def test_explanation_agrees_with_the_list_and_counts_as_none() -> None:
    registry = Registry()
    asked = recommender(KnownStates(ANNA), registry=registry)

    found = {item: await asked.explain(page(), ItemId(item)) for item in shop.ITEMS}

    assert totals(registry) == {}
    answer = await asked.recommend(page().asker)
    places = {item: one.position for item, one in found.items() if one.listed}
    assert places == {item.item_id: item.position for item in answer.items}
    assert {one.bundle_version for one in found.values()} == {"v1"}
    for item in answer.items:
        assert found[item.item_id].reason == item.reason


async def test_who_refuses_is_told_that_nothing_of_theirs_was_used() -> None:
    store = KnownStates(ANNA, refusing=frozenset({"anna"}))

    found = await recommender(store).explain(page(placement="email"), ItemId("milk"))

    assert not found.personalised
    assert found.findings[0].code is FindingCode.UNPERSONALISED
    assert (found.cause, found.reason) == (FindingCode.OUTRANKED, None)
    own = await recommender(KnownStates(ANNA)).explain(page(placement="email"), ItemId("milk"))
    assert (own.cause, own.personalised) == (FindingCode.LISTED, True)


async def test_explanation_without_the_store_says_that_it_rests_on_less() -> None:
    found = await recommender(UnreachableStates()).explain(page(), ItemId("bread"))

    assert (found.degraded, found.personalised) == ("STATE_UNAVAILABLE", False)


async def test_unknown_placement_cannot_be_explained() -> None:
    with pytest.raises(NotFound, match="nowhere"):
        await recommender(KnownStates()).explain(page(placement="nowhere"), TEA)


async def test_event_changes_the_explanation_as_it_changes_the_list() -> None:
    hidden = KnownStates({"anna": shop.state((EventType.HIDE, "bread", 0.1))})

    found = await recommender(hidden).explain(page(), ItemId("bread"))

    assert (found.cause, found.refusals[0].filter) == (FindingCode.REFUSED, "not_hidden")


def test_query_asks_in_no_language_and_for_no_field_unless_told() -> None:
    query = Query("home", shop.NOW)

    assert (query.language, query.item_fields) == ("", ())
