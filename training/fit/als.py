"""Matrix factorisation by alternating least squares (Hu, Koren, Volinsky 2008), by `implicit`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from recsys.models.factors import FactorModel
from recsys.timelines import Weighted


@dataclass(frozen=True, slots=True)
class AlsConfig:
    """dim: of the vectors. threads: 0 means one a core; the model does not depend on it."""

    dim: int
    iterations: int
    regularization: float
    alpha: float
    threads: int = 0


def fit_als(
    interests: Weighted, n_items: int, config: AlsConfig, rng: np.random.Generator
) -> FactorModel:
    """Return the item vectors that explain the interests best.

    Items nobody cares for get the zero vector. The same seed gives the same vectors.
    """
    # One BLAS thread: `implicit` brings threads of its own, and sums keep their order.
    with threadpool_limits(1, user_api="blas"):
        trainer = AlternatingLeastSquares(
            factors=config.dim,
            iterations=config.iterations,
            regularization=config.regularization,
            alpha=1.0,
            random_state=int(rng.integers(2**31)),
            num_threads=config.threads,
        )
        trainer.fit(confidences(interests, n_items, config.alpha), show_progress=False)
        items = np.ascontiguousarray(trainer.item_factors, dtype=np.float32)
        items[np.bincount(interests.rows, minlength=n_items) == 0] = 0.0
        return FactorModel.of(items, regularization=config.regularization, alpha=config.alpha)


def confidences(interests: Weighted, n_items: int, alpha: float) -> csr_matrix:
    """Return the (q, n_items) confidences alpha * interest, as `implicit` wants them.

    Its own `alpha` stays 1, so that it solves the system that `FactorModel.fold_in` solves.
    """
    return csr_matrix(
        (np.float32(alpha) * interests.weights, interests.rows, interests.offsets),
        shape=(len(interests), n_items),
    )
