from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from recsys.asker_values import MOST_NAMES, Asker
from recsys.assortment import Assortment
from recsys.catalog import Catalog
from recsys.context import Contexts
from recsys.events import Channel, EventType
from recsys.fields import CONTEXT_FIELDS, CUSTOMER_FIELDS
from recsys.ids import ItemId, Vocabulary
from recsys.item_values import AssortmentValues
from recsys.items import Item, Offer
from recsys.predicates.values import Scope, Value
from recsys.query import NOWHERE, PageType, Query, Scene
from recsys.state import UserState
from tests import shop

NOW = int(shop.NOW.timestamp())


def items() -> list[Item]:
    """Return the shop's items: branded by category, bread on sale, jam without a price."""
    bread, butter, jam, *others = (replace(item, brand=item.category[0]) for item in shop.items())
    return [
        replace(bread, sale_price=0.8),
        replace(butter, offers=(Offer("DE", 2.5),)),
        replace(jam, price=None),
        *others,
    ]


def asker(
    state: UserState,
    query: Query | None = None,
    described: Sequence[Item] = (),
) -> Asker:
    """Return the second of two askers of one batch, of whom the first bought soap."""
    query = query or shop.query()
    found = dict(enumerate(described or items()))
    assortment = Assortment.of(Catalog.of(Vocabulary.of(shop.ITEMS), found))
    contexts = Contexts.resolve(
        [shop.query(market=query.market), query],
        [shop.bought("soap"), state],
        assortment=assortment,
        interest=shop.bundle().interest,
    )
    return Asker(contexts, 1, AssortmentValues(assortment).of(query.market, NOW))


def customer(name: str, state: UserState) -> Value:
    return asker(state).value(Scope.CUSTOMER, name)


def context(
    name: str, scene: Scene = NOWHERE, market: str = "", seeds: tuple[ItemId, ...] = ()
) -> Value:
    query = shop.query(market=market, seeds=seeds, scene=scene)
    return asker(UserState.unknown(), query).value(Scope.CONTEXT, name)


BOUGHT = shop.state(
    (EventType.PURCHASE, "milk", 1.0),
    (EventType.PURCHASE, "coffee", 2.0),
    (EventType.PURCHASE, "butter", 3.0),
    (EventType.PURCHASE, "jam", 4.0),
    (EventType.DETAIL_VIEW, "soap", 0.5),
)


def test_brands_are_those_bought_most_often_first_then_newest() -> None:
    assert customer("brands", BOUGHT) == ("D", "P")
    assert customer("categories", BOUGHT) == ("Dairy", "Drinks", "Pantry")


def test_usual_price_is_the_median_of_known_prices() -> None:
    assert customer("usual_price", BOUGHT) == 4.0  # 5, 4 and 2; that of jam is not known


def test_purchases_are_counted_and_dated() -> None:
    assert customer("purchases", BOUGHT) == 4.0
    assert customer("last_purchase", BOUGHT) == NOW - shop.DAY


def test_at_most_twenty_brands_are_told() -> None:
    thirty = [Item(ItemId(f"i{row}"), brand=f"b{row}") for row in range(30)]
    vocabulary = Vocabulary.of([item.item_id for item in thirty])
    assortment = Assortment.of(Catalog.of(vocabulary, dict(enumerate(thirty))))
    contexts = Contexts.resolve(
        [shop.query()],
        [shop.bought_rows(list(range(30)))],
        assortment=assortment,
        interest=shop.bundle().interest,
    )

    found = Asker(contexts, 0, AssortmentValues(assortment).of("", NOW))

    brands = found.value(Scope.CUSTOMER, "brands")
    assert isinstance(brands, tuple)
    assert len(set(brands)) == MOST_NAMES


def test_nothing_is_known_of_a_stranger() -> None:
    stranger = asker(UserState.unknown())

    found = {one.name: stranger.value(one.of, one.name) for one in CUSTOMER_FIELDS}

    assert found == {
        "known": False,
        "brands": (),
        "categories": (),
        "usual_price": None,
        "purchases": 0.0,
        "last_purchase": None,
    }


