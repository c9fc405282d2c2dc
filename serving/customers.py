"""Customers as the shop sees them: one person across channels, and what the person allows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from recsys.customers import (
    AttributeChange,
    ConsentChange,
    Consents,
    ConsentStatement,
    CustomerChange,
    Identifier,
    LinkChange,
    Purpose,
    identifiers_of,
)
from recsys.errors import Unavailable
from recsys.events import Event, EventType
from recsys.lately import (
    Trace,
    cart_left_behind,
    last_purchases,
    last_views,
    seen_between,
    traces_of,
)
from recsys.state import UserState
from serving.log.customer_register import (
    CustomerProfile,
    CustomerRegister,
    CustomersChanged,
    RegisteredCustomer,
)
from serving.state.keys import StateKey, StateKeys, most_durable
from serving.state.profiles import unsubscriptions_of

log = structlog.get_logger("serving.customers")

MOST_TRACES = 50
UNSUBSCRIBED = "unsubscribe event"

BeingErased = Callable[[Iterable[Identifier]], frozenset[Identifier]]
"""Returns whose erasure is noted while the register still holds them. Raises Unavailable."""


class CustomerStates(Protocol):
    """The part of a `StateStore` that keeps and tells what customers did.

    incomplete: whether what was read last may lack events that were acknowledged.
    """

    incomplete: bool

    async def read(self, keys: Sequence[Sequence[StateKey]]) -> Sequence[UserState]:
        """Return what is known under each customer's keys, joined. Raises Unavailable."""
        ...

    async def apply_profiles(self, profiles: Sequence[CustomerProfile]) -> None:
        """Remember profiles, unless newer ones are there. Raises Unavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Activity:
    """What a customer did lately, newest first each.

    seen: the first and the last second that is remembered, None where nothing is.
    """

    seen: tuple[int, int] | None
    purchases: Sequence[Trace]
    views: Sequence[Trace]
    cart: Sequence[Trace]
    shown: Sequence[Trace]
    mailed: Sequence[Trace]

    @classmethod
    def of(cls, state: UserState) -> Activity:
        """Return what a state tells."""
        return cls(
            seen_between(state),
            last_purchases(state, MOST_TRACES),
            last_views(state, MOST_TRACES),
            cart_left_behind(state),
            traces_of(state.shown, MOST_TRACES),
            traces_of(state.mailed, MOST_TRACES),
        )

    def rows(self) -> list[int]:
        """Return the rows of the items in it."""
        lists = (self.purchases, self.views, self.cart, self.shown, self.mailed)
        return sorted({trace.row for traces in lists for trace in traces if trace.row >= 0})


@dataclass(frozen=True, slots=True)
class FoundCustomer:
    """All that is known of one customer.

    consents: what holds, unsubscriptions among it. names: item id and title behind each row.
    degraded: whether the activity may lack some of what the customer did, or all.
    """

    registered: RegisteredCustomer
    consents: Consents
    activity: Activity
    names: Mapping[int, tuple[str, str]]
    degraded: bool


class Customers:
    """Changes customers, and finds them. Every method raises Unavailable.

    What the register holds is acknowledged: with the store away, profiles are applied later by the
    supervisor. Until then whoever they are about is nobody to answers, once every worker has seen
    the change in the log.

    settle_s: how long that may take; a change that the store has not taken is acknowledged after.
    """

    def __init__(
        self,
        register: CustomerRegister,
        states: CustomerStates,
        keys: StateKeys,
        *,
        being_erased: BeingErased,
        settle_s: float = 0.0,
    ) -> None:
        self._register = register
        self._states = states
        self._keys = keys
        self._being_erased = being_erased
        self._settle_s = settle_s

    async def change(self, changes: Sequence[CustomerChange]) -> CustomersChanged:
        """Make the changes that may be made; they are durable, and count in the next answer."""
        done = await self._register.change_customers(changes)
        touching = [one for one in changes if not isinstance(one, AttributeChange)]
        if touching:
            applied = await self._apply(await self._register.profiles_of(identifiers_of(touching)))
            if not applied and any(map(_changes_answers, touching)):
                await asyncio.sleep(self._settle_s)
        return done

    async def find(self, identifier: Identifier) -> FoundCustomer:
        """Return the customer with an identifier, of whom perhaps nothing else is known.

        While somebody is erased who is linked with it, nothing else is told.
        """
        registered = await self._register.customer_of(identifier)
        going = self._being_erased(registered.identifiers)
        if going:
            registered = RegisteredCustomer((identifier,), (), Consents(), {})
        partly = bool(going) and identifier not in going
        state, degraded = await self._state(registered)
        activity = Activity.of(state)
        return FoundCustomer(
            registered,
            registered.consents.joined(unsubscriptions_of(state)),
            activity,
            await self._register.item_names(activity.rows()),
            degraded or partly,
        )

    async def _apply(self, profiles: Sequence[CustomerProfile]) -> bool:
        """Return whether the store has taken the profiles."""
        try:
            await self._states.apply_profiles(profiles)
        except Unavailable as error:
            log.warning("profiles wait for the store", reason=error.reason)
            return False
        return True

    async def _state(self, registered: RegisteredCustomer) -> tuple[UserState, bool]:
        """Return what the customer did under all identifiers, and whether that may lack some."""
        keys = [self._keys.of(identifier) for identifier in registered.identifiers]
        try:
            (state,) = await self._states.read([keys])
        except Unavailable:
            return UserState.unknown(), True
        return state, self._states.incomplete


def _changes_answers(change: CustomerChange) -> bool:
    """Return whether answers rest on what a change is about, as they do not on e-mail."""
    if isinstance(change, ConsentChange):
        return change.statement.purpose is Purpose.PERSONALISE
    return isinstance(change, LinkChange)


def refusals_in(events: Iterable[Event]) -> list[ConsentChange]:
    """Return the refusals of e-mail that unsubscriptions are, under their most durable ids.

    A state forgets an unsubscription when the customer expires; the register does not.
    """
    return [
        ConsentChange(
            Identifier(*most_durable(event)),
            ConsentStatement(Purpose.EMAIL, granted=False, time=event.time, basis=UNSUBSCRIBED),
        )
        for event in events
        if event.type is EventType.UNSUBSCRIBE
    ]
