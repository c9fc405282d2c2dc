"""Lists that were answered, kept for a while so that any worker can go on from them.

What is kept names item numbers alone, and lies under a keyed hash of the list's own token: it says
nothing of whoever asked. An item's number is the same in every bundle.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from typing import Protocol

import numpy as np

from recsys.arrays import Rows, frozen
from recsys.errors import Unavailable
from recsys.ids import ItemId
from recsys.query import Page, Recommendation
from serving.snapshot import Snapshot
from serving.state.errands import NO_ERRAND, Errand, Found
from serving.state.keys import ListKey, StateKey, StateKeys

MOST_SHOWN = 1_000
"""Items that a chain of lists remembers, twice the longest list; beyond it the oldest may come
again. Each answer stores its whole chain, so it bounds what one call leaves behind: 4 KB a list."""
MOST_RIDING = 64 * 1024
"""Bytes of lists that ride on one read, which somebody waits for."""
MOST_LOOKED_UP = 100_000
"""Items whose rows are remembered: looking one up takes as long as all else about keeping it."""
FLUSH_S = 0.02
"""Seconds that a list waits for a read to take it along."""

_PACKED = np.dtype("<i4")

ShownRows = tuple[Rows | None, ...]
"""By slot: rows in the lists that it goes on from; None where none of them is known."""


class ListStore(Protocol):
    """Whatever keeps lists."""

    def find(self, keys: Sequence[Sequence[StateKey]], errand: Errand) -> Awaitable[Found]:
        """Run an errand. Raises Unavailable."""
        ...


class ShownLists:
    """Keeps what lists hold. A list that is to be kept waits for the next read to take it along.

    kept: whether any is; else every list begins anew.
    flush_s: seconds after which it goes by itself, where no read comes.
    """

    def __init__(
        self, store: ListStore, keys: StateKeys, *, kept: bool = True, flush_s: float = FLUSH_S
    ) -> None:
        self._kept = kept
        self._store = store
        self._keys = keys
        self._flush_s = flush_s
        self._waiting: dict[ListKey, bytes] = {}
        self._rows: dict[ItemId, int] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._flushing: set[asyncio.Task[None]] = set()

    def errand(self, pages: Sequence[Page], *, asked: bool) -> Errand:
        """Return what a read for pages takes along. asked: whether it reads of anybody anyway."""
        if not self._kept:
            return NO_ERRAND
        named = (query.continues for page in pages for query in page.queries if query.continues)
        wanted = tuple(dict.fromkeys(map(self._keys.listed, named)))
        return Errand(wanted, self._riding(wanted)) if asked or wanted else NO_ERRAND

    def shown(self, page: Page, found: Found) -> ShownRows:
        """Return what each slot of a page goes on from."""
        return tuple(
            _rows(found.lists.get(self._keys.listed(query.continues))) if query.continues else None
            for query in page.queries
        )

    def keep(
        self,
        snapshot: Snapshot,
        page: Page,
        *,
        shown: ShownRows,
        answers: Sequence[Recommendation],
    ) -> None:
        """Keep the lists of a page, each with what it went on from.

        shown: by slot; empty where it was not read. A list that should go on is not kept then,
        or one that went on from it would repeat what came before and say that it does not.
        """
        if not (self._kept and page.goes_on):
            return
        for slot, answer in enumerate(answers):
            if page.queries[slot].continues and not shown:
                continue
            rows = self._rows_of([item.item_id for item in answer.items], snapshot)
            packed = struct.pack(f"<{len(rows)}i", *rows)
            if shown and (before := shown[slot]) is not None:
                packed = before.astype(_PACKED).tobytes() + packed
            key = self._keys.listed(answer.attribution_token)
            self._waiting[key] = packed[-MOST_SHOWN * _PACKED.itemsize :]
        if self._waiting and self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._flush_s, self._flush_soon)

    async def flush(self) -> None:
        """Keep what waits, now; where the store cannot be used, those lists will begin anew."""
        if kept := self._taken():
            with suppress(Unavailable):
                await self._store.find((), Errand(kept=kept))

    async def close(self) -> None:
        """Keep what waits, and let what is under way end."""
        await self.flush()
        if self._flushing:
            await asyncio.wait(self._flushing)

    def _rows_of(self, ids: Sequence[ItemId], snapshot: Snapshot) -> list[int]:
        """Return the row of each id, which it keeps for good; most were looked up before."""
        known = self._rows
        if missing := [one for one in ids if one not in known]:
            if len(known) > MOST_LOOKED_UP:
                known.clear()
                missing = list(ids)
            found = snapshot.assortment.vocabulary.rows(missing).tolist()
            known.update(zip(missing, found, strict=True))
        return [known[one] for one in ids]

    def _riding(self, wanted: Sequence[ListKey]) -> tuple[tuple[ListKey, bytes], ...]:
        """Return what a read takes along, which waits no more; the rest waits for the timer.

        Those that it wants itself go in any case, others while there is room.
        """
        riding = {key: self._waiting[key] for key in wanted if key in self._waiting}
        room = MOST_RIDING - sum(map(len, riding.values()))
        for key, packed in self._waiting.items():
            room -= 0 if key in riding else len(packed)
            if room < 0:
                break
            riding[key] = packed
        if len(riding) == len(self._waiting):
            return self._taken()
        for key in riding:
            del self._waiting[key]
        return tuple(riding.items())

    def _taken(self) -> tuple[tuple[ListKey, bytes], ...]:
        """Return what waits; it waits no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        kept, self._waiting = tuple(self._waiting.items()), {}
        return kept

    def _flush_soon(self) -> None:
        task = asyncio.create_task(self.flush())
        self._flushing.add(task)
        task.add_done_callback(self._flushing.discard)


def _rows(raw: bytes | None) -> Rows | None:
    """Return the rows behind bytes; None where there are none, or what no list is."""
    if raw is None or len(raw) % _PACKED.itemsize:
        return None
    return frozen(np.frombuffer(raw, dtype=_PACKED).astype(np.int32))


def products_of(rows: Rows, primaries: Rows) -> Rows:
    """Return the products that stand for some rows in a catalog; without those it knows nothing of.

    primaries: (n_items,) int32, -1 where there is none.
    """
    found = primaries[rows[rows < len(primaries)]]
    return frozen(found[found >= 0])
