"""What the demo's last scenes do: the catalog changes, two identifiers become one customer."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import uuid4

from recsys.customers import Identifier, IdKind
from recsys.events import Event, EventType
from recsys.ids import ItemId
from recsys.items import OfferUpdate
from serving.client import RecsysClient

MOST_S = 10.0
IN_A_ROW = 12
"""Answers over all connections, and so from every worker, that must agree."""
NEW_ITEM = ItemId("demo-novelty")
VISITOR = Identifier(IdKind.VISITOR, "demo-browser")
CUSTOMER = Identifier(IdKind.USER, "demo-customer")


class NeverHappened(Exception):
    """What was waited for did not happen; the message says what."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """Milliseconds from an acknowledged change of the catalog until every worker obeyed it.

    item: whose stock changed.
    """

    item: str
    gone_ms: float
    back_ms: float
    new_ms: float


@dataclass(frozen=True, slots=True)
class OnePerson:
    """Milliseconds from a link, and from its end, until the customer's answers followed."""

    item: str
    linked_ms: float
    unlinked_ms: float


def change_catalog(client: RecsysClient, households: Sequence[str]) -> Catalog:
    """Sell an item out and get it in again, then add a new one. Raises NeverHappened."""
    top = client.recommend("home", user_id=households[0]).items[0]

    def shown() -> bool:
        answer = client.recommend("home", user_id=households[0])
        return top.item_id in answer.item_ids

    client.update_offers([OfferUpdate(top.item_id, stock=0.0)])
    gone = _ms_until(lambda: not shown(), "the sold-out item is still recommended")
    client.update_offers([OfferUpdate(top.item_id, stock=20.0)])
    back = _ms_until(shown, "the item that is back is not recommended")
    (like,) = client.get_items([top.item_id])
    client.upsert_items([replace(like, item_id=NEW_ITEM, title="A NOVELTY")])
    new = _ms_until(
        lambda: any(
            NEW_ITEM in client.recommend("home", user_id=household).item_ids
            for household in households
        ),
        "the new item is recommended to nobody",
        in_a_row=1,
    )
    return Catalog(top.title, gone, back, new)


def become_one(client: RecsysClient) -> OnePerson:
    """Let a visitor hide an item, sign in, and sign out of a shared device. Raises NeverHappened.

    The visitor's wish is the customer's as long as both are linked.
    """
    top = client.recommend("home", user_id=CUSTOMER.value).items[0]
    hidden = Event(
        uuid4().hex, EventType.HIDE, datetime.now(UTC), top.item_id, visitor_id=VISITOR.value
    )
    client.write_events([hidden])

    def hidden_from_customer() -> bool:
        answer = client.recommend("home", user_id=CUSTOMER.value)
        return top.item_id not in answer.item_ids

    if hidden_from_customer():
        raise NeverHappened("a stranger's wish counts for the customer")
    link = (CUSTOMER, VISITOR)
    client.link_identifiers([link])
    linked = _ms_until(hidden_from_customer, "what the visitor hid is shown to the customer")
    client.unlink_identifiers([link])
    unlinked = _ms_until(lambda: not hidden_from_customer(), "the link is still there")
    client.link_identifiers([link])
    return OnePerson(top.title, linked, unlinked)


def _ms_until(happened: Callable[[], bool], otherwise: str, in_a_row: int = IN_A_ROW) -> float:
    """Return the milliseconds until an answer from which on something holds: many in a row."""
    started = time.monotonic()
    while time.monotonic() - started < MOST_S:
        seen = happened()
        first = time.monotonic()
        if seen and all(happened() for _ in range(in_a_row - 1)):
            return 1e3 * (first - started)
    raise NeverHappened(otherwise)
