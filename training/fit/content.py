"""The content model: ridge regression from descriptions to the vectors that purchases taught."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recsys.arrays import Mask, Scores, Vectors, frozen
from recsys.models.content import ContentModel, lengthened, table_of
from recsys.models.described import Descriptions, Hashes
from recsys.models.factors import FactorModel

FEWEST_ITEMS = 2
"""Items that must share a feature for it to tell anything."""
MOST_FEATURES = 300_000
"""Features kept, the most common; bounds memory where descriptions are long."""
TARGET_EXPONENT = 0.5
"""Vectors are learned at the root of their length: else best sellers drown what is alike."""
MOST_STEPS = 40
PRECISION = 1e-3


@dataclass(frozen=True, slots=True)
class ContentConfig:
    """What validation chooses (`training.cold`).

    regularization: of the features' vectors, > 0. exponent: of the lengths foreseen, 0 to 1.
    length: of foreseen vectors beside learned ones, on the mean.
    """

    regularization: float
    exponent: float
    length: float


def fit_content(
    descriptions: Descriptions, factors: FactorModel, config: ContentConfig
) -> ContentModel | None:
    """Return the model that foresees an item's vector best, None where descriptions tell nothing.

    descriptions: (n_items,) of every row. Learned from all items that have both a description and
    a learned vector, and from each of them alike: weighed by evidence, the few best sellers decide
    and new items are found less well (measured by benchmarks/cold_items.py).
    """
    learned = learned_rows(descriptions, factors)
    own = descriptions.take(learned)
    hashes, rarities = _common(own)
    if not len(hashes):
        return None
    targets = lengthened(factors.items[learned], TARGET_EXPONENT, 1.0)
    features = ridge(table_of(own, hashes, rarities), targets, config.regularization)
    model = ContentModel(frozen(hashes), frozen(rarities), frozen(features), 0.0, 1.0)
    return with_lengths(model, descriptions, factors, config)


def with_lengths(
    model: ContentModel, descriptions: Descriptions, factors: FactorModel, config: ContentConfig
) -> ContentModel:
    """Return the model with lengths as configured, measured on the items it was learned from."""
    learned = learned_rows(descriptions, factors)
    shaped = replace(model, exponent=config.exponent, scale=1.0)
    made, wanted = shaped.of(descriptions.take(learned)), factors.items[learned]
    return replace(
        shaped, scale=config.length * _mean_length(wanted) / max(_mean_length(made), 1e-12)
    )


def learned_rows(descriptions: Descriptions, factors: FactorModel) -> NDArray[np.int32]:
    """Return the rows that are described and whose vectors come from what customers did."""
    learned: Mask = factors.learned & (np.diff(descriptions.offsets) > 0)
    return np.flatnonzero(learned).astype(np.int32)


def ridge(table: csr_matrix, targets: Vectors, regularization: float) -> Vectors:
    """Return (n_features, dim) x that minimises |table x - targets|^2 + regularization |x|^2.

    By conjugate gradients for all columns side by side, preconditioned by the diagonal (Golub, Van
    Loan 2013, section 11.5), until every residual is below a thousandth of the first.
    """
    transposed = table.T.tocsr()
    squares = np.asarray(transposed.multiply(transposed).sum(axis=1)).reshape(-1, 1)
    inverse = (1 / (squares + regularization)).astype(np.float32)
    residual = transposed @ targets
    solution: Vectors = np.zeros_like(residual)
    direction = inverse * residual
    energy = first = _dots(residual, direction)
    for _ in range(MOST_STEPS):
        image = transposed @ (table @ direction) + np.float32(regularization) * direction
        step = energy / np.maximum(_dots(direction, image), 1e-30)
        solution += step * direction
        residual -= step * image
        shaped = inverse * residual
        left = _dots(residual, shaped)
        if np.all(left <= PRECISION**2 * first):
            break
        direction = shaped + (left / np.maximum(energy, 1e-30)) * direction
        energy = left
    return solution


def _common(descriptions: Descriptions) -> tuple[Hashes, Scores]:
    """Return the features that several items share, ascending, and how rare each is."""
    hashes, counts = np.unique(descriptions.hashes, return_counts=True)
    kept = counts >= FEWEST_ITEMS
    hashes, counts = hashes[kept], counts[kept]
    if len(hashes) > MOST_FEATURES:
        most = np.sort(np.argsort(-counts, kind="stable")[:MOST_FEATURES])
        hashes, counts = hashes[most], counts[most]
    rarities = np.log1p(len(descriptions) / counts).astype(np.float32)
    return hashes, rarities


def _dots(one: Vectors, other: Vectors) -> NDArray[np.float32]:
    dots: NDArray[np.float32] = np.einsum("ij,ij->j", one, other)
    return dots


def _mean_length(vectors: Vectors) -> float:
    return float(np.linalg.norm(vectors, axis=1).mean()) if len(vectors) else 0.0
