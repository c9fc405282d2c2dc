"""Content: where an item that nobody has met would lie among those that customers have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from recsys.arrays import Mask, Scores, Vectors, offsets_of
from recsys.items import Item
from recsys.models.described import Descriptions, Hashes


@dataclass(frozen=True, slots=True)
class ContentModel:
    """Vectors of features in the space of a `FactorModel`; an item's is their weighted sum.

    Laws: an item's vector depends on its own description alone, and is zero where no feature of it
    is known.

    hashes: (n_features,) uint64, ascending. rarities: (n_features,) float32, > 0, how much each
        counts within an item.
    vectors_of_features: (n_features, dim) float32.
    exponent: a sum of length l becomes a vector of length `scale` * l^(1 - exponent): 0 leaves
        lengths as foreseen, 1 makes them all equal.
    """

    hashes: Hashes
    rarities: Scores
    vectors_of_features: Vectors
    exponent: float
    scale: float

    def vectors(self, items: Sequence[Item]) -> Vectors:
        """Return the (n, dim) float32 vectors of these items."""
        return self.of(Descriptions.of(items))

    def of(self, descriptions: Descriptions) -> Vectors:
        """Return the (n, dim) float32 vectors of items so described."""
        table = table_of(descriptions, self.hashes, self.rarities)
        return lengthened(table @ self.vectors_of_features, self.exponent, self.scale)

    def familiarity(self, items: Sequence[Item]) -> Scores:
        """Return the (n,) share, from 0 to 1, of what is said of each item that is known here."""
        descriptions = Descriptions.of(items)
        known = np.bincount(
            descriptions.owners()[_places(descriptions.hashes, self.hashes)[1]],
            minlength=len(descriptions),
        )
        share: Scores = (known / np.maximum(np.diff(descriptions.offsets), 1)).astype(np.float32)
        return share


def table_of(descriptions: Descriptions, hashes: Hashes, rarities: Scores) -> csr_matrix:
    """Return the (n_items, n_features) weights of known features, each row of unit length.

    A row without any known feature is empty.
    """
    places, known = _places(descriptions.hashes, hashes)
    items = descriptions.owners()[known]
    weights = rarities[places[known]]
    squares = np.bincount(items, weights=weights**2, minlength=len(descriptions))
    weights = (weights / np.sqrt(squares[items])).astype(np.float32)
    bounds = offsets_of(np.bincount(items, minlength=len(descriptions)))
    return csr_matrix((weights, places[known], bounds), shape=(len(descriptions), len(hashes)))


def lengthened(vectors: Vectors, exponent: float, scale: float) -> Vectors:
    """Return (n, dim) vectors of length l at length scale * l^(1 - exponent); zero stays zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    factors = np.power(lengths, -exponent, out=np.zeros_like(lengths), where=lengths > 0)
    made: Vectors = (vectors * (scale * factors)).astype(np.float32)
    return made


def _places(wanted: Hashes, hashes: Hashes) -> tuple[np.typing.NDArray[np.int64], Mask]:
    """Return the place of each wanted hash, and whether it is there at all."""
    places = np.searchsorted(hashes, wanted)
    if not len(hashes):
        return places, np.zeros(len(wanted), dtype=np.bool_)
    places = np.minimum(places, len(hashes) - 1)
    return places, hashes[places] == wanted
