"""The one judgement of every fault test: what was promised, against what is found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from recsys.events import Event

SENT, ACKNOWLEDGED, REFUSED = "sent", "acknowledged", "refused"


@dataclass(frozen=True, slots=True)
class Journal:
    """What clients know of their events, by id.

    sent: all that went out.
    acknowledged: promised to be kept.
    refused: said not to be kept.

    Of what is in neither of the last two nobody knows: it may be there, once.
    """

    sent: frozenset[str]
    acknowledged: frozenset[str]
    refused: frozenset[str] = frozenset()

    @classmethod
    def of(cls, sent: Sequence[Event], acknowledged: Sequence[Event]) -> Self:
        """Return a journal of events."""
        return cls(
            frozenset(one.event_id for one in sent), frozenset(one.event_id for one in acknowledged)
        )

    @classmethod
    def read(cls, files: Iterable[Path]) -> Self:
        """Return what clients wrote line by line: a word, then ids. A torn last line is no line."""
        found: dict[str, set[str]] = {SENT: set(), ACKNOWLEDGED: set(), REFUSED: set()}
        for file in files:
            for line in file.read_text().split("\n")[:-1]:
                word, *ids = line.split()
                found[word].update(ids)
        return cls(
            frozenset(found[SENT]), frozenset(found[ACKNOWLEDGED]), frozenset(found[REFUSED])
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong, by event id; nothing is, where it is false.

    lost: acknowledged, and not there.
    doubled: there more than once.
    invented: there, though never sent, or refused.
    """

    lost: tuple[str, ...] = ()
    doubled: tuple[str, ...] = ()
    invented: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.lost or self.doubled or self.invented)


FINE = Verdict()


def judged(journal: Journal, found: Collection[str]) -> Verdict:
    """Return what is wrong with the ids that were found, given what clients know."""
    times = Counter(found)
    return Verdict(
        lost=tuple(sorted(journal.acknowledged - times.keys())),
        doubled=tuple(sorted(one for one, n in times.items() if n > 1)),
        invented=tuple(sorted((times.keys() - journal.sent) | (times.keys() & journal.refused))),
    )


def disagreements(places: Sequence[Collection[tuple[int, str]]]) -> list[int]:
    """Return the positions under which two places hold different events."""
    known: dict[int, str] = {}
    wrong = {
        position
        for place in places
        for position, event_id in place
        if known.setdefault(position, event_id) != event_id
    }
    return sorted(wrong)
