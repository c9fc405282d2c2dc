"""What the service counts and times, under names that Prometheus understands.

A label holds one of a few words, never an id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal, Self

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

Registry = CollectorRegistry
"""Where the numbers of one process are found again."""

HELP = {
    "event_to_recommendation_lag_seconds": (
        "Time from durable in the log until the customer's next answer knows of it; "
        "measured once for the events of each request."
    ),
    "recsys_events_total": "Events received, by what became of them.",
    "recsys_events_unapplied_total": (
        "Events acknowledged while the customers' state was away; they are applied later."
    ),
    "recsys_events_refused_total": (
        "Events that the log did not take, by why; nothing of them is kept, senders repeat them."
    ),
    "recsys_log_append_seconds": (
        "Time from handing a request's events to the log until they are durable."
    ),
    "recsys_log_queue_lines": "Events that wait for their commit.",
    "recsys_log_position": "The log's last position, and how far it is drained, applied, trimmed.",
    "recsys_records_drained_total": "Records moved from the log to the lake.",
    "recsys_records_trimmed_total": "Records deleted from the log, held by lake and state.",
    "recsys_customers_written_total": "Times that the lake's customers table was written.",
    "recsys_item_numbers": "Numbers given to items in the lake, of 16,777,214 that there are.",
    "recsys_quarantine_events": "Rejected events that wait to be fixed or dropped.",
    "recsys_upkeep_failures_total": "Work beside serving that failed and is tried again.",
    "recsys_states_damaged_total": "Customers read as unknown because their state was damaged.",
    "recsys_grpc_requests_total": "Calls that have ended, by method and status code.",
    "recsys_grpc_request_seconds": "Time of a call inside the server.",
    "recsys_recommendations_total": "Queries for recommendations.",
    "recsys_recommendation_batches_total": "Batches of queries that were computed together.",
    "recsys_recommendations_degraded_total": "Answers given without the customer's state.",
    "recsys_recommendations_failed_total": "Queries that met a fault of the server.",
    "recsys_releases_loaded_total": "Releases put to work, by each worker.",
    "recsys_releases_refused_total": "Releases found invalid, by each worker.",
    "recsys_followed_position": (
        "Position of the log up to which every worker serves the changes of items."
    ),
    "recsys_catalog_lag_seconds": (
        "Time since a worker last served every change of items; that of the worker furthest behind."
    ),
    "recsys_catalog_publish_seconds": "Time a worker takes from changes of items to serving them.",
    "recsys_follow_failures_total": "Looks at the changes of items that failed, by each worker.",
    "recsys_process_cpu_seconds_total": "Processor time of each process of the server.",
    "recsys_process_resident_memory_bytes": "Memory of each process of the server.",
}
"""Every metric, in words."""

_CALL_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
_APPEND_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0)
_LAG_BUCKETS = (*_APPEND_BUCKETS[:-1], 2.0, 5.0, 10.0, 60.0, 600.0, 3600.0)

_PREFIX = "recsys_"

OfWorkers = Literal["livesum", "livemin", "livemax"]
"""What is told of the gauges of several workers."""


@dataclass(frozen=True, slots=True)
class EventMetrics:
    """The way of events into log and state, as one worker sees it.

    refused: by reason: LOG_BUSY, where too many wait already, LOG_UNAVAILABLE, LOG_CLOSED.
    """

    accepted: Counter
    duplicate: Counter
    rejected: Counter
    unapplied: Counter
    refused: Counter
    append_seconds: Histogram
    lag_seconds: Histogram
    queue_lines: Gauge

    @classmethod
    def of(cls, registry: Registry) -> Self:
        """Return new metrics in a registry."""
        events = _counter(registry, "recsys_events_total", "outcome")
        return cls(
            accepted=events.labels("accepted"),
            duplicate=events.labels("duplicate"),
            rejected=events.labels("rejected"),
            unapplied=_counter(registry, "recsys_events_unapplied_total"),
            refused=_counter(registry, "recsys_events_refused_total", "reason"),
            append_seconds=_histogram(registry, "recsys_log_append_seconds", _APPEND_BUCKETS),
            lag_seconds=_histogram(registry, "event_to_recommendation_lag_seconds", _LAG_BUCKETS),
            queue_lines=_gauge(registry, "recsys_log_queue_lines"),
        )


class CallMetrics:
    """gRPC calls that have ended."""

    def __init__(self, registry: Registry) -> None:
        counter = _counter(registry, "recsys_grpc_requests_total", "method", "code")
        seconds = _histogram(registry, "recsys_grpc_request_seconds", _CALL_BUCKETS, "method")
        self._counter = cache(counter.labels)
        self._seconds = cache(seconds.labels)

    def ended(self, method: str, code: str, seconds: float) -> None:
        """Note one call of a method that exists."""
        self._counter(method, code).inc()
        self._seconds(method).observe(seconds)


@dataclass(frozen=True, slots=True)
class AnswerMetrics:
    """Recommendations, whoever asked for them."""

    batches: Counter
    queries: Counter
    degraded: Counter
    failed: Counter

    @classmethod
    def of(cls, registry: Registry) -> Self:
        """Return new metrics in a registry."""
        return cls(
            batches=_counter(registry, "recsys_recommendation_batches_total"),
            queries=_counter(registry, "recsys_recommendations_total"),
            degraded=_counter(registry, "recsys_recommendations_degraded_total"),
            failed=_counter(registry, "recsys_recommendations_failed_total"),
        )


@dataclass(frozen=True, slots=True)
class StateMetrics:
    """Customers' states as they are read."""

    damaged: Counter

    @classmethod
    def of(cls, registry: Registry) -> Self:
        """Return new metrics in a registry."""
        return cls(damaged=_counter(registry, "recsys_states_damaged_total"))


