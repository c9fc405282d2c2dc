"""A shop drawn by chance that is as uneven as real ones: few items sell most, few tastes each.

Items are in order of popularity: row 0 sells best. Each belongs to one taste, which is also its
category; the length of its vector grows with its sales, as in a real factorisation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from importlib import metadata

import numpy as np
from numpy.typing import NDArray

from recsys.arrays import Rows, Scores, Vectors, offsets_of
from recsys.bundle import ModelBundle
from recsys.catalog import Catalog
from recsys.events import Event, EventType, Record
from recsys.ids import ItemId, Vocabulary
from recsys.index.faiss_index import FaissIndex
from recsys.interest import DEFAULT_WEIGHTS, Interest
from recsys.items import Item
from recsys.manifest import Manifest
from recsys.models.factors import FactorModel
from recsys.models.neighbors import NeighborModel
from recsys.models.popularity import PopularityModel
from recsys.models.relations import Relations
from recsys.models.repurchase import RepurchaseModel

HEAD = 20
"""Best sellers before which sales stop rising: the flat top of the power law."""
SALES_EXPONENT = 1.0
LENGTH_EXPONENT = 0.67
"""Median to 99th percentile of the vectors' lengths about 1 to 14, as in grocery factors."""

TASTES_A_CUSTOMER = 4
NEIGHBORS = 50
VISITS = (EventType.DETAIL_VIEW, EventType.CLICK, EventType.ADD_TO_CART)


