"""What happened: events, their form in the log, and their columns in the lake."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import NewType

from recsys.errors import InvalidInput
from recsys.ids import MOST_MARKET_BYTES, ItemId, check_id, check_text


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
    CATEGORY_VIEW = "category_view"
    SEARCH = "search"
    CART_VIEW = "cart_view"
    REFUND = "refund"
    ADD_TO_WISHLIST = "add_to_wishlist"
    REMOVE_FROM_WISHLIST = "remove_from_wishlist"
    RATING = "rating"
    EMAIL_SENT = "email_sent"
    EMAIL_OPENED = "email_opened"
    EMAIL_CLICKED = "email_clicked"
    UNSUBSCRIBE = "unsubscribe"


EVENT_TYPES: tuple[EventType, ...] = tuple(EventType)
"""Event types by their code; append-only, since state in Redis holds codes."""

EVENT_CODES: dict[EventType, int] = {kind: code for code, kind in enumerate(EVENT_TYPES)}

WITHOUT_ITEM = frozenset(
    {
        EventType.CATEGORY_VIEW,
        EventType.SEARCH,
        EventType.CART_VIEW,
        EventType.EMAIL_SENT,
        EventType.EMAIL_OPENED,
        EventType.EMAIL_CLICKED,
        EventType.UNSUBSCRIBE,
    }
)
"""Types that need no item; a search and an e-mail may name one all the same."""


class Channel(StrEnum):
    """Where an action took place."""

    UNSPECIFIED = ""
    WEB = "web"
    APP = "app"
    EMAIL = "email"
    SOCIAL = "social"
    STORE = "store"
    DEVICE = "device"
    CHAT = "chat"
    CALL_CENTER = "call_center"


@dataclass(frozen=True, slots=True)
class Event:
    """One action of one customer, on one item unless its type needs none.

    event_id: the shop's id of the event; a second event of the same id does not count.
    time: UTC; from 1971 until 2105; it counts to 1/256 of a second.
    item_id: empty only for the types in `WITHOUT_ITEM`.
    quantity: pieces, at least 1e-6; of a refund, the pieces given back.
    price: of one piece, in `currency`; None where unknown.
    order_id: ties the lines of one order, and its refunds, together; empty elsewhere.
    outlet: the shop's own name of the place within the channel, such as a store's number.
    attribution_token: of the recommendation behind the action; empty where there is none.
    rating: 1 (worst) to 5 (best); given with a RATING alone.
    query: what was searched for. category: the category that was viewed.
    campaign_id: of the e-mail that was sent, opened, clicked or unsubscribed from.
    robot: whether the sender's software called itself a robot.
    market: where the shop sells, as in `Query.market`; empty where it does not say.

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
    channel: Channel = Channel.UNSPECIFIED
    outlet: str = ""
    attribution_token: str = ""
    rating: float | None = None
    query: str = ""
    category: str = ""
    campaign_id: str = ""
    robot: bool = False
    market: str = ""

    def check(self) -> None:
        """Raise InvalidInput naming the first field that holds what it may not."""
        check_id("event_id", self.event_id)
        if self.item_id or self.type not in WITHOUT_ITEM:
            check_id("item_id", self.item_id)
        for name, text in self._given_ids():
            check_id(name, text)
        if not (self.user_id or self.visitor_id or self.session_id):
            raise InvalidInput("user_id", "", "a user_id, visitor_id or session_id")
        if self.time.tzinfo is None or not EARLIEST <= self.time <= LATEST:
            raise InvalidInput(
                "time", str(self.time), f"a time with zone in {EARLIEST:%Y} to {LATEST:%Y}"
            )
        if not LEAST_QUANTITY <= self.quantity < MOST_QUANTITY:
            raise InvalidInput("quantity", self.quantity, QUANTITY_WANTED)
        if self.price is not None and not 0 <= self.price < 1e12:
            raise InvalidInput("price", self.price, "a number from 0 to 1e12")
        if self.market:
            check_text("market", self.market, MOST_MARKET_BYTES)
        self._check_of_type()

    def _given_ids(self) -> list[tuple[str, str]]:
        named = (
            ("user_id", self.user_id),
            ("visitor_id", self.visitor_id),
            ("session_id", self.session_id),
            ("order_id", self.order_id),
            ("outlet", self.outlet),
            ("currency", self.currency),
            ("campaign_id", self.campaign_id),
        )
        return [(name, text) for name, text in named if text]

    def _check_of_type(self) -> None:
        """Check what a type asks for beyond the others."""
        rated = self.type is EventType.RATING
        if rated != (self.rating is not None) or (rated and not 1 <= (self.rating or 0) <= 5):
            raise InvalidInput("rating", self.rating, RATING_WANTED)
        if self.type is EventType.SEARCH or self.query:
            check_text("query", self.query, MOST_QUERY_BYTES)
        if self.type is EventType.CATEGORY_VIEW or self.category:
            check_text("category", self.category, MOST_CATEGORY_BYTES)


LEAST_QUANTITY, MOST_QUANTITY = 1e-6, 1e9
QUANTITY_WANTED = "a number from 1e-6 to below 1e9"
MOST_QUERY_BYTES = 512
MOST_CATEGORY_BYTES = 1_024
RATING_WANTED = "a number from 1 to 5 for a rating, nothing for other types"

EARLIEST = datetime(1971, 1, 1, tzinfo=UTC)
LATEST = datetime(2105, 12, 31, tzinfo=UTC)


Position = NewType("Position", int)
"""Place of a record in the log, > 0, ascending, never used twice; 0 is before the first."""


@dataclass(frozen=True, slots=True)
class Record:
    """One event of the log.

    position: its place in the log, > 0, never used twice; 0 until it is appended.
    item_row: the item's number in the vocabulary, given by the log; -1 until it is appended, and
        for an event without an item.
    received: when the log took it, UTC; None until it is appended.
    """

    fact: Event
    position: int = 0
    item_row: int = -1
    received: datetime | None = None
