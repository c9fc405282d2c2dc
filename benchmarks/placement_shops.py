"""Shops that placements are judged on: folders of Parquet files, read as training reads its lake.

A folder is known by its files. `events.parquet` is a stream: `timestamp`, `user_id`, `item_id`,
`event` (view, cart, purchase), and beside it, where there is one, `test.parquet`: purchases,
`user_id` and `item_id`, that lie behind the events of their customers. `transactions.parquet` and
`products.parquet` are orders and descriptions, named as those of Complete Journey.
`interactions.parquet` and `items.parquet` are reviews, and items with the complements that their
publisher names: of these it is measured what `benchmarks.complement_labels` measures.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.described_shops import journey_items
from recsys.arrays import Keys, Kinds, Rows, Times, keys_of
from recsys.catalog import Catalog
from recsys.erasures import ErasureMark
from recsys.events import EVENT_CODES, EventType
from recsys.ids import ItemId, Vocabulary
from recsys.interactions import Interactions
from recsys.items import Item
from recsys.models.described import Descriptions
from recsys.robots import RobotRule
from training.datasets.lake import Dataset, LeftOut

KINDS = {
    "view": EventType.DETAIL_VIEW,
    "click": EventType.CLICK,
    "cart": EventType.ADD_TO_CART,
    "addtocart": EventType.ADD_TO_CART,
    "purchase": EventType.PURCHASE,
    "transaction": EventType.PURCHASE,
}
"""What streams call their events."""

_NO_PAIRS: Keys = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class JudgedShop:
    """One shop. bought_last: (user, item) pairs bought behind all that the data set holds."""

    name: str
    dataset: Dataset
    bought_last: Keys


def shop_in(folder: Path, rule: RobotRule | None) -> JudgedShop:
    """Return the shop of a folder, without whom the rule takes for robots.

    Raises ValueError where the folder is no such shop, or its events are not known.
    """
    if (folder / "events.parquet").is_file():
        return _stream(folder, rule)
    if (folder / "transactions.parquet").is_file() and (folder / "products.parquet").is_file():
        return _orders(folder, rule)
    raise ValueError(f"{folder} holds neither events.parquet nor transactions and products.parquet")


def is_labelled(folder: Path) -> bool:
    """Return whether a folder holds items with labels, and reviews of them."""
    return (folder / "interactions.parquet").is_file() and (folder / "items.parquet").is_file()


def name_of(folder: Path) -> str:
    """Return what metrics call the shop of a folder."""
    name = folder.name if folder.name != "data" else "complete_journey"
    return name.replace("-", "_").replace(".", "_")


def _stream(folder: Path, rule: RobotRule | None) -> JudgedShop:
    """Return a stream's shop, whose items are not described."""
    columns = _columns(folder / "events.parquet")
    test = _columns(folder / "test.parquet") if (folder / "test.parquet").is_file() else None
    later = test["item_id"] if test else columns["item_id"][:0]
    ids = np.unique(np.concatenate((columns["item_id"], later)))
    user_ids, users = np.unique(columns["user_id"], return_inverse=True)
    unknown = sorted(set(columns["event"].tolist()) - set(KINDS))
    if unknown:
        raise ValueError(f"{folder} has events called {unknown}; known are {sorted(KINDS)}")
    codes = {name: EVENT_CODES[kind] for name, kind in KINDS.items()}
    times = columns["timestamp"].astype("datetime64[s]")
    interactions = _interactions(
        users.astype(np.int32),
        np.searchsorted(ids, columns["item_id"]).astype(np.int32),
        times,
        kinds=np.array([codes[name] for name in columns["event"].tolist()], dtype=np.uint8),
        baskets=_days(users, times),
    )
    items = [Item(ItemId(str(item))) for item in ids.tolist()]
    last = _pairs(test, user_ids, ids) if test else _NO_PAIRS
    return JudgedShop(name_of(folder), _dataset(items, interactions, rule), last)


