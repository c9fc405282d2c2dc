"""The gate: late events stay out of log and states, and nobody else is held up."""

from __future__ import annotations

from datetime import timedelta

import orjson
import pytest

from recsys.customers import ConsentChange, ConsentStatement, Identifier, IdKind, Purpose
from recsys.events import Event, Record
from serving.erasure.mentions import TextGate
from serving.log.records import Lines
from serving.log.writer import Writer
from serving.state.changes import PackedEvents
from tests.serving.erasure.shops import (
    ANNA,
    ANNAS_BROWSER,
    BERT,
    NOON,
    Shop,
    event,
    of_anna,
    of_bert,
)

LATER = timedelta(days=1, seconds=1)


def let_in(shop: Shop, *events: Event) -> list[dict[str, object]]:
    lines, may = shop.gate.lines(Lines.of([Record(one) for one in events]))
    kept = lines if may is None else lines.chosen(may)
    return [orjson.loads(line) for line in kept.payload.split(b"\n") if line]


def test_without_erasures_the_very_lines_go_through(shop: Shop) -> None:
    lines = Lines.of([Record(of_anna("x"))])

    assert shop.gate.lines(lines) == (lines, None)
    assert shop.gate.lines(lines)[0] is lines


@pytest.mark.parametrize("erased", [(ANNA,), (ANNA, ANNAS_BROWSER)])
def test_events_of_whoever_is_erased_stay_out(shop: Shop, erased: tuple[Identifier, ...]) -> None:
    shop.ask(*erased)

    found = let_in(shop, of_anna("a"), of_bert("b"), of_anna("new", NOON + LATER))

    assert [one["event_id"] for one in found] == ["b", "new"]


def test_event_of_another_loses_the_id_alone(shop: Shop) -> None:
    shop.ask(ANNAS_BROWSER, alone=True)

    (found,) = let_in(shop, of_bert("b", visitor_id=ANNAS_BROWSER.value, session_id="s"))

    assert "visitor_id" not in found
    assert (found["user_id"], found["session_id"]) == (BERT.value, "s")


def test_user_keeps_events_though_the_session_that_is_first_is_another(shop: Shop) -> None:
    shop.ask(Identifier(IdKind.SESSION, ANNA.value))

    assert len(let_in(shop, of_anna("a"))) == 1


def test_gate_hears_of_an_erasure_at_once(shop: Shop) -> None:
    assert len(let_in(shop, of_anna("a"))) == 1

    shop.ask(ANNA)

    assert let_in(shop, of_anna("a")) == []


def test_states_are_made_without_whoever_is_erased(shop: Shop) -> None:
    records = [
        Record(one, position, 0)
        for position, one in enumerate(
            [of_anna("a"), of_bert("b"), of_anna("new", NOON + LATER)], start=1
        )
    ]
    packed = PackedEvents.of(records)
    assert shop.gate.packed(packed) is packed

    shop.ask(ANNA)

    assert shop.gate.packed(packed).entries.tolist() == packed.entries[1:].tolist()


def test_event_of_the_second_of_the_erasure_is_gone_and_of_the_next_is_not(shop: Shop) -> None:
    shop.now = NOON + timedelta(days=1, microseconds=300_000)
    shop.ask(ANNA)

    found = let_in(
        shop,
        of_anna("same", shop.now + timedelta(microseconds=600_000)),
        of_anna("next", shop.now + timedelta(microseconds=700_000)),
    )

    assert [one["event_id"] for one in found] == ["next"]


async def test_erasure_while_a_drain_holds_records_lets_none_of_them_into_the_lake(
    shop: Shop,
) -> None:
    shop.take_in(of_anna("waiting"), of_bert("b-waiting"))
    entry = shop.ask(ANNA, ANNAS_BROWSER)

    shop.drain()  # what waited goes to the lake before the erasure gets its turn
    await shop.eraser().run()
    shop.drain()

    assert "waiting" not in shop.event_ids()
    assert "b-waiting" in shop.event_ids()
    assert all(one.erasure_id == entry.erasure_id for one in shop.receipts())


async def test_drain_between_two_steps_of_an_erasure_brings_nothing_back(shop: Shop) -> None:
    shop.take_in(of_anna("waiting"), *(of_bert(f"w{n}") for n in range(3)))
    shop.ask(ANNA, ANNAS_BROWSER)

    async def drained_before(work):  # type: ignore[no-untyped-def]
        shop.take_in(event(f"between{len(between)}", user_id="somebody"))
        between.append(1)
        shop.drain()
        return work()

    between: list[int] = []
    await shop.eraser(drained_before).run()

    found = shop.event_ids()
    assert not any(one.startswith("a") or one in ("v1", "waiting") for one in found)
    assert {f"between{n}" for n in range(len(between))} <= set(found)
    assert {"w0", "w1", "w2"} <= set(found)


@pytest.mark.parametrize(
    ("text", "let_in"),
    [
        (f'{{"user_id": "{BERT.value}"}}', True),
        (f'{{"user_id": "{ANNA.value}"}}', False),
        (f'{{"row": {{"customer": "{ANNA.value}"}}}}', False),
        (f'{{"user_id": "{ANNA.value}", "time": "2026-11-21T12:00:01Z"}}', True),
        (f'{{"user_id": "{ANNA.value}", "time": "2026-11-21T12:00:00Z"}}', False),
        (f"torn, {ANNA.value}", False),
        (f'{{"item_id": "{ANNA.value}"}}', True),
    ],
)
def test_rejected_text_that_mentions_whoever_is_erased_is_not_kept(
    text: str, let_in: bool, shop: Shop
) -> None:
    shop.ask(ANNA)

    assert TextGate(shop.ledger, shop.keys).lets_in(text) is let_in


def test_log_behind_the_gate_takes_nothing_of_before_the_erasure(shop: Shop) -> None:
    shop.ask(ANNA)
    writer = Writer(shop.places.log_file, clock=lambda: NOON + LATER, gate=shop.gate)
    events = [of_anna("late"), of_bert("b"), of_anna("new", NOON + LATER)]
    said = [
        ConsentChange(who, ConsentStatement(Purpose.EMAIL, granted=True, time=time))
        for who, time in ((ANNA, NOON - LATER), (BERT, NOON - LATER), (ANNA, NOON + LATER))
    ]

    placed = writer.append(Lines.of([Record(one) for one in events]))
    done = writer.change_customers(said)
    writer.close()

    assert [position > 0 for position in placed.positions] == [False, True, True]
    assert (done.changed, done.unchanged) == (2, 1)