@dataclass(frozen=True, slots=True)
class ReleaseMetrics:
    """Releases that a worker met."""

    loaded: Counter
    refused: Counter

    @classmethod
    def of(cls, registry: Registry) -> Self:
        """Return new metrics in a registry."""
        return cls(
            loaded=_counter(registry, "recsys_releases_loaded_total"),
            refused=_counter(registry, "recsys_releases_refused_total"),
        )


@dataclass(frozen=True, slots=True)
class FollowMetrics:
    """How far a worker has followed the catalog."""

    position: Gauge
    lag_seconds: Gauge
    publish_seconds: Histogram
    failures: Counter

    @classmethod
    def of(cls, registry: Registry) -> Self:
        """Return new metrics in a registry."""
        return cls(
            position=_gauge(registry, "recsys_followed_position", mode="livemin"),
            lag_seconds=_gauge(registry, "recsys_catalog_lag_seconds", mode="livemax"),
            publish_seconds=_histogram(registry, "recsys_catalog_publish_seconds", _APPEND_BUCKETS),
            failures=_counter(registry, "recsys_follow_failures_total"),
        )


@dataclass(frozen=True, slots=True)
class UpkeepMetrics:
    """What the supervisor does, and where it stands.

    failures: by work: apply, revive, drain, tidy, measure.
    position: by mark: last, drained, applied, trimmed.
    """

    drained: Counter
    trimmed: Counter
    customers_written: Counter
    failures: Counter
    position: Gauge
    quarantined: Gauge
    item_numbers: Gauge

    @classmethod
    def of(cls, registry: Registry) -> Self:
        """Return new metrics in a registry."""
        return cls(
            drained=_counter(registry, "recsys_records_drained_total"),
            trimmed=_counter(registry, "recsys_records_trimmed_total"),
            customers_written=_counter(registry, "recsys_customers_written_total"),
            failures=_counter(registry, "recsys_upkeep_failures_total", "work"),
            position=_gauge(registry, "recsys_log_position", "mark"),
            quarantined=_gauge(registry, "recsys_quarantine_events"),
            item_numbers=_gauge(registry, "recsys_item_numbers"),
        )


def totals(registry: Registry) -> dict[str, float]:
    """Return what this process has counted so far, without what is still 0, by short names."""
    samples = (sample for metric in registry.collect() for sample in metric.samples)
    return {
        _short(sample.name, sample.labels): sample.value
        for sample in samples
        if sample.name.endswith("_total") and sample.value
    }


def _counter(registry: Registry, name: str, *labels: str) -> Counter:
    return Counter(name, HELP[name], labels, registry=registry)


def _gauge(registry: Registry, name: str, *labels: str, mode: OfWorkers = "livesum") -> Gauge:
    return Gauge(name, HELP[name], labels, registry=registry, multiprocess_mode=mode)


def _histogram(
    registry: Registry, name: str, buckets: tuple[float, ...], *labels: str
) -> Histogram:
    return Histogram(name, HELP[name], labels, registry=registry, buckets=buckets)


def _short(name: str, labels: Mapping[str, str]) -> str:
    words = (value.rpartition("/")[2] for value in labels.values())
    return "_".join((name.removeprefix(_PREFIX).removesuffix("_total"), *words))
