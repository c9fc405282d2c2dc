"""A tiny shop whose right answers a person can work out.

Ten items. Popularity falls with the row: bread sells most, cake not at all; cake is sold out.
Bread, butter and jam are bought together; so are coffee, milk and sugar; so are soap and sponge.
Vectors point along three tastes: breakfast (x), coffee (y), cleaning (z).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.arrays import Rows, Seconds, Vectors, offsets_of
from recsys.assortment import Assortment
from recsys.bundle import ModelBundle
from recsys.catalog import Catalog
from recsys.context import Contexts
from recsys.events import EVENT_CODES, Event, EventType
from recsys.ids import ItemId, Vocabulary
from recsys.index.faiss_index import FaissIndex, IndexKind, IndexPlan
from recsys.interactions import Interactions
from recsys.interest import DEFAULT_WEIGHTS, Interest
from recsys.items import Item
from recsys.manifest import Manifest
from recsys.models.blend import Blend
from recsys.models.factors import FactorModel
from recsys.models.neighbors import NeighborModel
from recsys.models.popularity import PopularityModel
from recsys.models.relations import Relations
from recsys.models.repurchase import RepurchaseModel
from recsys.models.sessions import SessionModel
from recsys.models.trends import NO_TRENDS, Trends
from recsys.query import Query
from recsys.state import FACETS, PURCHASES, Entries, Facet, UserState, merged, no_entries, packed
from recsys.timelines import Ragged

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
DAY = 86_400

ITEMS = ("bread", "butter", "jam", "coffee", "milk", "sugar", "soap", "sponge", "tea", "cake")
SOLD_OUT = "cake"
GROUPS = (("bread", "butter", "jam"), ("coffee", "milk", "sugar"), ("soap", "sponge"))
CATEGORIES = (
    "Bakery",
    "Dairy",
    "Pantry",
    "Drinks",
    "Dairy",
    "Pantry",
    "Cleaning",
    "Cleaning",
    "Drinks",
    "Bakery",
)
ROW = {item: row for row, item in enumerate(ITEMS)}

PLACEMENTS = """
[placements.home]
situation = "visit"
size = 4
filters = [{ kind = "available" }, { kind = "not_hidden" }, { kind = "not_seeds" },
           { kind = "not_purchased", within_days = 1.0 }]
sources = [{ kind = "buy_again", k = 10 }, { kind = "nearest", k = 10 },
           { kind = "similar_to_history", k = 10 }, { kind = "popular", k = 10 }]

[placements.product]
situation = "basket"
size = 3
filters = [{ kind = "available" }, { kind = "not_seeds" }]
sources = [{ kind = "bought_together", k = 10 }, { kind = "popular", k = 10 }]

