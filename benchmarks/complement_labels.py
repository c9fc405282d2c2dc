"""Are the items that are bought together those that a publisher calls complements?

`python -m benchmarks.complement_labels` learns from the reviews of the set `amazon-grocery` alone,
chooses every knob on a window cut from their end, and looks at the labels once, at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.sparse import csr_matrix, diags
from threadpoolctl import threadpool_limits

from benchmarks import harness
from benchmarks.described_shops import SHARED_DATA
from recsys.arrays import Keys, Rows, keys_of, owners
from recsys.assortment import Assortment
from recsys.catalog import Catalog
from recsys.evaluation.splits import last_windows
from recsys.events import EVENT_CODES, EventType
from recsys.ids import ItemId, Vocabulary
from recsys.interactions import Interactions
from recsys.items import Item
from recsys.models.neighbors import NeighborModel
from recsys.timelines import Ragged
from training.choose_relations import choose_relations
from training.fit.neighbors import neighbors_of
from training.recipe import Recipe
from training.relate import fit_relations
from training.settings import TrainingSettings

FOLDER = SHARED_DATA / "amazon-grocery"
DEPTH = 10
VALIDATION_DAYS = 180.0


@dataclass(frozen=True, slots=True)
class LabelledShop:
    """Reviews of items, and what the publisher says of pairs of these.

    complements, substitutes: by item, such rows as were bought, or looked at, with it.
    """

    interactions: Interactions
    complements: Ragged
    substitutes: Ragged

    @classmethod
    def read(cls, folder: Path = FOLDER) -> Self:
        """Return the set of a folder. Reviews of one member and day are a basket."""
        import pyarrow.parquet as pq

        items = pq.read_table(folder / "items.parquet")
        ids = items["item_id"].to_numpy()
        reviews = pq.read_table(folder / "interactions.parquet").sort_by("timestamp")
        rows = np.searchsorted(ids, reviews["item_id"].to_numpy()).astype(np.int32)
        _, users = np.unique(reviews["user_id"].to_numpy(), return_inverse=True)
        times = reviews["timestamp"].to_numpy().astype("datetime64[s]")
        columns = ("complement_item_ids", "substitute_item_ids")
        labels = (_labels(items[column].to_pylist(), ids) for column in columns)
        return cls(_reviews(users.astype(np.int32), rows, times, len(ids)), *labels)


@dataclass(frozen=True, slots=True)
class ComplementLabels:
    """Means over all items of which the publisher names complements.

    precision: share of the ten items listed that are complements. substitute_share: that are
    substitutes, some of which are complements as well. popularity: the ten best sellers for
    everybody. cosine: items by the cosine of who bought them.
    """

    n_items: int
    complement_precision_at_10: float
    substitute_share_at_10: float
    popularity_precision_at_10: float
    popularity_substitute_share_at_10: float
    cosine_precision_at_10: float
    cosine_substitute_share_at_10: float


def measured(shop: LabelledShop, settings: TrainingSettings | None = None) -> ComplementLabels:
    """Return how the lists of items bought together agree with the labels."""
    settings = settings or TrainingSettings()
    lists = (
        best_of(_together(shop.interactions, settings), DEPTH),
        _popular(shop.interactions),
        best_of(cosine_neighbors(shop.interactions), DEPTH),
    )
    asked = np.flatnonzero(np.diff(shop.complements.offsets)).astype(np.int32)
    shares = [
        precision(found, labels, asked)
        for found in lists
        for labels in (shop.complements, shop.substitutes)
    ]
    return ComplementLabels(len(asked), *shares)


def precision(found: Ragged, labels: Ragged, asked: Rows) -> float:
    """Return the mean, over the items asked about, of the share of `DEPTH` places that are right.

    found: by item, at most `DEPTH` rows; a place that is empty is wrong.
    """
    right = np.isin(_pairs(found), _pairs(labels))
    hits = np.bincount(found.owners()[right], minlength=len(found))[asked]
    return float(hits.mean() / DEPTH)


def best_of(model: NeighborModel, depth: int) -> Ragged:
    """Return the nearest neighbours of each item, at most `depth`."""
    items = owners(model.offsets)
    order = np.lexsort((model.rows, -model.similarities, items))
    places = np.arange(len(order)) - model.offsets[items]  # as many before each as in `order`
    kept = order[places < depth]
    return Ragged.of_pairs(items[kept], model.rows[kept], len(model))


def cosine_neighbors(interactions: Interactions) -> NeighborModel:
    """Return the items of greatest cosine between the columns of who bought what."""
    shape = (interactions.n_items, interactions.n_users)
    ones = np.ones(len(interactions))
    table = csr_matrix((ones, (interactions.items, interactions.users)), shape=shape)
    table.data[:] = 1.0
    counts = np.asarray(table.sum(axis=1)).ravel()
    return neighbors_of((diags(1 / np.sqrt(np.maximum(counts, 1))) @ table).tocsr(), DEPTH)


def _together(interactions: Interactions, settings: TrainingSettings) -> NeighborModel:
    ids = [str(row) for row in range(interactions.n_items)]
    items = {row: Item(ItemId(name), name) for row, name in enumerate(ids)}
    assortment = Assortment.of(Catalog.of(Vocabulary.of(ids), items))
    (split,) = last_windows(interactions, VALIDATION_DAYS, 1)
    recipe = choose_relations(Recipe.first_of(settings), split, assortment, settings)
    end = interactions.times[-1] + np.timedelta64(1, "s")
    return fit_relations(interactions, end, recipe, settings).together


def _popular(interactions: Interactions) -> Ragged:
    """Return for each item the same best sellers, itself left out."""
    counts = np.bincount(interactions.items, minlength=interactions.n_items)
    best = np.argsort(-counts, kind="stable")[: DEPTH + 1].astype(np.int32)
    items = np.repeat(np.arange(interactions.n_items, dtype=np.int32), len(best))
    rows = np.tile(best, interactions.n_items)
    others = items != rows
    every = Ragged.of_pairs(items[others], rows[others], interactions.n_items)
    return Ragged.of([every.at(item)[:DEPTH] for item in range(interactions.n_items)])


def _reviews(users: Rows, rows: Rows, times: np.ndarray, n_items: int) -> Interactions:
    days = times.astype("datetime64[D]").astype(np.int32)
    _, baskets = np.unique(keys_of(users, days), return_inverse=True)
    return Interactions(
        users,
        rows,
        np.full(len(rows), EVENT_CODES[EventType.PURCHASE], dtype=np.uint8),
        np.ones(len(rows), dtype=np.float32),
        times,
        np.arange(len(rows), dtype=np.uint32),
        baskets.astype(np.int32),
        int(users.max()) + 1,
        n_items,
    )


def _labels(lists: Sequence[Sequence[int] | None], ids: np.ndarray) -> Ragged:
    """Return lists of item ids as rows; ids of no item are left out."""
    found = [np.array(one or (), dtype=np.int64) for one in lists]
    known = [one[np.isin(one, ids)] for one in found]
    return Ragged.of([np.searchsorted(ids, one).astype(np.int32) for one in known])


def _pairs(lists: Ragged) -> Keys:
    return keys_of(lists.owners(), lists.rows)


def table_of_labels(name: str, found: ComplementLabels) -> Table:
    """Return how ten items beside each agree with what a publisher calls complements."""
    made = harness.table(
        f"{name}: {found.n_items:,} items with complements", "list", "complements", "substitutes"
    )
    for who, right, instead in (
        ("bought together", found.complement_precision_at_10, found.substitute_share_at_10),
        ("popular", found.popularity_precision_at_10, found.popularity_substitute_share_at_10),
        ("cosine", found.cosine_precision_at_10, found.cosine_substitute_share_at_10),
    ):
        made.add_row(who, f"{right:.4f}", f"{instead:.4f}")
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and tell."""
    parser = harness.parser((__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=FOLDER, metavar="FOLDER")
    options = parser.parse_args(arguments)
    if not options.data.is_dir():
        Console().print(f"nothing is measured: no folder {options.data}")
        return
    with threadpool_limits(1, user_api="blas"):
        shop = LabelledShop.read(options.data)
        found = measured(shop, TrainingSettings(seed=options.seed))
    sizes = {"items": found.n_items, "reviews": len(shop.interactions)}
    metrics = {name: value for name, value in asdict(found).items() if name != "n_items"}
    report = harness.report_of(
        "complement_labels", options, sizes=sizes, metrics=metrics, packages=("implicit",)
    )
    harness.tell(report, [table_of_labels(options.data.name, found)], options.json)


if __name__ == "__main__":
    main()
