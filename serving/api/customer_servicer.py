"""The gRPC service of customers."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Protocol

from grpc.aio import ServicerContext

from protos.recsys.v1 import customer_service_pb2 as pb
from protos.recsys.v1 import customer_service_pb2_grpc as pb_grpc
from recsys.customers import ALLOWED_UNLESS_REFUSED, CustomerChange, Identifier, Purpose
from serving.api import customer_codec, customer_encoding
from serving.clock import Clock
from serving.customers import FoundCustomer
from serving.log.customer_register import CustomersChanged


class KnowsCustomers(Protocol):
    """Whatever changes and finds customers. Every method raises Unavailable."""

    async def change(self, changes: Sequence[CustomerChange]) -> CustomersChanged:
        """Make the changes that may be made; they are durable, and count in the next answer."""
        ...

    async def find(self, identifier: Identifier) -> FoundCustomer:
        """Return the customer with an identifier, of whom perhaps nothing else is known."""
        ...


class CustomerServicer(pb_grpc.CustomerServiceServicer):
    """Speaks `recsys.v1.CustomerService`; decides nothing itself."""

    def __init__(
        self,
        customers: KnowsCustomers,
        clock: Clock,
        *,
        unless_stated: frozenset[Purpose] = ALLOWED_UNLESS_REFUSED,
    ) -> None:
        self._customers = customers
        self._clock = clock
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
