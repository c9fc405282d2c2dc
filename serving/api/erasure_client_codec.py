"""Erasures and exports as a client asks for them, and what it is told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from protos.recsys.v1 import customer_service_pb2 as pb
from recsys.customers import Identifier
from serving.api.customer_names import KIND_NUMBERS, STORE_NUMBERS
from serving.api.instants import instant_of

EXPORT_TIMEOUT_MS = 300_000.0
"""Most milliseconds an export may take, unless the caller says otherwise."""

_UNNAMED_STORE = "unspecified"
_STORES = {number: name for name, number in STORE_NUMBERS.items()}


@dataclass(frozen=True, slots=True)
class AskedErasure:
    """An erasure that will happen, whatever fails meanwhile.

    identifiers: how many are erased.
    erased_through: what happened up to the end of this second goes, and does not come in again.
    log_position: what the log holds up to here goes, whatever time it bears.
    degraded: whether the live state could not be reached yet; it is cleared as soon as it can.
    """

    erasure_id: str
    identifiers: int
    erased_through: datetime
    log_position: int
    degraded: bool


@dataclass(frozen=True, slots=True)
class ErasedStore:
    """What an erasure did in one store.

    store: `state`, `log`, `lake`, `rejects`, `campaigns`, `picks` or `models`; `unspecified` for
    one that this client does not know. removed: how many rows, records, lines or values went.
    started, ended: of the last run. left: what is still there, and why; else empty.
    """

    store: str
    removed: int
    started: datetime
    ended: datetime
    left: str
    note: str


@dataclass(frozen=True, slots=True)
class Erasure:
    """One erasure, and what became of it so far. It names nobody.

    identifiers: how many. alone: whether what is linked was left on purpose.
    stores: in the order in which they were first done. finished: None while anything is left.
    """

    erasure_id: str
    asked: datetime
    identifiers: int
    alone: bool
    stores: tuple[ErasedStore, ...]
    finished: datetime | None


@dataclass(frozen=True, slots=True)
class ErasuresPage:
    """One page of erasures, the newest first. next_page_token: empty on the last."""

    erasures: tuple[Erasure, ...]
    next_page_token: str


def encode_erase(identifier: Identifier, *, alone: bool) -> pb.EraseCustomerRequest:
    """Return a wish to erase a customer as a request."""
    return pb.EraseCustomerRequest(identifier=_identifier(identifier), only_this_identifier=alone)


def encode_page(page_token: str, page_size: int) -> pb.ListErasuresRequest:
    """Return a question for one page of erasures as a request."""
    return pb.ListErasuresRequest(page_token=page_token, page_size=page_size)


def encode_named(erasure_id: str) -> pb.GetErasureRequest:
    """Return a question for one erasure as a request."""
    return pb.GetErasureRequest(erasure_id=erasure_id)


def encode_export(identifier: Identifier) -> pb.ExportCustomerRequest:
    """Return a question for all that is known of a customer as a request."""
    return pb.ExportCustomerRequest(identifier=_identifier(identifier))


def decode_asked(response: pb.EraseCustomerResponse) -> AskedErasure:
    """Return the erasure that will happen."""
    return AskedErasure(
        response.erasure_id,
        response.identifier_count,
        instant_of("erased_through_time", response.erased_through_time),
        response.log_position,
        response.degraded,
    )


def decode_erasure(response: pb.GetErasureResponse) -> Erasure:
    """Return one erasure."""
    return _erasure(response.erasure)


def decode_page(response: pb.ListErasuresResponse) -> ErasuresPage:
    """Return one page of erasures."""
    erasures = tuple(_erasure(one) for one in response.erasures)
    return ErasuresPage(erasures, response.next_page_token)


def _identifier(identifier: Identifier) -> pb.Identifier:
    return pb.Identifier(kind=KIND_NUMBERS[identifier.kind], value=identifier.value)


def _erasure(message: pb.Erasure) -> Erasure:
    finished = message.HasField("finish_time")
    return Erasure(
        message.erasure_id,
        instant_of("request_time", message.request_time),
        message.identifier_count,
        message.only_this_identifier,
        tuple(_store(one) for one in message.stores),
        instant_of("finish_time", message.finish_time) if finished else None,
    )


def _store(message: pb.ErasedStore) -> ErasedStore:
    return ErasedStore(
        _STORES.get(message.kind, _UNNAMED_STORE),
        message.removed_count,
        instant_of("start_time", message.start_time),
        instant_of("end_time", message.end_time),
        message.left,
        message.note,
    )
