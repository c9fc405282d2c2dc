"""Erasures and what became of them, between the wire and the service."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from protos.recsys.v1 import customer_service_pb2 as pb
from recsys.errors import InvalidInput
from serving.api.customer_names import STORE_NUMBERS
from serving.api.instants import stamp_of
from serving.erasure.asking import AskedErasure
from serving.erasure.receipts import Receipt, Removed

_PAGE_SIZE, _MOST_A_PAGE = 100, 1_000
_MOST_DIGITS = 18


def decode_page(request: pb.ListErasuresRequest) -> tuple[int | None, int]:
    """Return the number of the erasure behind which a page begins, None for the first, and its
    size. Raises InvalidInput.
    """
    if request.page_size < 0:
        raise InvalidInput("page_size", request.page_size, "0 or more; above 1,000 means 1,000")
    token = request.page_token
    if token and not (token.isascii() and token.isdigit() and len(token) <= _MOST_DIGITS):
        raise InvalidInput("page_token", token[:64], "`next_page_token` of the page before")
    return int(token) if token else None, min(request.page_size or _PAGE_SIZE, _MOST_A_PAGE)


def encode_asked(asked: AskedErasure) -> pb.EraseCustomerResponse:
    """Return an erasure that will happen."""
    entry = asked.entry
    return pb.EraseCustomerResponse(
        erasure_id=entry.erasure_id,
        identifier_count=len(entry.hashes),
        erased_through_time=stamp_of(datetime.fromtimestamp(entry.second, UTC)),
        log_position=entry.position,
        degraded=asked.degraded,
    )


def encode_receipt(receipt: Receipt) -> pb.Erasure:
    """Return what became of one erasure so far."""
    return pb.Erasure(
        erasure_id=receipt.erasure_id,
        request_time=stamp_of(datetime.fromisoformat(receipt.asked)),
        identifier_count=receipt.identifiers,
        only_this_identifier=receipt.alone,
        stores=[_store(one) for one in receipt.stores],
        finish_time=stamp_of(datetime.fromisoformat(receipt.finished))
        if receipt.finished
        else None,
    )


def encode_page(found: Sequence[Receipt], size: int) -> pb.ListErasuresResponse:
    """Return one page; it is the last where it is not full."""
    token = str(found[-1].number) if len(found) == size else ""
    return pb.ListErasuresResponse(
        erasures=[encode_receipt(one) for one in found], next_page_token=token
    )


def _store(done: Removed) -> pb.ErasedStore:
    return pb.ErasedStore(
        kind=STORE_NUMBERS.get(done.store, pb.STORE_KIND_UNSPECIFIED),
        removed_count=done.removed,
        start_time=stamp_of(datetime.fromisoformat(done.started)),
        end_time=stamp_of(datetime.fromisoformat(done.finished)),
        left=done.left,
        note=done.note,
    )
