"""Conflicts in the tiny shop: each kind is told, and its absence is silent."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from recsys.rules.conflicts import Conflict, ConflictKind, Shop, conflicts
from recsys.rules.rule import Amount, Rule, RuleKind
from tests import shop
from tests.laws.test_pages import CONDITIONS

SIZES = {"home": 4, "product": 3}
OPEN = Shop(shop.NOW, SIZES, CONDITIONS)
DAY = timedelta(days=1)

TEA = Rule("tea", RuleKind.PIN, item="tea", position=1)
SOAP = Rule("soap", RuleKind.PIN, item="soap", position=1)
NO_DRINKS = Rule("no-drinks", RuleKind.EXCLUDE, items='category = "Drinks"')
DAIRY = Rule("dairy", RuleKind.QUOTA, items='category = "Dairy"', at_least=Amount(0.6, share=True))
PANTRY = replace(DAIRY, name="pantry", items='category = "Pantry"')
FEW_CHEAP = Rule("few", RuleKind.QUOTA, items="price <= 6", at_most=Amount(1.0))


def kinds(*rules: Rule, at: Shop = OPEN) -> list[ConflictKind]:
    return [one.kind for one in conflicts(rules, at)]


def test_two_pins_on_one_position_are_told_with_who_has_its_way() -> None:
    found = conflicts([TEA, SOAP], OPEN)

    why = "both pin an item to position 1; soap has its way"
    assert found == (Conflict(ConflictKind.SAME_POSITION, ("soap", "tea"), why),)


@pytest.mark.parametrize(
    "other",
    [
        replace(SOAP, position=2),
        replace(SOAP, enabled=False),
        replace(SOAP, starts=shop.NOW + 2 * DAY),
        replace(SOAP, placements=("product",)),
        replace(SOAP, audience="not customer.known"),
    ],
)
def test_pins_that_never_meet_are_no_conflict(other: Rule) -> None:
    one = replace(TEA, placements=("home",), audience="customer.known", ends=shop.NOW + DAY)

    assert kinds(one, other) == []


def test_pinned_item_that_a_rule_excludes_is_told() -> None:
    assert kinds(TEA, NO_DRINKS) == [ConflictKind.PIN_EXCLUDED]
    assert kinds(SOAP, NO_DRINKS) == []


def test_minimums_over_the_whole_list_are_told_unless_items_count_twice() -> None:
    found = conflicts([DAIRY, PANTRY], OPEN)

    assert {one.kind for one in found} == {ConflictKind.QUOTAS_TOO_HIGH}
    assert found[0].rules == ("dairy", "pantry")
    assert found[0].why == "they want 6 items of a list of 4 (home)"
    assert kinds(DAIRY, replace(PANTRY, items="price <= 6")) == []


def test_minimum_that_is_longer_than_a_list_is_told() -> None:
    assert kinds(replace(DAIRY, at_least=Amount(4.0))) == [ConflictKind.QUOTAS_TOO_HIGH]
    assert kinds(replace(DAIRY, at_least=Amount(4.0), placements=("home",))) == []


def test_minimum_above_the_maximum_of_the_same_items_is_told() -> None:
    assert kinds(DAIRY, FEW_CHEAP) == [ConflictKind.QUOTAS_TOO_HIGH]
    assert kinds(DAIRY, replace(FEW_CHEAP, items="price > 2")) == []


@pytest.mark.parametrize(
    ("rule", "kind"),
    [
        (replace(NO_DRINKS, items='brand = "Nobody"'), ConflictKind.MATCHES_NOTHING),
        (replace(TEA, item="gone"), ConflictKind.MATCHES_NOTHING),
        (replace(NO_DRINKS, items='colour has "red"'), ConflictKind.NOT_ANSWERED),
        (replace(TEA, ends=shop.NOW), ConflictKind.EXPIRED),
        (replace(TEA, placements=("home", "gone")), ConflictKind.UNKNOWN_PLACEMENT),
    ],
)
def test_rule_that_does_nothing_is_told(rule: Rule, kind: ConflictKind) -> None:
    assert kinds(rule) == [kind]


def test_filter_over_customers_is_not_looked_at() -> None:
    own = replace(NO_DRINKS, items="brand in customer.brands")

    assert kinds(own, TEA) == []


def test_without_a_catalog_only_what_needs_none_is_told() -> None:
    closed = Shop(shop.NOW, SIZES)

    assert kinds(TEA, SOAP, NO_DRINKS, at=closed) == [ConflictKind.SAME_POSITION]
