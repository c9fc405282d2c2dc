from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from recsys.customers import (
    AttributeChange,
    ConsentChange,
    Consents,
    ConsentStatement,
    Identifier,
    IdKind,
    LinkChange,
    Purpose,
)
from recsys.events import Event, EventType, Position, Record
from recsys.ids import ItemId
from recsys.items import Item
from serving.customers import Customers, refusals_in
from serving.log.customer_register import RegisteredCustomer
from serving.log.records import Lines
from serving.log.writer import Writer
from serving.state.address import parse_redis_url
from serving.state.embedded import EmbeddedValkey
from serving.state.keys import Secret, StateKeys
from serving.state.redis_store import RedisSettings, RedisStateStore
from tests.serving.register import FileRegister

START = datetime(2026, 3, 1, tzinfo=UTC)
ANNA = Identifier(IdKind.USER, "anna")
PHONE = Identifier(IdKind.VISITOR, "phone")
CARD = Identifier(IdKind.CARD, "4711")
PATIENT = RedisSettings(read_timeout_ms=10_000)
prefixes = (f"customers{n}:" for n in count())


def nobody(identifiers: Iterable[Identifier]) -> frozenset[Identifier]:
    return frozenset()


@dataclass
class House:
    """Customers over a log's file and a store that holds all that is applied."""

    customers: Customers
    register: FileRegister
    store: RedisStateStore
    keys: StateKeys
    log_file: Path

    async def did(self, *events: Event) -> None:
        writer = Writer(self.log_file, clock=lambda: START)
        placed = writer.append(Lines.of([Record(event) for event in events]))
        writer.change_items([Item(ItemId("milk"), title="Milk, fresh")])
        writer.close()
        columns = zip(events, placed.positions, placed.item_rows, strict=True)
        await self.store.apply([Record(*one) for one in columns])

    def with_store(self, store: RedisStateStore) -> Customers:
        return Customers(self.register, store, self.keys, being_erased=nobody)

    def while_erased(self, *going: Identifier) -> Customers:
        return Customers(
            self.register,
            self.store,
            self.keys,
            being_erased=lambda asked: frozenset(asked) & set(going),
        )


@pytest.fixture
async def house(valkey: EmbeddedValkey, tmp_path: Path) -> AsyncIterator[House]:
    keys = StateKeys(Secret(bytes(32)), next(prefixes))
    store = RedisStateStore(valkey.address, keys, PATIENT)
    await store.set_applied_through(Position(0), expected=None)
    log_file = tmp_path / "log.sqlite"
    register = FileRegister(log_file)
    yield House(
        Customers(register, store, keys, being_erased=nobody), register, store, keys, log_file
    )
    await store.close()
    register.close()


def event(kind: EventType, item: str, owner: Identifier = ANNA, *, hours: int = 0) -> Event:
    return Event(
        f"{kind}-{item}-{hours}",
        kind,
        START + timedelta(hours=hours),
        ItemId(item),
        **{f"{owner.kind.value}_id": owner.value},  # type: ignore[arg-type]
    )


def consent(owner: Identifier, purpose: Purpose, *, granted: bool, hours: int = 0) -> ConsentChange:
    time = START + timedelta(hours=hours)
    return ConsentChange(owner, ConsentStatement(purpose, granted, time, "form"))


async def test_change_counts_in_the_next_answer(house: House) -> None:
    await house.did(event(EventType.CLICK, "milk"), event(EventType.CLICK, "tea", PHONE))

    done = await house.customers.change(
        [LinkChange(ANNA, CARD), LinkChange(CARD, PHONE), LinkChange(ANNA, CARD)]
    )

    (known,) = await house.store.known([[house.keys.of(CARD)]])
    assert (done.changed, done.unchanged) == (2, 1)
    assert len(known.state.history) == 2


async def test_unlink_tells_both_sides(house: House) -> None:
    await house.did(event(EventType.CLICK, "milk"), event(EventType.CLICK, "tea", PHONE))
    await house.customers.change([LinkChange(ANNA, PHONE)])

    await house.customers.change([LinkChange(PHONE, ANNA, linked=False)])

    sides = await house.store.known([[house.keys.of(ANNA)], [house.keys.of(PHONE)]])
    assert [len(one.state.history) for one in sides] == [1, 1]


async def test_change_is_acknowledged_with_the_store_away_and_the_customer_found_degraded(
    house: House,
) -> None:
    away = RedisStateStore(parse_redis_url("unix:///nowhere/valkey.sock"), house.keys, PATIENT)

    done = await house.with_store(away).change([consent(ANNA, Purpose.TRAIN, granted=False)])

    found = await house.with_store(away).find(ANNA)
    await away.close()
    assert (done.changed, found.degraded) == (1, True)
    assert not found.consents.allow(Purpose.TRAIN)


