"""The judge of answers: what it lets pass, and what it does not."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from recsys.items import Item, Offer
from tests.faults.answers import LAW_S, Answer, Told, complaint
from tests.faults.living import FRESH, N_VARIANTS, NAMES, POPULAR, Learned, instant, plain

NOW = time.monotonic()
DAY_S = 86_400.0
N = N_VARIANTS + 3
LEARNED = Learned("v000", N)
BEST, SECOND, LAST = (row for row in LEARNED.order(POPULAR, N) if row >= N_VARIANTS)


def told(later: Mapping[int, Item | None] | None = None, *, sent: float = -DAY_S) -> Told:
    """Return a shop of three plain items, of whose rows something was said later."""
    known = Told()
    first = {row: None if row < N_VARIANTS else plain(row) for row in range(N)}
    for changes, at in ((first, NOW - 2 * DAY_S), (later or {}, NOW + sent)):
        known.send(changes, at)
        known.acknowledge(changes, at)
    return known


def answer(rows: Sequence[int], *, market: str = "", limit: int = 10) -> Answer:
    names = tuple(NAMES[row] for row in rows)
    return Answer(POPULAR, market, limit, NOW, NOW + 0.01, LEARNED.version, names)


def judged(rows: Sequence[int], known: Told, *, market: str = "", limit: int = 10) -> str:
    return complaint(answer(rows, market=market, limit=limit), known, LEARNED, LAW_S)


def test_list_in_the_order_of_the_reference_passes_whatever_its_length() -> None:
    known = told()

    assert judged([BEST, SECOND, LAST], known) == ""
    assert judged([BEST], known, limit=1) == ""


@pytest.mark.parametrize("rows", [[SECOND, BEST, LAST], [SECOND, LAST], [BEST, SECOND], []])
def test_list_that_is_not_as_the_reference_is_found(rows: list[int]) -> None:
    assert "is not in its place" in judged(rows, told())


@pytest.mark.parametrize("rows", [[BEST, SECOND, LAST], [SECOND, LAST]])
def test_change_of_less_than_a_second_ago_may_show_or_not(rows: list[int]) -> None:
    assert judged(rows, told({BEST: None}, sent=-0.9)) == ""


def test_change_of_more_than_a_second_ago_must_show() -> None:
    known = told({BEST: None}, sent=-1.1)

    assert f"{NAMES[BEST]} was not allowed" in judged([BEST, SECOND, LAST], known)
    assert judged([SECOND, LAST], known) == ""


def test_change_that_was_sent_and_not_heard_may_show_for_ever() -> None:
    known = told()
    known.send({BEST: None}, NOW - 60.0)

    assert judged([BEST, SECOND, LAST], known) == ""
    assert judged([SECOND, LAST], known) == ""


def test_change_sent_after_the_answer_may_not_show() -> None:
    known = told({BEST: None}, sent=1.0)

    assert "is not in its place" in judged([SECOND, LAST], known)


def test_machine_that_stood_still_may_show_a_change_that_much_later() -> None:
    known = told({BEST: None}, sent=-1.5)
    shown = answer([BEST, SECOND, LAST])

    assert complaint(shown, known, LEARNED, LAW_S) != ""
    assert complaint(shown, known, LEARNED, LAW_S + 0.6) == ""


@pytest.mark.parametrize(("passed_s", "late"), [(0.5, False), (1.5, True)])
def test_last_second_of_an_item_acts_within_a_second(passed_s: float, late: bool) -> None:
    expires = instant(time.time() + NOW - time.monotonic() - passed_s)
    known = told({BEST: replace(plain(BEST), expires=expires)})

    assert bool(judged([BEST, SECOND, LAST], known)) is late
    assert judged([SECOND, LAST], known) == ""


def test_item_that_expires_after_the_answer_must_be_there() -> None:
    expires = instant(time.time()) + timedelta(days=1)
    known = told({BEST: replace(plain(BEST), expires=expires)})

    assert "is not in its place" in judged([SECOND, LAST], known)


def test_market_is_shown_what_is_sold_there() -> None:
    known = told({BEST: replace(plain(BEST), offers=(Offer("AT"),))})

    assert judged([BEST, SECOND, LAST], known, market="AT") == ""
    assert "was not allowed" in judged([BEST, SECOND, LAST], known, market="DE")


def test_variant_stands_in_the_place_of_its_primary_which_is_sold_out() -> None:
    known = told({0: replace(plain(0), stock=0.0), 1: plain(1)})
    order = [row for row in LEARNED.order(POPULAR, N) if row == 0 or row >= N_VARIANTS]

    assert judged([row or 1 for row in order], known) == ""
    assert f"{NAMES[0]} was not allowed" in judged(order, known)


def test_variants_that_may_be_one_product_or_two_stand_as_they_do_in_either() -> None:
    alone = replace(plain(0), group_id="")
    known = told({0: alone, 1: plain(1)})
    known.send({0: replace(plain(0), stock=0.0)}, NOW - 0.1)
    order = [row for row in LEARNED.order(POPULAR, N) if row <= 1 or row >= N_VARIANTS]

    assert judged(order, known) == ""
    assert judged([row or 1 for row in order if row != 1], known) == ""
    assert "is not in its place" in judged([row for row in order if row > 1], known)


def test_list_with_newcomers_of_chance_is_held_to_what_is_allowed_alone() -> None:
    known = told({BEST: None})
    short = replace(answer([LAST, SECOND]), placement=FRESH)

    assert complaint(short, known, LEARNED, LAW_S) == ""
    wrong = replace(short, item_ids=(NAMES[BEST],))
    assert "was not allowed" in complaint(wrong, known, LEARNED, LAW_S)
