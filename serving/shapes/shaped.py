"""What a foreign document becomes, and how its loosely typed values are read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

import orjson

from recsys.errors import InvalidInput
from recsys.events import Event
from serving.intake import ID_WANTED, checked_token, may_be_id

Document = Mapping[str, Any]
"""A JSON object as it came."""

_ID_BYTES = 16
_NOTHING = ("", "(not set)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A count since 1970 is in milliseconds from 1e11 on, in microseconds from 1e14 on.
_FIRST_MILLISECONDS = 10**11
_FIRST_MICROSECONDS = 10**14


@dataclass(frozen=True, slots=True)
class Shaped:
    """What a document became.

    events: in its order, each one that `Event.check` accepts.
    skipped: names of what it holds that is no event of ours, on purpose.
    refused: why a part that should have become an event did not.
    """

    events: tuple[Event, ...] = ()
    skipped: tuple[str, ...] = ()
    refused: tuple[InvalidInput, ...] = ()

    @classmethod
    def joined(cls, parts: Iterable[Shaped]) -> Shaped:
        """Return what the parts of one document became, together."""
        found = list(parts)
        return cls(
            tuple(event for part in found for event in part.events),
            tuple(name for part in found for name in part.skipped),
            tuple(error for part in found for error in part.refused),
        )

    def whole(self) -> list[Event]:
        """Return the events. Raises the first InvalidInput where a part was refused."""
        for error in self.refused:
            raise error
        return list(self.events)


@dataclass(slots=True)
class Shaping:
    """Gathers what a document becomes. prefix: path of the part of it that is read."""

    prefix: str = ""
    events: list[Event] = field(default_factory=list)
    refused: list[InvalidInput] = field(default_factory=list)

    @contextmanager
    def taking(self, place: str = "") -> Iterator[list[Event]]:
        """Take the events appended in the block; of a refused one, keep why. place: its path."""
        found: list[Event] = []
        try:
            yield found
            for event in found:
                event.check()
                checked_token(event.attribution_token)
        except InvalidInput as error:
            path = ".".join(filter(None, (self.prefix, place, error.field)))
            self.refused.append(InvalidInput(path, error.came, error.wanted))
        else:
            self.events += found

    def done(self) -> Shaped:
        """Return what was gathered."""
        return Shaped(tuple(self.events), (), tuple(self.refused))


def somebody(user_id: str, visitor_id: str) -> None:
    """Raise InvalidInput where nobody is named, once for a whole document."""
    if not (user_id or visitor_id):
        raise InvalidInput("user_id", "", "a user, or a visitor such as a browser")


def text_of(value: object) -> str:
    """Return a text, or a number as one; empty for nothing and for what analytics call so."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, (str, int, float)) or isinstance(value, bool):
        return ""
    text = str(value).strip()
    return "" if text in _NOTHING else text


def id_of(document: Document, name: str) -> str:
    """Return the id of this name, also a whole number; empty for none. Raises InvalidInput."""
    value = document.get(name)
    if not may_be_id(value):
        raise InvalidInput(name, value, ID_WANTED)
    return text_of(value)


def number_of(name: str, value: object) -> float | None:
    """Return a number, also from its text; None for nothing. Raises InvalidInput."""
    if value is None or value == "":
        return None
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            return float(value)
        except (ValueError, OverflowError):
            pass
    raise InvalidInput(name, value, "a number")


def mapping_of(value: object) -> Document:
    """Return a JSON object, empty where there is none."""
    return value if isinstance(value, dict) else {}


def mappings_of(name: str, value: object) -> list[Document]:
    """Return a list of JSON objects, empty for nothing. Raises InvalidInput."""
    if value is None:
        return []
    if isinstance(value, list) and all(isinstance(one, dict) for one in value):
        return value
    raise InvalidInput(name, type(value).__name__, "a list of objects")


def instant_of_count(name: str, value: object) -> datetime:
    """Return the instant of seconds, milliseconds or microseconds since 1970.

    Raises InvalidInput.
    """
    wanted = "microseconds since 1970"
    try:
        count = int(text_of(value))
        scale = 10**6 if count < _FIRST_MILLISECONDS else 10**3
        exact = count if count >= _FIRST_MICROSECONDS else count * scale
        return _EPOCH + timedelta(microseconds=exact)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(name, value, wanted) from error


def instant_of_text(name: str, value: object) -> datetime:
    """Return the instant of an ISO 8601 text; UTC where it names no zone. Raises InvalidInput."""
    try:
        found = datetime.fromisoformat(str(value))
        return found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(name, value, "a time as ISO 8601 text") from error


def event_id_of(*parts: object) -> str:
    """Return an event id made of what identifies an event: the same parts, the same id."""
    try:
        said = orjson.dumps(parts, default=str, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # a number of more than 64 bits, half a character
        said = json.dumps(parts, default=str, sort_keys=True).encode()
    return blake2b(said, digest_size=_ID_BYTES).hexdigest()
