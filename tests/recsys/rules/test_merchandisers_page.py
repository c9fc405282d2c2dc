"""The page docs/merchandisers.md: what it shows is what happens."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from recsys.query import Page
from recsys.rules.book import RuleBook
from recsys.rules.conflicts import ConflictKind
from recsys.rules.files import parse_rules
from recsys.rules.rule import RuleKind
from recsys.state import UserState
from tests import shop
from tests.laws.test_rules import lists, parts

PAGE = (Path(__file__).parents[3] / "docs" / "merchandisers.md").read_text()
EXAMPLES = re.findall(r"```toml\n(.*?)```\n\nList: `(.*?)`", PAGE, re.DOTALL)
WITHOUT_RULES = "bread, butter, jam, coffee"


def listed(book: RuleBook) -> str:
    (items,) = lists(parts([Page((shop.query("home"),))], [UserState.unknown()], book)).values()
    return ", ".join(items)


def test_shop_of_the_page_is_the_tiny_shop() -> None:
    rows = re.findall(r"^\| (\w+) \| (\w+) \| (\w+) \| (\d+) \|$", PAGE, re.MULTILINE)

    told = [(item.item_id, item.title, item.category, f"{item.price:g}") for item in shop.items()]

    assert rows == [one for one in told if one[0] != shop.SOLD_OUT]
    assert listed(RuleBook()) == WITHOUT_RULES
    assert f"A stranger sees `{WITHOUT_RULES}`" in PAGE


@pytest.mark.parametrize(("text", "wanted"), EXAMPLES)
def test_rule_of_the_page_does_what_is_said(text: str, wanted: str) -> None:
    rules = parse_rules(text)

    assert listed(RuleBook.of(rules)) == wanted


def test_page_has_an_example_of_every_kind_and_names_every_conflict() -> None:
    kinds = {rule.kind for text, _ in EXAMPLES for rule in parse_rules(text)}

    assert kinds == set(RuleKind)
    assert set(re.findall(r"^\| `(\w+)` \| ", PAGE.split("## Conflicts")[1], re.MULTILINE)) == set(
        ConflictKind
    )
