"""The gRPC service of the catalog."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from functools import reduce

from grpc.aio import ServicerContext

from protos.recsys.v1 import catalog_service_pb2 as pb
from protos.recsys.v1 import catalog_service_pb2_grpc as pb_grpc
from recsys.items import ItemChange
from serving.api import catalog_codec
from serving.log.items import ItemRegister, ItemsChanged

CHANGES_A_COMMIT = 1_000
"""So few that events, which wait for the same disk, never wait long."""


class CatalogServicer(pb_grpc.CatalogServiceServicer):
    """Speaks `recsys.v1.CatalogService`; decides nothing itself."""

    def __init__(self, register: ItemRegister) -> None:
        self._register = register

    async def UpsertItems(
        self,
        request: pb.UpsertItemsRequest,
        context: ServicerContext[pb.UpsertItemsRequest, Awaitable[pb.UpsertItemsResponse]],
    ) -> pb.UpsertItemsResponse:
        """Store the valid descriptions, and say of each other one why it does not count."""
        decoded = catalog_codec.decode_items(request)
        done = await self._change(decoded.valid)
        return catalog_codec.encode_upserted(done, decoded.rejected)

    async def UpdateOffers(
        self,
        request: pb.UpdateOffersRequest,
        context: ServicerContext[pb.UpdateOffersRequest, Awaitable[pb.UpdateOffersResponse]],
    ) -> pb.UpdateOffersResponse:
        """Store the valid updates, and say of each other one why it does not count."""
        decoded = catalog_codec.decode_updates(request)
        done = await self._change(decoded.valid)
        return catalog_codec.encode_updated(done, decoded.rejected)

    async def DeleteItems(
        self,
        request: pb.DeleteItemsRequest,
        context: ServicerContext[pb.DeleteItemsRequest, Awaitable[pb.DeleteItemsResponse]],
    ) -> pb.DeleteItemsResponse:
        """Take items out of the catalog."""
        done = await self._change(catalog_codec.decode_removals(request))
        return catalog_codec.encode_deleted(done)

    async def GetItems(
        self,
        request: pb.GetItemsRequest,
        context: ServicerContext[pb.GetItemsRequest, Awaitable[pb.GetItemsResponse]],
    ) -> pb.GetItemsResponse:
        """Return items as they are described now."""
        asked = catalog_codec.decode_named(request)
        return catalog_codec.encode_named(asked, await self._register.items_named(asked))

    async def ListItems(
        self,
        request: pb.ListItemsRequest,
        context: ServicerContext[pb.ListItemsRequest, Awaitable[pb.ListItemsResponse]],
    ) -> pb.ListItemsResponse:
        """Return one page of the catalog."""
        after_row, size = catalog_codec.decode_page(request)
        found = await self._register.items_described(after_row, size)
        return catalog_codec.encode_page(found, size)

    async def _change(self, changes: Sequence[ItemChange]) -> ItemsChanged:
        """Make the changes, in several commits where they are many."""
        done = [
            await self._register.change_items(changes[start : start + CHANGES_A_COMMIT])
            for start in range(0, len(changes), CHANGES_A_COMMIT)
        ]
        return reduce(ItemsChanged.joined, done, ItemsChanged.nothing())
