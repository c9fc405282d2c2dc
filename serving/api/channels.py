"""What both clients make of a channel: options, retries, deadlines, and the errors of calls."""

from __future__ import annotations

import json
from typing import Any

from recsys.errors import RecsysError
from serving.api.errors import DETAILS_KEY, error_of

DEFAULT_CHANNELS = 4
DEFAULT_TIMEOUT_MS = 1_000.0

# All of these may be repeated safely: events are idempotent by event_id, and of an item, a link, an
# attribute and a consent what was said last holds; who is erased twice is erased. An export takes
# long, so whoever asked decides whether to ask again.
RETRIES = {
    "methodConfig": [
        {
            "name": [{"service": "recsys.v1.CustomerService", "method": "ExportCustomer"}],
        },
        {
            "name": [
                {"service": "recsys.v1.RecommendationService", "method": "Recommend"},
                {"service": "recsys.v1.EventService", "method": "WriteEvents"},
                {"service": "recsys.v1.CatalogService"},
                {"service": "recsys.v1.CustomerService"},
            ],
            "retryPolicy": {
                "maxAttempts": 3,
                "initialBackoff": "0.02s",
                "maxBackoff": "0.2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        },
    ]
}

# One channel stays with one worker of the server; without a pool of its own each further channel
# to the same address would share the first one's connection.
CHANNEL_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.use_local_subchannel_pool", 1),
    # A server that comes back is found within a second; gRPC itself would wait up to two minutes.
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # A thousand items of a catalog; gRPC's own limit is 4 MiB.
    ("grpc.max_receive_message_length", 32 << 20),
    ("grpc.service_config", json.dumps(RETRIES)),
]


def error_of_call(error: Any) -> RecsysError:
    """Return the error behind a failed call, of either kind of channel."""
    trailing = dict(error.trailing_metadata() or ())
    return error_of(error.code(), error.details() or "", trailing.get(DETAILS_KEY, b""))
