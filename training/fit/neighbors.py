"""From a table of what stands where to the nearest neighbours of each item, by `implicit`."""

from __future__ import annotations

import numpy as np
from implicit.nearest_neighbours import ItemItemRecommender
from scipy.sparse import csr_matrix

from recsys.arrays import frozen, offsets_of, owners, places_within
from recsys.models.neighbors import NeighborModel


def neighbors_of(table: csr_matrix, k: int, threads: int = 0) -> NeighborModel:
    """Return the `k` items of greatest inner product with each item; nobody is their own.

    table: (n_items, n_groups), what each item is worth in each group.
    """
    if not table.nnz:
        return NeighborModel.empty(table.shape[0])
    trainer = ItemItemRecommender(K=k + 1, num_threads=threads)  # an item may be nearest to itself
    trainer.fit(table.T.tocsr(), show_progress=False)
    return nearest_of(trainer.similarity, k)


def nearest_of(similar: csr_matrix, k: int) -> NeighborModel:
    """Return each row's `k` greatest similarities above 0 to others, in order of their rows.

    similar: (n_items, n_items). Ties go to the lower row.
    """
    similar.sort_indices()
    items = owners(similar.indptr.astype(np.int64))
    others = (items != similar.indices) & (similar.data > 0)
    items, rows = items[others], similar.indices[others].astype(np.int32)
    found = similar.data[others].astype(np.float32)
    counts = np.bincount(items, minlength=similar.shape[0])
    crowded = np.flatnonzero((counts > k)[items])
    kept = np.ones(len(rows), dtype=np.bool_)
    order = crowded[np.lexsort((rows[crowded], -found[crowded], items[crowded]))]
    kept[order[places_within(items[order]) >= k]] = False
    return NeighborModel(
        frozen(offsets_of(np.minimum(counts, k))), frozen(rows[kept]), frozen(found[kept])
    )