def _orders(folder: Path, rule: RobotRule | None) -> JudgedShop:
    """Return a shop of orders, lines of which are purchases; lines of unknown items are left out.

    All lines of an order have one time, so there is no order among them.
    """
    names = ("household_id", "product_id", "basket_id", "transaction_timestamp")
    columns = _columns(folder / "transactions.parquet", *names)
    items = journey_items(folder)
    place = {str(item.item_id): row for row, item in enumerate(items)}
    distinct, codes = np.unique(columns["product_id"], return_inverse=True)
    rows = np.array([place.get(str(one), -1) for one in distinct.tolist()], dtype=np.int32)[codes]
    _, users = np.unique(columns["household_id"], return_inverse=True)
    _, baskets = np.unique(columns["basket_id"], return_inverse=True)
    known = rows >= 0
    interactions = _interactions(
        users[known].astype(np.int32),
        rows[known],
        columns["transaction_timestamp"][known].astype("datetime64[s]"),
        kinds=np.full(int(known.sum()), EVENT_CODES[EventType.PURCHASE], dtype=np.uint8),
        baskets=baskets[known].astype(np.int32),
    )
    return JudgedShop(name_of(folder), _dataset(items, interactions, rule), _NO_PAIRS)


def _columns(path: Path, *names: str) -> dict[str, NDArray[Any]]:
    import pyarrow.parquet as pq

    table = pq.read_table(path, columns=list(names) or None)
    return {name: table[name].to_numpy() for name in table.column_names}


def _pairs(test: dict[str, NDArray[Any]], user_ids: NDArray[Any], item_ids: NDArray[Any]) -> Keys:
    """Return the purchases of customers whom the events know, as (user, item) pairs."""
    known = np.isin(test["user_id"], user_ids)
    users = np.searchsorted(user_ids, test["user_id"][known]).astype(np.int32)
    rows = np.searchsorted(item_ids, test["item_id"][known]).astype(np.int32)
    return np.unique(keys_of(users, rows))


def _days(users: NDArray[np.int64], times: Times) -> Rows:
    """Return a number shared by what one user did in one day, UTC: a basket, without orders."""
    days = times.astype("datetime64[D]").astype(np.int64)
    _, numbers = np.unique(users.astype(np.int64) << 32 | days, return_inverse=True)
    baskets: Rows = numbers.astype(np.int32)
    return baskets


def _interactions(
    users: Rows, rows: Rows, times: Times, *, kinds: Kinds, baskets: Rows
) -> Interactions:
    """Return events in order of time, of as many items as they speak of."""
    order = np.argsort(times, kind="stable")
    return Interactions(
        users[order],
        rows[order],
        kinds[order],
        np.ones(len(order), dtype=np.float32),
        times[order],
        np.arange(len(order), dtype=np.uint32),
        baskets[order],
        int(users.max()) + 1,
        int(rows.max()) + 1,
    )


def _dataset(items: list[Item], interactions: Interactions, rule: RobotRule | None) -> Dataset:
    """Return what training would read of this; users keep their rows, robots lose their events."""
    people, left_out = replace(interactions, n_items=len(items)), LeftOut()
    if rule is not None:
        robots = rule.robots(
            interactions.users,
            interactions.times,
            kinds=interactions.kinds,
            declared=np.zeros(len(interactions), dtype=np.bool_),
            n_users=interactions.n_users,
        )
        people = people.take(~robots[people.users])
        left_out = LeftOut(int(robots.sum()), len(interactions) - len(people))
    vocabulary = Vocabulary.of([item.item_id for item in items])
    catalog, described = Catalog.of(vocabulary, dict(enumerate(items))), Descriptions.of(items)
    nobody = tuple("" for _ in range(interactions.n_users))
    return Dataset(people, catalog, described, nobody, {}, 0, left_out, ErasureMark())
