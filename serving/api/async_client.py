"""The client of asyncio: several channels, a deadline on each call, retries."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from itertools import cycle
from types import TracebackType
from typing import Self, TypeVar, Unpack

import grpc

from protos.recsys.v1 import catalog_service_pb2_grpc as catalog_grpc
from protos.recsys.v1 import customer_service_pb2_grpc as customer_grpc
from protos.recsys.v1 import event_service_pb2_grpc as event_grpc
from protos.recsys.v1 import recommendation_service_pb2_grpc as pb_grpc
from recsys.customers import ConsentChange, Identifier
from recsys.events import Event
from recsys.items import Item, OfferUpdate
from recsys.pipeline.groupings import RecommendedGroups
from recsys.query import Recommendation
from recsys.why.explanation import Explanation
from serving.api import (
    catalog_client_codec,
    client_codec,
    customer_client_codec,
    erasure_client_codec,
    explain_client_codec,
    groups_client_codec,
    page_client_codec,
)
from serving.api.catalog_client_codec import CatalogPage, CatalogResult
from serving.api.channels import (
    CHANNEL_OPTIONS,
    DEFAULT_CHANNELS,
    DEFAULT_TIMEOUT_MS,
    error_of_call,
)
from serving.api.client_codec import Asked, Asker
from serving.api.customer_client_codec import CustomersResult, KnownCustomer, Link
from serving.api.erasure_client_codec import (
    EXPORT_TIMEOUT_MS,
    AskedErasure,
    Erasure,
    ErasuresPage,
)
from serving.api.groups_client_codec import AskedGroups
from serving.api.page_client_codec import RecommendedPage, Slot
from serving.ingest import WriteResult

Response = TypeVar("Response")


class Client:
    """Asks one recommendation service, from asyncio; made and used inside one running loop.

    address: `host:port`.
    channels: connections to hold; calls take them in turn, which spreads them over workers.
    timeout_ms: most milliseconds a call may take, retries included.
    credentials: of the channels; None for plain text, as on the same machine.

    Every method raises a RecsysError with the server's reason, Unavailable when the service
    cannot be reached or misses the deadline.
    """

    def __init__(
        self,
        address: str,
        *,
        channels: int = DEFAULT_CHANNELS,
        timeout_ms: float = DEFAULT_TIMEOUT_MS,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        self._timeout = timeout_ms / 1_000
        self._channels = [
            grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
            if credentials is None
            else grpc.aio.secure_channel(address, credentials, options=CHANNEL_OPTIONS)
            for _ in range(channels)
        ]
        self._recommendations = cycle(
            [pb_grpc.RecommendationServiceStub(channel) for channel in self._channels]
        )
        self._events = cycle([event_grpc.EventServiceStub(channel) for channel in self._channels])
        self._catalog = cycle(
            [catalog_grpc.CatalogServiceStub(channel) for channel in self._channels]
        )
        self._customers = cycle(
            [customer_grpc.CustomerServiceStub(channel) for channel in self._channels]
        )

    async def recommend(self, placement: str, **asked: Unpack[Asked]) -> Recommendation:
        """Return the items of one placement for whoever asks, best first."""
        request = client_codec.encode_query(placement, **asked)
        response = await self._call(next(self._recommendations).Recommend, request)
        return client_codec.decode_recommendation(response)

    async def recommend_page(
        self, slots: Sequence[Slot], **asked: Unpack[Asker]
    ) -> RecommendedPage:
        """Return the lists of all slots of a page, none of which repeats an item of another.

        The slots choose in their order; at most 20.
        """
        request = page_client_codec.encode_page(slots, **asked)
        response = await self._call(next(self._recommendations).RecommendPage, request)
        return page_client_codec.decode_page(slots, response)

    async def recommend_groups(
        self, placement: str, group_by: str, **asked: Unpack[AskedGroups]
    ) -> RecommendedGroups:
        """Return the categories, brands or values of an attribute that suit whoever asks best."""
        request = groups_client_codec.encode_groups_question(placement, group_by, **asked)
        response = await self._call(next(self._recommendations).RecommendGroups, request)
        return groups_client_codec.decode_groups(response)

    async def explain(self, placement: str, item_id: str, **asked: Unpack[Asked]) -> Explanation:
        """Return why an item is in the list of a placement, or why it is not."""
        request = explain_client_codec.encode_question(placement, item_id, **asked)
        response = await self._call(next(self._recommendations).Explain, request)
        return explain_client_codec.decode_explanation(response)

    async def write_events(
        self,
        events: Sequence[Event],
        sent_time: datetime | None = None,
        *,
        user_agents: Sequence[str] = (),
    ) -> WriteResult:
        """Record at most 1,000 events durably, and return what became of them.

        sent_time: what the clock behind the events' times shows now; where that is wrong, the
        times are corrected by the difference to the server's.
        user_agents: the User-Agent behind each event, in their order, empty where none is known;
        the server tells robots by it and does not keep it.
        """
        request = client_codec.encode_events(events, sent_time, user_agents=user_agents)
        response = await self._call(next(self._events).WriteEvents, request)
        return client_codec.decode_write_result(response)

    async def upsert_items(self, items: Sequence[Item]) -> CatalogResult:
        """Describe at most 10,000 items, new ones or anew, and return what became of them."""
        request = catalog_client_codec.encode_items(items)
        response = await self._call(next(self._catalog).UpsertItems, request)
        return catalog_client_codec.decode_upserted(response)

    async def update_offers(self, updates: Sequence[OfferUpdate]) -> CatalogResult:
        """Set stock and prices, at most 10,000, and return what became of them."""
        request = catalog_client_codec.encode_updates(updates)
        response = await self._call(next(self._catalog).UpdateOffers, request)
        return catalog_client_codec.decode_updated(response)

    async def delete_items(self, item_ids: Sequence[str]) -> CatalogResult:
        """Take at most 10,000 items out of the catalog, and return what became of them."""
        request = catalog_client_codec.encode_removals(item_ids)
        response = await self._call(next(self._catalog).DeleteItems, request)
        return catalog_client_codec.decode_deleted(response)

    async def get_items(self, item_ids: Sequence[str]) -> tuple[Item, ...]:
        """Return those of at most 1,000 items that the catalog holds, in the order of the ids."""
        request = catalog_client_codec.encode_named(item_ids)
        response = await self._call(next(self._catalog).GetItems, request)
        return catalog_client_codec.decode_items(response)

    async def list_items(self, page_token: str = "", *, page_size: int = 0) -> CatalogPage:
        """Return one page of the catalog; page_size 0 means 100, above 1,000 means 1,000."""
        request = catalog_client_codec.encode_page(page_token, page_size)
        response = await self._call(next(self._catalog).ListItems, request)
        return catalog_client_codec.decode_page(response)

    async def get_customer(self, identifier: Identifier) -> KnownCustomer:
        """Return all that is known of the customer with an identifier, perhaps nothing else."""
        request = customer_client_codec.encode_asked(identifier)
        response = await self._call(next(self._customers).GetCustomer, request)
        return customer_client_codec.decode_customer(response)

    async def link_identifiers(self, links: Sequence[Link]) -> CustomersResult:
        """Say of at most 1,000 pairs of identifiers that they are one person's."""
        request = customer_client_codec.encode_links(links)
        response = await self._call(next(self._customers).LinkIdentifiers, request)
        return customer_client_codec.decode_changed(response)

    async def unlink_identifiers(self, links: Sequence[Link]) -> CustomersResult:
        """Take at most 1,000 links back, and no others; the order of a pair does not count."""
        request = customer_client_codec.encode_unlinks(links)
        response = await self._call(next(self._customers).UnlinkIdentifiers, request)
        return customer_client_codec.decode_changed(response)

    async def set_attributes(
        self, identifier: Identifier, attributes: Mapping[str, str | None]
    ) -> CustomersResult:
        """Set at most 50 properties of a customer; None takes one away, what is not named stays."""
        request = customer_client_codec.encode_attributes(identifier, attributes)
        response = await self._call(next(self._customers).SetAttributes, request)
        return customer_client_codec.decode_changed(response)

    async def set_consents(self, changes: Sequence[ConsentChange]) -> CustomersResult:
        """Record at most 1,000 statements of customers about what their data may be used for."""
        request = customer_client_codec.encode_consents(changes)
        response = await self._call(next(self._customers).SetConsents, request)
        return customer_client_codec.decode_changed(response)

    async def erase_customer(
        self, identifier: Identifier, *, only_this_identifier: bool = False
    ) -> AskedErasure:
        """Erase a customer for good, everywhere, under all linked identifiers unless told not to.

        Answers know nobody at once; `get_erasure` tells when it is through everywhere.
        """
        request = erasure_client_codec.encode_erase(identifier, alone=only_this_identifier)
        response = await self._call(next(self._customers).EraseCustomer, request)
        return erasure_client_codec.decode_asked(response)

    async def get_erasure(self, erasure_id: str) -> Erasure:
        """Return what became of an erasure so far. Raises NotFound for an id of none."""
        request = erasure_client_codec.encode_named(erasure_id)
        response = await self._call(next(self._customers).GetErasure, request)
        return erasure_client_codec.decode_erasure(response)

    async def list_erasures(self, page_token: str = "", *, page_size: int = 0) -> ErasuresPage:
        """Return one page of erasures, newest first; page_size 0 means 100, at most 1,000."""
        request = erasure_client_codec.encode_page(page_token, page_size)
        response = await self._call(next(self._customers).ListErasures, request)
        return erasure_client_codec.decode_page(response)

    async def export_customer(
        self, identifier: Identifier, *, timeout_ms: float = EXPORT_TIMEOUT_MS
    ) -> AsyncGenerator[bytes, None]:
        """Yield everything known of a customer: one JSON document, in parts to be joined.

        timeout_ms: in place of the client's, waiting for other exports included. Whoever stops
        early closes the iterator. After an error what came is no whole document.
        """
        request = erasure_client_codec.encode_export(identifier)
        call = next(self._customers).ExportCustomer(request, timeout=timeout_ms / 1_000)
        try:
            async for response in call:
                yield response.chunk
        except grpc.RpcError as error:
            raise error_of_call(error) from None
        finally:
            call.cancel()  # does nothing where it has ended

    async def close(self) -> None:
        """Close every connection; calls under way are cancelled."""
        for channel in self._channels:
            await channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _call(self, method: Callable[..., Awaitable[Response]], request: object) -> Response:
        try:
            return await method(request, timeout=self._timeout)
        except grpc.RpcError as error:
            raise error_of_call(error) from None
