"""Rules over the wire: what is sent arrives, and what is none is refused by its field."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given

from protos.recsys.v1 import admin_service_pb2 as pb
from recsys.errors import InvalidInput
from recsys.rules.rule import Rule, RuleKind
from serving.api.rule_codec import rule_message, rule_of, rules_of
from tests import shop
from tests.laws.test_rules import rules


@given(rules("some-rule"))
def test_rule_that_is_sent_arrives_as_it_was(rule: Rule) -> None:
    assert rule_of(rule_message(rule)) == rule
    assert rules_of([rule_message(rule)]) == [rule]


def test_times_and_whether_it_is_in_force_arrive() -> None:
    rule = Rule("a", RuleKind.PIN, item="tea", position=1, enabled=False, starts=shop.NOW)
    ending = Rule("b", RuleKind.PIN, item="tea", position=1, ends=shop.NOW + timedelta(days=1))

    assert [rule_of(rule_message(one)) for one in (rule, ending)] == [rule, ending]


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (pb.Rule(name="a"), "rules[0].kind"),
        (pb.Rule(name="a", kind=pb.RULE_KIND_PIN, position=1), "rules[0].item_id"),
        (pb.Rule(name="a", kind=pb.RULE_KIND_PIN, item_id="tea"), "rules[0].position"),
        (pb.Rule(name="", kind=pb.RULE_KIND_EXCLUDE, items="price > 3"), "rules[0].name"),
        (pb.Rule(name="a", kind=pb.RULE_KIND_EXCLUDE, items="price >"), "rules[0].items"),
        (
            pb.Rule(name="a", kind=pb.RULE_KIND_QUOTA, items="price > 3", at_most=pb.RuleAmount()),
            "rules[0].at_most",
        ),
    ],
)
def test_message_that_is_no_rule_is_refused_by_its_field(message: pb.Rule, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        rules_of([message])

    assert refused.value.field == field