@pytest.mark.parametrize(
    "event", [EventType.PURCHASE, EventType.DETAIL_VIEW, EventType.LIKE, EventType.HIDE]
)
def test_customer_of_whom_anything_is_remembered_is_known(event: EventType) -> None:
    assert customer("known", shop.state((event, "bread", 1.0))) is True


def test_seed_is_the_first_item_of_the_request() -> None:
    seeds = (ItemId("bread"), ItemId("soap"))

    assert context("seed.item_id", seeds=seeds) == "bread"
    assert context("seed.title", seeds=seeds) == "Bread"
    assert context("seed.category", seeds=seeds) == "Bakery"
    assert context("seed.brand", seeds=seeds) == "B"
    assert context("seed.price", seeds=seeds) == 0.8
    assert context("seed.list_price", seeds=seeds) == 1.0


def test_seed_costs_what_it_does_in_the_market() -> None:
    seeds = (ItemId("butter"),)

    assert context("seed.price", seeds=seeds) == 2.0
    assert context("seed.price", seeds=seeds, market="DE") == 2.5
    assert context("seed.price", seeds=seeds, market="AT") is None


def test_seed_that_is_a_variant_is_not_taken_for_the_one_that_is_shown() -> None:
    bread, butter, *others = shop.items()
    grouped = [replace(bread, group_id="g", available=False), replace(butter, group_id="g")]
    query = shop.query(seeds=(ItemId("bread"),))

    found = asker(UserState.unknown(), query, described=[*grouped, *others])

    assert found.value(Scope.CONTEXT, "seed.title") == "Bread"
    assert found.value(Scope.CONTEXT, "seed.price") == 1.0


def test_seed_that_nobody_described_has_an_id_alone() -> None:
    seeds = (ItemId("pear"), ItemId("bread"))

    assert context("seed.item_id", seeds=seeds) == "pear"
    assert context("seed.title", seeds=seeds) is None
    assert context("seed.price", seeds=seeds) is None
    assert context("seed.item_id") is None
    assert context("seed.price", seeds=(ItemId("jam"),)) is None


def test_cart_is_summed_up_at_the_prices_of_now() -> None:
    scene = Scene(cart=(ItemId("bread"), ItemId("bread"), ItemId("coffee")))

    assert context("cart.size", scene) == 3.0
    assert context("cart.total", scene) == pytest.approx(5.6)
    assert (context("cart.size"), context("cart.total")) == (0.0, 0.0)


@pytest.mark.parametrize("unpriced", ["jam", "pear"])
def test_cart_with_an_item_of_unknown_price_has_no_total(unpriced: str) -> None:
    scene = Scene(cart=(ItemId("bread"), ItemId(unpriced)))

    assert context("cart.total", scene) is None
    assert context("cart.size", scene) == 2.0


def test_page_is_what_the_shop_says_of_it() -> None:
    scene = Scene(
        page_type=PageType.PRODUCT,
        category="Bakery",
        search="rye bread",
        channel=Channel.EMAIL,
        device="phone",
    )

    found = [
        context(name, scene) for name in ("channel", "device", "page_type", "category", "query")
    ]

    assert found == ["email", "phone", "product", "Bakery", "rye bread"]
    assert context("market", market="DE") == "DE"


def test_every_field_of_customer_and_context_has_a_value() -> None:
    needs = [(one.of, one.name) for one in (*CUSTOMER_FIELDS, *CONTEXT_FIELDS)]

    assert list(asker(BOUGHT).values_of(needs)) == needs


@pytest.mark.parametrize(
    ("scope", "name"),
    [
        (Scope.CUSTOMER, "brand"),
        (Scope.CONTEXT, "seed"),
        (Scope.CONTEXT, "seed.stock"),
        (Scope.CONTEXT, "cart"),
        (Scope.CONTEXT, "market.name"),
        (Scope.ITEM, "price"),
    ],
)
def test_any_other_field_is_refused(scope: Scope, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        asker(BOUGHT).value(scope, name)
