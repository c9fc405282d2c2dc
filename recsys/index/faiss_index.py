"""FAISS behind the protocol: the mask goes into the search, narrow masks are scored exactly."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

import faiss
import numpy as np

from recsys.arrays import Mask, Vectors
from recsys.eligibility import Eligibility
from recsys.index.index import ExactIndex, Hits

_FAISS: Any = faiss  # its stubs do not know the search parameters of this release

HNSW_LINKS = 32
HNSW_CONSTRUCTION_DEPTH = 100
MOST_ROOM = 2
"""Times as many hits as are wanted, up to which those that a query excludes for itself are left out
after one search for all; beyond it each query is searched alone, with a mask of its own."""
ALWAYS_EXACT = 2.0
"""A share that no mask reaches."""


class IndexKind(StrEnum):
    """How FAISS arranges the vectors."""

    FLAT = "flat"
    HNSW = "hnsw"


@dataclass(frozen=True, slots=True)
class IndexPlan:
    """How to search one bundle's vectors, as measured on them.

    search_depth: HNSW's efSearch; 0 for a flat index.
    exact_below: share of eligible rows below which they are scored one by one.
    """

    kind: IndexKind
    search_depth: int
    exact_below: float


@dataclass(frozen=True, slots=True)
class FaissIndex:
    """A FAISS index over the known rows of a factor model; its ids are rows."""

    index: Any
    plan: IndexPlan
    exact: ExactIndex

    @classmethod
    def build(cls, items: Vectors, known: Mask, plan: IndexPlan) -> Self:
        """Return the index of (n_items, dim) vectors; rows not known are never found."""
        return cls(build_faiss(items, plan.kind), plan, ExactIndex(items, known))

    @classmethod
    def exactly(cls, items: Vectors, known: Mask) -> Self:
        """Return an index that always scores every row one by one, and so builds nothing."""
        plan = IndexPlan(IndexKind.FLAT, 0, ALWAYS_EXACT)
        return cls(faiss.IndexFlatIP(items.shape[1]), plan, ExactIndex(items, known))

    @classmethod
    def read(cls, path: Path, items: Vectors, known: Mask, plan: IndexPlan) -> Self:
        """Return the index of a file, memory-mapped so that workers share it."""
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        return cls(index, plan, ExactIndex(items, known))

    def write(self, path: Path) -> None:
        """Write the FAISS part to a file."""
        faiss.write_index(self.index, str(path))

    def search(self, vectors: Vectors, k: int, eligible: Eligibility) -> Hits:
        """Return up to k hits for each vector, exactly where few rows are eligible."""
        mask = eligible.shared & self.exact.known
        if mask.mean() < self.plan.exact_below:
            return self.exact.search(vectors, k, eligible)
        if not len(eligible.excluded.rows):
            return self._search(vectors, k, mask)
        room = eligible.most_excluded()
        if room <= MOST_ROOM * k:
            hits = self._search(vectors, k + room, mask)
            return _allowed(hits, k, eligible)
        alone = [
            self._search(vectors[query : query + 1], k, mask & eligible.of_query(query))
            for query in range(len(vectors))
        ]
        return Hits(
            np.concatenate([hits.rows for hits in alone]),
            np.concatenate([hits.scores for hits in alone]),
        )

    def _search(self, vectors: Vectors, k: int, mask: Mask) -> Hits:
        bits = np.packbits(mask, bitorder="little")
        selector = faiss.IDSelectorBitmap(len(mask), faiss.swig_ptr(bits))
        scores, rows = self.index.search(vectors, k, params=self._parameters(selector, k))
        return Hits(rows.astype(np.int32), np.where(rows < 0, -np.inf, scores).astype(np.float32))

    def _parameters(self, selector: Any, k: int) -> Any:
        if self.plan.kind is IndexKind.HNSW:
            depth = max(self.plan.search_depth, k)
            return _FAISS.SearchParametersHNSW(sel=selector, efSearch=depth)
        return _FAISS.SearchParameters(sel=selector)


def _allowed(hits: Hits, k: int, eligible: Eligibility) -> Hits:
    """Return the first k hits of each query that it does not exclude for itself."""
    queries, places = np.nonzero(hits.rows >= 0)
    refused = hits.rows < 0
    refused[queries, places] = ~eligible.allows(
        queries.astype(np.int32), hits.rows[queries, places]
    )
    order = np.argsort(refused, axis=1, kind="stable")[:, :k]
    gone = np.take_along_axis(refused, order, axis=1)
    return Hits(
        np.where(gone, -1, np.take_along_axis(hits.rows, order, axis=1)),
        np.where(gone, -np.inf, np.take_along_axis(hits.scores, order, axis=1)),
    )


def build_faiss(items: Vectors, kind: IndexKind) -> Any:
    """Return a FAISS index of all (n_items, dim) vectors, added in row order."""
    index: Any = faiss.IndexFlatIP(items.shape[1])
    if kind is IndexKind.HNSW:
        index = faiss.IndexHNSWFlat(items.shape[1], HNSW_LINKS, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = HNSW_CONSTRUCTION_DEPTH
    index.add(np.ascontiguousarray(items))
    return index
