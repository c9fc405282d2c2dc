"""The laws of pages, over random batches of them in the tiny shop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.arrays import Mask
from recsys.assortment import Assortment
from recsys.conditions import Conditions
from recsys.context import Contexts, RelatesTo
from recsys.events import EventType
from recsys.ids import ItemId
from recsys.languages.reading import shipped
from recsys.part_reasons import reasons_of
from recsys.pipeline.compile import compile_placements
from recsys.pipeline.pages import Part, Place, Placements, composed
from recsys.pipeline.placement import parse_placements
from recsys.query import Page, Query, Reason, ReasonCode, Scene, Selection
from recsys.rules.book import NO_RULES
from recsys.state import UserState
from tests import shop

PLACEMENTS = parse_placements(
    shop.PLACEMENTS
    + """
[placements.again]
situation = "visit"
size = 3
filters = [{ kind = "available" }]
sources = [{ kind = "buy_again", k = 10 }]
fallback = "home"

[placements.cart]
situation = "basket"
size = 3
relates_to = "cart"
filters = [{ kind = "available" }, { kind = "not_seeds" }]
sources = [{ kind = "bought_together", k = 10 }]

[placements.because]
size = 3
relates_to = "last_viewed"
filters = [{ kind = "available" }]
sources = [{ kind = "bought_together", k = 10 }]
"""
)
CONDITIONS = Conditions.of(Assortment.of(shop.bundle().catalog))
PIPELINES = compile_placements(PLACEMENTS, shop.bundle(), CONDITIONS)

FILTERS = st.sampled_from(
    ("", "price <= 6", "price > context.seed.price", "not category in customer.categories")
)
WISHES = st.sampled_from(
    (Selection(), Selection(diversity=0.4), Selection(diversity=0.0, rotation_rate=0.5))
)
items = st.sampled_from(shop.ITEMS).map(ItemId)
some = st.lists(items, max_size=3).map(tuple)
MINE = st.sampled_from(((), (), ("tea", "jam", "coffee", "ghost"), ("milk",)))
events = st.tuples(st.sampled_from(EventType), items, st.floats(0.0, 60.0))
states = st.lists(events, max_size=12).map(lambda found: shop.state(*found))


@st.composite
def pages(draw: st.DrawFn) -> Page:
    asker = shop.query(seeds=draw(some), excluded=draw(some), scene=Scene(cart=draw(some)))
    slots = st.tuples(st.sampled_from(sorted(PLACEMENTS)), st.integers(0, 8), FILTERS, WISHES, MINE)
    return Page(
        tuple(
            replace(
                asker,
                placement=name,
                limit=limit,
                filter=text,
                selection=wish,
                candidates=tuple(map(ItemId, mine)),
            )
            for name, limit, text, wish, mine in draw(st.lists(slots, min_size=1, max_size=4))
        )
    )


def contexts(asked: Sequence[Page], known: Sequence[UserState]) -> Contexts:
    return shop.contexts(known, [page.asker for page in asked])


def parts(asked: Sequence[Page], known: Sequence[UserState]) -> list[Part]:
    return list(composed(asked, contexts(asked, known), Placements(PIPELINES, CONDITIONS)))


def lists(found: Sequence[Part]) -> dict[Place, list[int]]:
    """Return the rows of every list, those of fallbacks behind."""
    rows: dict[Place, list[int]] = {}
    for part in found:
        for query, place in enumerate(part.places):
            listed = part.filled.listed
            rows.setdefault(place, []).extend(listed.rows[listed.queries == query].tolist())
    return rows


@dataclass(frozen=True, slots=True)
class Told:
    """A list as an answer tells of it. free: items that it could have held."""

    rows: list[int]
    reasons: list[tuple[ReasonCode, str, tuple[ItemId, ...]]]
    wanted: int
    free: int
    returned: int
    irrelevant: int


def told(found: Sequence[Part]) -> dict[Place, Told]:
    """Return what is told of every list, those that fill it up included."""
    answers: dict[Place, Told] = {}
    for part, reasons in zip(found, why(found), strict=True):
        for query, place in enumerate(part.places):
            mine = np.flatnonzero(part.filled.listed.queries == query)
            said = [reasons[one] for one in mine.tolist()]
            report = part.filled.report(query)
            before = answers.get(place)
            answers[place] = Told(
                [*(before.rows if before else ()), *part.filled.listed.rows[mine].tolist()],
                [
                    *(before.reasons if before else ()),
                    *((one.code, one.text, one.anchors) for one in said),
                ],
                report.wanted,
                report.eligible - report.on_page,
                report.returned,
                report.irrelevant,
            )
    return answers


def why(found: Sequence[Part]) -> list[list[Reason]]:
    """Return the reasons of some lists, found together."""
    return reasons_of(found, NO_RULES, shop.catalog(), shipped())


def may_show(query: Query, known: UserState) -> Mask:
    """Return what a query may show, each condition looked at by itself."""
    alone = shop.contexts([known], [query])
    allowed = PIPELINES[query.placement].eligible(alone).of_query(0)
    if query.candidates:
        allowed = allowed & np.isin(shop.ITEMS, query.candidates)
    if not query.filter:
        return allowed
    return allowed & CONDITIONS.mask(CONDITIONS.predicate(query.filter), alone, 0)


@given(st.data())
def test_no_page_holds_an_item_twice_nor_one_that_may_not_be_shown(data: st.DataObject) -> None:
    asked = data.draw(st.lists(pages(), min_size=1, max_size=3))
    known = [data.draw(states) for _ in asked]

    found = lists(parts(asked, known))

    for number, page in enumerate(asked):
        own = [found[Place(number, slot)] for slot in range(len(page.queries))]
        together = [row for rows in own for row in rows]
        assert len(together) == len(set(together))
        for query, rows in zip(page.queries, own, strict=True):
            allowed = may_show(query, known[number])
            fallback = PIPELINES[query.placement].fallback
            if fallback:
                allowed = allowed | may_show(replace(query, placement=fallback), known[number])
            assert allowed[rows].all()


@given(st.data())
def test_lists_with_popular_items_are_as_long_as_the_items_left_allow(data: st.DataObject) -> None:
    asked, known = [data.draw(pages())], [data.draw(states)]

    taken: set[int] = set()
    for part in parts(asked, known):
        pipeline, listed = part.pipeline, part.filled.listed.rows.tolist()
        allowed = np.flatnonzero(may_show(part.contexts.queries[0], known[0]))
        free = set(allowed.tolist()) - taken
        if "popular" in pipeline.source_names:
            assert len(listed) == min(int(part.filled.wanted[0]), len(free))
        taken.update(listed)


@given(st.data())
def test_a_batch_of_pages_gives_what_its_pages_give_one_by_one(data: st.DataObject) -> None:
    asked = data.draw(st.lists(pages(), min_size=2, max_size=4))
    known = [data.draw(states) for _ in asked]

    together = lists(parts(asked, known))

    for number, page in enumerate(asked):
        alone = lists(parts([page], [known[number]]))
        mine = {
            Place(0, place.slot): rows for place, rows in together.items() if place.page == number
        }
        assert {place: sorted(rows) for place, rows in mine.items()} == {
            place: sorted(rows) for place, rows in alone.items()
        } or _nearly_tied([page], [known[number]])


def _nearly_tied(asked: list[Page], known: list[UserState]) -> bool:
    """Return whether some scores are so close that a batch may order them otherwise."""
    gaps = [
        float(np.abs(np.diff(part.filled.listed.scores)).min(initial=1.0))
        for part in parts(asked, known)
    ]
    return min(gaps) < 1e-3


@given(st.data())
def test_a_page_gives_what_its_lists_give_one_after_another_without_what_was_taken(
    data: st.DataObject,
) -> None:
    # What one list is about no later list of the page is: such lists are not made one by one.
    drawn, known = data.draw(pages()), data.draw(states)
    about = {name: one.relates_to for name, one in PIPELINES.items()}
    page = Page(
        tuple(
            replace(one, placement="home") if about[one.placement].of_the_asker else one
            for one in drawn.queries
        )
    )

    together = told(parts([page], [known]))

    taken: list[int] = []
    for slot, query in enumerate(page.queries):
        excluded = (*query.excluded, *map(ItemId, shop.names(np.array(taken, dtype=np.int32))))
        alone = Page((replace(query, excluded=excluded),))
        one_by_one = told(parts([alone], [known]))[Place(0, 0)]
        mine = together[Place(0, slot)]
        assert mine == one_by_one or _nearly_tied([page], [known])
        taken += mine.rows


@given(st.data())
def test_reasons_found_for_all_lists_at_once_are_those_found_list_by_list(
    data: st.DataObject,
) -> None:
    asked = data.draw(st.lists(pages(), min_size=1, max_size=3))
    known = [data.draw(states) for _ in asked]
    made = parts(asked, known)

    together = why(made)

    assert together == [why([part])[0] for part in parts(asked, known)]


@given(items, items, states)
def test_lists_about_page_and_cart_name_what_each_of_them_is_about(
    seed: ItemId, in_cart: ItemId, known: UserState
) -> None:
    asked = shop.query("cart", seeds=(seed,), scene=Scene(cart=(in_cart,)))
    page = Page((asked, replace(asked, placement="product")))

    made = parts([page], [known])

    assert why(made) == [why([part])[0] for part in made]


@given(st.data())
def test_a_page_of_one_list_is_what_its_placement_gives(data: st.DataObject) -> None:
    page, known = data.draw(pages()), data.draw(states)
    query = replace(page.queries[0], filter="", candidates=())

    part = parts([Page((query,))], [known])[0]

    pipeline = PIPELINES[query.placement]
    own = shop.contexts([known], [query]).relating_to(pipeline.relates_to)
    assert part.filled.listed.rows.tolist() == pipeline.run(own).rows.tolist()


@given(st.data())
def test_a_report_accounts_for_every_item_of_the_catalog(data: st.DataObject) -> None:
    asked, known = [data.draw(pages())], [data.draw(states)]

    for part in parts(asked, known):
        report = part.filled.report(0)
        query = part.contexts.queries[0]
        excluded = {item for item in query.excluded if item in shop.ROW}
        removed = sum(one.n_items for one in report.removed)
        assert report.eligible == len(shop.ITEMS) - len(excluded) - removed
        assert report.returned == len(part.filled.listed)
        assert report.returned <= min(report.wanted, report.eligible - report.on_page)


def test_a_list_that_comes_out_short_is_filled_by_the_fallback() -> None:
    page = Page((shop.query("again", limit=4),))

    own, fill = parts([page], [shop.bought("coffee", "milk", days=20.0)])

    assert set(shop.names(own.filled.listed.rows)) == {"milk", "coffee"}
    assert fill.fills
    assert len(fill.filled.listed) == 2
    assert not {"milk", "coffee"} & set(shop.names(fill.filled.listed.rows))


@pytest.mark.parametrize(
    ("about", "anchored"), [(RelatesTo.PAGE, "coffee"), (RelatesTo.CART, "soap")]
)
def test_a_list_relates_to_what_its_placement_is_about(about: RelatesTo, anchored: str) -> None:
    asked = shop.query("product", seeds=(ItemId("coffee"),), scene=Scene(cart=(ItemId("soap"),)))
    known = shop.contexts([UserState.unknown()], [asked])

    related = known.relating_to(about).related

    assert shop.names(related.rows) == [anchored]
    assert set(shop.names(known.related.rows)) == {"coffee", "soap"}


def test_what_is_in_the_cart_is_not_offered_beside_it() -> None:
    asked = shop.query("product", scene=Scene(cart=(ItemId("bread"), ItemId("butter"))))

    (part,) = parts([Page((asked,))], [UserState.unknown()])

    assert not {"bread", "butter"} & set(shop.names(part.filled.listed.rows))
