"""Askers: what may be used of whoever asks, read for many pages in one round trip."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import structlog

from recsys.errors import Unavailable
from recsys.query import Page
from serving.answers import AskedPage
from serving.degraded import Degraded
from serving.shown_lists import ShownLists
from serving.state.errands import NO_ERRAND, Errand, Found
from serving.state.keys import StateKey, StateKeys
from serving.state.profiles import Known

log = structlog.get_logger("serving.recommender")


class StateReader(Protocol):
    """The reading half of a store of states.

    incomplete: whether what was read last may lack events that were acknowledged.
    """

    incomplete: bool

    def find(self, keys: Sequence[Sequence[StateKey]], errand: Errand) -> Awaitable[Found]:
        """Return what may be used of each query's asker, and what the errand wants.

        In one round trip. Raises Unavailable.
        """
        ...


class Askers:
    """Reads of whom pages are asked by, and what their lists go on from.

    behind: tells whether events are acknowledged that the store has not taken.
    lists: that were answered; None where no list goes on from another.
    """

    def __init__(
        self,
        store: StateReader,
        keys: StateKeys,
        *,
        behind: Callable[[], bool],
        lists: ShownLists | None,
    ) -> None:
        self._store = store
        self._keys = keys
        self._behind = behind
        self._lists = lists

    async def read(self, pages: Sequence[Page]) -> list[AskedPage]:
        """Return the pages with what may be used of their askers; never raises Unavailable."""
        keys = [self._keys.of_query(page.asker) for page in pages]
        errand = self._lists.errand(pages, asked=any(keys)) if self._lists else NO_ERRAND
        try:
            found = await self._store.find(keys, errand)
        except Unavailable as error:
            log.debug("states unknown", reason=error.reason)
            nobody = Known.nobody()
            return [AskedPage(page, nobody, Degraded.STATE_UNAVAILABLE) for page in pages]
        behind = self._store.incomplete or self._behind()
        return [
            AskedPage(
                page,
                known,
                Degraded.STATE_BEHIND if behind or not known.told else "",
                shown=self._lists.shown(page, found) if self._lists else (),
            )
            for page, known in zip(pages, found.known, strict=True)
        ]
