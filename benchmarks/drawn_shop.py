"""A drawn shop made ready to serve: its release on disk, its customers' states in a real Valkey."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import numpy as np

from benchmarks.request_stages import Served
from benchmarks.synthetic import Shop, bundle_of, records_of, user_id
from protos.recsys.v1 import recommendation_service_pb2 as pb
from recsys import releases
from recsys.bundle import ModelBundle
from recsys.events import Position
from recsys.index.chooser import choose_index
from recsys.index.faiss_index import FaissIndex
from recsys.pipeline.placement import read_placements
from recsys.query import Query
from serving.settings import ServingSettings, read_settings
from serving.snapshot import Snapshot
from serving.state.address import RedisAddress, parse_redis_url
from serving.state.embedded import EmbeddedValkey
from serving.state.keys import Secret, StateKeys
from serving.state.redis_store import RedisSettings, RedisStateStore

RECALL_FLOOR = 0.95
K = 100
PATIENT = RedisSettings(read_timeout_ms=10_000)
RECORDS_A_STEP = 25_000


@dataclass(frozen=True, slots=True)
class DrawnShop:
    """Everything a worker needs, and what there is to ask it.

    recall: share of the true top 100 that the served index finds for drawn customers.
    """

    settings: ServingSettings
    keys: StateKeys
    bundle: ModelBundle
    recall: float
    n_customers: int
    now: datetime

    def requests(self) -> tuple[str, ...]:
        """Return one serialised request for the home page of each customer, as hex."""
        return tuple(
            pb.RecommendRequest(
                placement="home",
                user_id=user_id(customer),
                visitor_id=f"visitor-{customer:06d}",
                session_id=f"session-{customer:06d}",
                page_size=20,
            )
            .SerializeToString()
            .hex()
            for customer in range(self.n_customers)
        )

    def queries(self) -> list[Query]:
        """Return the same questions as the recommender gets them."""
        asked = [pb.RecommendRequest.FromString(bytes.fromhex(raw)) for raw in self.requests()]
        return [
            Query("home", self.now, one.user_id, one.visitor_id, one.session_id, limit=20)
            for one in asked
        ]

    def served(self) -> Served:
        """Return what a recommender is made of; to be called inside an event loop."""
        placements = read_placements(self.settings.placements_file)
        store = RedisStateStore(_address(self.settings), self.keys, PATIENT)
        return Served(Snapshot.of(self.bundle, placements), store, self.keys)


@contextmanager
def drawn_shop(n_items: int, dim: int, n_customers: int, *, seed: int) -> Iterator[DrawnShop]:
    """Give a shop of so many items and customers, in a folder that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="rb-"))
    try:
        valkey = EmbeddedValkey.start_or_adopt(folder)
        try:
            yield _filled(folder, valkey, (n_items, dim, n_customers), seed)
        finally:
            valkey.stop()
    finally:
        shutil.rmtree(folder)


def _filled(
    folder: Path, valkey: EmbeddedValkey, sizes: tuple[int, int, int], seed: int
) -> DrawnShop:
    n_items, dim, n_customers = sizes
    rng, now = np.random.default_rng(seed), datetime.now(UTC).replace(microsecond=0)
    settings = read_settings(
        data_folder=folder, redis_url=valkey.address.url, workers=1, log_level="warning"
    )
    shop = Shop.drawn(n_items, dim, rng)
    index, recall = _index(shop, rng)
    bundle = bundle_of(shop, index, rng, now)
    settings.releases_folder.mkdir()
    bundle.save(settings.releases_folder / bundle.version)
    releases.move_pointer(settings.releases_folder, bundle.version, reason="benchmark", now=now)
    keys = StateKeys(Secret.load_or_create(settings.secret_file))
    made = DrawnShop(
        settings=settings,
        keys=keys,
        bundle=ModelBundle.load(settings.releases_folder / bundle.version),
        recall=recall,
        n_customers=n_customers,
        now=now,
    )
    asyncio.run(_remember(made, shop, rng))
    return made


def _index(shop: Shop, rng: np.random.Generator) -> tuple[FaissIndex, float]:
    """Return the index that training would publish, and its recall."""
    choice = choose_index(
        shop.vectors,
        np.ones(len(shop.vectors), dtype=np.bool_),
        shop.customers(100, rng),
        k=K,
        recall_floor=RECALL_FLOOR,
        clock=time.perf_counter,
        rng=rng,
    )
    return choice.index, choice.recall


async def _remember(made: DrawnShop, shop: Shop, rng: np.random.Generator) -> None:
    """Apply what every customer did, as the service would."""
    store = RedisStateStore(_address(made.settings), made.keys, PATIENT)
    records = records_of(shop, made.n_customers, rng, made.now)
    last = Position(0)
    while step := list(islice(records, RECORDS_A_STEP)):
        await store.apply(step)
        last = Position(step[-1].position)
    # As the supervisor says it: else nobody is told apart, and answers are of strangers.
    await store.set_applied_through(last, None)
    await store.close()


def _address(settings: ServingSettings) -> RedisAddress:
    return parse_redis_url(settings.redis_url)
