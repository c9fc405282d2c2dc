"""How long until a batch of changed items is ready to be served, and what memory does it keep?

`python -m benchmarks.catalog_publish` takes changes as a worker's follower takes them: into the
overlay, into a new snapshot, and into the shelves of the markets that are asked for. `plain` items
have a price and stock; `rich` ones have variants, three markets and a date besides.
"""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from benchmarks import harness
from benchmarks.harness import Number
from benchmarks.synthetic import Shop, bundle_of
from recsys.arrays import Rows
from recsys.catalog import Catalog
from recsys.events import Position
from recsys.ids import ItemId, Vocabulary
from recsys.index.faiss_index import FaissIndex
from recsys.items import Item, Offer
from recsys.pipeline.placement import DEFAULT_PLACEMENTS, read_placements
from serving.clock import utc_now
from serving.log.items import RegisteredItem
from serving.overlay import CatalogOverlay
from serving.snapshot import Snapshot

PLACEMENTS = read_placements(DEFAULT_PLACEMENTS)
NOW = datetime(2026, 11, 22, tzinfo=UTC)
BATCHES = (1, 100, 1_000)
PERCENTILES = (50, 95, 99)
MARKETS = {"plain": ("",), "rich": ("", "DE", "AT")}
DIM = 64
COUNTED = 10_000
"""Items that memory is told for."""

Make = Callable[[int], Item]


@dataclass
class Publisher:
    """Publishes changes one batch after the other."""

    overlay: CatalogOverlay
    snapshot: Snapshot
    position: int = 0

    def publish(self, items: Sequence[tuple[int, Item]]) -> float:
        """Take these items by row; return how many milliseconds that took."""
        taken = []
        for row, item in items:
            self.position += 1
            position = Position(self.position)
            taken.append(RegisteredItem(row, item.item_id, position, item, utc_now()))
        start = time.perf_counter()
        self.overlay.take(taken)
        snapshot = Snapshot.of(self.overlay.served, PLACEMENTS, self.snapshot)
        snapshot.prepare(self.snapshot, int(NOW.timestamp()))
        self.snapshot = snapshot
        return (time.perf_counter() - start) * 1e3


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    found = {kind: dict(_measured(kind, options)) for kind in MARKETS}
    report = harness.report_of(
        "catalog_publish",
        options,
        sizes={"items": options.items, "dim": DIM, "repeats": options.repeats},
        metrics={f"{kind}_{name}": n for kind, one in found.items() for name, n in one.items()},
    )
    made = harness.table("Publishing changes of items", "", *found)
    for name in found["plain"]:
        made.add_row(name, *(f"{one[name]:,.2f}" for one in found.values()))
    harness.tell(report, [made], options.json)


def kept_memory(n_items: int, seed: int) -> dict[str, float]:
    """Return how many megabytes an overlay keeps, by what changed of 10,000 `plain` items."""
    rng = np.random.default_rng(seed)
    make = _maker("plain", rng)
    publisher = _publisher("plain", n_items, make, rng)
    changed = rng.choice(n_items, min(COUNTED, n_items), replace=False).tolist()
    _grown_mb(publisher, [(row, make(row)) for row in changed])
    terms = publisher.overlay.n_bytes() / 1e6
    return {"terms_changed": terms, **dict(_by_10k(publisher, make, changed, n_items))}


def _by_10k(
    publisher: Publisher, make: Make, rows: Sequence[int], n_items: int
) -> Iterator[tuple[str, float]]:
    """Yield what 10,000 items keep whose titles are others, and what as many new ones do."""
    renamed = [(row, replace(make(row), title=f"Another title of product {row}")) for row in rows]
    yield "per_10k_titles", _grown_mb(publisher, renamed)
    newcomers = range(n_items, n_items + COUNTED)
    yield "per_10k_newcomers", _grown_mb(publisher, [(row, make(row)) for row in newcomers])


def _options(arguments: Sequence[str] | None) -> Namespace:
    options = harness.parser((__doc__ or "").partition("\n")[0])
    options.add_argument("--items", type=int, default=100_000)
    options.add_argument("--repeats", type=int, default=100, help="batches of each size")
    return options.parse_args(arguments)


def _measured(kind: str, options: Namespace) -> Iterator[tuple[str, Number]]:
    """Yield each number by its name."""
    rng = np.random.default_rng(options.seed)
    make = _maker(kind, rng)
    publisher = _publisher(kind, options.items, make, rng)

    def drawn(n: int) -> Rows:
        rows: Rows = rng.choice(options.items, min(n, options.items), replace=False)
        return rows

    for n in BATCHES:
        times = [
            publisher.publish([(row, make(row)) for row in drawn(n).tolist()])
            for _ in range(options.repeats)
        ]
        for percentile in PERCENTILES:
            yield f"batch_{n}_p{percentile}_ms", float(np.percentile(times, percentile))
    yield "terms_changed_mb", publisher.overlay.n_bytes() / 1e6
    for name, megabytes in _by_10k(publisher, make, drawn(COUNTED).tolist(), options.items):
        yield f"{name}_mb", megabytes


def _grown_mb(publisher: Publisher, items: Sequence[tuple[int, Item]]) -> float:
    """Return how much more memory is held once these are published, by 10,000 of them."""
    before = publisher.overlay.n_bytes()
    for start in range(0, len(items), BATCHES[-1]):
        publisher.publish(items[start : start + BATCHES[-1]])
    return (publisher.overlay.n_bytes() - before) / 1e6 * 10_000 / len(items)


def _publisher(kind: str, n_items: int, make: Make, rng: np.random.Generator) -> Publisher:
    """Return what publishes over a bundle of so many items, each market asked for once."""
    shop = Shop.drawn(n_items, DIM, rng)
    index = FaissIndex.exactly(shop.vectors, np.ones(n_items, dtype=np.bool_))
    bundle = bundle_of(shop, index, rng, NOW)
    vocabulary = Vocabulary.of([_name(row) for row in range(n_items)])
    items = {row: make(row) for row in range(n_items)}
    bundle = replace(bundle, catalog=Catalog.of(vocabulary, items))
    snapshot = Snapshot.of(bundle, PLACEMENTS)
    for market in MARKETS[kind]:
        snapshot.assortment.shelf(market, int(NOW.timestamp()))
    return Publisher(CatalogOverlay(bundle), snapshot)


def _maker(kind: str, rng: np.random.Generator) -> Make:
    """Return what describes the item of a row, each time with other prices and stock."""

    def plain(row: int) -> Item:
        return Item(
            _name(row),
            f"Product {row} of the brand {row % 97}",
            f"Category {row % 100}",
            price=float(rng.integers(1, 90)),
            stock=float(rng.integers(0, 5)),
        )

    def rich(row: int) -> Item:
        offers = (
            Offer(market, float(rng.integers(1, 90)), "EUR", stock=float(rng.integers(0, 5)))
            for market in ("AT", "CH", "DE")
        )
        return replace(
            plain(row),
            group_id=f"group {row // 4}",
            expires=NOW + timedelta(days=row % 900),
            offers=tuple(offers),
        )

    return plain if kind == "plain" else rich


def _name(row: int) -> ItemId:
    return ItemId(f"item-{row:07d}")


if __name__ == "__main__":
    main()
