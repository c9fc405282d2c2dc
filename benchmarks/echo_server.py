"""The floor of a Python gRPC server: takes bytes, gives ready bytes, and does nothing else.

`python -m benchmarks.echo_server BYTES` prints its port and answers until it is ended.
"""

from __future__ import annotations

import sys
from typing import Any

import grpc
import uvloop

METHOD = "/benchmarks.Echo/Echo"


async def serve(answer: bytes) -> None:
    """Answer every call with these bytes, on a free port of loopback, for good."""

    async def echo(request: bytes, context: Any) -> bytes:  # noqa: ARG001 - gRPC's signature
        return answer

    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    handlers: dict[str, Any] = {"Echo": grpc.unary_unary_rpc_method_handler(echo)}
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("benchmarks.Echo", handlers),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(serve(bytes(int(sys.argv[1]))))