[placements.email]
situation = "discovery"
size = 3
filters = [{ kind = "available" }, { kind = "not_hidden" }, { kind = "not_purchased" }]
sources = [{ kind = "nearest", k = 10 }, { kind = "popular", k = 10 }]
selector = { kind = "varied", per_category = 1 }
"""


def items() -> list[Item]:
    """Return the ten items, in the order of their rows."""
    return [
        Item(ItemId(name), name.title(), category, price=1.0 + row, available=name != SOLD_OUT)
        for row, (name, category) in enumerate(zip(ITEMS, CATEGORIES, strict=True))
    ]


def catalog() -> Catalog:
    """Return the ten items as columns."""
    return Catalog.of(Vocabulary.of(ITEMS), dict(enumerate(items())))


def event(kind: EventType, item: str, user_id: str, *, event_id: str = "e1") -> Event:
    """Return one event of a user, now."""
    return Event(event_id, kind, NOW, ItemId(item), user_id=user_id)


def bundle(version: str = "v1", *, blends: dict[str, Blend] | None = None) -> ModelBundle:
    """Return a bundle with hand-made models of the shop."""
    factors = FactorModel.of(_vectors(), regularization=0.1, alpha=1.0)
    plan = IndexPlan(IndexKind.FLAT, 0, 0.0)
    return ModelBundle(
        manifest=_manifest(version),
        catalog=catalog(),
        interest=Interest.of_types(DEFAULT_WEIGHTS, 30.0),
        factors=factors,
        index=FaissIndex.build(factors.items, factors.known, plan),
        relations=relations(),
        repurchase=RepurchaseModel(np.full(len(ITEMS), 0.5, dtype=np.float32), 30.0),
        popularity=PopularityModel.of(np.arange(len(ITEMS), 0, -1).astype(np.float32) - 1),
        blends=blends
        if blends is not None
        else {"home": Blend({"popular": 0.1}), "product": Blend({"popular": 0.1})},
    )


def relations() -> Relations:
    """Return how the items of each group go together, bought, looked at and in sessions.

    Of each group there are two sessions, the newer without its last item.
    """
    sessions = [*(group[:-1] for group in GROUPS), *GROUPS]
    rows = [np.array([ROW[item] for item in group], dtype=np.int32) for group in sessions]
    whole = Ragged.of(rows)
    by_item = Ragged.of_pairs(whole.rows, whole.owners(), len(ITEMS))
    rarities = np.linspace(1.0, 0.5, len(ITEMS), dtype=np.float32)
    model = SessionModel(
        whole.offsets, whole.rows, by_item.offsets, by_item.rows, rarities, decay=0.6
    )
    return Relations(neighbors(), neighbors(), model)


def neighbors() -> NeighborModel:
    """Return the similarities 0.9, 0.8, … within each group of items bought together."""
    lists: list[list[int]] = [[] for _ in ITEMS]
    for group in GROUPS:
        for item in group:
            lists[ROW[item]] = [ROW[other] for other in group if other != item]
    lengths = np.array([len(found) for found in lists])
    rows = np.array([row for found in lists for row in found], dtype=np.int32)
    similarities = np.array([0.9 - 0.1 * place for found in lists for place in range(len(found))])
    return NeighborModel(offsets_of(lengths), rows, similarities.astype(np.float32))


def interactions(
    *,
    seconds: NDArray[Any],
    ties: NDArray[Any],
    items: NDArray[Any],
    kinds: NDArray[Any],
    quantities: NDArray[Any] | None = None,
) -> Interactions:
    """Return what one customer did, in time order."""
    nobody = np.zeros(len(seconds), dtype=np.int32)
    pieces = np.ones(len(seconds)) if quantities is None else quantities
    return Interactions(
        nobody,
        items.astype(np.int32),
        kinds.astype(np.uint8),
        pieces.astype(np.float32),
        seconds.astype("datetime64[s]"),
        ties.astype(np.uint32),
        nobody,
        n_users=1,
        n_items=int(items.max(initial=0)) + 1,
    )


def entries(events: Sequence[tuple[EventType, str, float]], facet: Facet) -> Entries:
    """Return the packed set that a facet keeps of these (type, item, days ago)."""
    now = int(NOW.timestamp())
    kept = [(tie, *event) for tie, event in enumerate(events) if event[0] in facet.kinds]
    found = packed(
        np.array([round(now - days * DAY) for *_, days in kept], dtype=np.int64),
        np.array([tie for tie, *_ in kept], dtype=np.uint32),
        np.array([ROW[item] for *_, item, _ in kept], dtype=np.int32),
        np.array([EVENT_CODES[kind] for _, kind, *_ in kept], dtype=np.uint8),
        np.ones(len(kept), dtype=np.float32),
    )
    return merged(found, no_entries(), facet.limit)


def state(*events: tuple[EventType, str, float]) -> UserState:
    """Return the state that these (type, item, days ago) leave behind."""
    return UserState(*(entries(events, facet) for facet in FACETS))


def bought(*items: str, days: float = 10.0) -> UserState:
    """Return the state of who bought these items so many days ago."""
    return state(*((EventType.PURCHASE, item, days) for item in items))


def bought_rows(rows: Sequence[int], days: float = 10.0) -> UserState:
    """Return the state of who bought the items of these rows so many days ago."""
    kept = packed(
        np.full(len(rows), int(NOW.timestamp()) - round(days * DAY), dtype=np.int64),
        np.arange(len(rows), dtype=np.uint32),
        np.array(rows, dtype=np.int32),
        np.full(len(rows), EVENT_CODES[EventType.PURCHASE], dtype=np.uint8),
        np.ones(len(rows), dtype=np.float32),
    )
    return replace(UserState.unknown(), purchases=merged(kept, no_entries(), PURCHASES.limit))


def since(days: Sequence[int]) -> Seconds:
    """Return when items were described first, so many days ago each."""
    return int(NOW.timestamp()) - DAY * np.array(days, dtype=np.int64)


def query(placement: str = "home", **fields: object) -> Query:
    """Return a query of a known user, now."""
    return replace(Query(placement, NOW, user_id="anna"), **fields)  # type: ignore[arg-type]


def contexts(
    states: Sequence[UserState],
    queries: Sequence[Query] | None = None,
    trends: Trends = NO_TRENDS,
) -> Contexts:
    """Return the contexts of these states, each asking for `home` unless queries say otherwise."""
    asked = queries or [query() for _ in states]
    whole = bundle()
    return Contexts.resolve(
        asked,
        states,
        assortment=Assortment.of(whole.catalog),
        interest=whole.interest,
        trends=trends,
    )


def names(rows: Rows) -> list[str]:
    """Return the items at these rows."""
    return [ITEMS[row] for row in rows.tolist()]


def _vectors() -> Vectors:
    vectors = np.zeros((len(ITEMS), 3), dtype=np.float32)
    for taste, group in enumerate(GROUPS):
        for place, item in enumerate(group):
            vectors[ROW[item], taste] = 1.0 - 0.1 * place
    return vectors


def _manifest(version: str) -> Manifest:
    return Manifest(
        version=version,
        created="2026-11-22T12:00:00+00:00",
        log_position=0,
        lake_versions={"events": 1},
        numbers={
            "regularization": 0.1,
            "alpha": 1.0,
            "search_depth": 0,
            "exact_below": 0.0,
            "interest_half_life_days": 30.0,
            "repurchase_half_life_days": 30.0,
        },
        index_kind="flat",
        blends={"home": {"popular": 0.1}, "product": {"popular": 0.1}},
        settings="",
        metrics={"home.ndcg_at_10": 0.5},
        counts={"n_items": len(ITEMS)},
        packages={},
    )
