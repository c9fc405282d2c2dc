"""Texts in foreign forms, such as rejected rows: whether they mention somebody who is erased."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import orjson

from recsys.customers import IdKind
from recsys.events import Event
from serving.erasure.addresses import hashes_of_addresses
from serving.erasure.gate import Erased
from serving.erasure.ledger import Ledger
from serving.erasure.secret import keys_of
from serving.settings import ServingSettings
from serving.state.keys import StateKeys

_KINDS_OF_FIELDS = {
    f"{kind.value}_id": kind for kind in (IdKind.USER, IdKind.VISITOR, IdKind.SESSION)
}
_OTHER_FIELDS = frozenset(Event.__slots__) - set(_KINDS_OF_FIELDS) - {"query"} | {
    "line", "file", "wanted", "field",
}  # fmt: skip
"""Fields whose values are no customer, whatever they look like."""

_BETWEEN_TOKENS = re.compile(r"[\s,;:=&|?/#'\"<>()\[\]{}]+")


class Named(Protocol):
    """Whoever is looked for, by place."""

    def place(self, kind: IdKind, value: str) -> int:
        """Return the place of whoever has this id, -1 for nobody."""
        ...


@dataclass(frozen=True, slots=True)
class Mentioned:
    """Tells who is mentioned in JSON, else in text.

    A value counts as a mention where all of it is an id, or a word of it. In a field that names
    one kind of id only that kind counts, and in a field of an event that holds something else
    nothing does. In all others any kind does: a row too many is forgotten rather than one too few.
    An e-mail address in plain, wherever it stands, is a mention of who is known by its hash.
    """

    named: Named

    def __call__(self, text: str) -> int:
        """Return the greatest place of anybody who is named in it, -1 for nobody."""
        try:
            return self.in_document(orjson.loads(text))
        except orjson.JSONDecodeError:
            return self.in_values([text])

    def in_document(self, document: object) -> int:
        """Return the same for what was read from JSON."""
        addressed = self._addressed(orjson.dumps(document).decode())
        named = (self._in_value(value, name) for name, value in _leaves(document))
        return max(addressed, max(named, default=-1))

    def in_values(self, values: list[str]) -> int:
        """Return the same for the cells of a line of a table."""
        named = (max(self._in_value(one, ""), self._addressed(one)) for one in values)
        return max(named, default=-1)

    def _addressed(self, text: str) -> int:
        hashes = hashes_of_addresses(text)
        return max((self.named.place(IdKind.EMAIL, one) for one in hashes), default=-1)

    def _in_value(self, value: str, name: str) -> int:
        kind = _KINDS_OF_FIELDS.get(name)
        if kind is not None:
            return self.named.place(kind, value)
        words = {value, *_BETWEEN_TOKENS.split(value)}
        return max((self.named.place(kind, word) for word in words for kind in IdKind), default=-1)


class TextGate:
    """Stops texts that mention whoever is in a ledger, where rejected rows are kept aside.

    A document that says that it is of after the erasure is a new customer's. For one thread;
    raises Unavailable where the ledger cannot be read.
    """

    def __init__(self, ledger: Ledger, keys: StateKeys) -> None:
        self._ledger = ledger
        self._keys = keys

    def lets_in(self, text: str) -> bool:
        """Return whether a text, perhaps JSON, may be kept."""
        entries = self._ledger.entries()
        if not entries:
            return True
        erased = Erased.of(entries, self._keys)
        place = Mentioned(erased)(text)
        return place < 0 or not erased.gone(place, _second_of(text))


def text_gate_of(settings: ServingSettings) -> TextGate:
    """Return the gate of a shop's texts, for one thread."""
    keys = keys_of(settings)
    return TextGate(Ledger(settings.erasure_ledger_file), keys)


def _second_of(text: str) -> int:
    """Return the second since 1970 that a document says it is of; 0 where it says none."""
    try:
        time = datetime.fromisoformat(orjson.loads(text)["time"])
        return int(time.timestamp()) if time.tzinfo else 0
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return 0


def _leaves(document: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield every value, as text, with the name of its field."""
    if isinstance(document, Mapping):
        for key, value in document.items():
            if key not in _OTHER_FIELDS:
                yield from _leaves(value, str(key))
    elif isinstance(document, list):
        for value in document:
            yield from _leaves(value, name)
    elif document is not None and not isinstance(document, bool):
        yield name, _text(document)


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
