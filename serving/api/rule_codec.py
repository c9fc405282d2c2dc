"""Rules between the wire and the domain, for servers and for clients."""

from __future__ import annotations

from collections.abc import Sequence

from protos.recsys.v1 import admin_service_pb2 as pb
from recsys.errors import InvalidInput
from recsys.events import Position
from recsys.rules.conflicts import Conflict, ConflictKind
from recsys.rules.rule import MOST_RULES, Amount, Rule, RuleKind
from serving.api.instants import instant_of, stamp_of
from serving.log.rules import RuleVersion, Signature

KIND_NUMBERS: dict[RuleKind, pb.RuleKind.ValueType] = {
    kind: pb.RuleKind.Value(f"RULE_KIND_{kind.name}") for kind in RuleKind
}
KINDS = {number: kind for kind, number in KIND_NUMBERS.items()}

CONFLICT_NUMBERS: dict[ConflictKind, pb.RuleConflictKind.ValueType] = {
    kind: pb.RuleConflictKind.Value(f"RULE_CONFLICT_KIND_{kind.name}") for kind in ConflictKind
}
CONFLICTS = {number: kind for kind, number in CONFLICT_NUMBERS.items()}

_ON_THE_WIRE = {"starts": "start_time", "ends": "end_time", "item": "item_id"}


def rules_of(messages: Sequence[pb.Rule]) -> list[Rule]:
    """Return the checked rules of a request. Raises InvalidInput naming the field at fault."""
    if len(messages) > MOST_RULES:
        raise InvalidInput("rules", len(messages), f"at most {MOST_RULES}")
    return [_checked(message, f"rules[{place}]") for place, message in enumerate(messages)]


def rule_of(message: pb.Rule, at: str = "rule") -> Rule:
    """Return the rule of one message, not checked. Raises InvalidInput for a kind that is none."""
    if message.kind not in KINDS:
        raise InvalidInput(f"{at}.kind", message.kind, "a value of the enum that this server knows")
    return Rule(
        name=message.name,
        kind=KINDS[message.kind],
        items=message.items,
        placements=tuple(message.placements),
        audience=message.audience,
        starts=instant_of(f"{at}.start_time", message.start_time)
        if message.HasField("start_time")
        else None,
        ends=instant_of(f"{at}.end_time", message.end_time)
        if message.HasField("end_time")
        else None,
        priority=message.priority,
        enabled=not message.disabled,
        factor=message.factor or None,
        item=message.item_id,
        position=message.position or None,
        at_least=_amount(message.at_least, f"{at}.at_least")
        if message.HasField("at_least")
        else None,
        at_most=_amount(message.at_most, f"{at}.at_most") if message.HasField("at_most") else None,
        per=message.per,
    )


def rule_message(rule: Rule) -> pb.Rule:
    """Return a rule as it goes over the wire."""
    return pb.Rule(
        name=rule.name,
        kind=KIND_NUMBERS[rule.kind],
        items=rule.items,
        placements=rule.placements,
        audience=rule.audience,
        start_time=stamp_of(rule.starts),
        end_time=stamp_of(rule.ends),
        priority=rule.priority,
        disabled=not rule.enabled,
        factor=rule.factor or 0.0,
        item_id=rule.item,
        position=rule.position or 0,
        at_least=_amount_message(rule.at_least),
        at_most=_amount_message(rule.at_most),
        per=rule.per,
    )


def version_message(version: RuleVersion) -> pb.RuleVersion:
    """Return a version of a rule as it goes over the wire."""
    return pb.RuleVersion(
        name=version.name,
        version=version.version,
        rule=None if version.rule is None else rule_message(version.rule),
        author=version.by.author,
        reason=version.by.reason,
        time=stamp_of(version.time),
        log_position=version.position,
        unreadable=version.unreadable,
    )


def version_of(message: pb.RuleVersion) -> RuleVersion:
    """Return the version of one message."""
    return RuleVersion(
        message.name,
        message.version,
        rule_of(message.rule) if message.HasField("rule") else None,
        Signature(message.author, message.reason),
        instant_of("time", message.time),
        Position(message.log_position),
        message.unreadable,
    )


def conflict_message(conflict: Conflict) -> pb.RuleConflict:
    """Return a conflict as it goes over the wire."""
    kind = CONFLICT_NUMBERS[conflict.kind]
    return pb.RuleConflict(kind=kind, rules=conflict.rules, why=conflict.why)


def conflicts_of(messages: Sequence[pb.RuleConflict]) -> tuple[Conflict, ...]:
    """Return the conflicts of an answer; a kind that this client does not know is left out."""
    return tuple(
        Conflict(CONFLICTS[one.kind], tuple(one.rules), one.why)
        for one in messages
        if one.kind in CONFLICTS
    )


def _checked(message: pb.Rule, at: str) -> Rule:
    rule = rule_of(message, at)
    try:
        rule.check(at)
    except InvalidInput as error:
        own = error.field.removeprefix(f"{at}.")
        if own not in _ON_THE_WIRE:
            raise
        raise InvalidInput(f"{at}.{_ON_THE_WIRE[own]}", error.came, error.wanted) from error
    return rule


def _amount(message: pb.RuleAmount, field: str) -> Amount:
    match message.WhichOneof("amount"):
        case "item_count":
            return Amount(float(message.item_count))
        case "share":
            return Amount(message.share, share=True)
    raise InvalidInput(field, None, "`item_count` or `share`")


def _amount_message(amount: Amount | None) -> pb.RuleAmount | None:
    if amount is None:
        return None
    if amount.share:
        return pb.RuleAmount(share=amount.value)
    return pb.RuleAmount(item_count=int(amount.value))
