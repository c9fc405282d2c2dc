from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys import pairs
from recsys.attributes import MOST_REMEMBERED, Attributes
from recsys.items import Attribute
from tests import catalogs

NAMES = ("color", "size", "price", "nobody's")
N_ROWS = 6

Batch = dict[int, tuple[Attribute, ...]]

batches = st.lists(
    st.dictionaries(st.integers(0, N_ROWS - 1), catalogs.attributes, min_size=1), max_size=4
)


def red(*others: Attribute) -> tuple[Attribute, ...]:
    return (Attribute("color", "red"), *others)


def replaced(attributes: Attributes, batch: Batch) -> Attributes:
    rows = np.array(sorted(batch), dtype=np.int32)
    n_items = max(len(attributes), max(batch) + 1)
    return attributes.replaced(rows, [batch[row] for row in rows.tolist()], n_items)


def texts(attributes: Attributes, name: str) -> list[list[str]]:
    lists, names = attributes.lists(name)
    return [[names[code] for code in lists.at(row).tolist()] for row in range(len(lists))]


def told(attributes: Attributes, names: Sequence[str] = NAMES) -> list[object]:
    """Return all that attributes say, in words."""
    return [
        attributes.names(),
        attributes.numeric_names(),
        [attributes.at(row) for row in range(len(attributes))],
        [(attributes.used(name), attributes.numeric(name)) for name in names],
        [texts(attributes, name) for name in names],
        [str(attributes.numbers(name).tolist()) for name in names],
    ]


@given(
    first=st.lists(catalogs.attributes, max_size=N_ROWS),
    batches=batches,
    asked=st.lists(st.sampled_from(NAMES), max_size=3),
)
@settings(max_examples=400)
def test_changes_one_by_one_make_the_attributes_of_the_final_items(
    first: list[tuple[Attribute, ...]], batches: list[Batch], asked: list[str]
) -> None:
    found, final = Attributes.of(first), dict(enumerate(first))
    for batch in batches:
        for name in asked:  # what is remembered may not outlive what it is made of
            found.lists(name)
            found.numbers(name)

        found = replaced(found, batch)
        final |= batch

    wanted = Attributes.of([final.get(row, ()) for row in range(len(found))])
    assert told(found) == told(wanted)
    assert set(found.names()) == {one.name for every in final.values() for one in every}


@given(first=st.lists(catalogs.attributes, min_size=1, max_size=N_ROWS), batches=batches)
@settings(max_examples=200)
def test_trimmed_attributes_say_the_same_and_go_on_so(
    first: list[tuple[Attribute, ...]], batches: list[Batch]
) -> None:
    plain = trimmed = Attributes.of(first)

    for batch in batches:
        plain, trimmed = replaced(plain, batch), replaced(trimmed, batch).trimmed()

        assert told(trimmed) == told(plain)
        assert len(trimmed.pairs) <= len(plain.pairs)


def test_value_that_changes_all_day_does_not_fill_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pairs, "FEW_NEWER", 5)
    attributes = Attributes.of([red(Attribute("views", "0")), red()])

    for views in range(1, 100):
        attributes = replaced(attributes, {0: red(Attribute("views", str(views)))})

        assert len(attributes.pairs) <= 2 + 2 * 5 + 1
    assert attributes.numbers("views")[0] == 99


@given(first=st.lists(catalogs.attributes, min_size=1, max_size=N_ROWS), batches=batches)
def test_what_was_given_before_never_changes(
    first: list[tuple[Attribute, ...]], batches: list[Batch]
) -> None:
    old = Attributes.of(first)
    before = told(old)
    new = old

    for batch in batches:
        new = replaced(new, batch)
        told(new)

    assert told(old) == before
    assert told(Attributes(old.pairs, old.of_items, old.uses, old.words)) == before


def test_attributes_are_read_by_name() -> None:
    attributes = Attributes.of(
        [
            (Attribute("size", "38"), Attribute("color", "red"), Attribute("size", "40")),
            (),
            (Attribute("color", "XL"), Attribute("size", "-1.5")),
        ]
    )

    assert texts(attributes, "size") == [["38", "40"], [], ["-1.5"]]
    assert texts(attributes, "color") == [["red"], [], ["XL"]]
    np.testing.assert_array_equal(attributes.numbers("size"), [38.0, np.nan, -1.5])
    np.testing.assert_array_equal(attributes.numbers("color"), [np.nan] * 3)
    assert attributes.numeric_names() == ["size"]
    assert attributes.names() == ["color", "size"]


def test_name_is_of_numbers_again_once_no_item_has_another_value() -> None:
    attributes = Attributes.of([(Attribute("size", "38"),), (Attribute("size", "XL"),)])

    mended = replaced(attributes, {1: (Attribute("size", "42"),)})

    assert (attributes.numeric("size"), mended.numeric("size")) == (False, True)


def test_name_that_no_item_uses_any_more_is_none() -> None:
    attributes = Attributes.of([(Attribute("size", "38"),), red()])

    bare = replaced(attributes, {0: ()})

    assert bare.names() == ["color"]
    assert not bare.used("size")
    assert not bare.numeric("size")


def test_change_that_says_the_same_shares_everything() -> None:
    attributes = Attributes.of([red(), (), red(Attribute("size", "38"))])

    assert replaced(attributes, {2: red(Attribute("size", "38"))}) is attributes


def test_column_of_a_name_that_stayed_is_shared() -> None:
    old = Attributes.of([red(Attribute("size", "38")), red(Attribute("size", "40"))])
    colors, sizes, numbers = old.lists("color")[0], old.lists("size")[0], old.numbers("size")

    new = replaced(old, {0: red(Attribute("size", "39"))})

    assert new.lists("color")[0] is colors
    assert new.lists("size")[0].offsets is sizes.offsets
    assert new.numbers("size").tolist() == [39, 40]
    assert old.numbers("size") is numbers


def test_columns_are_made_once() -> None:
    attributes = Attributes.of([red()])

    assert attributes.lists("color")[0] is attributes.lists("color")[0]
    assert attributes.numbers("color") is attributes.numbers("color")


def test_only_the_columns_asked_for_last_are_kept() -> None:
    attributes = Attributes.of([red()])
    first, second = attributes.lists("color")[0], attributes.numbers("color")

    for number in range(MOST_REMEMBERED):
        attributes.lists(f"other {number}")
        attributes.numbers(f"other {number}")

    assert attributes.lists("color")[0] is not first
    assert attributes.numbers("color") is not second
    assert len(attributes.lists_kept) == len(attributes.numbers_kept) == MOST_REMEMBERED
