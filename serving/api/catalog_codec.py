"""The catalog between the wire and the domain, with every check that a caller's input needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from protos.recsys.v1 import catalog_service_pb2 as pb
from recsys.errors import InvalidInput
from recsys.ids import ItemId, check_id
from recsys.items import Attribute, Item, ItemChange, Offer, OfferUpdate, Removal
from serving.api.instants import instant_of, stamp_of
from serving.log.items import ItemsChanged, RegisteredItem

MOST_CHANGES = 10_000
MOST_NAMED = 1_000
_PAGE_SIZE, _MOST_A_PAGE = 100, 1_000
_FIRST_ROW = -1

Message = TypeVar("Message")


@dataclass(frozen=True, slots=True)
class DecodedChanges:
    """The changes of one request, and what of it does not count, each in its order."""

    valid: tuple[ItemChange, ...]
    rejected: tuple[pb.RejectedItem, ...]


def decode_items(request: pb.UpsertItemsRequest) -> DecodedChanges:
    """Return the descriptions of a request. Raises InvalidInput for too many."""
    return _decoded("items", request.items, item_of)


def decode_updates(request: pb.UpdateOffersRequest) -> DecodedChanges:
    """Return the updates of a request. Raises InvalidInput for too many."""
    return _decoded("updates", request.updates, _update_of)


def decode_removals(request: pb.DeleteItemsRequest) -> list[ItemChange]:
    """Return the removals of a request. Raises InvalidInput for too many, or what is no id."""
    return [Removal(one) for one in _item_ids(request.item_ids, MOST_CHANGES)]


def decode_named(request: pb.GetItemsRequest) -> list[ItemId]:
    """Return the ids of a request. Raises InvalidInput for too many, or what is no id."""
    return _item_ids(request.item_ids, MOST_NAMED)


def decode_page(request: pb.ListItemsRequest) -> tuple[int, int]:
    """Return the row behind which a page begins, and its size. Raises InvalidInput."""
    if request.page_size < 0:
        raise InvalidInput("page_size", request.page_size, "0 or more; above 1,000 means 1,000")
    token = request.page_token
    if token and not (token.isascii() and token.isdigit() and len(token) < 10):
        raise InvalidInput("page_token", token[:64], "`next_page_token` of the page before")
    size = min(request.page_size or _PAGE_SIZE, _MOST_A_PAGE)
    return int(token) if token else _FIRST_ROW, size


def item_of(message: pb.Item) -> Item:
    """Return the item of one message, checked. Raises InvalidInput naming the field at fault."""
    item = Item(
        item_id=ItemId(message.item_id),
        title=message.title,
        category=message.category,
        brand=message.brand,
        price=_given(message, "price"),
        currency=message.currency,
        available=_available(message),
        url=message.url,
        image_url=message.image_url,
        description=message.description,
        sale_price=_given(message, "sale_price"),
        stock=_given(message, "stock"),
        group_id=message.group_id,
        hidden=message.hidden,
        available_from=_time(message, "available_from"),
        expires=_time(message, "expires"),
        attributes=tuple(Attribute(one.name, one.value) for one in message.attributes),
        offers=tuple(_offer_of(one) for one in message.offers),
    )
    item.check()
    return item


def message_of(item: Item) -> pb.Item:
    """Return the item as it goes over the wire."""
    return pb.Item(
        item_id=item.item_id,
        title=item.title,
        category=item.category,
        brand=item.brand,
        price=item.price,
        currency=item.currency,
        available=item.available,
        url=item.url,
        image_url=item.image_url,
        description=item.description,
        sale_price=item.sale_price,
        stock=item.stock,
        group_id=item.group_id,
        hidden=item.hidden,
        available_from=stamp_of(item.available_from),
        expires=stamp_of(item.expires),
        attributes=[pb.Attribute(name=one.name, value=one.value) for one in item.attributes],
        offers=[
            pb.Offer(
                market=one.market,
                price=one.price,
                currency=one.currency,
                available=one.available,
                sale_price=one.sale_price,
                stock=one.stock,
            )
            for one in item.offers
        ],
    )


def encode_upserted(
    done: ItemsChanged, rejected: Sequence[pb.RejectedItem]
) -> pb.UpsertItemsResponse:
    """Return what became of descriptions."""
    return pb.UpsertItemsResponse(
        changed_count=done.changed,
        unchanged_count=done.unchanged,
        rejected=rejected,
        log_position=done.last_position,
    )


def encode_updated(
    done: ItemsChanged, rejected: Sequence[pb.RejectedItem]
) -> pb.UpdateOffersResponse:
    """Return what became of updates."""
    return pb.UpdateOffersResponse(
        changed_count=done.changed,
        unchanged_count=done.unchanged,
        rejected=rejected,
        missing_ids=done.missing,
        log_position=done.last_position,
    )


def encode_deleted(done: ItemsChanged) -> pb.DeleteItemsResponse:
    """Return what became of removals."""
    return pb.DeleteItemsResponse(
        deleted_count=done.changed, missing_ids=done.missing, log_position=done.last_position
    )


def encode_named(asked: Sequence[ItemId], found: Sequence[RegisteredItem]) -> pb.GetItemsResponse:
    """Return the items that were found, and the ids of those that were not."""
    held = {one.item_id for one in found}
    return pb.GetItemsResponse(
        items=_messages(found), missing_ids=[one for one in asked if one not in held]
    )


def encode_page(found: Sequence[RegisteredItem], size: int) -> pb.ListItemsResponse:
    """Return one page; it is the last where it is not full."""
    token = str(found[-1].row) if len(found) == size else ""
    return pb.ListItemsResponse(items=_messages(found), next_page_token=token)


def _messages(found: Iterable[RegisteredItem]) -> list[pb.Item]:
    return [message_of(one.item) for one in found if one.item is not None]


def _decoded(
    field: str, messages: Sequence[Message], change_of: Callable[[Message], ItemChange]
) -> DecodedChanges:
    if len(messages) > MOST_CHANGES:
        raise InvalidInput(field, len(messages), f"at most {MOST_CHANGES:,}")
    valid, rejected = [], []
    for index, message in enumerate(messages):
        try:
            valid.append(change_of(message))
        except InvalidInput as error:
            rejected.append(
                pb.RejectedItem(
                    index=index, field=error.field, reason=error.reason, message=str(error)
                )
            )
    return DecodedChanges(tuple(valid), tuple(rejected))


def _update_of(message: pb.OfferUpdate) -> OfferUpdate:
    update = OfferUpdate(
        item_id=ItemId(message.item_id),
        market=message.market,
        price=_given(message, "price"),
        currency=message.currency if message.HasField("currency") else None,
        available=message.available if message.HasField("available") else None,
        sale_price=_given(message, "sale_price"),
        stock=_given(message, "stock"),
    )
    update.check()
    return update


def _offer_of(message: pb.Offer) -> Offer:
    return Offer(
        market=message.market,
        price=_given(message, "price"),
        currency=message.currency,
        available=_available(message),
        sale_price=_given(message, "sale_price"),
        stock=_given(message, "stock"),
    )


def _available(message: pb.Item | pb.Offer) -> bool:
    return message.available if message.HasField("available") else True


def _given(message: pb.Item | pb.Offer | pb.OfferUpdate, name: str) -> float | None:
    return float(getattr(message, name)) if message.HasField(name) else None  # type: ignore[arg-type]


def _time(message: pb.Item, name: str) -> datetime | None:
    stamp: Timestamp = getattr(message, name)
    return instant_of(name, stamp) if message.HasField(name) else None  # type: ignore[arg-type]


def _item_ids(ids: Sequence[str], most: int) -> list[ItemId]:
    if len(ids) > most:
        raise InvalidInput("item_ids", len(ids), f"at most {most:,} ids")
    for place, item_id in enumerate(ids):
        check_id(f"item_ids[{place}]", item_id)
    return [ItemId(item_id) for item_id in ids]
