"""The peer of our indexes: FAISS's own flat index, without anything of ours around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np

from recsys.arrays import Mask, Vectors
from recsys.eligibility import Eligibility
from recsys.index.index import Hits

_FAISS: Any = faiss  # its stubs do not know the search parameters of this release


@dataclass(frozen=True, slots=True)
class RawFlat:
    """FAISS's flat index as anybody would use it: the peer."""

    index: Any
    known: Mask

    def search(self, vectors: Vectors, k: int, eligible: Eligibility) -> Hits:
        """Return up to k hits for each vector, one by one where queries exclude rows."""
        if not len(eligible.excluded.rows):
            return self._search(vectors, k, eligible.shared & self.known)
        alone = [
            self._search(vector[np.newaxis], k, eligible.of_query(query) & self.known)
            for query, vector in enumerate(vectors)
        ]
        return Hits(
            np.concatenate([hits.rows for hits in alone]),
            np.concatenate([hits.scores for hits in alone]),
        )

    def _search(self, vectors: Vectors, k: int, mask: Mask) -> Hits:
        if mask.all():
            scores, rows = self.index.search(vectors, k)
        else:
            bits = np.packbits(mask, bitorder="little")
            selector = faiss.IDSelectorBitmap(len(mask), faiss.swig_ptr(bits))
            parameters = _FAISS.SearchParameters(sel=selector)
            scores, rows = self.index.search(vectors, k, params=parameters)
        return Hits(rows.astype(np.int32), scores)
