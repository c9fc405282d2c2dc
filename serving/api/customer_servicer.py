"""The gRPC service of customers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Sequence
from contextlib import aclosing
from typing import Protocol

from grpc.aio import ServicerContext

from protos.recsys.v1 import customer_service_pb2 as pb
from protos.recsys.v1 import customer_service_pb2_grpc as pb_grpc
from recsys.customers import ALLOWED_UNLESS_REFUSED, CustomerChange, Identifier, Purpose
from serving.api import customer_codec, customer_encoding, erasure_codec
from serving.clock import Clock
from serving.customers import FoundCustomer
from serving.erasure.asking import AskedErasure
from serving.erasure.receipts import Receipt
from serving.log.customer_register import CustomersChanged


class KnowsCustomers(Protocol):
    """Whatever changes and finds customers. Every method raises Unavailable."""

    async def change(self, changes: Sequence[CustomerChange]) -> CustomersChanged:
        """Make the changes that may be made; they are durable, and count in the next answer."""
        ...

    async def find(self, identifier: Identifier) -> FoundCustomer:
        """Return the customer with an identifier, of whom perhaps nothing else is known."""
        ...


class KnowsErasures(Protocol):
    """Whatever asks for erasures and tells of them. Every method raises Unavailable."""

    async def erase(self, identifier: Identifier, *, alone: bool) -> AskedErasure:
        """Note durably that a customer is to be erased; with `alone` without what is linked."""
        ...

    async def receipt(self, erasure_id: str) -> Receipt:
        """Return what became of one erasure so far. Raises NotFound for an id of none."""
        ...

    async def receipts(self, before: int | None, limit: int) -> Sequence[Receipt]:
        """Return what became of erasures below a number, the newest first, at most so many."""
        ...


class MakesExports(Protocol):
    """Whatever makes documents of all that is known of a customer."""

    def chunks(self, identifier: Identifier) -> AsyncGenerator[bytes, None]:
        """Yield a document in parts of at most 64 KiB. Raises Unavailable."""
        ...


class CustomerServicer(pb_grpc.CustomerServiceServicer):
    """Speaks `recsys.v1.CustomerService`; decides nothing itself."""

    def __init__(
        self,
        customers: KnowsCustomers,
        clock: Clock,
        *,
        erasures: KnowsErasures,
        exports: MakesExports,
        unless_stated: frozenset[Purpose] = ALLOWED_UNLESS_REFUSED,
    ) -> None:
        self._customers = customers
        self._clock = clock
        self._erasures = erasures
        self._exports = exports
        self._unless_stated = unless_stated

    async def GetCustomer(
        self,
        request: pb.GetCustomerRequest,
        context: ServicerContext[pb.GetCustomerRequest, Awaitable[pb.GetCustomerResponse]],
    ) -> pb.GetCustomerResponse:
        """Return all that is known of the customer with an identifier."""
        identifier = customer_codec.decode_identifier(request.identifier)
        found = await self._customers.find(identifier)
        return customer_encoding.encode_customer(found, self._unless_stated)

    async def LinkIdentifiers(
        self,
        request: pb.LinkIdentifiersRequest,
        context: ServicerContext[pb.LinkIdentifiersRequest, Awaitable[pb.LinkIdentifiersResponse]],
    ) -> pb.LinkIdentifiersResponse:
        """Make the links that may be made, and say of each other one why it does not count."""
        decoded = customer_codec.decode_links(request.links, linked=True)
        done = await self._customers.change(decoded.valid)
        return customer_encoding.encode_linked(decoded, done)

    async def UnlinkIdentifiers(
        self,
        request: pb.UnlinkIdentifiersRequest,
        context: ServicerContext[
            pb.UnlinkIdentifiersRequest, Awaitable[pb.UnlinkIdentifiersResponse]
        ],
    ) -> pb.UnlinkIdentifiersResponse:
        """Take the links back, and say of each invalid one why it does not count."""
        decoded = customer_codec.decode_links(request.links, linked=False)
        done = await self._customers.change(decoded.valid)
        return customer_encoding.encode_unlinked(decoded, done)

    async def SetAttributes(
        self,
        request: pb.SetAttributesRequest,
        context: ServicerContext[pb.SetAttributesRequest, Awaitable[pb.SetAttributesResponse]],
    ) -> pb.SetAttributesResponse:
        """Set properties of one customer, or take them away."""
        done = await self._customers.change(customer_codec.decode_attributes(request))
        return customer_encoding.encode_attributes(done)

    async def SetConsent(
        self,
        request: pb.SetConsentRequest,
        context: ServicerContext[pb.SetConsentRequest, Awaitable[pb.SetConsentResponse]],
    ) -> pb.SetConsentResponse:
        """Record what one customer said about one purpose."""
        change = customer_codec.decode_consent(request, now=self._clock())
        done = await self._customers.change([change])
        return pb.SetConsentResponse(log_position=done.last_position)

    async def SetConsents(
        self,
        request: pb.SetConsentsRequest,
        context: ServicerContext[pb.SetConsentsRequest, Awaitable[pb.SetConsentsResponse]],
    ) -> pb.SetConsentsResponse:
        """Record what many customers said, and say of each invalid one why it does not count."""
        decoded = customer_codec.decode_consents(request, now=self._clock())
        done = await self._customers.change(decoded.valid)
        return customer_encoding.encode_consents(decoded, done)

    async def EraseCustomer(
        self,
        request: pb.EraseCustomerRequest,
        context: ServicerContext[pb.EraseCustomerRequest, Awaitable[pb.EraseCustomerResponse]],
    ) -> pb.EraseCustomerResponse:
        """Note that a customer is to be erased, and forget what answers rest on."""
        identifier = customer_codec.decode_identifier(request.identifier)
        asked = await self._erasures.erase(identifier, alone=request.only_this_identifier)
        return erasure_codec.encode_asked(asked)

    async def GetErasure(
        self,
        request: pb.GetErasureRequest,
        context: ServicerContext[pb.GetErasureRequest, Awaitable[pb.GetErasureResponse]],
    ) -> pb.GetErasureResponse:
        """Return what became of one erasure so far."""
        receipt = await self._erasures.receipt(request.erasure_id)
        return pb.GetErasureResponse(erasure=erasure_codec.encode_receipt(receipt))

    async def ListErasures(
        self,
        request: pb.ListErasuresRequest,
        context: ServicerContext[pb.ListErasuresRequest, Awaitable[pb.ListErasuresResponse]],
    ) -> pb.ListErasuresResponse:
        """Return one page of erasures, the newest first."""
        before, size = erasure_codec.decode_page(request)
        return erasure_codec.encode_page(await self._erasures.receipts(before, size), size)

    async def ExportCustomer(
        self,
        request: pb.ExportCustomerRequest,
        context: ServicerContext[
            pb.ExportCustomerRequest, AsyncIterator[pb.ExportCustomerResponse]
        ],
    ) -> AsyncGenerator[pb.ExportCustomerResponse, None]:
        """Return everything known of a customer, as a document in parts."""
        identifier = customer_codec.decode_identifier(request.identifier)
        async with aclosing(self._exports.chunks(identifier)) as chunks:
            async for chunk in chunks:
                yield pb.ExportCustomerResponse(chunk=chunk)
