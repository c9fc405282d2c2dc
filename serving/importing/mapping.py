"""How the columns of a shop's file become fields of events, items or consents, by TOML or flags."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from recsys.errors import InvalidInput, NotFound
from recsys.events import WITHOUT_ITEM
from recsys.items import Item
from serving.importing.template import Case, Template
from serving.log.records import EVENT_FIELDS
from serving.terminal import printable

_SECTIONS = ("columns", "constants", "derived", "combine", "values", "words", "time")
_RATIO = re.compile(r"^\s*(?P<total>[^/]+?)\s*/\s*(?P<count>[^/]+?)\s*$")
_NAMED = ("type", "channel")
_ITEM = ("item_id",)
_EVENT = (("type",), ("time",), ("user_id", "visitor_id", "session_id"))
_CONSENT = (("user_id", "identifier"), ("purpose",), ("granted",))

EVENT_COLUMNS = (*EVENT_FIELDS, "user_agent")
"""What an event can be made of: its fields, and what only tells whether it is a robot's."""

ITEM_COLUMNS = tuple(one.name for one in fields(Item))
"""What an item can be made of: its fields, in their order."""

CONSENT_COLUMNS = ("user_id", "kind", "identifier", "purpose", "granted", "time", "basis")
"""What a statement about consent can be made of: a user's id, or an identifier and its kind."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """A field that is one column divided by another, such as a line's total by its pieces."""

    total: str
    count: str


def _nothing() -> Mapping[str, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class FieldMapping:
    """Where each field of an event, item or consent comes from.

    columns: field to column of the file.
    constants: field to one text for every row.
    derived: field to a ratio of two columns.
    combine: field to a text made of several columns.
    values: of the fields `type` and `channel`, the file's words to ours.
    words: words to replace in combined texts, in capitals.
    zone: of times without one.
    shift_days: added to every time, so that an old example lies in the present.
    automatic: whether a field not named anywhere comes from the column of its own name.
    """

    columns: Mapping[str, str] = field(default_factory=_nothing)
    constants: Mapping[str, str] = field(default_factory=_nothing)
    derived: Mapping[str, Ratio] = field(default_factory=_nothing)
    combine: Mapping[str, Template] = field(default_factory=_nothing)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=_nothing)
    words: Mapping[str, str] = field(default_factory=_nothing)
    zone: str = "UTC"
    shift_days: int = 0
    automatic: bool = False

    @property
    def fields(self) -> frozenset[str]:
        """The fields that come from anywhere."""
        return frozenset((*self.columns, *self.constants, *self.derived, *self.combine))

    @property
    def needed(self) -> frozenset[str]:
        """The columns that the file must have."""
        ratios = [(ratio.total, ratio.count) for ratio in self.derived.values()]
        templates = [template.columns for template in self.combine.values()]
        return frozenset(self.columns.values()).union(*ratios, *templates)

    def with_flags(self, columns: Mapping[str, str], constants: Mapping[str, str]) -> FieldMapping:
        """Return the mapping with fields named on the command line in place of the file's."""
        given = {*columns, *constants}
        return replace(
            self,
            columns={**_without(self.columns, given), **columns},
            constants={**_without(self.constants, given), **constants},
            derived=_without(self.derived, given),
            combine=_without(self.combine, given),
        )

    def for_file(self, file: Path, fields: Sequence[str], present: Sequence[str]) -> FieldMapping:
        """Return the mapping of a file with these columns onto these fields.

        Raises InvalidInput where a field is unknown or missing, or a column is not there.
        """
        names = [name for name in fields if self.automatic and name in present]
        unnamed = {name: name for name in names if name not in self.fields}
        mapping = replace(self, columns={**self.columns, **unnamed})
        for name in sorted(mapping.fields.difference(fields)):
            raise InvalidInput(name, name, f"a field of these: {', '.join(fields)}")
        for choices in self._required(fields):
            if not mapping.fields.intersection(choices):
                raise _unmapped(file, choices, present)
        missing = sorted(mapping.needed.difference(present))
        if missing:
            raise InvalidInput(
                str(file), f"no column {', '.join(missing)}", f"it among {_listed(present)}"
            )
        return mapping

    def _required(self, fields: Sequence[str]) -> Sequence[Sequence[str]]:
        """Return groups of fields of which the file must have one."""
        if "purpose" in fields:
            return _CONSENT
        if "type" not in fields:
            return (_ITEM,)
        kind = self.constants.get("type")  # None where each row has its own
        return _EVENT if kind is None or kind in WITHOUT_ITEM else (_ITEM, *_EVENT)


