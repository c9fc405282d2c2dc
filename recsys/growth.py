"""Growth: a bundle that serves items it has learned nothing of, beside those it has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recsys.arrays import Rows, Vectors, frozen, lengthened
from recsys.bundle import ModelBundle
from recsys.catalog import Catalog
from recsys.index.faiss_index import FaissIndex
from recsys.index.grown import GrownIndex
from recsys.index.index import ExactIndex
from recsys.models.factors import FactorModel
from recsys.models.popularity import PopularityModel
from recsys.models.repurchase import RepurchaseModel


def grown(
    bundle: ModelBundle, catalog: Catalog, vectors: Vectors, before: ModelBundle | None = None
) -> ModelBundle:
    """Return the bundle over a newer catalog of its own items and others behind them.

    vectors: (n_more, dim) float32, of the items behind; zeros where nothing is known of one. Of
    them nothing else is known: they have no neighbours, and are the least popular.
    before: a bundle grown earlier, whose arrays are used again where they have the right length.
    """
    n_more = len(catalog) - len(bundle.catalog)
    if not n_more:
        return replace(bundle, catalog=catalog)
    if before is None or len(before.popularity.counts) != len(catalog):
        before = _lengthened(bundle, n_more)
    if before.factors.newer is vectors:
        return replace(before, catalog=catalog)
    factors, index = _with_vectors(bundle, vectors)
    return replace(before, catalog=catalog, factors=factors, index=index)


def _lengthened(bundle: ModelBundle, n_more: int) -> ModelBundle:
    """Return the bundle with its arrays of one number an item at their new length."""
    popularity, repurchase = bundle.popularity, bundle.repurchase
    n_items = len(popularity.counts) + n_more
    rates = repurchase.repeat_rates
    return replace(
        bundle,
        repurchase=RepurchaseModel(
            # What is usual: of most items as little is known as of a new one.
            lengthened(rates, n_items, np.median(rates) if len(rates) else 1.0),
            repurchase.half_life_days,
        ),
        popularity=PopularityModel(
            lengthened(popularity.counts, n_items, 0.0),
            _followed(popularity.order, n_items),
            lengthened(popularity.trends, n_items, 1.0),
        ),
    )


def _followed(order: Rows, n_items: int) -> Rows:
    newer = np.arange(len(order), n_items, dtype=np.int32)
    return frozen(np.concatenate((order, newer)))


def _with_vectors(bundle: ModelBundle, vectors: Vectors) -> tuple[FactorModel, GrownIndex]:
    if not isinstance(bundle.index, FaissIndex):
        raise ValueError("a bundle grows from the one that was loaded, not from one that has grown")
    newer = ExactIndex(vectors, np.any(vectors != 0, axis=1))
    index = GrownIndex(bundle.index, len(bundle.catalog), newer)
    return replace(bundle.factors, newer=vectors), index
