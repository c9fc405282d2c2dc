"""Erasures as they are asked for and told of, by commands and by workers: no engine is loaded."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

import structlog

from recsys.customers import Identifier
from recsys.errors import NotFound, Unavailable
from serving.clock import Clock
from serving.erasure.gate import Erased
from serving.erasure.ledger import Entry, Ledger
from serving.erasure.places import Places
from serving.erasure.receipts import LOG, Receipt, Receipts
from serving.log.customer_reads import CustomerReader
from serving.log.tail import LogTail
from serving.state.erasing import StateErasing
from serving.state.keys import StateKeys

log = structlog.get_logger("serving.erasure")


def customer_of(places: Places, identifier: Identifier, *, alone: bool) -> tuple[Identifier, ...]:
    """Return the identifiers of a customer, or the one alone. Raises Unavailable."""
    if alone:
        return (identifier,)
    with closing(CustomerReader(places.log_file)) as reader:
        return reader.customer_of(identifier).identifiers


def ask(
    places: Places,
    identifiers: tuple[Identifier, ...],
    *,
    keys: StateKeys,
    now: datetime,
    alone: bool,
) -> Entry:
    """Note an erasure in the ledger: from here on it happens. Raises Unavailable."""
    with closing(LogTail(places.log_file)) as tail:
        position = tail.last_position()
    return Ledger(places.ledger).add(identifiers, keys, now=now, position=position, alone=alone)


def receipts_of(places: Places, entries: Iterable[Entry]) -> list[Receipt]:
    """Return what became of erasures so far, in their order. Raises Unavailable."""
    receipts = Receipts(places.receipts)
    try:
        return [receipts.read(entry.erasure_id) or Receipt.begun(entry) for entry in entries]
    except OSError as error:
        raise Unavailable(
            f"the receipts in {places.receipts} cannot be read: {error}. Check their disk and "
            "owner",
            reason="RECEIPTS_UNAVAILABLE",
        ) from error


@dataclass(frozen=True, slots=True)
class AskedErasure:
    """An erasure that will happen. degraded: whether the live state could not be reached yet."""

    entry: Entry
    degraded: bool


class Erasures:
    """Asks for erasures and tells of them, for a worker. Every method raises Unavailable.

    The supervisor does them; only the live state is cleared here, so that the next answer knows
    nobody.
    """

    def __init__(
        self, places: Places, keys: StateKeys, erasing: StateErasing, *, clock: Clock
    ) -> None:
        self._places = places
        self._keys = keys
        self._erasing = erasing
        self._clock = clock
        self._ledger = Ledger(places.ledger)

    async def erase(self, identifier: Identifier, *, alone: bool) -> AskedErasure:
        """Note durably that a customer is to be erased, and clear the live state."""
        entry = await asyncio.to_thread(self._noted, identifier, alone)
        try:
            await self._erasing.forget([entry], all_of_it=True)
        except Unavailable as error:  # the supervisor tries again
            log.warning("an erasure waits for the store", reason=error.reason)
            return AskedErasure(entry, degraded=True)
        return AskedErasure(entry, degraded=False)

    async def receipt(self, erasure_id: str) -> Receipt:
        """Return what became of one erasure so far. Raises NotFound for an id of none."""
        entries = await asyncio.to_thread(self._entries)
        found = [one for one in entries if one.erasure_id == erasure_id]
        if not found:  # before its file is looked for: the id is a caller's
            raise NotFound(
                f"no erasure {erasure_id[:64]!r}; ListErasures returns all there are",
                reason="UNKNOWN_ERASURE",
            )
        (receipt,) = await asyncio.to_thread(receipts_of, self._places, found)
        return receipt

    async def receipts(self, before: int | None, limit: int) -> Sequence[Receipt]:
        """Return what became of erasures so far, the newest first, at most so many.

        before: number of the erasure behind which the page begins; None for the newest.
        """
        entries = await asyncio.to_thread(self._entries)
        older = [one for one in reversed(entries) if before is None or one.number < before]
        return await asyncio.to_thread(receipts_of, self._places, older[:limit])

    def under_way(self, identifiers: Iterable[Identifier]) -> frozenset[Identifier]:
        """Return which of these are to be erased, and still in the registers of the log."""
        erased = Erased.of(self._ledger.entries(), self._keys)
        return frozenset(
            one
            for one in identifiers
            if (place := erased.place(one.kind, one.value)) >= 0
            and self._stands_in_the_log(erased.entries[place])
        )

    def _stands_in_the_log(self, entry: Entry) -> bool:
        (receipt,) = receipts_of(self._places, [entry])
        return receipt.lacks(LOG)

    def _noted(self, identifier: Identifier, alone: bool) -> Entry:
        members = customer_of(self._places, identifier, alone=alone)
        return ask(self._places, members, keys=self._keys, now=self._clock(), alone=alone)

    def _entries(self) -> Sequence[Entry]:
        return Ledger(self._places.ledger).entries()
