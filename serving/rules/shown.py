"""Rules and lists as a terminal shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from serving.terminal import printable

if TYPE_CHECKING:
    from recsys.query import Recommendation
    from recsys.rules.rule import Rule
    from serving.log.rules import RuleVersion


def cells_of(version: RuleVersion) -> tuple[str, ...]:
    """Return the line of a table about a rule that is there."""
    rule = version.rule
    if version.unreadable:
        name, why = f"{version.name} (not in force)", f"cannot be read: {version.unreadable}"
        return (name, "", why, "", "", "", "", "", version.by.author)
    if rule is None:
        raise ValueError("a rule that was removed is not listed")
    return (
        rule.name if rule.enabled else f"{rule.name} (disabled)",
        rule.kind,
        _what(rule),
        ", ".join(rule.placements) or "everywhere",
        rule.audience or "everybody",
        f"{rule.starts:%Y-%m-%d %H:%M}" if rule.starts else "",
        f"{rule.ends:%Y-%m-%d %H:%M}" if rule.ends else "",
        str(rule.priority),
        version.by.author,
    )


def _what(rule: Rule) -> str:
    parts = [rule.item, rule.items]
    parts += [f"at position {rule.position}"] if rule.position else []
    parts += [f"times {rule.factor:g}"] if rule.factor else []
    parts += [f"at least {rule.at_least}"] if rule.at_least else []
    parts += [f"at most {rule.at_most}"] if rule.at_most else []
    parts += [f"of a {rule.per}"] if rule.per else []
    return ", ".join(part for part in parts if part)


def titles_of(answer: Recommendation) -> str:
    """Return the items of a list by position and title, one a line."""
    return "\n".join(f"{one.position} {one.title or one.item_id}" for one in answer.items)


def lines_of(text: str) -> Text:
    """Return lines of text from outside as a terminal may show them."""
    return Text("\n".join(printable(line) for line in text.splitlines()))
