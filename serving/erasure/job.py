"""The job that erases: every store in turn, each step to be run again wherever it was cut off."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from recsys.erasures import ErasureMark
from recsys.errors import RecsysError
from serving.clock import Clock
from serving.erasure.again import AgainRequest, lake_done, log_done
from serving.erasure.gate import Erased
from serving.erasure.ledger import Entry, Ledger
from serving.erasure.mentions import Mentioned
from serving.erasure.places import Places
from serving.erasure.receipts import LAKE, LOG, MODELS, STATE, Receipt, Receipts, Removed
from serving.erasure.text_files import drafts_under_way, erase_lines, files_of_lines
from serving.erasure.trained import remove_models
from serving.lake.erasing import erase_rows
from serving.lake.lake import said_as_lake_unavailable
from serving.lake.spill import spill_folder
from serving.log.erasing import LogErasing
from serving.state.erasing import StateErasing
from serving.state.keys import StateKeys
from serving.state.redis_store import RedisStateStore

_FRESH_S = 600
"""As long after an erasure was asked for, nobody new is expected under its ids."""

T = TypeVar("T")
Steps = Iterator[None]
Told = Callable[[str], None]
"""Told the name of the store that is done next."""


class InThread(Protocol):
    """Runs work in the one thread that owns what it touches, between other work of that thread."""

    async def __call__(self, work: Callable[[], T], /) -> T:
        """Return what the work returns."""
        ...


@dataclass(frozen=True, slots=True)
class Threads:
    """Whose turn it is.

    archive: of the log's end and the lake. customers: of the lake's one table.
    settle_s: how long a worker may take to give the store what it had before; 0 without workers.
    """

    archive: InThread
    customers: InThread
    settle_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Live:
    """The store of states, and what takes customers out of it."""

    store: RedisStateStore
    erasing: StateErasing


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What a step did. removed: by place of the erasure."""

    removed: Counter[int]
    left: str = ""
    note: str = ""


_Work = Callable[[Erased], Awaitable[_Outcome]]


