"""Shops drawn by chance: forty items, with models nobody thought up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recsys.arrays import offsets_of
from recsys.bundle import ModelBundle
from recsys.catalog import Catalog
from recsys.ids import ItemId, Vocabulary
from recsys.index.faiss_index import FaissIndex, IndexKind, IndexPlan
from recsys.items import Item
from recsys.models.blend import Blend
from recsys.models.factors import FactorModel
from recsys.models.neighbors import NeighborModel
from recsys.models.popularity import PopularityModel
from recsys.models.relations import Relations
from recsys.models.repurchase import RepurchaseModel
from recsys.models.sessions import SessionModel
from recsys.timelines import Ragged
from tests import shop

N_ITEMS = 40
DIM = 6
N_NEIGHBORS = 5


def drawn_bundle(seed: int) -> ModelBundle:
    """Return a bundle of forty items with these models, drawn from a seed."""
    rng = np.random.default_rng(seed)
    names = [f"i{row}" for row in range(N_ITEMS)]
    items = {
        row: Item(ItemId(name), name.upper(), f"c{rng.integers(5)}", brand=f"b{rng.integers(4)}")
        for row, name in enumerate(names)
    }
    vectors = rng.random((N_ITEMS, DIM)).astype(np.float32) ** 3
    factors = FactorModel.of(vectors, regularization=0.1, alpha=5.0)
    plan = IndexPlan(IndexKind.FLAT, 0, 0.0)
    weights = {"nearest": 1.0, "similar_to_history": 0.7, "buy_again": 0.5, "popular": 0.1}
    return replace(
        shop.bundle(),
        catalog=Catalog.of(Vocabulary.of(names), items),
        factors=factors,
        index=FaissIndex.build(factors.items, factors.known, plan),
        relations=_relations(rng, seed),
        repurchase=RepurchaseModel(rng.uniform(0.05, 0.9, N_ITEMS).astype(np.float32), 30.0),
        popularity=PopularityModel.of(rng.random(N_ITEMS).astype(np.float32)),
        blends={"home": Blend(weights)},
    )


def _relations(rng: np.random.Generator, seed: int) -> Relations:
    apart = np.random.default_rng([seed, 1])
    lists = [apart.choice(N_ITEMS, 4, replace=False).astype(np.int32) for _ in range(60)]
    sessions = Ragged.of(lists)
    by_item = Ragged.of_pairs(sessions.rows, sessions.owners(), N_ITEMS)
    rarities = apart.uniform(0.3, 1.0, N_ITEMS).astype(np.float32)
    model = SessionModel(
        sessions.offsets, sessions.rows, by_item.offsets, by_item.rows, rarities, decay=0.6
    )
    return Relations(_neighbors(rng), _neighbors(apart), model)


def _neighbors(rng: np.random.Generator) -> NeighborModel:
    rows = [
        rng.choice(np.delete(np.arange(N_ITEMS), row), N_NEIGHBORS, replace=False)
        for row in range(N_ITEMS)
    ]
    lengths = np.full(N_ITEMS, N_NEIGHBORS)
    similarities = rng.uniform(0.05, 0.9, N_ITEMS * N_NEIGHBORS).astype(np.float32)
    return NeighborModel(offsets_of(lengths), np.concatenate(rows).astype(np.int32), similarities)