@dataclass(frozen=True, slots=True)
class Shop:
    """The items of a drawn shop.

    vectors: (n_items, dim). tastes: (n_items,) int32 from 1. sales: (n_items,) float32, falling.
    """

    vectors: Vectors
    tastes: Rows
    sales: Scores

    @classmethod
    def drawn(cls, n_items: int, dim: int, rng: np.random.Generator) -> Shop:
        """Return a shop of so many items."""
        n_tastes = max(n_items // 1_000, 4)
        tastes = rng.integers(1, n_tastes + 1, n_items).astype(np.int32)
        centres = rng.normal(size=(n_tastes + 1, dim))
        directions = centres[tastes] + 0.7 * rng.normal(size=(n_items, dim))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        ranks = np.arange(n_items) + HEAD
        lengths = (ranks / HEAD) ** -LENGTH_EXPONENT * rng.lognormal(0.0, 0.3, n_items)
        vectors = (directions * lengths[:, np.newaxis]).astype(np.float32)
        sales = (1e6 / ranks**SALES_EXPONENT).astype(np.float32)
        return cls(vectors, tastes, sales)

    def choices(self, n_customers: int, n_each: int, rng: np.random.Generator) -> Rows:
        """Return the (n_customers, n_each) rows that customers choose, each by a few tastes."""
        n_tastes = int(self.tastes.max())
        liked = rng.integers(1, n_tastes + 1, (n_customers, TASTES_A_CUSTOMER))
        chosen = rng.integers(0, TASTES_A_CUSTOMER, (n_customers, n_each))
        tastes = np.take_along_axis(liked, chosen, axis=1)
        members, bounds = self._by_taste()
        sizes = np.diff(bounds)[tastes]
        # The inverse of a power law's distribution: low places, best sellers, come up most.
        places = np.minimum(sizes ** rng.random((n_customers, n_each)), sizes) - 1
        return members[bounds[tastes] + places.astype(np.int64)]

    def customers(self, n_customers: int, rng: np.random.Generator) -> Vectors:
        """Return the (n_customers, dim) vectors of who chose thirty items, of length one."""
        sums = self.vectors[self.choices(n_customers, 30, rng)].sum(axis=1)
        sums += 0.1 * np.abs(sums).mean() * rng.normal(size=sums.shape)
        unit: Vectors = (sums / np.linalg.norm(sums, axis=1, keepdims=True)).astype(np.float32)
        return unit

    def neighbors(self) -> NeighborModel:
        """Return neighbours of each item in its taste: best sellers, and those sold about alike."""
        members, bounds = self._by_taste()
        half = NEIGHBORS // 2
        sizes = np.diff(bounds)[self.tastes][:, np.newaxis]
        own = np.empty(len(self.tastes), dtype=np.int64)
        own[members] = np.arange(len(members)) - bounds[self.tastes[members]]
        best = np.arange(half) + (np.arange(half) >= own[:, np.newaxis])
        near = np.maximum(own, half)[:, np.newaxis] + 1 + np.arange(half)
        places = np.concatenate((best, near), axis=1)
        there = places < sizes
        rows = members[np.where(there, bounds[self.tastes][:, np.newaxis] + places, 0)][there]
        falling = np.broadcast_to(np.linspace(0.5, 0.05, 2 * half, dtype=np.float32), places.shape)
        return NeighborModel(offsets_of(there.sum(axis=1)), rows.astype(np.int32), falling[there])

    def catalog(self, rng: np.random.Generator) -> Catalog:
        """Return the catalog, of which one item in twenty is sold out."""
        ids = [f"item-{row:07d}" for row in range(len(self.tastes))]
        sold_out = rng.random(len(ids)) < 0.05
        items = {
            row: Item(
                ItemId(ids[row]),
                f"Product {row} of the brand {row % 97}",
                f"Category {taste}",
                price=1.0 + row % 50,
                available=not sold_out[row],
            )
            for row, taste in enumerate(self.tastes.tolist())
        }
        return Catalog.of(Vocabulary.of(ids), items)

    def _by_taste(self) -> tuple[Rows, NDArray[np.int64]]:
        """Return the rows by taste, best sellers first, and each taste's bounds; 0 is empty."""
        members = np.argsort(self.tastes, kind="stable").astype(np.int32)
        return members, offsets_of(np.bincount(self.tastes))


def bundle_of(
    shop: Shop, index: FaissIndex, rng: np.random.Generator, now: datetime
) -> ModelBundle:
    """Return the bundle that serves a drawn shop."""
    factors = FactorModel.of(shop.vectors, regularization=0.05, alpha=10.0)
    repeat_rates = rng.uniform(0.1, 0.6, len(shop.tastes)).astype(np.float32)
    return ModelBundle(
        manifest=_manifest(index, now),
        catalog=shop.catalog(rng),
        interest=Interest.of_types(DEFAULT_WEIGHTS, 30.0),
        factors=factors,
        index=index,
        relations=replace(Relations.none(len(shop.tastes)), together=shop.neighbors()),
        repurchase=RepurchaseModel(repeat_rates, 30.0),
        popularity=PopularityModel.of(shop.sales),
        blends={},
    )


def records_of(
    shop: Shop, n_customers: int, rng: np.random.Generator, now: datetime
) -> Iterator[Record]:
    """Yield what customers did: 100 purchases in three months each, 150 visits in the last one.

    The newest 200 fill a history; every position is drawn once.
    """
    rows = shop.choices(n_customers, 250, rng)
    days = np.concatenate(
        (rng.uniform(0, 90, (n_customers, 100)), rng.uniform(0, 30, (n_customers, 150))), axis=1
    )
    kinds = [EventType.PURCHASE] * 100 + [VISITS[place % 3] for place in range(150)]
    position = 0
    for customer in range(n_customers):
        for kind, row, ago in zip(kinds, rows[customer].tolist(), days[customer], strict=True):
            position += 1
            event = Event(
                f"event-{position}",
                kind,
                now - timedelta(days=float(ago)),
                ItemId(f"item-{row:07d}"),
                user_id=user_id(customer),
            )
            yield Record(event, position, item_row=row)


def user_id(customer: int) -> str:
    """Return the id of one drawn customer."""
    return f"customer-{customer:06d}"


def _manifest(index: FaissIndex, now: datetime) -> Manifest:
    return Manifest(
        version="drawn",
        created=now.isoformat(timespec="seconds"),
        log_position=0,
        lake_versions={},
        numbers={
            "regularization": 0.05,
            "alpha": 10.0,
            "search_depth": index.plan.search_depth,
            "exact_below": index.plan.exact_below,
            "interest_half_life_days": 30.0,
            "repurchase_half_life_days": 30.0,
        },
        index_kind=index.plan.kind.value,
        blends={},
        settings="",
        metrics={},
        counts={"n_items": len(index.exact.items)},
        packages={"faiss-cpu": metadata.version("faiss-cpu")},
    )
