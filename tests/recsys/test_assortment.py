from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.assortment import Assortment
from recsys.catalog import Catalog
from recsys.ids import ItemId, Vocabulary
from recsys.items import Item, Offer
from tests import catalogs

N_ROWS = len(catalogs.IDS)
VOCABULARY = Vocabulary.of(catalogs.IDS)


def assortment(items: catalogs.Items) -> Assortment:
    return Assortment.of(Catalog.of(VOCABULARY, items))


def shown(items: catalogs.Items, market: str = "", hours: float = 0.0) -> list[str]:
    """Return what is shown of everything that is allowed."""
    now = catalogs.seconds(catalogs.NOW + timedelta(hours=hours))
    made = assortment(items)
    rows = np.flatnonzero(made.allowed(market, now)).astype(np.int32)
    return [catalogs.IDS[row] for row in made.shown(rows, market, now).tolist()]


def item(row: int, **fields: object) -> Item:
    return Item(ItemId(catalogs.IDS[row]), **fields)  # type: ignore[arg-type]


@given(
    items=catalogs.drawn(),
    asked=st.lists(
        st.tuples(st.sampled_from(catalogs.MARKETS), st.integers(-4 * 3_600, 4 * 3_600)), min_size=1
    ),
)
@settings(max_examples=300)
def test_what_may_be_shown_is_what_if_statements_say(
    items: catalogs.Items, asked: list[tuple[str, int]]
) -> None:
    made = assortment({0: None, **items})
    for market, second in asked:  # one assortment: shelves made before may not be taken for others
        now = catalogs.NOW + timedelta(seconds=second)

        allowed = made.allowed(market, catalogs.seconds(now))

        wanted = {
            row: face
            for row in range(N_ROWS)
            if (face := catalogs.face(items, row, N_ROWS, market, now)) is not None
        }
        rows = np.flatnonzero(allowed).astype(np.int32)
        faces = made.shown(rows, market, catalogs.seconds(now))
        assert dict(zip(rows.tolist(), faces.tolist(), strict=True)) == wanted


@given(items=catalogs.drawn())
def test_each_row_leads_to_its_groups_primary(items: catalogs.Items) -> None:
    primaries = Catalog.of(VOCABULARY, items).primaries

    assert primaries.tolist() == [catalogs.primary(items, row, N_ROWS) for row in range(N_ROWS)]
    assert primaries[primaries].tolist() == primaries.tolist()


def test_shop_that_describes_nothing_shows_everything() -> None:
    assert shown({}) == list(catalogs.IDS)


def test_shop_whose_last_item_was_removed_shows_nothing() -> None:
    assert shown({2: None}) == []


def test_item_that_names_markets_is_sold_in_those_alone() -> None:
    offers = (Offer("DE"), Offer("AT", available=False))
    items = {0: item(0, offers=offers), 1: item(1)}

    assert shown(items, "DE") == ["i0", "i1"]
    assert shown(items, "AT") == ["i1"]
    assert shown(items, "FR") == ["i1"]
    assert shown(items) == ["i0", "i1"]


def test_sale_begins_and_ends_at_the_second() -> None:
    begin, end = catalogs.NOW, catalogs.NOW + timedelta(hours=1)
    items = {0: item(0, available_from=begin, expires=end)}
    second = 1 / 3_600

    assert [shown(items, hours=h) for h in (-second, 0.0, 1.0 - second, 1.0)] == [
        [],
        ["i0"],
        ["i0"],
        [],
    ]


def test_parent_is_shown_for_its_variants_and_without_it_the_first_in_stock() -> None:
    sold_out, in_stock = item(1, group_id="i3", stock=0.0), item(2, group_id="i3")
    parent = item(3, available=False)

    assert shown({1: sold_out, 2: in_stock, 3: parent}) == ["i3"]
    assert shown({1: sold_out, 2: in_stock, 3: None}) == ["i2"]
    assert shown({1: sold_out, 3: parent}) == []


def test_parent_kept_to_other_markets_leaves_its_place_to_a_variant() -> None:
    variant = item(1, group_id="i3")
    parent = item(3, offers=(Offer("AT", available=False),))

    assert shown({1: variant, 3: parent}, "DE") == ["i1"]
    assert shown({1: variant, 3: parent}, "AT") == ["i3"]


def test_parent_that_is_hidden_or_out_of_season_leaves_its_place_to_a_variant() -> None:
    variant = item(1, group_id="i3")

    assert shown({1: variant, 3: item(3, available=False, hidden=True)}) == ["i1"]
    assert shown({1: variant, 3: item(3, available=False, expires=catalogs.NOW)}) == ["i1"]


def test_shelf_of_another_market_or_time_is_not_mistaken() -> None:
    made = assortment({0: item(0, expires=catalogs.NOW, offers=(Offer("DE"),))})
    now = catalogs.seconds(catalogs.NOW)

    first = made.shelf("DE", now - 1)

    assert made.shelf("DE", now - 9) is first
    assert [bool(made.allowed(m, s)[0]) for m, s in (("DE", now - 1), ("AT", now - 1))] == [
        True,
        False,
    ]
    assert not made.allowed("DE", now)[0]


@pytest.mark.parametrize("market", catalogs.MARKETS)
@given(data=st.data())
def test_work_taken_over_from_an_assortment_before_changes_nothing(
    market: str, data: st.DataObject
) -> None:
    old = assortment(data.draw(catalogs.drawn()))
    new = Catalog.of(VOCABULARY, data.draw(catalogs.drawn()))
    now = catalogs.seconds(catalogs.NOW)
    old.allowed(market, now)

    made = Assortment.of(new, old)
    made.prepare(old, now)

    for hours in range(-4, 5):
        then = now + hours * 3_600
        assert (
            made.allowed(market, then).tolist() == Assortment.of(new).allowed(market, then).tolist()
        )
