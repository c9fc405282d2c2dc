"""Rules in words: as TOML, and as a document for keeping."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, fields
from datetime import UTC, date, datetime
from typing import Any

from recsys.errors import InvalidInput
from recsys.rules.rule import MOST_RULES, Amount, Rule, RuleKind

_KEYS = {"starts": "from", "ends": "until"}
"""What a file calls a field by another name than the domain."""
_FIELDS = {_KEYS.get(one.name, one.name): one.name for one in fields(Rule) if one.name != "name"}
_SHARE = re.compile(r"(\d{1,3}(?:\.\d+)?) ?%")
_TEXTS = ("items", "audience", "item", "per")
_NUMBERS = ("factor",)
_WHOLE = ("priority", "position")


def parse_rules(text: str, *, name: str = "rules.toml") -> tuple[Rule, ...]:
    """Return the rules of a TOML text, checked; `name` stands in errors for where it came from.

    Raises InvalidInput naming the first field at fault.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(name, str(error), "a valid TOML file") from error
    tables = document.get("rules")
    if not isinstance(tables, dict) or not tables or set(document) != {"rules"}:
        came = ", ".join(sorted(set(document) - {"rules"})) or "no table of rules"
        raise InvalidInput(name, came, "[rules.NAME] tables and nothing else")
    if len(tables) > MOST_RULES:
        raise InvalidInput(f"{name}: rules", len(tables), f"at most {MOST_RULES}")
    return tuple(rule_of(one, table, at=f"{name}: rules.{one}") for one, table in tables.items())


def rule_of(name: str, document: object, *, at: str = "rule") -> Rule:
    """Return the checked rule behind a document. Raises InvalidInput; `at` begins its paths."""
    if not isinstance(document, dict):
        raise InvalidInput(at, document, "a table")
    given: dict[str, Any] = {}
    for key, value in document.items():
        if key not in _FIELDS:
            raise InvalidInput(f"{at}.{key}", value, f"a known key: {', '.join(sorted(_FIELDS))}")
        given[_FIELDS[key]] = _value(_FIELDS[key], value, f"{at}.{key}")
    if "kind" not in given:
        raise InvalidInput(f"{at}.kind", None, f"one of {', '.join(RuleKind)}")
    rule = Rule(name, **given)
    rule.check(at)
    return rule


def document_of(rule: Rule) -> Mapping[str, Any]:
    """Return a rule as `rule_of` reads it: what is left out has its default; instants as texts."""
    document: dict[str, Any] = {}
    for one in fields(Rule):
        value = getattr(rule, one.name)
        if one.name == "name" or (one.default is not MISSING and value == one.default):
            continue
        document[_KEYS.get(one.name, one.name)] = _plain(value)
    return document


def toml_of(rule: Rule) -> str:
    """Return a rule as a table of a file."""
    lines = [f"{key} = {_in_toml(value)}" for key, value in document_of(rule).items()]
    return "\n".join((f"[rules.{rule.name}]", *lines, ""))


def amount_of(value: object, field: str) -> Amount:
    """Return the amount behind a number or a text such as `30 %`. Raises InvalidInput."""
    if isinstance(value, int) and not isinstance(value, bool):
        return Amount(float(value))
    found = _SHARE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise InvalidInput(field, value, "whole items such as 2, or a share such as '30 %'")
    return Amount(float(found[1]) / 100, share=True)


def _value(name: str, value: object, field: str) -> object:
    """Return what a field of a file holds, as the domain has it. Raises InvalidInput."""
    match name, value:
        case "kind", str() if value in tuple(RuleKind):
            return RuleKind(value)
        case "kind", _:
            raise InvalidInput(field, value, f"one of {', '.join(RuleKind)}")
        case (("at_least" | "at_most"), _):
            return amount_of(value, field)
        case (("starts" | "ends"), _):
            return _instant(value, field)
        case "placements", list() if all(isinstance(one, str) for one in value):
            return tuple(value)
        case "placements", _:
            raise InvalidInput(field, value, "a list of names of placements")
        case _:
            return _checked(name, value, field)


def _checked(name: str, value: object, field: str) -> object:
    if name in _TEXTS and isinstance(value, str):
        return value
    if name == "enabled" and isinstance(value, bool):
        return value
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and (name in _NUMBERS or (name in _WHOLE and isinstance(value, int))):
        return value
    kind = "a text" if name in _TEXTS else "true or false" if name == "enabled" else "a number"
    raise InvalidInput(field, value, "a whole number" if name in _WHOLE else kind)


def _instant(value: object, field: str) -> datetime:
    wanted = "an instant such as 2026-11-27T08:00:00Z; one without a zone is UTC"
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            raise InvalidInput(field, value, wanted) from error
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if not isinstance(value, datetime):
        raise InvalidInput(field, value, wanted)
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _plain(value: object) -> object:
    match value:
        case Amount(share=False):
            return int(value.value)
        case Amount():
            return str(value)
        case datetime():
            return value.isoformat()
        case RuleKind():
            return value.value
        case tuple():
            return list(value)
        case _:
            return value


def _in_toml(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return json.dumps(value, ensure_ascii=False)  # as TOML writes it, too
        case list():
            return f"[{', '.join(_in_toml(one) for one in value)}]"
        case _:
            return str(value)
