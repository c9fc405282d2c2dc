"""The page for analysts: each of its examples runs, on a lake whose sums a person can work out."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from recsys.events import EventType
from recsys.ids import ItemId
from recsys.items import Item
from recsys.robots import RobotRule
from serving.lake import schema
from tests.serving.lake.drained import DAY, NOON, event, house

PAGE = Path(__file__).parents[3] / "docs" / "lake.md"
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
SECTIONS = {
    section.partition("\n")[0]: BLOCK.findall(section)
    for section in PAGE.read_text(encoding="utf-8").split("\n## ")
    if BLOCK.search(section)
}


@pytest.fixture(autouse=True)
def _lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stand where `data/lake` has two buyers, a refund and a robot."""
    monkeypatch.chdir(tmp_path)
    with house(tmp_path / "data") as shop:
        shop.writer.change_items([Item(ItemId("bread"), title="Rye bread")])
        shop.drain(
            event("1", price=2.0, quantity=3.0, currency="EUR", order_id="o1"),
            event("2", price=5.0, currency="EUR", order_id="o1", item_id="oil"),
            event("3", price=2.0, currency="EUR", order_id="o2", user_id="bob", time=NOON + DAY),
        )
        shop.drain(
            event("4", EventType.REFUND, price=2.0, currency="EUR", order_id="o1", time=NOON + DAY),
            event("5", price=99.0, currency="EUR", user_id="crawler", robot=True),
            event("6", EventType.UNSUBSCRIBE, item_id="", user_id="bob"),
        )
        shop.lake.write_customers(RobotRule())
        yield


def run(section: str) -> dict[str, Any]:
    """Run the blocks of a section one after the other; skip where a library is not installed."""
    named: dict[str, Any] = {}
    for block in SECTIONS[section]:
        for needed in _imported(block):
            if find_spec(needed) is None:
                pytest.skip(f"{needed} is not installed: the example is shown, not tried")
        exec(compile(block, f"{PAGE.name}: {section}", "exec"), named)
    return named


def _imported(block: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("section", SECTIONS)
def test_every_example_of_the_page_runs(section: str) -> None:
    named = run(section)

    assert named.keys() - {"__builtins__"}, "the examples of a section name what they find"


def test_sales_of_the_page_are_net_of_refunds_and_without_robots() -> None:
    found = run("DuckDB")

    assert found["sales"].fetchall() == [
        (date(2024, 5, 1), "EUR", 1, 11.0),
        (date(2024, 5, 2), "EUR", 1, 0.0),
    ]
    assert found["best_sellers"].fetchall() == [("bread", "Rye bread", 3.0), ("oil", None, 1.0)]
    assert found["lapsed"].fetchall() == [("ann", 1, 9.0, "EUR")]


def test_every_column_of_the_lake_is_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    tables = (
        *(schema.EVENTS, schema.ITEMS, schema.VOCABULARY),
        *(schema.CUSTOMERS, schema.CUSTOMER_FACTS),
    )

    missing = [name for table in tables for name in table.names if f"`{name}`" not in text]

    assert missing == []
