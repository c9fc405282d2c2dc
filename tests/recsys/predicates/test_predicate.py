from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from recsys.predicates.memory import MaskMemory
from recsys.predicates.parser import parse
from recsys.predicates.predicate import Predicate, check
from recsys.predicates.values import CodedLists, Numbers, Scope, Value
from tests.recsys.predicates.shelf import SCHEMA, Item, Shelf, Values

NOW = 1_700_000_000
ITEMS: list[Item] = [
    {"price": 3.0, "brand": "Acme", "category": "Garden > Tools", "tags": ("organic",)},
    {"price": 5.0, "brand": "Sperli", "category": "Gardening", "tags": ("organic", "vegan")},
    {"category": "Garden"},
]
MIXED = 'category under "Garden" and price <= context.seed.price * 1.5 and tags has "organic"'


def predicate_of(text: str) -> Predicate:
    return check(parse(text), SCHEMA)


def kept(text: str, values: Values | None = None) -> list[int]:
    """Return the places of the items that pass."""
    mask = predicate_of(text).mask(Shelf(ITEMS), values or {}, NOW)
    return np.flatnonzero(mask).tolist()


@dataclass(frozen=True, slots=True, eq=False)
class WatchedShelf(Shelf):
    """A shelf that notes which columns were asked for."""

    asked: list[str] = field(default_factory=list)

    def numbers(self, name: str) -> Numbers:
        self.asked.append(name)
        return Shelf.numbers(self, name)

    def lists(self, name: str) -> CodedLists:
        self.asked.append(name)
        return Shelf.lists(self, name)


def test_category_is_under_itself_and_its_parents_but_not_under_a_like_name() -> None:
    assert kept('category under " Garden"') == [0, 2]
    assert kept('category under "Garden>Tools"') == [0]


def test_not_turns_over_what_is_false_for_want_of_a_value() -> None:
    assert kept("price <= 3") == [0]
    assert kept("not (price <= 3)") == [1, 2]
    assert kept('brand != "Acme"') == [1, 2]


def test_unknown_equals_nothing_not_even_the_unknown() -> None:
    assert kept("context.seed.price = context.seed.price") == []
    assert kept("brand = brand") == [0, 1]


def test_unknown_text_is_part_of_nothing() -> None:
    asker: Values = {(Scope.CONTEXT, "market"): "acme and sons"}

    assert kept("context.market contains brand", asker) == [0]
    assert kept("brand contains context.market") == []


@pytest.mark.parametrize("part", ["STRASSE", "straße", "Straße"])
def test_contains_knows_letters_whose_capitals_are_two(part: str) -> None:
    streets: list[Item] = [{"title": "Straßenkarte"}, {"title": "STRASSE"}, {"title": "Strand"}]

    mask = predicate_of(f'title contains "{part}"').mask(Shelf(streets), {}, NOW)

    assert mask.tolist() == [True, True, False]


def test_division_by_zero_is_unknown() -> None:
    assert kept("price / 0 is known") == []
    assert kept("price / (price - 3) >= 0") == [1]


def test_many_numbers_are_found_as_few_are() -> None:
    many = ", ".join(map(str, range(4, 40)))

    assert kept(f"price in ({many})") == kept("price in (5)") == [1]


def test_condition_without_items_is_the_same_for_all() -> None:
    asker: Values = {(Scope.CUSTOMER, "vip"): True}

    assert kept("customer.vip", asker) == [0, 1, 2]
    assert kept("customer.vip") == []


def test_unknown_flag_is_neither_true_nor_false() -> None:
    assert kept("customer.vip = false") == []
    assert kept("customer.vip != true") == kept("not customer.vip") == [0, 1, 2]
    assert kept("customer.vip = context.clearance") == []


def test_list_has_all_only_with_every_one_of_them() -> None:
    twice: list[Item] = [{"tags": ("organic", "organic")}, {"tags": ("organic", "vegan")}]
    both = predicate_of('tags has all ("organic", "vegan")')

    assert both.mask(Shelf(twice), {}, NOW).tolist() == [False, True]
    assert kept('tags has all ("organic", "nowhere")') == []
    assert kept('tags has all ("organic", context.market)') == []
    assert kept('tags has all ("organic", "organic")') == [0, 1]


def test_equal_titles_of_several_items_are_found_alike() -> None:
    items: list[Item] = [{"title": "Hose"}, {}, {"title": "Hose"}, {"title": "hose"}]
    asker: Values = {(Scope.CONTEXT, "market"): "Hose"}
    predicate, memory = predicate_of("title = context.market"), MaskMemory()

    for _ in range(2):
        mask = predicate.mask(Shelf(items), asker, NOW, memory=memory)

        assert mask.tolist() == [True, False, True, False]


def test_category_of_the_asker_in_a_list_is_compared_as_a_path() -> None:
    asker: Values = {(Scope.CONTEXT, "seed.category"): "Garden>Tools"}

    assert kept('"Garden > Tools" in ("x", context.seed.category)', asker) == [0, 1, 2]
    assert kept('"Garden > Tools" in ("Garden>Tools", context.seed.category)') == []


def test_predicate_tells_what_it_depends_on() -> None:
    predicate = predicate_of("now - published < 30 days and price < context.seed.price * 2")

    assert predicate.uses_now
    assert not predicate.shared
    assert predicate.needs == {(Scope.CONTEXT, "seed.price")}


def test_parts_are_the_conditions_joined_at_the_top() -> None:
    predicate = predicate_of("price>3 and (on_sale and stock > 0) and (on_sale or stock > 9)")

    texts = [part.text for part in predicate.parts()]

    assert texts == ["price > 3", "on_sale", "stock > 0", "on_sale or stock > 9"]
    assert [part.shared for part in predicate.parts()] == [True] * 4


