"""The desk of merchandisers: rules are checked, applied, looked at and taken back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from recsys.errors import InvalidInput, NotFound
from recsys.events import Position
from recsys.ids import check_text
from recsys.rules.conflicts import Conflict, ConflictKind, Shop, conflicts
from recsys.rules.rule import MOST_RULES, Rule, check_rule_name
from serving.log.rules import (
    RuleChange,
    RuleRegister,
    RuleRemoval,
    RulesChanged,
    RuleVersion,
    Signature,
)

MOST_AUTHOR_BYTES = 128
MOST_REASON_BYTES = 1_000


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of rules, or would.

    changed: names of those that are others than before. conflicts: of all rules that there are
        then. position: of the log, up to which it stands; 0 where nothing was stored.
    """

    changed: tuple[str, ...]
    unchanged: int
    conflicts: tuple[Conflict, ...]
    position: Position


class RuleDesk:
    """Applies rules, and says what is wrong with them. Every method raises Unavailable.

    shop: what rules are held against, at this moment.
    """

    def __init__(self, register: RuleRegister, shop: Callable[[], Shop]) -> None:
        self._register = register
        self._shop = shop

    async def rules(self) -> Sequence[RuleVersion]:
        """Return the newest version of every rule, by name."""
        return await self._register.rules_now()

    async def history(self, name: str) -> Sequence[RuleVersion]:
        """Return every version of a rule, the newest first. Raises NotFound for none."""
        check_rule_name("name", name)
        found = await self._register.rule_history(name)
        if not found:
            raise _unknown([name])
        return found

    async def apply(
        self, rules: Sequence[Rule], by: Signature, *, validate_only: bool = False
    ) -> Applied:
        """Store rules, new ones and those known otherwise, all or none.

        Conflicts are told, and refuse nothing. Raises InvalidInput for what is no rule.
        """
        _check_signature(by)
        _check_rules(rules)
        there = await self._register.rules_now()
        held = {one.name: one.rule for one in there}
        n_after = len(held.keys() | {rule.name for rule in rules})
        if n_after > MOST_RULES:
            raise InvalidInput("rules", n_after, f"at most {MOST_RULES} with those there are")
        found = self._conflicts(there, rules)
        if validate_only:
            changed = tuple(rule.name for rule in rules if held.get(rule.name) != rule)
            return Applied(changed, len(rules) - len(changed), found, Position(0))
        done = await self._register.change_rules(rules, by)
        return Applied(done.changed, done.unchanged, found, done.last_position)

    async def remove(self, names: Sequence[str], by: Signature) -> RulesChanged:
        """Take rules away, all or none; their history stays. Raises NotFound."""
        _check_signature(by)
        held = {one.name for one in await self._register.rules_now()}
        missing = [name for name in names if name not in held]
        if missing:
            raise _unknown(missing)
        removals: list[RuleChange] = [RuleRemoval(name) for name in names]
        return await self._register.change_rules(removals, by)

    async def enable(self, name: str, by: Signature, *, enabled: bool) -> Applied:
        """Put a rule in force, or out of it. Raises NotFound."""
        held = {one.name: one.rule for one in await self._register.rules_now()}
        rule = held.get(name)
        if rule is None:
            raise _unknown([name])
        return await self.apply([replace(rule, enabled=enabled)], by)

    async def check(self, rules: Sequence[Rule] = ()) -> tuple[Conflict, ...]:
        """Return what is wrong with the rules there are, and with these beside them."""
        _check_rules(rules)
        return self._conflicts(await self._register.rules_now(), rules)

    def _conflicts(
        self, there: Sequence[RuleVersion], rules: Sequence[Rule]
    ) -> tuple[Conflict, ...]:
        """Return what is wrong with rules, beside those there are or in their place."""
        new = {rule.name: rule for rule in rules}
        both = {one.name: one.rule for one in there if one.rule is not None} | new
        unreadable = tuple(
            Conflict(ConflictKind.UNREADABLE, (one.name,), f"it is not in force: {one.unreadable}")
            for one in there
            if one.unreadable and one.name not in new
        )
        return (*unreadable, *conflicts(both.values(), self._shop()))


def _check_rules(rules: Sequence[Rule]) -> None:
    if len(rules) > MOST_RULES:
        raise InvalidInput("rules", len(rules), f"at most {MOST_RULES}")
    names = [rule.name for rule in rules]
    for place, rule in enumerate(rules):
        rule.check(f"rules[{place}]")
        if rule.name in names[:place]:
            raise InvalidInput(f"rules[{place}].name", rule.name, "each name once")


def _check_signature(by: Signature) -> None:
    check_text("author", by.author, MOST_AUTHOR_BYTES)
    check_text("reason", by.reason, MOST_REASON_BYTES)


def _unknown(names: Sequence[str]) -> NotFound:
    return NotFound(
        f"there is no rule {', '.join(names)}; `recsys rules list` shows those there are",
        reason="UNKNOWN_RULE",
        metadata={"rules": ", ".join(names)},
    )
