"""Laws of the filter language, for random filters over random shops."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.predicates.errors import InvalidFilter
from recsys.predicates.expressions import MOST_CHARACTERS, Expression
from recsys.predicates.memory import MaskMemory
from recsys.predicates.parser import parse
from recsys.predicates.predicate import check
from recsys.predicates.rendering import render
from tests.recsys.predicates.expressions import ASKERS, EXPRESSIONS, ITEMS, NOW
from tests.recsys.predicates.naive import holds
from tests.recsys.predicates.shelf import SCHEMA, Item, Shelf, Values

LANGUAGE = """
    and or not in between under has any all is known unknown contains starts with now true false
    time item customer context price brand tags category `size` seed days ( ) ( ) , . + - * /
    = != < <= > >= "x" "" 'y' 3 1.5 7 é & " \\ @ 2026
"""
WORDS = st.sampled_from(LANGUAGE.split())
TEXTS = st.text(max_size=60) | st.lists(WORDS, max_size=30).map(" ".join)


@given(EXPRESSIONS, ITEMS, ASKERS)
@settings(max_examples=300)
def test_any_filter_passes_the_items_that_it_describes(
    expression: Expression, items: list[Item], asker: Values
) -> None:
    predicate = check(expression, SCHEMA)

    mask = predicate.mask(Shelf(items), asker, NOW)

    assert mask.dtype == np.bool_
    assert mask.tolist() == [holds(expression, item, asker, NOW) for item in items]


@given(st.lists(EXPRESSIONS, max_size=4), ITEMS, st.lists(ASKERS, max_size=3), st.integers(0, 9))
def test_what_was_asked_before_changes_no_answer(
    expressions: list[Expression], items: list[Item], askers: list[Values], most: int
) -> None:
    shelf, memory = Shelf(items), MaskMemory(most)

    for asker in askers:
        for expression in expressions:
            remembered = check(expression, SCHEMA).mask(shelf, asker, NOW, memory=memory)

            assert remembered.tolist() == [holds(expression, item, asker, NOW) for item in items]
            assert len(memory) <= most


@given(EXPRESSIONS, ITEMS, ASKERS, st.lists(st.integers(0, 99), max_size=8))
def test_chosen_rows_pass_as_they_do_among_all(
    expression: Expression, items: list[Item], asker: Values, places: list[int]
) -> None:
    rows = np.array([place % len(items) for place in places if items], dtype=np.int32)
    predicate, shelf = check(expression, SCHEMA), Shelf(items)

    chosen = predicate.of_rows(shelf, rows, asker, NOW)

    assert chosen.tolist() == predicate.mask(shelf, asker, NOW)[rows].tolist()


@given(EXPRESSIONS, ITEMS, ASKERS)
def test_an_item_passes_where_every_part_lets_it(
    expression: Expression, items: list[Item], asker: Values
) -> None:
    predicate, shelf = check(expression, SCHEMA), Shelf(items)

    parts = [part.mask(shelf, asker, NOW) for part in predicate.parts()]

    assert np.logical_and.reduce(parts).tolist() == predicate.mask(shelf, asker, NOW).tolist()


@given(EXPRESSIONS)
def test_canonical_text_reads_back_as_the_same_filter(expression: Expression) -> None:
    text = render(expression)

    if len(text) <= MOST_CHARACTERS:
        assert parse(text) == expression
        assert render(parse(text)) == text


@given(EXPRESSIONS, ITEMS, ASKERS)
def test_needs_name_all_that_a_filter_reads_of_the_asker(
    expression: Expression, items: list[Item], asker: Values
) -> None:
    predicate, shelf = check(expression, SCHEMA), Shelf(items)
    needed = {field: value for field, value in asker.items() if field in predicate.needs}

    mask = predicate.mask(shelf, needed, NOW)

    assert mask.tolist() == predicate.mask(shelf, asker, NOW).tolist()
    assert predicate.shared == (not predicate.needs)


@given(TEXTS)
def test_any_text_is_a_filter_or_wrong_at_a_character_of_it(text: str) -> None:
    wrong = error_of(text)

    assert wrong is None or 0 <= wrong.position <= len(text)
    assert wrong or parse(render(parse(text))) == parse(text)


def error_of(text: str) -> InvalidFilter | None:
    try:
        check(parse(text), SCHEMA)
    except InvalidFilter as error:
        return error
    return None
