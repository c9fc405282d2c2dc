"""What is bought together: in one basket, or by one customer soon after."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags, hstack

from recsys.arrays import SECONDS_A_DAY, Rows, Times, keys_of, looked_up, owners
from recsys.events import EventType
from recsys.interactions import Interactions
from recsys.models.neighbors import NeighborModel
from training.fit.neighbors import nearest_of, neighbors_of

SIZE_EXPONENT = 0.5
"""How much less each pair of a large basket counts, from 0 (not) to 1."""


@dataclass(frozen=True, slots=True)
class TogetherConfig:
    """How it is counted.

    half_life_days: of baskets; 0 for never fading. smoothing: baskets of an average item that are
    assumed of each before its own. exponent: how much of popularity is divided out, 0 to 1.
    soon: what buying in the same `soon_days` counts beside one basket.
    """

    half_life_days: float
    smoothing: float
    exponent: float
    soon: float
    soon_days: float


def fit_together(
    interactions: Interactions,
    now: np.datetime64,
    config: TogetherConfig,
    *,
    k: int,
    threads: int = 0,
) -> NeighborModel:
    """Return the `k` items that go best with each item.

    The similarity of two items is the weight of the baskets that hold both, divided by what each
    is bought at all, smoothed, to the power of the exponent: a cosine at 0.5 without smoothing,
    after which an item that was bought twice by chance is nearest to everything.
    """
    bought = interactions.of_kind(EventType.PURCHASE)
    if not len(bought):
        return NeighborModel.empty(interactions.n_items)
    parts = [_table(bought, bought.baskets, now, config.half_life_days)]
    if config.soon:
        spans = _spans(bought, now, config.soon_days)
        soon = _table(bought, spans, now, config.half_life_days)
        parts.append(soon * np.sqrt(config.soon))
    worth = hstack(parts).tocsr()
    counts = np.asarray(worth.power(2).sum(axis=1)).ravel()
    assumed = config.smoothing * counts[counts > 0].mean()
    shares = np.divide(
        1.0, (counts + assumed) ** config.exponent, out=np.zeros_like(counts), where=counts > 0
    )
    return neighbors_of((diags(shares) @ worth).tocsr(), k, threads)


def _table(
    bought: Interactions, groups: Rows, now: np.datetime64, half_life_days: float
) -> csr_matrix:
    """Return, as (n_items, n_groups), the root of what each group counts for the items in it.

    So the inner product of two items is the weight of the groups that hold both.
    """
    newest = np.full(int(groups.max()) + 1, now, dtype=bought.times.dtype)
    newest[groups] = bought.times  # in time order, so the last one stays
    table = csr_matrix(
        (np.ones(len(bought)), (bought.items, groups)), shape=(bought.n_items, len(newest))
    )
    table.data[:] = 1.0  # once a basket, however many pieces
    sizes = np.bincount(table.indices, minlength=len(newest))
    weights = _fading(newest, now, half_life_days)
    return table @ diags(np.sqrt(weights * np.maximum(sizes - 1.0, 1.0) ** -SIZE_EXPONENT))


def _fading(times: Times, now: np.datetime64, half_life_days: float) -> NDArray[np.float64]:
    """Return what something of each time counts."""
    if not half_life_days:
        return np.ones(len(times))
    days = (now - times).astype("timedelta64[s]").astype(np.float64) / SECONDS_A_DAY
    fading: NDArray[np.float64] = 0.5 ** (days / half_life_days)
    return fading


def _spans(bought: Interactions, now: np.datetime64, days: float) -> Rows:
    """Return a number shared by what one customer bought in the same so many days."""
    ages = (now - bought.times).astype("timedelta64[s]").astype(np.float64)
    spans = keys_of(bought.users, (ages // (days * SECONDS_A_DAY)).astype(np.int32))
    numbers: Rows = np.unique(spans, return_inverse=True)[1].astype(np.int32)
    return numbers


def less_alternatives(
    together: NeighborModel, alternatives: NeighborModel, share: float, k: int
) -> NeighborModel:
    """Return the model in which items that are looked at in each other's place fall behind.

    alternatives: what is looked at together, with similarities up to 1. share: what one of
    similarity 1 loses.
    """
    pairs = keys_of(owners(alternatives.offsets), alternatives.rows)
    own = keys_of(owners(together.offsets), together.rows)
    alike = np.minimum(looked_up(pairs, alternatives.similarities, own), 1.0)
    left = together.similarities * (1.0 - share * alike)
    n_items = len(together)
    similar = csr_matrix((left, together.rows, together.offsets), shape=(n_items, n_items))
    return nearest_of(similar, k)
