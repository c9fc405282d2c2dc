"""The page docs/filters.md: what it shows is what happens."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recsys.fields import CONTEXT_FIELDS, CUSTOMER_FIELDS, ITEM_FIELDS
from recsys.predicates.errors import InvalidFilter
from recsys.predicates.parser import parse
from recsys.predicates.predicate import check
from recsys.predicates.values import Field, Schema, Scope, Value, ValueType
from tests.recsys.predicates.shelf import Shelf

PAGE = (Path(__file__).parents[3] / "docs" / "filters.md").read_text()
ATTRIBUTES = tuple(Field(name, ValueType.TEXTS, Scope.ITEM) for name in ("tags", "size eu"))
SCHEMA = Schema((*ITEM_FIELDS, *ATTRIBUTES, *CUSTOMER_FIELDS, *CONTEXT_FIELDS))
TYPES = {field.name: field.type for field in (*ITEM_FIELDS, *ATTRIBUTES)}
NOON = int(datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp())
SEED = "2"


def rows_of(head: str) -> list[list[str]]:
    """Return the cells of the table whose first head is this."""
    table = PAGE[PAGE.index(f"\n| {head} |") :].split("\n\n", 1)[0].strip().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    return [cells[0], *cells[2:]]


def value_of(text: str, type_: ValueType) -> Value:
    if not text:
        return None
    match type_:
        case ValueType.NUMBER:
            return float(text)
        case ValueType.FLAG:
            return text == "yes"
        case ValueType.TEXTS:
            return tuple(text.split(", "))
        case ValueType.TIME:
            return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
        case _:
            return text


def items_of_page() -> list[dict[str, Value]]:
    names, *items = rows_of("item_id")
    return [
        {name: value_of(cell, TYPES[name]) for name, cell in zip(names, item, strict=True)}
        for item in items
    ]


def asker_of_page(items: list[dict[str, Value]]) -> dict[tuple[Scope, str], Value]:
    seed = next(item for item in items if item["item_id"] == SEED)
    return {
        (Scope.CONTEXT, "market"): "DE",
        (Scope.CUSTOMER, "brands"): ("Acme", "Sperli"),
        (Scope.CUSTOMER, "last_purchase"): value_of("2026-10-25", ValueType.TIME),
        **{(Scope.CONTEXT, f"seed.{name}"): value for name, value in seed.items()},
    }


EXAMPLES = [(row[0].strip("`").strip(), row[2]) for row in rows_of("Filter")[1:]]
# Backticks around a name stand within two others.
EXAMPLES = [(f"`{text}" if text.startswith("size eu") else text, kept) for text, kept in EXAMPLES]
MISTAKES = re.findall(r"```error\n(.*)\n([^`]*(?:`[^`\n]+`[^`]*)*)```", PAGE)


@pytest.mark.parametrize(("text", "kept"), EXAMPLES)
def test_example_keeps_what_the_page_says(text: str, kept: str) -> None:
    items = items_of_page()
    predicate = check(parse(text), SCHEMA)

    mask = predicate.mask(Shelf(items), asker_of_page(items), NOON)

    found = [str(item["item_id"]) for item, passes in zip(items, mask, strict=True) if passes]
    assert ", ".join(found) == kept


@pytest.mark.parametrize(("text", "said"), MISTAKES)
def test_mistake_is_told_as_on_the_page(text: str, said: str) -> None:
    with pytest.raises(InvalidFilter) as wrong:
        check(parse(text), SCHEMA)

    assert str(wrong.value) == said.rstrip("\n")


def test_page_has_a_dozen_examples_and_its_mistakes() -> None:
    assert len(EXAMPLES) >= 12
    assert len(MISTAKES) == PAGE.count("```error") == 2


def test_first_filter_of_the_page_is_one() -> None:
    first = next(line for line in PAGE.splitlines() if line.startswith("    "))

    assert check(parse(first), SCHEMA).parts()[-1].text == 'tags has "organic"'


@pytest.mark.parametrize(
    ("head", "fields"),
    [("Item", ITEM_FIELDS), ("Customer", CUSTOMER_FIELDS), ("Context", CONTEXT_FIELDS)],
)
def test_page_lists_every_field_and_its_type(head: str, fields: tuple[Field, ...]) -> None:
    listed = {(row[0].strip("`"), row[1]) for row in rows_of(head)[1:]}

    assert {(field.path, str(field.type)) for field in fields} <= listed
