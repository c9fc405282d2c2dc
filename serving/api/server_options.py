"""How a worker's port treats connections."""

from __future__ import annotations

SERVER_OPTIONS = [
    ("grpc.so_reuseport", 1),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    # Ten thousand items of three kilobytes; gRPC's own limit is 4 MiB.
    ("grpc.max_receive_message_length", 32 << 20),
]
"""Workers share the port. Idle connections of a storefront live long: dead ones are noticed by
pings from here, and pings of clients are welcome every 10 seconds.
"""
