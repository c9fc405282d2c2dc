"""The gate: what must not come back is stopped wherever records or states are made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import orjson

from recsys.customers import (
    KINDS_OF_EVENTS,
    ConsentChange,
    CustomerChange,
    Identifier,
    IdKind,
)
from serving.erasure.ledger import Entry, Ledger, hash_of
from serving.erasure.secret import keys_of
from serving.log.records import NEWLINE, Lines
from serving.settings import ServingSettings
from serving.state.changes import PackedEvents
from serving.state.keys import StateKeys

NOT_IN_THE_LOG = 1 << 62
"""Position of what has none yet: its time alone says whether it is gone."""

_ID_FIELDS = {kind: f"{kind.value}_id" for kind in KINDS_OF_EVENTS}
_A_SECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class Erased:
    """Whom some erasures name: of each hash the newest erasure, and its place among them.

    Of an event that names several identifiers the first of user, visitor, session says whose it is;
    where only a later one is erased, the event stays and that field is emptied.
    """

    keys: StateKeys
    entries: Sequence[Entry]
    by_hash: Mapping[bytes, int]

    @classmethod
    def of(cls, entries: Iterable[Entry], keys: StateKeys) -> Erased:
        """Return whom these erasures name."""
        ordered = sorted(entries, key=lambda one: one.number)
        places = {
            bytes.fromhex(hashed): place
            for place, entry in enumerate(ordered)
            for hashed in entry.hashes
        }
        return cls(keys, tuple(ordered), places)

    def place(self, kind: IdKind, value: str) -> int:
        """Return the place of the erasure that names an identifier, -1 for none."""
        if not value:
            return -1
        return self.by_hash.get(hash_of(Identifier(kind, value), self.keys), -1)

    def gone(self, place: int, second: int, position: int = NOT_IN_THE_LOG) -> bool:
        """Return whether what an erasure at this place names is gone; position: of its record."""
        if place < 0:
            return False
        entry = self.entries[place]
        return second <= entry.second or position <= entry.position

    def cleaned(self, payload: bytes, position: int = NOT_IN_THE_LOG) -> tuple[bytes | None, int]:
        """Return the JSON of an event without who is gone, and the erasure's place.

        None: the event is gone itself. -1: nobody in it is.
        """
        document = orjson.loads(payload)
        second = document["time"] // _A_SECOND
        owner, changed = True, -1
        for kind, name in _ID_FIELDS.items():
            if not document.get(name):
                continue
            place = self.place(kind, document[name])
            if self.gone(place, second, position):
                if owner:
                    return None, place
                del document[name]
                changed = place
            owner = False
        return (payload, -1) if changed < 0 else (orjson.dumps(document), changed)


class Gate:
    """Stops late events of whoever is in a ledger; asks the file each time whether it has grown.

    For one thread. Every method raises Unavailable where the ledger cannot be read.
    """

    def __init__(self, ledger: Ledger, keys: StateKeys) -> None:
        self._ledger = ledger
        self._keys = keys
        self._erased = Erased.of((), keys)

    def lines(self, lines: Lines) -> tuple[Lines, list[bool] | None]:
        """Return the lines without who is gone in them, and which of them may be stored.

        None: all may. A line that may not counts as one that the log has already.
        """
        erased = self._known()
        if not erased.by_hash or not len(lines):
            return lines, None
        payloads = lines.payload.split(NEWLINE)
        cleaned = [erased.cleaned(payload)[0] for payload in payloads]
        if cleaned == payloads:
            return lines, None
        whole = [new or old for new, old in zip(cleaned, payloads, strict=True)]
        return replace(lines, payload=NEWLINE.join(whole)), [one is not None for one in cleaned]

    def outdated(self, changes: Sequence[CustomerChange]) -> list[bool]:
        """Return which changes are statements of before an erasure; other changes are of now."""
        erased = self._known()
        return [
            isinstance(change, ConsentChange)
            and erased.gone(
                erased.place(change.identifier.kind, change.identifier.value),
                int(change.statement.time.timestamp()),
            )
            for change in changes
        ]

    def packed(self, events: PackedEvents) -> PackedEvents:
        """Return the events but for those of who is gone, before states are made of them."""
        erased = self._known()
        if not erased.by_hash or not len(events.entries):
            return events
        places = [erased.place(*owner) for owner in events.owners]
        if max(places) < 0:
            return events
        last = [erased.entries[place].second if place >= 0 else -1 for place in places]
        kept = events.entries["time"] > np.array(last, dtype=np.int64)[events.groups]
        return PackedEvents(events.owners, events.groups[kept], events.entries[kept])

    def _known(self) -> Erased:
        entries = self._ledger.entries()
        if len(entries) != len(self._erased.entries) or entries[-1:] != self._erased.entries[-1:]:
            self._erased = Erased.of(entries, self._keys)
        return self._erased


def gate_of(settings: ServingSettings) -> Gate:
    """Return the gate of a shop, for one thread."""
    keys = keys_of(settings)
    return Gate(Ledger(settings.erasure_ledger_file), keys)
