"""One id that is looked for, in every form in which bytes may hold it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

from recsys.customers import Identifier, IdKind
from recsys.events import Event
from serving.erasure.addresses import hashes_in_bytes, hashes_of_addresses
from serving.erasure.ledger import hash_of
from serving.state.keys import StateKeys

FEWEST_TELLING_BYTES = 6
"""A shorter id, such as `7`, stands in many places that are about something else."""

_ID_FIELDS = {f"{kind.value}_id": kind for kind in IdKind}
_OTHER_FIELDS = frozenset(Event.__slots__) - set(_ID_FIELDS)
_IN_IDS = rb"[A-Za-z0-9_.@+\x80-\xff-]"
_ENCODINGS = ("utf-16-le", "utf-32-le")


class Certainty(IntEnum):
    """How sure it is that what was found is the id.

    PERHAPS: the same characters, inside a longer word, or too few of them to mean only this.
    """

    NOT = 0
    PERHAPS = 1
    CERTAIN = 2


@dataclass(frozen=True)
class Sought:
    """An id and its keyed hash; `hashed` is empty where only the text is looked for."""

    identifier: Identifier
    hashed: bytes = b""

    @classmethod
    def of(cls, identifier: Identifier, keys: StateKeys) -> Sought:
        """Return what is looked for of an identifier."""
        return cls(identifier, hash_of(identifier, keys))

    def without_hash(self) -> Sought:
        """Return the same for a file that may hold the hash, as a ledger of erasures has to."""
        return Sought(self.identifier)

    @property
    def value(self) -> str:
        """The id."""
        return self.identifier.value

    @property
    def of_address(self) -> bool:
        """Whether the id is the hash of an e-mail address, which may stand somewhere in plain."""
        return self.identifier.kind is IdKind.EMAIL

    @property
    def telling(self) -> bool:
        """Whether the id is long enough to mean something wherever it stands."""
        return len(self.value.encode()) >= FEWEST_TELLING_BYTES

    @cached_property
    def forms(self) -> tuple[bytes, ...]:
        """The id as text, as JSON writes it, as JSON inside JSON does, and in wide characters."""
        plain = self.value.encode()
        short, long = (json.dumps(self.value, ensure_ascii=one)[1:-1] for one in (False, True))
        nested = [json.dumps(one)[1:-1] for one in (short, long)]
        wide = [self.value.encode(name) for name in _ENCODINGS] if self.telling else []
        texts = (one.encode() for one in (short, long, *nested))
        return tuple(dict.fromkeys((plain, *texts, *wide)))

    @cached_property
    def hashes(self) -> tuple[bytes, ...]:
        """The hash, as bytes and in hexadecimal."""
        return (self.hashed, self.hashed.hex().encode()) if self.hashed else ()

    @cached_property
    def longest(self) -> int:
        """Bytes of the longest form, with what may stand around it."""
        return max(map(len, (*self.forms, *self.hashes))) + 64

    def in_bytes(self, content: bytes, *, start: int = 0) -> Certainty:
        """Return how sure it is that the id, or its hash, is somewhere in some bytes.

        start: where to begin; what stands before tells whether a word begins there.
        """
        if any(one in content for one in self.hashes) or self._in_an_address(content):
            return Certainty.CERTAIN
        if not any(one in content for one in self.forms):
            return Certainty.NOT
        alone = self._alone.search(content, start)
        if self._named.search(content) or (self.telling and alone):
            return Certainty.CERTAIN
        doubtful = self._apart.search(content, start) if self.telling else alone
        return Certainty.PERHAPS if doubtful else Certainty.NOT

    def in_field(self, value: str, name: str) -> Certainty:
        """Return the same for the text in a field of a document or a table."""
        if self.of_address and self.value in hashes_of_addresses(value):
            return Certainty.CERTAIN
        if name in _ID_FIELDS and _ID_FIELDS[name] is not self.identifier.kind:
            return Certainty.NOT
        if value == self.value:
            own = _ID_FIELDS.get(name) is self.identifier.kind
            sure = own or (self.telling and name not in _OTHER_FIELDS)
            return Certainty.CERTAIN if sure else Certainty.PERHAPS
        if name in _ID_FIELDS:
            return Certainty.NOT  # a whole id, and another one
        return self.in_bytes(value.encode(errors="surrogateescape"))

    def _in_an_address(self, content: bytes) -> bool:
        return self.of_address and any(one == self.value for one in hashes_in_bytes(content))

    @cached_property
    def _named(self) -> re.Pattern[bytes]:
        """The id behind its kind, as events and registers have it."""
        kind = self.identifier.kind.value.encode()
        forms = b"|".join(map(re.escape, self.forms))
        event = kind + rb'_id\\*"\s*:\s*\\*"(?:' + forms + rb')\\*"'
        return re.compile(event + rb"|" + kind + rb":(?:" + forms + rb")(?![0-9])")

    @cached_property
    def _apart(self) -> re.Pattern[bytes]:
        """The id where no further digit makes a longer number of it."""
        forms = b"|".join(map(re.escape, self.forms))
        before = rb"(?<![0-9])" if self.value[:1].isdigit() else b""
        after = rb"(?![0-9])" if self.value[-1:].isdigit() else b""
        return re.compile(before + b"(?:" + forms + b")" + after)

    @cached_property
    def _alone(self) -> re.Pattern[bytes]:
        """The id as a word of its own."""
        forms = b"|".join(map(re.escape, self.forms))
        return re.compile(rb"(?<!" + _IN_IDS + rb")(?:" + forms + rb")(?!" + _IN_IDS + rb")")
