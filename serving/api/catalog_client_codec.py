"""The catalog as a client sends it, and what it is told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from protos.recsys.v1 import catalog_service_pb2 as pb
from recsys.ids import ItemId
from recsys.items import Item, OfferUpdate
from serving.api.catalog_codec import item_of, message_of


@dataclass(frozen=True, slots=True)
class RejectedItem:
    """One change of the catalog that does not count, and why.

    index: its place in the request, from 0.
    field: path of the field at fault.
    reason: machine-readable, such as INVALID_INPUT.
    message: what came, what was wanted and what to do.
    """

    index: int
    field: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class CatalogResult:
    """What became of changes of the catalog.

    changed: items that are others than before. unchanged: changes that said what was known.
    missing_ids: items that were to be changed or deleted, and that the catalog does not hold.
    log_position: up to which all of it stands; followers reach it within a second.
    """

    changed: int
    unchanged: int = 0
    rejected: tuple[RejectedItem, ...] = ()
    missing_ids: tuple[ItemId, ...] = ()
    log_position: int = 0


@dataclass(frozen=True, slots=True)
class CatalogPage:
    """One page of the catalog.

    next_page_token: to be sent for the next page; empty when this is the last.
    """

    items: tuple[Item, ...]
    next_page_token: str


def encode_items(items: Iterable[Item]) -> pb.UpsertItemsRequest:
    """Return descriptions as a request."""
    return pb.UpsertItemsRequest(items=[message_of(item) for item in items])


def encode_updates(updates: Iterable[OfferUpdate]) -> pb.UpdateOffersRequest:
    """Return stock and prices as a request."""
    return pb.UpdateOffersRequest(
        updates=[
            pb.OfferUpdate(
                item_id=one.item_id,
                market=one.market,
                price=one.price,
                currency=one.currency,
                available=one.available,
                sale_price=one.sale_price,
                stock=one.stock,
            )
            for one in updates
        ]
    )


def encode_removals(item_ids: Sequence[str]) -> pb.DeleteItemsRequest:
    """Return removals as a request."""
    return pb.DeleteItemsRequest(item_ids=item_ids)


def encode_named(item_ids: Sequence[str]) -> pb.GetItemsRequest:
    """Return a question for items as a request."""
    return pb.GetItemsRequest(item_ids=item_ids)


def encode_page(page_token: str, page_size: int) -> pb.ListItemsRequest:
    """Return a question for a page as a request."""
    return pb.ListItemsRequest(page_token=page_token, page_size=page_size)


def decode_upserted(response: pb.UpsertItemsResponse) -> CatalogResult:
    """Return what became of descriptions."""
    return CatalogResult(
        response.changed_count,
        response.unchanged_count,
        _rejected(response.rejected),
        log_position=response.log_position,
    )


def decode_updated(response: pb.UpdateOffersResponse) -> CatalogResult:
    """Return what became of stock and prices."""
    return CatalogResult(
        response.changed_count,
        response.unchanged_count,
        _rejected(response.rejected),
        _ids(response.missing_ids),
        response.log_position,
    )


def decode_deleted(response: pb.DeleteItemsResponse) -> CatalogResult:
    """Return what became of removals."""
    missing = _ids(response.missing_ids)
    return CatalogResult(
        response.deleted_count, missing_ids=missing, log_position=response.log_position
    )


def decode_items(response: pb.GetItemsResponse) -> tuple[Item, ...]:
    """Return the items of an answer."""
    return tuple(item_of(message) for message in response.items)


def decode_page(response: pb.ListItemsResponse) -> CatalogPage:
    """Return the page of an answer."""
    return CatalogPage(
        tuple(item_of(message) for message in response.items), response.next_page_token
    )


def _rejected(messages: Iterable[pb.RejectedItem]) -> tuple[RejectedItem, ...]:
    return tuple(RejectedItem(one.index, one.field, one.reason, one.message) for one in messages)


def _ids(item_ids: Iterable[str]) -> tuple[ItemId, ...]:
    return tuple(ItemId(item_id) for item_id in item_ids)
