"""Answers judged by what the server had been told, and when: the one second that a change may take.

Nobody outside can know at which instant a change came into force; only that it was not before it
was sent, and, so it is promised, not later than a second after it was acknowledged. Between the
two both are possible, and an answer is wrong where nothing possible explains it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import product
from math import inf

from recsys.items import Item
from tests import catalogs
from tests.faults.living import FRESH, N_VARIANTS, NAMES, Learned, instant

LAW_S = 1.0
FAR_AGO = -inf
_WALL_S = time.time() - time.monotonic()

Faces = Mapping[int, set[str | None]]
"""By row, what may stand in its place in a list; None where that may be nothing at all."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One list as it was given.

    asked, answered: when the call began and ended, by the clock that never goes back.
    version: the release that answered. limit: most items asked for.
    """

    placement: str
    market: str
    limit: int
    asked: float
    answered: float
    version: str
    item_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Said:
    """What an item was said to be; None: that it is sold no more.

    acknowledged: infinity as long as it is not. Sent again after a failure it counts from its
    first sending, since nobody knows what became of that.
    """

    item: Item | None
    sent: float
    acknowledged: float = inf


class Told:
    """All that was said of each row, in order."""

    def __init__(self) -> None:
        self._said: dict[int, list[Said]] = {}

    def __len__(self) -> int:
        """How many rows something was said of: they are the first ones."""
        return len(self._said)

    def now(self, row: int) -> Item | None:
        """Return what was said last."""
        return self._said[row][-1].item

    def send(self, changes: Mapping[int, Item | None], now: float) -> None:
        """Note that this is about to be said."""
        for row, item in changes.items():
            self._said.setdefault(row, [Said(None, FAR_AGO, FAR_AGO)]).append(Said(item, now))

    def acknowledge(self, rows: Iterable[int], now: float) -> None:
        """Note that what was said last of these rows was heard."""
        for row in rows:
            self._said[row][-1] = replace(self._said[row][-1], acknowledged=now)

    def possible(self, row: int, settled: float, until: float) -> list[Item | None]:
        """Return what may have been true at some instant up to `until`.

        settled: what was acknowledged by then has come into force.
        """
        said = [one for one in self._said[row] if one.sent <= until]
        first = max(place for place, one in enumerate(said) if one.acknowledged <= settled)
        return [one.item for one in said[first:]]

    def story(self, row: int, since: float) -> str:
        """Return what was said lately of a row, in seconds since an instant."""
        return "; ".join(
            f"{one.sent - since:+.3f} to {one.acknowledged - since:+.3f} s: {one.item}"
            for one in self._said[row][-4:]
        )


def complaint(answer: Answer, told: Told, learned: Learned, law_s: float) -> str:
    """Return what is wrong with an answer; empty where something possible explains it."""
    worlds = possible_worlds(answer, told, law_s)
    may_be_shown = {name for world in worlds for names in world.values() for name in names}
    for item_id in answer.item_ids:
        if item_id not in may_be_shown:
            return f"{item_id} was not allowed: {told.story(NAMES.index(item_id), answer.asked)}"
    if answer.placement == FRESH:  # what is let in for its newness is drawn by chance
        return ""
    order = learned.order(answer.placement, len(told))
    missing = [first_missing(order, world, answer) for world in worlds]
    if missing[-1] is None or None in missing:
        return ""
    return f"{NAMES[missing[-1]]} is not in its place: {told.story(missing[-1], answer.asked)}"


def first_missing(order: Sequence[int], faces: Faces, answer: Answer) -> int | None:
    """Return the first row that the exact reference lists for certain, and the answer does not.

    order: rows, best first. A row that is perhaps allowed stands in its place, or nobody does;
    so of a list that goes on behind what the reference explains, the last row is returned.
    """
    place = 0
    for row in order:
        if place == answer.limit:
            return None
        if place < len(answer.item_ids) and answer.item_ids[place] in faces[row]:
            place += 1
        elif None not in faces[row]:
            return row
    return None if place == len(answer.item_ids) else order[-1]


def possible_worlds(answer: Answer, told: Told, law_s: float) -> list[Faces]:
    """Return what may stand for each row that had been spoken of.

    Variants depend on each other: what is possible of them all makes a world, each with all that
    is possible of the items that are on their own.
    """
    settled = answer.asked - law_s
    window = settled + _WALL_S, answer.answered + _WALL_S
    states = [told.possible(row, settled, answer.answered) for row in range(len(told))]
    alone: dict[int, set[str | None]] = {
        row: {
            NAMES[row] if catalogs.sold({row: item}, row, answer.market, now) else None
            for now in _instants(states[row : row + 1], *window)
            for item in states[row]
        }
        for row in range(N_VARIANTS, len(told))
    }
    variants = dict.fromkeys(
        _shown(items, answer.market, now)
        for now in _instants(states[:N_VARIANTS], *window)
        for items in product(*states[:N_VARIANTS])
    )
    return [{**{row: {name} for row, name in enumerate(names)}, **alone} for names in variants]


def _shown(items: Sequence[Item | None], market: str, now: datetime) -> tuple[str | None, ...]:
    """Return what is shown for each of the variants."""
    known = dict(enumerate(items))
    faces = [catalogs.face(known, row, N_VARIANTS, market, now) for row in known]
    return tuple(None if face is None else NAMES[face] for face in faces)


def _instants(states: Sequence[Sequence[Item | None]], first: float, last: float) -> list[datetime]:
    """Return instants of a time such that nothing is for sale in it and at none of them."""
    begin, end = instant(first), instant(last)
    dates = {
        date
        for items in states
        for item in items
        if item
        for date in (item.available_from, item.expires)
        if date and begin < date <= end
    }
    return [begin, *dates]