def read_mapping(path: Path) -> FieldMapping:
    """Return the mapping in a TOML file. Raises NotFound, or InvalidInput naming the key."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NotFound(f"there is no mapping file {path}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(str(path), str(error), "a mapping in TOML") from error
    return parse_mapping(document)


def parse_mapping(document: Mapping[str, Any]) -> FieldMapping:
    """Return the mapping in a parsed TOML document. Raises InvalidInput naming the key."""
    for name, section in document.items():
        if name not in _SECTIONS:
            raise InvalidInput(name, name, f"a section of these: {', '.join(_SECTIONS)}")
        if not isinstance(section, dict):
            raise InvalidInput(name, section, f"a table: [{name}]")
    mapping = FieldMapping(
        columns=_texts(document, "columns"),
        constants=_texts(document, "constants"),
        derived={name: _ratio(name, text) for name, text in _texts(document, "derived").items()},
        combine={
            name: _template(f"combine.{name}", given)
            for name, given in document.get("combine", {}).items()
        },
        values=_values(document.get("values", {})),
        words={word.upper(): text for word, text in _texts(document, "words").items()},
        zone=_zone(document.get("time", {})),
    )
    _check_once(mapping)
    return mapping


def parse_flags(flags: Sequence[str], option: str) -> dict[str, str]:
    """Return `field=value` flags as a mapping. Raises InvalidInput naming the option."""
    pairs = [flag.partition("=") for flag in flags]
    for flag, (name, sign, value) in zip(flags, pairs, strict=True):
        if not (name and sign and value):
            raise InvalidInput(option, flag, "FIELD=VALUE, such as item_id=product_id")
    return {name: value for name, _, value in pairs}


def _unmapped(file: Path, choices: Sequence[str], present: Sequence[str]) -> InvalidInput:
    return InvalidInput(
        str(file),
        f"nothing for {' or '.join(choices)}",
        f"a column for it, such as --column {choices[0]}=NAME or [columns] in a mapping file; "
        f"the file has {_listed(present)}",
    )


def _listed(names: Sequence[str]) -> str:
    return printable(", ".join(names))


def _without(given: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name not in names}


def _texts(document: Mapping[str, Any], section: str) -> dict[str, str]:
    """Return a section whose values are all texts."""
    found: dict[str, str] = {}
    for name, value in document.get(section, {}).items():
        if not isinstance(value, str) or not value:
            raise InvalidInput(f"{section}.{name}", value, "a text in quotes")
        found[name] = value
    return found


def _values(section: Mapping[str, Any]) -> dict[str, Mapping[str, str]]:
    for name in section:
        if name not in _NAMED:
            raise InvalidInput(f"values.{name}", name, "[values.type] or [values.channel]")
    return {name: _texts(section, name) for name in section}


def _ratio(name: str, text: str) -> Ratio:
    found = _RATIO.match(text)
    if name != "price" or not found:
        raise InvalidInput(
            f"derived.{name}", text, 'price as one column by another, "total / quantity"'
        )
    return Ratio(found["total"], found["count"])


def _template(name: str, given: object) -> Template:
    """Return the template of `{ text = "...", case = "..." }`, or of its text alone."""
    table = {"text": given} if isinstance(given, str) else given
    if not isinstance(table, dict) or not isinstance(table.get("text"), str):
        raise InvalidInput(name, given, '{ text = "{column}[, {other}]", case = "title" }')
    for key in table:
        if key not in ("text", "case"):
            raise InvalidInput(f"{name}.{key}", key, "text or case")
    case = table.get("case", Case.KEEP)
    if case not in tuple(Case):
        raise InvalidInput(f"{name}.case", case, " or ".join(Case))
    return Template.parse(name, table["text"], Case(case))


def _zone(section: Mapping[str, Any]) -> str:
    for key in section:
        if key != "zone":
            raise InvalidInput(f"time.{key}", key, "zone")
    zone = section.get("zone", "UTC")
    if zone != "UTC" and (not isinstance(zone, str) or zone not in available_timezones()):
        raise InvalidInput("time.zone", zone, "a time zone such as UTC or Europe/Berlin")
    return str(ZoneInfo(zone))


def _check_once(mapping: FieldMapping) -> None:
    sections = (mapping.columns, mapping.constants, mapping.derived, mapping.combine)
    named = [name for section in sections for name in section]
    for name in sorted({name for name in named if named.count(name) > 1}):
        raise InvalidInput(name, "two sources", "one of columns, constants, derived and combine")
