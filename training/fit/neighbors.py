"""Item-item neighbours from baskets, by `implicit`."""

from __future__ import annotations

import numpy as np
from implicit.nearest_neighbours import ItemItemRecommender, normalize, tfidf_weight
from scipy.sparse import csr_matrix

from recsys.arrays import frozen, keys_of, offsets_of, owners, owners_of, rows_of
from recsys.events import EventType
from recsys.interactions import Interactions
from recsys.models.neighbors import NeighborModel


def fit_neighbors(interactions: Interactions, *, k: int, threads: int = 0) -> NeighborModel:
    """Return the `k` items most often in one basket with each item, by TF-IDF and cosine.

    An item is no neighbour of itself.
    """
    bought = interactions.of_kind(EventType.PURCHASE)
    _, baskets = np.unique(bought.baskets, return_inverse=True)
    table = csr_matrix(
        (np.ones(len(bought)), (bought.items, baskets)),
        shape=(bought.n_items, int(baskets.max(initial=-1)) + 1),
    )
    table.sum_duplicates()
    table.data[:] = 1.0  # once a basket, however many pieces
    sizes = np.bincount(table.indices, minlength=table.shape[1])
    table = table[:, sizes + 1 < bought.n_items]  # what holds everything tells nothing
    weighted = normalize(tfidf_weight(table)).T.tocsr()
    trainer = ItemItemRecommender(K=k + 1, num_threads=threads)  # an item is nearest to itself
    trainer.fit(weighted, show_progress=False)
    return _nearest(trainer.similarity, k)


def _nearest(similar: csr_matrix, k: int) -> NeighborModel:
    """Return the similarities of each row to its `k` nearest others, by row.

    similar: (n_items, n_items), at most k + 1 a row, itself among them as a rule.
    """
    items = owners(similar.indptr.astype(np.int64))
    others = (items != similar.indices) & (similar.data > 0)
    keys, order = np.unique(keys_of(items[others], similar.indices[others]), return_index=True)
    items, rows, found = owners_of(keys), rows_of(keys), similar.data[others][order]
    counts = np.bincount(items, minlength=similar.shape[0])
    kept = np.ones(len(rows), dtype=np.bool_)
    offsets = offsets_of(counts)
    for item in np.flatnonzero(counts > k).tolist():  # those of which itself was not among k + 1
        own = slice(offsets[item], offsets[item + 1])
        kept[own] = found[own] > found[own].min()
        kept[own][np.flatnonzero(~kept[own])[: k - int(kept[own].sum())]] = True
    return NeighborModel(
        frozen(offsets_of(np.bincount(items[kept], minlength=similar.shape[0]))),
        frozen(rows[kept]),
        frozen(found[kept].astype(np.float32)),
    )
