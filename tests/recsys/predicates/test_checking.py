from __future__ import annotations

import pytest

from recsys.predicates.errors import InvalidFilter
from recsys.predicates.parser import parse
from recsys.predicates.predicate import check
from recsys.predicates.values import Field, Schema, Scope, ValueType
from tests.recsys.predicates.shelf import SCHEMA


def refused(text: str) -> InvalidFilter:
    """Return the error of a filter that makes no sense."""
    expression = parse(text)
    with pytest.raises(InvalidFilter) as wrong:
        check(expression, SCHEMA)
    return wrong.value


@pytest.mark.parametrize(
    ("text", "position", "said"),
    [
        ("stock > 1 and pirce > 3", 14, "unknown name `pirce`"),
        ("pirce > 3", 0, "close to it: price"),
        ("seed.price > 3", 0, "close to it: context.seed.price"),
        ("context.price > 3", 0, "close to it: context.seed.price"),
        ("customer.price > 3", 0, "a field of the customer"),
        ("`size us` is known", 0, "close to it: size eu"),
        ("price", 0, "got a number, wanted a condition"),
        ("on_sale and (brand)", 13, "got a text, wanted a condition beside `and`"),
        ("not price", 4, "got a number, wanted a condition beside `not`"),
        ("price <= '3'", 9, "got a text, wanted a number, as `price` is"),
        ("published > 3", 12, "got a number, wanted a time"),
        ("brand < 'M'", 0, "got a text, wanted a number, a time or a duration"),
        ("price between 1 and 'x'", 20, "got a text, wanted a number"),
        ("on_sale = 1", 10, "got a number, wanted a condition"),
        ("tags = 'x'", 0, "for a list say `has`"),
        ("'x' = tags", 6, "got a list of texts, wanted a text"),
        ("tags contains 'x'", 0, "for a list say `has`"),
        ("brand contains 3", 15, "got a number, wanted a text"),
        ("brand under 'x'", 0, "got a text, wanted a category"),
        ("category under 3", 15, "got a number, wanted a category"),
        ("price has 'x'", 0, "got a number, wanted a list of texts"),
        ("tags has 3", 9, "got a number, wanted a text"),
        ("tags has any ('x', context.seed.category)", 19, "got a category, wanted a text"),
        ("tags has brand", 9, "got the item's `brand`, wanted a value that is the same"),
        ("tags has any materials", 13, "got the item's `materials`"),
        ("tags has any context.market", 13, "got a text, wanted a list of texts"),
        ("brand in tags", 9, "of the item's own list say `tags has`"),
        ("brand in context.market", 9, "wanted a list of texts, or values in parentheses"),
        ("price in customer.interests", 0, "wanted a text before `in` and a field"),
        ("price in (1, 'x')", 13, "got a text, wanted a number"),
        ("price in (1, stock)", 13, "got the item's"),
        ("price in ('x')", 10, "got a text, wanted a number"),
        ("on_sale in (true)", 12, "got a condition"),
        ("price + brand > 2", 8, "got a text, wanted a number after `+`"),
        ("brand + price > 2", 0, "got a text, wanted a number before `+`"),
        ("now + now > now", 6, "got a time, wanted a duration after `+`"),
        ("now * 2 > now", 0, "got a time"),
        ("2 days * 2 days > 1 day", 9, "got a duration, wanted a number after `*`"),
        ("now - 3 > published", 6, "got a number, wanted a time or a duration after `-`"),
        ("-brand = 1", 1, "got a text"),
        ("-now < now", 1, "got a time"),
        ("brand = ''", 8, "got an empty text, wanted a text, or `is unknown`"),
    ],
)
def test_what_makes_no_sense_is_pointed_at(text: str, position: int, said: str) -> None:
    wrong = refused(text)

    assert wrong.position == position
    assert said in str(wrong)


@pytest.mark.parametrize(
    "text",
    [
        "now - published < 2 * 3 days and lead_time / 2 > 1 hour and lead_time / 1 day > 2",
        "published + lead_time < now and lead_time + published < now - -1 day",
        "context.seed.category in ('a', 'b') and category in customer.interests",
        "category = brand and brand in (context.seed.category, 'x')",
        "customer.interests has any context.seed.tags and brand has 'x'",
        "(price < 3) = on_sale and customer.vip != true",
        "published between now - 2 days and now",
    ],
)
def test_what_makes_sense_is_taken(text: str) -> None:
    assert check(parse(text), SCHEMA).parts()


def test_error_of_a_check_names_the_field_that_held_the_filter() -> None:
    expression = parse("pirce > 3", field="slots[1].filter")

    with pytest.raises(InvalidFilter, match=r"^slots\[1\]\.filter: got the unknown name"):
        check(expression, SCHEMA)


def test_schema_holds_each_name_once() -> None:
    field = Field("price", ValueType.NUMBER, Scope.ITEM)

    with pytest.raises(ValueError, match="one name"):
        Schema((field, field))


def test_schema_gives_its_names_by_scope() -> None:
    assert SCHEMA.names(Scope.CUSTOMER) == ("age", "city", "interests", "since", "vip")
    assert SCHEMA.field(Scope.CONTEXT, "age") is None
