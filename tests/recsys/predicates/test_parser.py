from __future__ import annotations

from datetime import UTC, datetime

import pytest

from recsys.errors import InvalidInput
from recsys.predicates.errors import InvalidFilter
from recsys.predicates.expressions import MOST_CHARACTERS, MOST_CHOICES, MOST_NESTING
from recsys.predicates.parser import parse
from recsys.predicates.rendering import render


def refused(text: str, *, field: str = "filter") -> InvalidFilter:
    """Return the error of a text that is no filter."""
    with pytest.raises(InvalidFilter) as wrong:
        parse(text, field=field)
    return wrong.value


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("a = 1 or b = 2 and not c = 3", "a = 1 or b = 2 and not c = 3"),
        ("(a = 1 or b = 2) and c = 3", "(a = 1 or b = 2) and c = 3"),
        ("((a) = (1))", "a = 1"),
        ("a - (b - c) - d * (e + f) < 1", "a - (b - c) - d * (e + f) < 1"),
        ("(a - b) - c < 1", "a - b - c < 1"),
        ("a == 1_000.50 AND Is_New", "a = 1000.5 and Is_New"),
        ("item.price<=CONTEXT.seed.price", "price <= context.seed.price"),
        ("not a in (1,2)", "a not in (1, 2)"),
        ("a not under 'x'", 'not a under "x"'),
        ("a between 1 and 2 and b", "a between 1 and 2 and b"),
        ("tags has any ('x')", 'tags has "x"'),
        ("tags HAS ALL ('x', \"y\")", 'tags has all ("x", "y")'),
        ("`and` is known and `a ``b` is unknown", "`and` is known and `a ``b` is unknown"),
        ("`context`.x = 1 and `a.b` = item.a.b", "`context`.x = 1 and a.b = a.b"),
        ("now - since < 2 Weeks + 90 minutes", "now - since < 14 days + 90 minutes"),
        ("d > 1.5hours", "d > 90 minutes"),
        ("t > time('2026-11-01')", 't > time("2026-11-01")'),
        ("t > time('2026-11-01T08:00+01:00')", 't > time("2026-11-01T07:00:00Z")'),
        ("time > now and days > 2 and known", "time > now and days > 2 and known"),
        (r"a = 'it\'s \"\n\u20ac'", r'a = "it' + r"'s \"" + r'\n€"'),
        ("-a * -1 < - -2", "-a * -1 < --2"),
        ("a = (b = c)", "a = (b = c)"),
        ("not (not a)", "not not a"),
    ],
)
def test_filter_has_one_canonical_text(written: str, canonical: str) -> None:
    expression = parse(written)

    assert render(expression) == canonical
    assert parse(canonical) == expression


@pytest.mark.parametrize(
    ("text", "position", "said"),
    [
        ("", 0, "got the end, wanted a condition"),
        ("  # a", 2, "got '#'"),
        ("a = 1 and", 9, "got the end"),
        ("a = 1 b", 6, "got `b`, wanted an operator"),
        ("(a = 1", 6, "wanted `)`"),
        ("a < b < c", 6, "`and` between two comparisons"),
        ("a = 'x", 4, "a closing '"),
        ("a = `x", 4, "a closing `"),
        (r"a = 'b\q'", 6, "wanted one of"),
        ("a && b", 2, "`and`"),
        ("a <= 20%", 7, "a share"),
        ("a in ()", 6, "got `)`"),
        ("a in 3", 5, "a list, such as"),
        ("a not = 3", 6, "after `not`"),
        ("a is nice", 5, "`known` or `unknown`"),
        ("a starts 'x'", 9, "`with`"),
        ("a between 1 or 2", 12, "wanted `and`"),
        ("a = not b", 4, "got `not`"),
        ("a.5 = 1", 2, "a name after the dot"),
        ("now > time('soon')", 11, "a time in 1971 to 2105"),
        ("now > time('1970-01-01')", 11, "a time in 1971 to 2105"),
        ("now > time(3)", 11, "a time in 1971 to 2105"),
        ("d < 3 months", 6, "months and years differ"),
        ("a = " + "9" * 400, 4, "below 1e308"),
    ],
)
def test_what_is_no_filter_is_pointed_at(text: str, position: int, said: str) -> None:
    wrong = refused(text)

    assert wrong.position == position
    assert said in str(wrong)


def test_mistake_in_a_later_line_is_shown_with_that_line_alone() -> None:
    wrong = refused("price > 3\n\tand stock >\n  and on_sale", field="slots[1].filter")

    assert str(wrong) == (
        "slots[1].filter: got `and`, wanted a field, a value or `(`\n    and on_sale\n    ^"
    )


def test_mistake_is_bad_input_that_a_program_can_read() -> None:
    wrong = refused("price >", field="slots[1].filter")

    assert isinstance(wrong, InvalidInput)
    assert (wrong.reason, wrong.field) == ("INVALID_FILTER", "slots[1].filter")
    assert wrong.metadata == {"field": "slots[1].filter", "position": "7"}


@pytest.mark.parametrize(
    "text",
    [
        "(" * (MOST_NESTING + 1) + "a" + ")" * (MOST_NESTING + 1),
        "not " * (MOST_NESTING + 1) + "a",
        "a = " + "-" * (MOST_NESTING + 1) + "1",
        "1" + " - 1" * (MOST_NESTING + 1) + " = a",
        "(" * (MOST_CHARACTERS - 1),
        "a in (" * 600,
    ],
)
def test_deep_nesting_is_refused(text: str) -> None:
    wrong = refused(text)

    assert f"at most {MOST_NESTING} levels" in str(wrong)


@pytest.mark.parametrize("character", ["(", "a", " ", '"', "\\"])
def test_long_text_is_refused_unread(character: str) -> None:
    wrong = refused(character * 10_000)

    assert wrong.position == MOST_CHARACTERS
    assert "10,000 characters" in str(wrong)


def test_list_holds_so_many_values_and_no_more() -> None:
    full = ",".join(["1"] * MOST_CHOICES)

    assert parse(f"a in ({full})")
    wrong = refused(f"a in ({full},7)")

    assert "at most 1,000 values" in str(wrong)
    assert wrong.position == len(f"a in ({full},")


def test_time_without_a_zone_is_in_utc() -> None:
    seconds = int(datetime(2026, 11, 1, 8, tzinfo=UTC).timestamp())

    assert f"value={seconds}" in repr(parse("now > time('2026-11-01 08:00')"))
