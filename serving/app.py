"""A worker: the only place that wires objects. Started by the supervisor, for one core.

It speaks to the supervisor in lines of JSON on standard output, and stops when its standard input
closes, which it does when the supervisor ends, however that happens.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
from contextlib import suppress
from typing import Any

import faiss
import grpc
import orjson
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import SERVICE_NAME as HEALTH
from grpc_health.v1.health import aio as health
from grpc_reflection.v1alpha import reflection
from threadpoolctl import threadpool_limits

from protos.recsys.v1 import catalog_service_pb2 as catalog_pb
from protos.recsys.v1 import catalog_service_pb2_grpc as catalog_grpc
from protos.recsys.v1 import customer_service_pb2 as customer_pb
from protos.recsys.v1 import customer_service_pb2_grpc as customer_grpc
from protos.recsys.v1 import event_service_pb2 as event_pb
from protos.recsys.v1 import event_service_pb2_grpc as event_grpc
from protos.recsys.v1 import recommendation_service_pb2 as pb
from protos.recsys.v1 import recommendation_service_pb2_grpc as pb_grpc
from recsys.errors import RecsysError, Unavailable
from recsys.pipeline.placement import read_placements
from serving.api.admin_server import AdminServer
from serving.api.admin_servicer import AdminServicer
from serving.api.catalog_servicer import CatalogServicer
from serving.api.customer_servicer import CustomerServicer
from serving.api.event_servicer import EventServicer
from serving.api.interceptors import StatusInterceptor
from serving.api.recommendation_servicer import RecommendationServicer
from serving.api.server_options import SERVER_OPTIONS
from serving.clock import utc_now
from serving.customers import Customers
from serving.erasure.asking import Erasures
from serving.erasure.exporting import Exports
from serving.erasure.gate import Gate
from serving.erasure.ledger import Ledger
from serving.erasure.mentions import TextGate
from serving.erasure.places import Places
from serving.erasure.secret import keys_of
from serving.follow import CatalogFollower
from serving.follow_customers import SETTLED_LOOKS, CustomerFollower
from serving.ingest import Ingest
from serving.log.customer_reads import CustomerReader
from serving.log.rule_reads import RuleReader
from serving.log.sqlite_log import SqliteLog
from serving.log.tail import LogTail
from serving.metrics import (
    AnswerMetrics,
    CallMetrics,
    EventMetrics,
    FollowMetrics,
    Registry,
    ReleaseMetrics,
    totals,
)
from serving.recommender import Recommender
from serving.releases import ReleaseFolder
from serving.rules.desk import RuleDesk
from serving.rules.served import Served
from serving.settings import ServingSettings
from serving.snapshot import SnapshotKeeper
from serving.state.address import parse_redis_url
from serving.state.erasing import StateErasing
from serving.state.keys import StateKeys
from serving.stores import lists_of, store_of
from serving.supervised import FromSupervisor
from serving.telemetry import start_logging
from serving.trends.follow import keep_wanting
from serving.worker_pool import WORKER_SETTINGS

log = structlog.get_logger("serving.worker")

RECOMMENDATIONS = pb.DESCRIPTOR.services_by_name["RecommendationService"].full_name
CATALOG = catalog_pb.DESCRIPTOR.services_by_name["CatalogService"].full_name
CUSTOMERS = customer_pb.DESCRIPTOR.services_by_name["CustomerService"].full_name
EVENTS = event_pb.DESCRIPTOR.services_by_name["EventService"].full_name


class Worker:
    """One gRPC server with everything behind it."""

    def __init__(self, settings: ServingSettings) -> None:
        self._settings = settings
        self._registry = Registry()
        self._supervisor = FromSupervisor()
        keys = keys_of(settings)
        self._store = store_of(settings, keys, self._registry)
        self._event_metrics = EventMetrics.of(self._registry)
        self._take_in(keys)
        self._follow_what_is_served()
        self._lists = lists_of(settings, self._customers_followed, keys)
        recommender = Recommender(
            self._keeper,
            self._customers_followed,
            keys,
            chance=secrets.token_bytes,
            batch_size=settings.batch_size,
            metrics=AnswerMetrics.of(self._registry),
            behind=lambda: self._supervisor.behind or self._ingest.behind,
            languages=settings.spoken_languages(),
            lists=self._lists,
        )
        self._health = health.HealthServicer()
        interceptor = StatusInterceptor(CallMetrics(self._registry))
        self._server = self._made_server(recommender, interceptor)
        served = Served(settings, self._keeper, self._customers_followed, keys, utc_now)
        merchandisers = AdminServicer(RuleDesk(self._log, served.shop), served.previewing, utc_now)
        self._admin = AdminServer(settings.admin_address, merchandisers, interceptor)

    def _take_in(self, keys: StateKeys) -> None:
        """Wire what takes in events and what is said of customers; nobody erased comes back."""
        ledger = Ledger(self._settings.erasure_ledger_file)
        self._log = SqliteLog(self._settings.log_file, clock=utc_now, gate=Gate(ledger, keys))
        address = parse_redis_url(self._settings.redis_url)
        erasing = StateErasing(self._store, address, keys)
        self._erasures = Erasures(Places.of(self._settings), keys, erasing, clock=utc_now)
        self._customers = Customers(
            self._log,
            self._store,
            keys,
            being_erased=self._erasures.under_way,
            settle_s=SETTLED_LOOKS * self._settings.follow_interval_s,
        )
        self._customers_followed = CustomerFollower(
            self._store,
            keys,
            lambda: CustomerReader(self._settings.log_file),
            interval_s=self._settings.follow_interval_s,
        )
        self._ingest = Ingest(
            self._log,
            self._store,
            utc_now,
            self._event_metrics,
            customers=self._customers,
            may_be_kept=TextGate(ledger, keys).lets_in,
        )

    def _follow_what_is_served(self) -> None:
        """Wire what follows the catalog and the release pointer."""
        settings = self._settings
        placements = read_placements(settings.placements_file)
        self._follower = CatalogFollower(
            lambda: LogTail(settings.log_file),
            placements,
            utc_now,
            rules=lambda: RuleReader(settings.log_file),
            interval_s=settings.follow_interval_s,
            metrics=FollowMetrics.of(self._registry),
        )
        self._keeper = SnapshotKeeper(
            ReleaseFolder(settings.releases_folder),
            placements,
            utc_now,
            ReleaseMetrics.of(self._registry),
            self._follower.overlaid,
        )

    async def run(self) -> None:
        """Serve until told to stop, then finish the calls under way."""
        await self._stop_when_told()
        await self._customers_followed.look()
        await self._keeper.check()
        await self._say_health()
        # Not before the release is loaded: the system hands connections to a port once it is open.
        self._server.add_insecure_port(self._settings.address)
        await self._server.start()
        await self._admin.start()
        self._report()
        works = (
            self._follow(),
            self._keeper.keep_publishing(self._follower.snapshots()),
            keep_wanting(self._settings, self._keeper),
            self._customers_followed.keep_looking(),
            self._keep_watching(),
        )
        beside = [asyncio.create_task(work) for work in works]
        await self._supervisor.stop.wait()
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        await self._shut_down()

    def _made_server(
        self, recommender: Recommender, interceptor: StatusInterceptor
    ) -> grpc.aio.Server:
        server = grpc.aio.server(interceptors=[interceptor], options=SERVER_OPTIONS)
        pb_grpc.add_RecommendationServiceServicer_to_server(
            RecommendationServicer(recommender, utc_now), server
        )
        event_grpc.add_EventServiceServicer_to_server(EventServicer(self._ingest, utc_now), server)
        catalog_grpc.add_CatalogServiceServicer_to_server(CatalogServicer(self._log), server)
        customer_grpc.add_CustomerServiceServicer_to_server(
            CustomerServicer(
                self._customers,
                utc_now,
                erasures=self._erasures,
                exports=Exports(self._settings),
                unless_stated=self._settings.allowed_unless_refused,
            ),
            server,
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        names = (RECOMMENDATIONS, EVENTS, CATALOG, CUSTOMERS, HEALTH, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
        return server

    async def _follow(self) -> None:
        """Follow the release pointer, and say what is served."""
        async for _ in self._keeper.changes(self._settings.release_poll_s):
            await self._say_health()
            self._report()

    async def _keep_watching(self) -> None:
        """Note, for good, how many events wait, and how late the store took some."""
        while True:
            await asyncio.sleep(self._settings.apply_interval_s)
            self._event_metrics.queue_lines.set(self._log.n_waiting)
            with suppress(Unavailable):
                await self._ingest.note_late()

    async def _say_health(self) -> None:
        status = health_pb2.HealthCheckResponse.ServingStatus
        ready = status.SERVING if self._keeper.snapshot else status.NOT_SERVING
        for taking in (EVENTS, CATALOG, CUSTOMERS):
            await self._health.set(taking, status.SERVING)
        await self._health.set(RECOMMENDATIONS, ready)
        await self._health.set("", ready)

    def _report(self) -> None:
        """Tell the supervisor that calls are taken, and which release answers."""
        snapshot = self._keeper.snapshot
        line = orjson.dumps({"serving": snapshot.bundle.version if snapshot else None})
        with suppress(BrokenPipeError):  # it has ended, and so will this process
            sys.stdout.buffer.write(line + b"\n")
            sys.stdout.buffer.flush()

    async def _stop_when_told(self) -> None:
        """Stop at SIGTERM, and when standard input closes; Ctrl-C is for the supervisor."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._supervisor.stop.set)
        loop.add_signal_handler(signal.SIGINT, lambda: None)
        await loop.connect_read_pipe(lambda: self._supervisor, sys.stdin)

    async def _shut_down(self) -> None:
        await self._health.enter_graceful_shutdown()
        await self._admin.stop(self._settings.grace_s)
        await self._server.stop(self._settings.grace_s)
        await self._follower.close()
        await self._customers_followed.close()
        await self._log.close()
        await self._lists.close()
        await self._store.close()
        log.info("worker stopped", **totals(self._registry))


async def serve(settings: ServingSettings) -> None:
    """Run a worker to its end."""
    await Worker(settings).run()


def main() -> None:
    """Run a worker under the settings in its environment."""
    settings = ServingSettings.model_validate_json(os.environ[WORKER_SETTINGS])
    start_logging(settings.log_level)
    faiss.omp_set_num_threads(1)
    try:
        with threadpool_limits(1):
            _runner()(serve(settings))
    except RecsysError as error:
        log.error("worker cannot serve", reason=error.reason, message=str(error))
        sys.exit(1)


def _runner() -> Any:
    """Return what runs a coroutine: uvloop where it is installed."""
    try:
        import uvloop  # not at the top: there is none for Windows
    except ImportError:
        return asyncio.run
    return uvloop.run


if __name__ == "__main__":
    main()
