"""A shop whose catalog, bundles and workers change all the time, and what is true of it.

Item `NAMES[row]` has the register's row `row`: newcomers are described first in that order. The
first few are variants of each other now and then; `tests.catalogs` says with if-statements which
of them is shown. A bundle is trained, in a manner of speaking, on the register of its moment:
`Learned` says what it made of each item, by the seed of its version alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from random import Random

import numpy as np

from recsys.arrays import Scores, Vectors
from recsys.bundle import ModelBundle
from recsys.catalog import Catalog
from recsys.ids import ItemId, Vocabulary, hashes_of
from recsys.index.faiss_index import FaissIndex, IndexKind, IndexPlan
from recsys.items import Item, Offer
from recsys.models.content import ContentModel
from recsys.models.factors import FactorModel
from recsys.models.popularity import PopularityModel
from recsys.models.relations import Relations
from recsys.models.repurchase import RepurchaseModel
from serving.log.tail import LogTail
from tests import catalogs, shop

N_VARIANTS = 4
N_AT_FIRST = 12
MOST_ITEMS = 48
NAMES = (*catalogs.IDS[:N_VARIANTS], *(f"p{row}" for row in range(N_VARIANTS, MOST_ITEMS)))
MARKETS = ("", "AT", "DE", "nowhere")
POPULAR, NEAREST, FRESH = "popular", "nearest", "fresh"
BUYER, STRANGER = "anna", "stranger"
BOUGHT = (NAMES[5], NAMES[6])
_SOON_S = 4

PLACEMENTS = """
[placements.popular]
situation = "visit"
size = 3
filters = [{ kind = "available" }]
sources = [{ kind = "popular", k = 100 }]

[placements.nearest]
situation = "visit"
size = 3
filters = [{ kind = "available" }]
sources = [{ kind = "nearest", k = 100 }]

[placements.fresh]
situation = "visit"
size = 6
filters = [{ kind = "available" }, { kind = "not_purchased", within_days = 1.0 }]
sources = [{ kind = "nearest", k = 100 }, { kind = "popular", k = 100 }]
newcomers = { share = 0.4, days = 30, evidence = 10 }
"""


@dataclass(frozen=True)
class Learned:
    """What a bundle says of the items: of the first `n_items` it has numbers of customers.

    Vectors have one dimension and point one way, so the nearest to any customer is the longest.
    The vector of an item that came later is foreseen from its title, and as long as it would be
    had it been there; its popularity is that of nothing, and of two such the older one leads.
    """

    version: str
    n_items: int

    @cached_property
    def counts(self) -> Scores:
        """(n_items,) distinct, > 0."""
        return _shuffled(f"counts {self.version}", self.n_items)

    @cached_property
    def lengths(self) -> Scores:
        """(MOST_ITEMS,) distinct, > 0."""
        return _shuffled(f"lengths {self.version}", MOST_ITEMS) / np.float32(MOST_ITEMS)

    def order(self, placement: str, n_rows: int) -> list[int]:
        """Return the first rows as the exact reference ranks them, best first."""
        scores = np.zeros(n_rows, dtype=np.float32)
        known = self.counts if placement == POPULAR else self.lengths
        scores[: len(known)] = known[:n_rows]
        order: list[int] = np.lexsort((np.arange(n_rows), -scores)).tolist()
        return order

    def bundle(self, items: Mapping[int, Item | None], position: int) -> ModelBundle:
        """Return the bundle over what was true of each row at a position of the log."""
        factors = FactorModel.of(self._vectors()[: self.n_items], regularization=0.1, alpha=1.0)
        plan = IndexPlan(IndexKind.FLAT, 0, 0.0)
        plain = shop.bundle(self.version, blends={})
        return replace(
            plain,
            manifest=replace(
                plain.manifest, log_position=position, blends={}, counts={"n_items": self.n_items}
            ),
            catalog=Catalog.of(Vocabulary.of(NAMES[: self.n_items]), items),
            factors=factors,
            index=FaissIndex.build(factors.items, factors.known, plan),
            relations=Relations.none(self.n_items),
            repurchase=RepurchaseModel(np.full(self.n_items, 0.5, dtype=np.float32), 30.0),
            popularity=PopularityModel.of(self.counts),
            content=self._content(),
        )

    def _vectors(self) -> Vectors:
        return self.lengths[:, np.newaxis]

    def _content(self) -> ContentModel:
        """Return what foresees each item's vector from its title."""
        hashes = hashes_of([f"title:{name}" for name in NAMES])
        order = np.argsort(hashes)
        ones = np.ones(MOST_ITEMS, dtype=np.float32)
        return ContentModel(hashes[order], ones, self._vectors()[order], 0.0, 1.0)


def trained(version: str, log: LogTail) -> tuple[Learned, ModelBundle]:
    """Return a bundle over the catalog of this moment, and what it says."""
    position, n_items = log.last_position(), len(log.vocabulary(-1))
    found = {one.row: one.item for one in log.items_described(-1, MOST_ITEMS)}
    learned = Learned(version, n_items)
    return learned, learned.bundle(found, position)


def described(row: int, rng: Random, now: datetime) -> Item:
    """Return a description drawn by chance; two of three may be shown, others soon or no more."""
    return Item(
        ItemId(NAMES[row]),
        title=NAMES[row],
        category=rng.choice(("Clothes", "Food > Bread")),
        price=float(rng.randint(1, 9)),
        available=rng.random() < 0.9,
        stock=rng.choice((None, None, None, None, 0.0, 5.0)),
        group_id=rng.choice(("", "shirts", "shirts", NAMES[0])) if row < N_VARIANTS else "",
        hidden=rng.random() < 0.1,
        available_from=_near(now, rng),
        expires=_near(now, rng),
        offers=tuple(_offers(rng)),
    )


def plain(row: int) -> Item:
    """Return a description under which the item, or a variant, may be shown to everybody."""
    group_id = "shirts" if row < N_VARIANTS else ""
    return Item(
        ItemId(NAMES[row]), title=NAMES[row], category="Clothes", price=1.0, group_id=group_id
    )


def next_second(now: datetime) -> datetime:
    """Return the second whole second from now."""
    return now.replace(microsecond=0) + timedelta(seconds=2)


def _near(now: datetime, rng: Random) -> datetime | None:
    """Return a whole second that is near, mostly none."""
    if rng.random() < 0.8:
        return None
    return now.replace(microsecond=0) + timedelta(seconds=rng.randint(-1, _SOON_S))


def _offers(rng: Random) -> Iterator[Offer]:
    for market in rng.choice(((), (), (), ("AT",), ("AT", "DE"))):
        yield Offer(market, price=2.0, stock=rng.choice((None, 5.0, 0.0)))


def _shuffled(seed: str, n: int) -> Scores:
    """Return 1 to n in an order of chance."""
    order = list(range(1, n + 1))
    Random(seed).shuffle(order)
    return np.array(order, dtype=np.float32)


def instant(seconds: float) -> datetime:
    """Return the instant so many seconds after 1970."""
    return datetime.fromtimestamp(seconds, UTC)
