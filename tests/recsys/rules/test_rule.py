"""What is a rule, and what is said of what is none."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from recsys.errors import InvalidInput
from recsys.rules.rule import Amount, Rule, RuleKind
from tests import shop

EXCLUDE = Rule("one", RuleKind.EXCLUDE, items="price > 3")
BOOST = Rule("one", RuleKind.BOOST, items="price > 3", factor=2.0)
BURY = Rule("one", RuleKind.BURY, items="price > 3", factor=0.5)
PIN = Rule("one", RuleKind.PIN, item="tea", position=1)
QUOTA = Rule("one", RuleKind.QUOTA, items="price > 3", at_least=Amount(2.0))
PER = Rule("one", RuleKind.QUOTA, per="brand", at_most=Amount(2.0))


@pytest.mark.parametrize("rule", [EXCLUDE, BOOST, BURY, PIN, QUOTA, PER])
def test_rule_of_each_kind_passes(rule: Rule) -> None:
    rule.check()

    assert rule.holds(shop.NOW)


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        (replace(EXCLUDE, name="Two Words"), "name"),
        (replace(EXCLUDE, name="-x"), "name"),
        (replace(EXCLUDE, name=""), "name"),
        (replace(EXCLUDE, items=""), "items"),
        (replace(EXCLUDE, items="price >"), "items"),
        (replace(EXCLUDE, factor=2.0), "factor"),
        (replace(EXCLUDE, audience="price > 3"), "audience"),
        (replace(EXCLUDE, audience="customer.knwon"), "audience"),
        (replace(EXCLUDE, placements=("",)), "placements[0]"),
        (replace(EXCLUDE, starts=datetime(2026, 1, 1)), "starts"),  # noqa: DTZ001 - that is the point
        (replace(EXCLUDE, starts=shop.NOW, ends=shop.NOW), "ends"),
        (replace(EXCLUDE, priority=10_000_000), "priority"),
        (replace(BOOST, factor=1.0), "factor"),
        (replace(BOOST, factor=None), "factor"),
        (replace(BOOST, factor=float("nan")), "factor"),
        (replace(BURY, factor=1.5), "factor"),
        (replace(BURY, factor=0.0), "factor"),
        (replace(PIN, item=""), "item"),
        (replace(PIN, position=0), "position"),
        (replace(PIN, position=501), "position"),
        (replace(PIN, items="price > 3"), "items"),
        (replace(QUOTA, at_least=None), "at_least"),
        (replace(QUOTA, at_least=Amount(1.5)), "at_least"),
        (replace(QUOTA, at_least=Amount(1.5, share=True)), "at_least"),
        (replace(QUOTA, at_most=Amount(1.0)), "at_most"),
        (replace(QUOTA, items=""), "items"),
        (replace(PER, at_least=Amount(1.0)), "per"),
        (replace(PER, per="price"), "per"),
        (replace(PER, per="colour"), "per"),
    ],
)
def test_rule_that_is_none_is_refused_by_the_field_at_fault(rule: Rule, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        rule.check("rules[3]")

    assert refused.value.field == f"rules[3].{field}"


def test_rule_holds_from_its_start_until_before_its_end() -> None:
    hour = timedelta(hours=1)
    rule = replace(EXCLUDE, starts=shop.NOW, ends=shop.NOW + hour)

    held = [rule.holds(shop.NOW + n * hour / 2) for n in (-1, 0, 1, 2)]

    assert held == [False, True, True, False]
    assert not replace(rule, enabled=False).holds(shop.NOW)


@pytest.mark.parametrize(
    ("share", "n_items", "fewest", "most"), [(0.3, 10, 3, 3), (0.3, 4, 2, 1), (0.07, 100, 7, 7)]
)
def test_share_is_rounded_so_that_it_holds(
    share: float, n_items: int, fewest: int, most: int
) -> None:
    amount = Amount(share, share=True)

    assert amount.at_least(n_items) == fewest
    assert amount.at_most(n_items) == most