class Eraser:
    """Does the erasures of a ledger, for the one process that holds the data folder's lock.

    Every store notes the newest erasure that it has seen, so one that was restored from a backup
    is done again. What cannot be done is noted in the receipt and tried at the next run. States are
    done first, so that answers know nobody at once, and again at the end, when log and lake are
    clean: an event may have been on its way into them.
    """

    def __init__(
        self,
        places: Places,
        keys: StateKeys,
        live: Live,
        threads: Threads,
        *,
        clock: Clock,
    ) -> None:
        self._places = places
        self._keys = keys
        self._live = live
        self._threads = threads
        self._clock = clock
        self._ledger = Ledger(places.ledger)
        self._receipts = Receipts(places.receipts)
        self._request = AgainRequest(places.receipts)
        self._held: dict[str, Receipt] = {}
        self._marks: dict[str, int] = {}

    async def run(self, told: Told = lambda _: None, *, again: bool = False) -> list[Receipt]:
        """Do what is owed, and return the receipts of what was done or is still open.

        The first time the stores are asked what they have seen; later only receipts count, which
        are held, so it may be called each second. again: do everything of the whole ledger, which
        an `AgainRequest` asks for, too; so does a log or a lake that came back from a backup, since
        what came with it cannot say how old it is. Raises Unavailable where ledger or receipts
        cannot be used.
        """
        entries = list(self._ledger.entries())
        if not entries:
            return []
        if not self._marks:
            self._ledger.note_check(self._keys)
            self._marks = await self._asked()
            again = again or self._came_back(entries)
        wish = self._request.pending()
        again = again or bool(wish)
        touched: dict[int, Entry] = {}
        moved: dict[int, Entry] = {}
        for store, work in self._steps():
            if due := entries if again else self._due(store, entries):
                told(store)
                for some in [[one] for one in due] if store == MODELS else [due]:
                    await self._do(store, some, work)
                touched |= {one.number: one for one in due}
                moved |= {one.number: one for one in due if store in (LOG, LAKE)}
        if moved:
            await asyncio.sleep(self._threads.settle_s)
            await self._do(STATE, list(moved.values()), self._from_state)
        self._request.meet(wish)
        return [self._close(touched[number]) for number in sorted(touched)]

    def _steps(self) -> Sequence[tuple[str, _Work]]:
        texts = [(name, self._texts_of(name)) for name in self._places.texts]
        return (
            (STATE, self._from_state),
            (LOG, self._from_log),
            (LAKE, self._from_lake),
            *texts,
            (MODELS, self._from_models),
        )

    def _due(self, store: str, entries: Sequence[Entry]) -> list[Entry]:
        """Return the erasures that a store has not seen, by its own mark or by the receipt."""
        seen = self._marks.get(store, entries[-1].number)
        return [one for one in entries if one.number > seen or self._receipt(one).lacks(store)]

    def _came_back(self, entries: Sequence[Entry]) -> bool:
        """Return whether log or lake lack an erasure that was done there."""
        stores = (LOG, LAKE) if self._places.lake.is_dir() else (LOG,)
        return any(
            one.number > self._marks[store] and not self._receipt(one).lacks(store)
            for one in entries
            for store in stores
        )

    async def _asked(self) -> dict[str, int]:
        """Return which erasure each store has seen last; those that cannot say it, none."""
        return {
            STATE: await _known(self._live.erasing.done()),
            LOG: await _known(self._threads.archive(lambda: log_done(self._places))),
            LAKE: await _known(self._threads.archive(lambda: lake_done(self._places))),
        }

    async def _do(self, store: str, entries: Sequence[Entry], work: _Work) -> None:
        """Do one store and note it in the receipts."""
        erased, started = Erased.of(entries, self._keys), self._clock()
        try:
            outcome = await work(erased)
        except (RecsysError, OSError) as error:
            outcome = _Outcome(Counter(), left=str(error))
        if not outcome.left:
            self._marks[store] = erased.entries[-1].number
        for place, entry in enumerate(erased.entries):
            done = _told(store, outcome, place, started, self._clock())
            self._hold(self._receipt(entry).with_store(done))

    def _close(self, entry: Entry) -> Receipt:
        return self._hold(self._receipt(entry).closed(self._clock()))

    def _receipt(self, entry: Entry) -> Receipt:
        """Return the receipt of an erasure, which is read once."""
        held = self._held.get(entry.erasure_id)
        if held is None:
            held = self._receipts.read(entry.erasure_id) or Receipt.begun(entry)
            self._held[entry.erasure_id] = held
        return held

    def _hold(self, receipt: Receipt) -> Receipt:
        if receipt != self._held.get(receipt.erasure_id):
            self._receipts.write(receipt)
            self._held[receipt.erasure_id] = receipt
        return receipt

    async def _from_state(self, erased: Erased) -> _Outcome:
        removed: Counter[int] = Counter()
        done = await self._live.erasing.done()
        for place, entry in enumerate(erased.entries):
            fresh = (self._clock() - entry.time).total_seconds() < _FRESH_S
            first = fresh and entry.number > done
            counts = await self._live.erasing.forget([entry], all_of_it=first)
            removed[place] += counts[entry.erasure_id]
        kept = await self._live.erasing.rewrite_files()
        await self._live.erasing.note(max(done, erased.entries[-1].number))
        return _Outcome(removed, note="" if kept else "the server keeps no files")

    async def _from_log(self, erased: Erased) -> _Outcome:
        thread, removed = self._threads.archive, Counter[int]()
        log = await thread(lambda: LogErasing(self._places.log_file))
        try:
            await _through(thread, log.records(erased, removed))
            await _through(thread, log.rejected(Mentioned(erased), removed))
            neighbours = await thread(lambda: log.neighbours(erased))
            await self._live.store.apply_profiles(neighbours)
            await thread(lambda: log.registers(erased, removed))
            whole = await thread(log.settle)
            await thread(lambda: log.note(erased.entries[-1].number))
        finally:
            await thread(log.close)
        note = "" if whole else "the file is large: freed parts of pages are overwritten with time"
        return _Outcome(removed, note=note)

    async def _from_lake(self, erased: Erased) -> _Outcome:
        removed: Counter[int] = Counter()
        newest = max(erased.entries[-1].number, self._marks.get(LAKE, 0))
        thread = self._threads.archive
        lake = self._places.lake
        if not lake.is_dir():
            return _Outcome(removed)
        done = min(self._marks.get(LAKE, 0), erased.entries[0].number - 1)
        with said_as_lake_unavailable():
            await thread(lambda: ErasureMark(newest, done).write(lake))
        for table in self._places.tables():
            await _through(thread, _said(erase_rows(table, erased, removed)))
        counted = _said(erase_rows(self._places.customers_table, erased, removed))
        await _through(self._threads.customers, counted)
        await thread(self._sweep_spills)
        with said_as_lake_unavailable():
            await thread(lambda: ErasureMark(newest, newest).write(lake))
        return _Outcome(removed)

    def _sweep_spills(self) -> None:
        """Remove what jobs that died have left."""
        with spill_folder(self._places.data_folder):
            pass

    def _texts_of(self, name: str) -> _Work:
        async def work(erased: Erased) -> _Outcome:
            folder, removed = self._places.texts[name], Counter[int]()
            written = await asyncio.to_thread(drafts_under_way, folder)
            for path in await asyncio.to_thread(files_of_lines, folder):
                removed.update(await asyncio.to_thread(erase_lines, path, Mentioned(erased)))
            names = ", ".join(one.name for one in written)
            return _Outcome(removed, f"{names}: being written just now" if names else "")

        return work

    async def _from_models(self, erased: Erased) -> _Outcome:
        number = erased.entries[-1].number
        gone, left = await asyncio.to_thread(remove_models, self._places, number)
        return _Outcome(Counter(dict.fromkeys(range(len(erased.entries)), gone)), left)


def _told(store: str, outcome: _Outcome, place: int, started: datetime, now: datetime) -> Removed:
    begun, ended = (one.isoformat(timespec="milliseconds") for one in (started, now))
    return Removed(store, outcome.removed[place], begun, ended, outcome.left, outcome.note)


async def _known(asked: Awaitable[int]) -> int:
    try:
        return await asked
    except RecsysError:
        return 0


def _said(steps: Steps) -> Steps:
    with said_as_lake_unavailable():
        yield from steps


async def _through(thread: InThread, steps: Steps) -> None:
    """Take step after step, others of the thread's work between two."""
    while await thread(lambda: next(steps, steps)) is not steps:
        continue
