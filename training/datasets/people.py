"""Who is one person, and who may be learned from: what the shop said of its customers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import pyarrow as pa

from recsys.customers import Consents, ConsentStatement, Identifier, IdKind, Purpose

FACTS = """
SELECT position, fact, kind, identifier, other_kind, other, name, granted, time FROM files
WHERE fact IN ('link', 'consent') ORDER BY position
"""
"""Of the lake's table `customer_facts`, by ascending position."""

_PREFIXES = {IdKind.USER: "", IdKind.VISITOR: "visitor:", IdKind.SESSION: "session:"}
"""How the data set writes whom an event counts for."""


@dataclass(frozen=True, slots=True)
class People:
    """What is known of customers beside their events.

    names: under which name each identifier that has another one counts, as the data set writes it.
    allowing, refusing: names of those who may be learned from, and who may not.
    unknown_allow: whether all others may be.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    allowing: frozenset[str] = frozenset()
    refusing: frozenset[str] = frozenset()
    unknown_allow: bool = True

    def may_learn_from(self, name: str) -> bool:
        """Return whether a customer of this name may be learned from."""
        return name in self.allowing or (self.unknown_allow and name not in self.refusing)

    @classmethod
    def of(cls, facts: pa.Table, unless_stated: Iterable[Purpose]) -> Self:
        """Return the people of the rows of `FACTS`.

        unless_stated: purposes that whoever said nothing about them allows.
        """
        linked: dict[tuple[Identifier, Identifier], bool] = {}
        stated: dict[Identifier, list[ConsentStatement]] = {}
        for line in facts.to_pylist():
            one = Identifier(IdKind(line["kind"]), line["identifier"])
            if line["fact"] == "link":
                other = Identifier(IdKind(line["other_kind"]), line["other"])
                linked[one, other] = line["granted"]
            else:
                stated.setdefault(one, []).append(_statement(line))
        groups = _groups(pair for pair, stands in linked.items() if stands)
        return cls._of(groups, stated, frozenset(unless_stated))

    @classmethod
    def _of(
        cls,
        groups: Mapping[Identifier, frozenset[Identifier]],
        stated: Mapping[Identifier, list[ConsentStatement]],
        unless_stated: frozenset[Purpose],
    ) -> Self:
        names: dict[str, str] = {}
        allowing, refusing = set[str](), set[str]()
        for one in {*groups, *stated}:
            members = groups.get(one, frozenset((one,)))
            name = _name(min(members, key=_rank))
            names[_name(one)] = name
            said = [statement for member in members for statement in stated.get(member, ())]
            allows = Consents.of(said).allow(Purpose.TRAIN, unless_stated)
            (allowing if allows else refusing).add(name)
        allowed = Purpose.TRAIN in unless_stated
        return cls(names, frozenset(allowing), frozenset(refusing), allowed)


def _groups(
    links: Iterable[tuple[Identifier, Identifier]],
) -> Mapping[Identifier, frozenset[Identifier]]:
    """Return the connected identifiers of each that has a link."""
    groups: dict[Identifier, set[Identifier]] = {}
    for one, other in links:
        joint = groups.get(one, {one}) | groups.get(other, {other})
        groups |= dict.fromkeys(joint, joint)
    return {one: frozenset(members) for one, members in groups.items()}


def _rank(identifier: Identifier) -> tuple[int, str]:
    """Return what orders a customer's identifiers: the most durable first."""
    return list(IdKind).index(identifier.kind), identifier.value


def _name(identifier: Identifier) -> str:
    prefix = _PREFIXES.get(identifier.kind, f"{identifier.kind.value}:")
    return f"{prefix}{identifier.value}"


def _statement(line: Mapping[str, Any]) -> ConsentStatement:
    return ConsentStatement(Purpose(line["name"]), granted=line["granted"], time=line["time"])
