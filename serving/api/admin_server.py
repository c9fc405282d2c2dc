"""The server of merchandisers: a port of its own in every worker, for this machine alone."""

from __future__ import annotations

import grpc
from grpc_reflection.v1alpha import reflection

from protos.recsys.v1 import admin_service_pb2 as pb
from protos.recsys.v1 import admin_service_pb2_grpc as pb_grpc
from serving.api.admin_servicer import AdminServicer
from serving.api.interceptors import StatusInterceptor
from serving.api.server_options import SERVER_OPTIONS

ADMIN = pb.DESCRIPTOR.services_by_name["AdminService"].full_name


class AdminServer:
    """Serves `AdminService` where a port is set for it.

    Workers share the port, as they do the other: whichever a caller reaches reads and writes the
    one register, so it does not matter which.
    """

    def __init__(
        self, address: str, servicer: AdminServicer, interceptor: StatusInterceptor
    ) -> None:
        self._server = None
        if address:
            self._server = grpc.aio.server(interceptors=[interceptor], options=SERVER_OPTIONS)
            pb_grpc.add_AdminServiceServicer_to_server(servicer, self._server)
            reflection.enable_server_reflection((ADMIN, reflection.SERVICE_NAME), self._server)
        self._address = address

    async def start(self) -> None:
        """Take calls from now on."""
        if self._server is not None:
            self._server.add_insecure_port(self._address)
            await self._server.start()

    async def stop(self, grace_s: float) -> None:
        """Finish the calls under way, and take no more."""
        if self._server is not None:
            await self._server.stop(grace_s)