@pytest.mark.parametrize(
    ("purpose", "waits"), [(Purpose.PERSONALISE, True), (Purpose.EMAIL, False)]
)
async def test_change_of_answers_that_the_store_lacks_is_acknowledged_once_all_have_seen_it(
    purpose: Purpose, waits: bool, house: House
) -> None:
    away = RedisStateStore(parse_redis_url("unix:///nowhere/valkey.sock"), house.keys, PATIENT)
    customers = Customers(house.register, away, house.keys, being_erased=nobody, settle_s=3_600)

    changing = asyncio.create_task(customers.change([consent(ANNA, purpose, granted=False)]))
    done, _ = await asyncio.wait([changing], timeout=2.0 if waits else 60.0)
    changing.cancel()
    found = await house.customers.find(ANNA)

    await away.close()
    assert (done == set()) == waits
    assert not found.consents.allow(purpose)  # it is in the log for certain


async def test_customer_is_found_under_any_identifier_with_all_that_is_known(house: House) -> None:
    await house.did(
        event(EventType.PURCHASE, "milk", PHONE),
        event(EventType.ADD_TO_CART, "tea", hours=1),
        event(EventType.DETAIL_VIEW, "milk", hours=2),
        event(EventType.IMPRESSION, "rice", hours=3),
        event(EventType.EMAIL_SENT, "", hours=4),
    )
    await house.customers.change([LinkChange(ANNA, CARD), LinkChange(CARD, PHONE)])
    await house.customers.change([AttributeChange(CARD, "tier", "gold")])

    found = await house.customers.find(CARD)

    lists = (
        found.activity.purchases,
        found.activity.views,
        found.activity.cart,
        found.activity.shown,
    )
    assert found.registered.identifiers == (CARD, ANNA, PHONE)
    assert found.registered.attributes == {"tier": "gold"}
    assert [[found.names[one.row] for one in traces] for traces in lists] == [
        [("milk", "Milk, fresh")], [("milk", "Milk, fresh")], [("tea", "")], [("rice", "")],
    ]  # fmt: skip
    assert [(one.kind, one.row) for one in found.activity.mailed] == [(EventType.EMAIL_SENT, -1)]
    begun = int(START.timestamp())
    assert (found.activity.seen, found.degraded) == ((begun, begun + 4 * 3_600), False)


async def test_what_a_customer_did_is_found_by_the_shop_whatever_is_refused(house: House) -> None:
    await house.did(event(EventType.PURCHASE, "milk"))
    await house.customers.change([consent(ANNA, Purpose.PERSONALISE, granted=False)])

    found = await house.customers.find(ANNA)

    assert len(found.activity.purchases) == 1
    assert not found.consents.allow(Purpose.PERSONALISE)


async def test_unsubscription_is_among_the_consents_that_hold(house: House) -> None:
    await house.customers.change([consent(ANNA, Purpose.EMAIL, granted=True)])
    await house.did(event(EventType.UNSUBSCRIBE, "", hours=1))

    found = await house.customers.find(ANNA)

    assert not found.consents.allow(Purpose.EMAIL)
    assert [one.granted for one in found.registered.statements] == [True]


async def test_nobody_known_is_found_with_the_identifier_alone(house: House) -> None:
    found = await house.customers.find(CARD)

    assert found.registered.identifiers == (CARD,)
    assert (found.activity.seen, found.names, found.degraded) == (None, {}, False)


async def test_customer_whom_the_register_still_holds_while_erased_is_told_as_unknown(
    house: House,
) -> None:
    said = consent(ANNA, Purpose.EMAIL, granted=True)
    await house.customers.change([LinkChange(ANNA, CARD), AttributeChange(ANNA, "tier", "x"), said])

    found = await house.while_erased(ANNA, CARD).find(ANNA)

    assert found.registered == RegisteredCustomer((ANNA,), (), Consents(), {})
    assert not found.consents.allow(Purpose.EMAIL)
    assert not found.degraded


async def test_whoever_stays_is_told_apart_from_who_is_erased_and_as_degraded_meanwhile(
    house: House,
) -> None:
    await house.did(event(EventType.PURCHASE, "milk"))
    await house.customers.change([LinkChange(ANNA, CARD)])

    found = await house.while_erased(CARD).find(ANNA)

    assert found.registered.identifiers == (ANNA,)
    assert len(found.activity.purchases) == 1
    assert found.degraded


def test_unsubscriptions_among_events_are_refusals_under_the_most_durable_id() -> None:
    left = event(EventType.UNSUBSCRIBE, "", PHONE, hours=3)

    (refusal,) = refusals_in([event(EventType.CLICK, "milk"), left])

    assert refusal.identifier == PHONE
    assert (refusal.statement.purpose, refusal.statement.granted) == (Purpose.EMAIL, False)
    assert refusal.statement.time == left.time