@pytest.mark.parametrize(
    ("text", "passing"),
    [
        ('brand = "Acme"', [False, True, False]),
        ("brand is known", [True, True, True]),
        ('tags has "vegan"', [True, False, True]),
        ("price > 3", [True, False, True]),
        ('category under "Garden"', [False, True, False]),
    ],
)
def test_chosen_rows_may_come_in_any_order_and_twice(text: str, passing: list[bool]) -> None:
    rows = np.array([1, 0, 1], dtype=np.int32)

    mask = predicate_of(text).of_rows(Shelf(ITEMS), rows, {}, NOW)

    assert mask.tolist() == passing


def test_mask_cannot_be_written_to() -> None:
    memory = MaskMemory()

    for text in ("price > 3", "1 < 2", "on_sale"):
        mask = predicate_of(text).mask(Shelf(ITEMS), {}, NOW, memory=memory)

        assert not mask.flags.writeable


def test_second_question_reads_only_what_its_own_values_change() -> None:
    shelf, memory = WatchedShelf(ITEMS), MaskMemory()
    predicate = predicate_of(MIXED)
    predicate.mask(shelf, {(Scope.CONTEXT, "seed.price"): 2.0}, NOW, memory=memory)
    shelf.asked.clear()

    mask = predicate.mask(shelf, {(Scope.CONTEXT, "seed.price"): 1.0}, NOW, memory=memory)

    assert shelf.asked == ["price"]
    assert mask.tolist() == [False, False, False]


def test_what_is_reckoned_of_the_catalog_is_kept_beside_a_value_that_is_not() -> None:
    shelf, memory = WatchedShelf(ITEMS), MaskMemory()
    predicate = predicate_of("price * 2 < context.seed.price")
    predicate.mask(shelf, {(Scope.CONTEXT, "seed.price"): 2.0}, NOW, memory=memory)
    shelf.asked.clear()

    mask = predicate.mask(shelf, {(Scope.CONTEXT, "seed.price"): 7.0}, NOW, memory=memory)

    assert shelf.asked == []
    assert mask.tolist() == [True, False, False]


def test_memory_forgets_what_was_used_longest_ago() -> None:
    shelf, memory = WatchedShelf(ITEMS), MaskMemory(2)
    for text in ("price > 1", "price > 2", "price > 1", "price > 3"):
        predicate_of(text).mask(shelf, {}, NOW, memory=memory)
    shelf.asked.clear()

    predicate_of("price > 1").mask(shelf, {}, NOW, memory=memory)
    predicate_of("price > 2").mask(shelf, {}, NOW, memory=memory)

    assert len(memory) == 2
    assert shelf.asked == ["price"]


def test_memory_tells_catalogs_apart() -> None:
    memory, predicate = MaskMemory(), predicate_of('tags has "organic"')

    both = [
        predicate.mask(Shelf(items), {}, NOW, memory=memory).tolist()
        for items in (ITEMS, ITEMS[1:])
    ]

    assert both == [[True, True, False], [True, False]]


def test_same_words_joined_otherwise_are_remembered_apart() -> None:
    shelf, memory = Shelf(ITEMS), MaskMemory()
    asker: Values = {(Scope.CUSTOMER, "vip"): True}
    one = predicate_of("(price = 3 or price = 5) and price > 4 and customer.vip")
    other = predicate_of(
        "(price = 3 or price = 5 and price > 4 or brand is unknown) = customer.vip"
    )

    masks = [
        one.mask(shelf, asker, NOW, memory=memory),
        other.mask(shelf, asker, NOW, memory=memory),
    ]

    assert [mask.tolist() for mask in masks] == [[False, True, False], [True, True, True]]


def test_filters_that_begin_alike_are_remembered_apart() -> None:
    shelf, memory = Shelf(ITEMS), MaskMemory()
    asker: Values = {(Scope.CUSTOMER, "vip"): True}
    texts = [f"price > 1 and price {rest} and customer.vip" for rest in ("> 4", "< 4")]

    masks = [predicate_of(text).mask(shelf, asker, NOW, memory=memory) for text in texts]

    assert [mask.tolist() for mask in masks] == [[False, True, False], [True, False, False]]


@pytest.mark.parametrize(
    ("text", "need", "value"),
    [
        ("price < context.seed.price", "seed.price", "3"),
        ("price < context.seed.price", "seed.price", True),
        ("brand = context.market", "market", 3.0),
        ("tags has any context.seed.tags", "seed.tags", "organic"),
        ("context.clearance", "clearance", 1),
    ],
)
def test_value_of_another_type_breaks_the_promise(text: str, need: str, value: Value) -> None:
    predicate = predicate_of(text)

    with pytest.raises(ValueError, match=need):
        predicate.mask(Shelf(ITEMS), {(Scope.CONTEXT, need): value}, NOW)


@pytest.mark.parametrize(
    "text",
    [
        "not " * 48 + "on_sale",
        "price " + "- 1 " * 47 + "> 0",
        "(" * 24 + "on_sale" + " and price > 3) = on_sale" * 24,
        " and ".join(["on_sale"] * 300),
    ],
)
def test_deepest_filter_that_is_read_is_answered(text: str) -> None:
    predicate = predicate_of(text)

    mask = predicate.mask(Shelf(ITEMS), {}, NOW, memory=MaskMemory())

    assert mask.shape == (3,)
    assert predicate.text == predicate_of(predicate.text).text
