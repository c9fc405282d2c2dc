"""A lake of a tiny shop: four tastes of ten items each, customers who come every few days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from deltalake import write_deltalake

from serving.lake import schema
from training.settings import TrainingSettings, read_settings

START = datetime(2026, 1, 1, 8, tzinfo=UTC)
IMPORTED = START + timedelta(days=4_000)
"""When the log took what does not say."""
N_TASTES, ITEMS_A_TASTE = 4, 10
N_ITEMS = N_TASTES * ITEMS_A_TASTE


@dataclass(frozen=True, slots=True)
class Line:
    """One event, a line of an order as a rule.

    item_row: -1 for an event without an item. received: None for a minute after its time.
    """

    user: str
    item_row: int
    time: datetime
    order: str = ""
    type: str = "purchase"
    event_id: str = ""
    visitor: str = ""
    session: str = ""
    quantity: float = 1.0
    rating: float | None = None
    robot: bool = False
    received: datetime | None = None


def write_lake(folder: Path, lines: list[Line], n_items: int = N_ITEMS) -> None:
    """Write the three tables of the lake under a data folder."""
    lake = folder / "lake"
    events = [_event(position, line) for position, line in enumerate(lines, start=1)]
    write_deltalake(lake / "events", pa.Table.from_pylist(events, schema.EVENTS), mode="append")
    items = [item_line(row, len(lines) + 1 + row) for row in range(n_items)]
    write_deltalake(lake / "items", pa.Table.from_pylist(items, schema.ITEMS), mode="overwrite")
    numbers = [{"item_row": row, "item_id": f"i{row}"} for row in range(n_items)]
    numbers_table = pa.Table.from_pylist(numbers, schema.VOCABULARY)
    write_deltalake(lake / "vocabulary", numbers_table, mode="overwrite")


def write_facts(folder: Path, facts: list[dict[str, object]]) -> None:
    """Write what the shop said of customers, each later than the one before."""
    lines = [
        {
            **dict.fromkeys(("other_kind", "other", "name"), ""),
            "position": place,
            "granted": True,
            "time": START + timedelta(days=place),
            "received": IMPORTED,
            **fact,
        }
        for place, fact in enumerate(facts, start=1)
    ]
    table = pa.Table.from_pylist(lines, schema.CUSTOMER_FACTS)
    write_deltalake(folder / "lake" / "customer_facts", table, mode="overwrite")


def shop_lines(*, n_users: int = 60, days: int = 90, seed: int = 1) -> list[Line]:
    """Return the orders of customers who stay with their taste and buy staples again."""
    rng = np.random.default_rng(seed)
    lines = []
    for user in range(n_users):
        taste = user % N_TASTES
        chances = rng.dirichlet(np.full(ITEMS_A_TASTE, 0.6))
        for day in range(user % 4, days, 4):
            own = rng.choice(ITEMS_A_TASTE, 3, replace=False, p=(chances + 0.02) / 1.2)
            for row in own:
                time = START + timedelta(days=day, minutes=user)
                item = int(taste * ITEMS_A_TASTE + row)
                lines.append(Line(f"u{user}", item, time, f"o{user}-{day}"))
    return sorted(lines, key=lambda line: line.time)


def small_settings(*flags: str) -> TrainingSettings:
    """Return settings of a size for the shop, flags over them."""
    path = Path(__file__).with_name("small.toml")
    return read_settings(path, variables={}, flags=flags)


def _event(position: int, line: Line) -> dict[str, object]:
    texts = ("currency", "channel", "attribution_token", "outlet", "query", "category")
    return {
        **dict.fromkeys((*texts, "campaign_id", "market"), ""),
        "position": position,
        "day": line.time.date(),
        "time": line.time,
        "received": line.received or IMPORTED,
        "type": line.type,
        "item_id": f"i{line.item_row}" if line.item_row >= 0 else "",
        "item_row": line.item_row,
        "user_id": line.user,
        "visitor_id": line.visitor,
        "session_id": line.session,
        "quantity": line.quantity,
        "rating": line.rating,
        "robot": line.robot,
        "order_id": line.order,
        "event_id": line.event_id or f"e{position}",
    }


def item_line(row: int, position: int) -> dict[str, object]:
    """Return one line of the table of items."""
    texts = dict.fromkeys(("brand", "currency", "url", "image_url", "description", "group_id"), "")
    return {
        "position": position,
        "item_row": row,
        "item_id": f"i{row}",
        "title": f"Item {row}",
        "category": f"Row {row % ITEMS_A_TASTE}",
        "available": True,
        "hidden": False,
        "removed": False,
        "since": IMPORTED,
        **texts,
    }
