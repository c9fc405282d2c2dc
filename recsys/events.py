"""What happened: events, their form in the log, and their columns in the lake."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import NewType

from recsys.catalog import Item
from recsys.errors import InvalidInput
from recsys.ids import ItemId, check_id


class EventType(StrEnum):
    """One kind of action."""

    IMPRESSION = "impression"
    CLICK = "click"
    DETAIL_VIEW = "detail_view"
    ADD_TO_CART = "add_to_cart"
    REMOVE_FROM_CART = "remove_from_cart"
    PURCHASE = "purchase"
    LIKE = "like"
    HIDE = "hide"


EVENT_TYPES: tuple[EventType, ...] = tuple(EventType)
"""Event types by their code; append-only, since state in Redis holds codes."""

EVENT_CODES: dict[EventType, int] = {kind: code for code, kind in enumerate(EVENT_TYPES)}


@dataclass(frozen=True, slots=True)
class Event:
    """One action of one customer on one item.

    event_id: the shop's id of the event; a second event of the same id does not count.
    time: UTC; from 1970 until 2106, whole seconds count.
    quantity: pieces, > 0.
    price: of one piece, in `currency`; None where unknown.
    order_id: ties the lines of one order; empty elsewhere.
    attribution_token: of the recommendation behind the action; empty where there is none.

    At least one of user_id, visitor_id and session_id is given.
    """

    event_id: str
    type: EventType
    time: datetime
    item_id: ItemId
    user_id: str = ""
    visitor_id: str = ""
    session_id: str = ""
    quantity: float = 1.0
    price: float | None = None
    currency: str = ""
    order_id: str = ""
    channel: str = ""
    attribution_token: str = ""

    def check(self) -> None:
        """Raise InvalidInput naming the first field that holds what it may not."""
        for name in ("event_id", "item_id"):
            check_id(name, getattr(self, name))
        for name in ("user_id", "visitor_id", "session_id", "order_id", "channel", "currency"):
            if getattr(self, name):
                check_id(name, getattr(self, name))
        if not (self.user_id or self.visitor_id or self.session_id):
            raise InvalidInput("user_id", "", "a user_id, visitor_id or session_id")
        if self.time.tzinfo is None or not EARLIEST <= self.time <= LATEST:
            raise InvalidInput(
                "time", str(self.time), f"a time with zone in {EARLIEST:%Y} to {LATEST:%Y}"
            )
        if not 0 < self.quantity < 1e9:
            raise InvalidInput("quantity", self.quantity, "a number above 0 and below 1e9")
        if self.price is not None and not 0 <= self.price < 1e12:
            raise InvalidInput("price", self.price, "a number from 0 to 1e12")


EARLIEST = datetime(1971, 1, 1, tzinfo=UTC)
LATEST = datetime(2105, 12, 31, tzinfo=UTC)


Position = NewType("Position", int)
"""Place of a record in the log, > 0, ascending, never used twice; 0 is before the first."""


class RecordKind(StrEnum):
    """What a record of the log is about; one name, one fact."""

    EVENT = "event"
    ITEM = "item"


@dataclass(frozen=True, slots=True)
class Record:
    """One fact of the log: an event, or the new truth about an item.

    position: its place in the log, > 0, never used twice; 0 until it is appended.
    item_row: the item's number in the vocabulary, given by the log; -1 until it is appended.
    """

    fact: Event | Item
    position: int = 0
    item_row: int = -1
    kind: RecordKind = field(init=False)

    def __post_init__(self) -> None:
        kind = RecordKind.EVENT if isinstance(self.fact, Event) else RecordKind.ITEM
        object.__setattr__(self, "kind", kind)
