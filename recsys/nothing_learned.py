"""The bundle of a shop of which nothing was learned yet; it grows as any other."""

from __future__ import annotations

import numpy as np

from recsys.bundle import ModelBundle
from recsys.catalog import Catalog
from recsys.ids import Vocabulary
from recsys.index.faiss_index import FaissIndex
from recsys.interest import DEFAULT_WEIGHTS, Interest
from recsys.manifest import Manifest
from recsys.models.factors import FactorModel
from recsys.models.popularity import PopularityModel
from recsys.models.relations import Relations
from recsys.models.repurchase import RepurchaseModel

_DIM = 1
_HALF_LIFE_DAYS = 30.0


def nothing_learned() -> ModelBundle:
    """Return a bundle without items, without a version, that follows the log from its beginning."""
    vectors = np.zeros((0, _DIM), dtype=np.float32)
    factors = FactorModel.of(vectors, regularization=1.0, alpha=1.0)
    return ModelBundle(
        manifest=_manifest(),
        catalog=Catalog.of(Vocabulary.of(()), {}),
        interest=Interest.of_types(DEFAULT_WEIGHTS, _HALF_LIFE_DAYS),
        factors=factors,
        index=FaissIndex.exactly(factors.items, factors.known),
        relations=Relations.none(0),
        repurchase=RepurchaseModel(np.empty(0, dtype=np.float32), _HALF_LIFE_DAYS),
        popularity=PopularityModel.of(np.empty(0, dtype=np.float32)),
        blends={},
    )


def _manifest() -> Manifest:
    return Manifest(
        version="",
        created="",
        log_position=0,
        lake_versions={},
        numbers={},
        index_kind="",
        blends={},
        settings="",
        metrics={},
        counts={},
        packages={},
    )
