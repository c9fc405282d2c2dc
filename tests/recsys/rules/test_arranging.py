"""Pins and quotas in the tiny shop, where nobody proposed what they ask for."""

from __future__ import annotations

from dataclasses import replace

from recsys.fill_report import Unmet
from recsys.ids import ItemId
from recsys.query import Page, Query, Scene
from recsys.rules.book import RuleBook
from recsys.rules.rule import Amount, Rule, RuleKind
from recsys.state import UserState
from tests import shop
from tests.laws.test_rules import lists, parts, reports

CART = Scene(cart=(ItemId("bread"),))
CLEANING = Rule("cleaning", RuleKind.QUOTA, items='category = "Cleaning"', at_least=Amount(1.0))
DEAR = Rule("dear", RuleKind.QUOTA, items="price <= 3", at_most=Amount(0.0))
TEA = Rule("tea", RuleKind.PIN, item="tea", position=2)


def made(
    query: Query, *rules: Rule, known: UserState | None = None
) -> tuple[list[str], tuple[Unmet, ...]]:
    """Return the items of a list under rules, and what it does not keep."""
    found = parts([Page((query,))], [known or UserState.unknown()], RuleBook.of(rules))
    ((place, items),) = lists(found).items()
    return items, reports(found)[place].unmet


def touched(query: Query, *rules: Rule) -> dict[str, tuple[str, ...]]:
    """Return the rules that touched each item of a list, where any did."""
    (part,) = parts([Page((query,))], [UserState.unknown()], RuleBook.of(rules))
    names = shop.names(part.filled.listed.rows)
    return {name: own for name, own in zip(names, part.filled.rules, strict=True) if own}


def test_what_no_source_proposes_comes_in_for_a_pin_and_a_minimum() -> None:
    alone = made(shop.query("cart", scene=CART))

    items, unmet = made(shop.query("cart", scene=CART), CLEANING, TEA)

    assert alone == (["butter", "jam"], ())
    assert items == ["butter", "tea", "soap"]
    assert unmet == ()


def test_sources_are_asked_again_for_what_a_maximum_leaves() -> None:
    items, unmet = made(shop.query("narrow", limit=4), DEAR)

    assert items == ["coffee", "milk", "sugar", "soap"]
    assert unmet == ()


def test_what_is_too_much_stays_behind_where_nothing_else_is_left() -> None:
    items, unmet = made(shop.query("cart", scene=CART, limit=2), DEAR, TEA)

    assert items == ["butter", "tea"]
    assert unmet == (Unmet("dear", "1 of 2 items, wanted at most 0"),)


def test_pin_behind_the_end_of_a_list_is_told_and_comes_last() -> None:
    items, unmet = made(
        shop.query("cart", scene=CART), Rule("p", RuleKind.PIN, item="tea", position=4)
    )
    late, told = made(
        shop.query("cart", scene=CART, limit=10),
        Rule("p", RuleKind.PIN, item="tea", position=4),
    )

    assert (items, [one.rule for one in unmet]) == (["butter", "jam"], ["p"])
    assert (late, [one.rule for one in told]) == (["butter", "jam", "tea"], ["p"])


def test_list_that_is_filled_up_keeps_its_rules_as_one() -> None:
    known = shop.bought("coffee", days=20.0)
    third = Rule("third", RuleKind.PIN, item="tea", position=3, placements=("again",))
    elsewhere = Rule("elsewhere", RuleKind.EXCLUDE, items='title = "Bread"', placements=("home",))

    plain, _ = made(shop.query("again", limit=4), known=known)
    items, unmet = made(shop.query("again", limit=4), third, elsewhere, DEAR, known=known)

    assert plain[0] == items[0] == "coffee"
    assert items[2] == "tea"
    assert not {"bread", "butter", "jam"} & set(items)
    assert len(items) == 4
    assert unmet == ()


def test_items_carry_the_rules_that_touched_them_by_priority() -> None:
    boost = Rule("b", RuleKind.BOOST, items="price <= 1", factor=2.0, priority=1)
    also = Rule("a", RuleKind.BOOST, items="price <= 2", factor=1.5)

    found = touched(shop.query("home", limit=4), boost, also, TEA, CLEANING)

    assert found == {"bread": ("b", "a"), "tea": ("tea",), "butter": ("a",), "soap": ("cleaning",)}


def test_rule_that_cannot_be_kept_stands_in_the_way_of_no_other() -> None:
    never = Rule("never", RuleKind.QUOTA, per="category", at_most=Amount(0.0), priority=1)
    dear = Rule("dear", RuleKind.QUOTA, items="price > 6", at_least=Amount(1.0))

    items, unmet = made(shop.query("home", limit=6), never, dear)

    assert [shop.ROW[item] + 1 > 6 for item in items].count(True) == 1
    assert [one.rule for one in unmet] == ["never"]


def test_boost_acts_on_items_that_no_source_would_have_proposed() -> None:
    query = shop.query("narrow", limit=2)
    boost = Rule("clean", RuleKind.BOOST, items='title = "Soap"', factor=100.0)
    elsewhere = replace(boost, items="price > 100")

    assert made(query)[0] == ["bread", "butter"]
    assert made(query, boost)[0] == ["soap", "bread"]
    assert made(query, elsewhere)[0] == ["bread", "butter"]


def test_boost_and_bury_of_one_item_multiply() -> None:
    up = Rule("up", RuleKind.BOOST, items='title = "Coffee"', factor=4.0)
    down = Rule("down", RuleKind.BURY, items='title = "Coffee"', factor=0.25)

    assert made(shop.query("home"), up, down) == made(shop.query("home"))
    assert made(shop.query("home"), up)[0][0] == "coffee"


def test_rule_whose_filter_the_catalog_cannot_answer_is_told() -> None:
    items, unmet = made(shop.query("home"), Rule("red", RuleKind.EXCLUDE, items='colour has "red"'))

    assert items == ["bread", "butter", "jam", "coffee"]
    assert [one.rule for one in unmet] == ["red"]
    assert "colour" in unmet[0].why
