"""Rules in files: what is read, what is refused, and that nothing is lost on the way."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.errors import InvalidInput
from recsys.rules.files import document_of, parse_rules, rule_of, toml_of
from recsys.rules.rule import Amount, Rule, RuleKind
from tests.laws.test_rules import rules

PIN = '[rules.a]\nkind = "pin"\nitem = "tea"\nposition = 1\n'


@given(rules("some-rule"))
def test_rule_that_is_written_reads_the_same(rule: Rule) -> None:
    kept = orjson.loads(orjson.dumps(document_of(rule)))

    assert rule_of("some-rule", kept) == rule
    assert parse_rules(toml_of(rule)) == (rule,)


@given(st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=20))
def test_any_text_in_a_filter_reads_the_same(text: str) -> None:
    quoted = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    rule = Rule("a", RuleKind.EXCLUDE, items=f"title = {quoted}")

    assert parse_rules(toml_of(rule)) == (rule,)


def test_everything_a_file_can_say_is_read() -> None:
    text = """
    [rules.own-brand]
    kind = "quota"
    items = 'brand = "Own"'
    at_least = "30 %"
    at_most = 4
    placements = ["home", "cart"]
    audience = "customer.known"
    from = 2026-11-20T08:00:00+01:00
    until = 2026-12-01
    priority = 3
    enabled = false
    """

    (rule,) = parse_rules(text)

    assert rule == Rule(
        "own-brand",
        RuleKind.QUOTA,
        items='brand = "Own"',
        placements=("home", "cart"),
        audience="customer.known",
        starts=datetime(2026, 11, 20, 7, tzinfo=UTC),
        ends=datetime(2026, 12, 1, tzinfo=UTC),
        priority=3,
        enabled=False,
        at_least=Amount(0.3, share=True),
        at_most=Amount(4.0),
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no table of rules"),
        ("[rules]\n", "no table of rules"),
        ("rules = 3", "no table of rules"),
        ("[rules.a]\n", "rules.a.kind"),
        ("[other]\nx = 1\n" + PIN, "other"),
        ("[rules.a", "a valid TOML file"),
        (PIN + 'colour = "red"', "rules.a.colour"),
        (PIN.replace("pin", "nail"), "exclude, boost, bury, pin, quota"),
        (PIN.replace("= 1", "= true"), "rules.a.position"),
        (PIN.replace("= 1", "= 1.5"), "rules.a.position"),
        (PIN + "placements = 'home'", "rules.a.placements"),
        (PIN + "until = 'soon'", "rules.a.until"),
        (PIN + "until = 8", "rules.a.until"),
        (PIN + "enabled = 1", "rules.a.enabled"),
        ('[rules.a]\nkind = "quota"\nper = "brand"\nat_most = "many"', "rules.a.at_most"),
        ("[rules]\na = 1", "a table"),
    ],
)
def test_file_that_is_wrong_is_refused_by_the_place_at_fault(text: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=r"shop\.toml") as refused:
        parse_rules(text, name="shop.toml")

    assert said in str(refused.value)
