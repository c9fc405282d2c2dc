"""What customers' states should be, as simply as it can be said: a set of events for each."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from recsys.customers import IdKind
from recsys.events import EVENT_TYPES, Event
from recsys.state import (
    FACETS,
    Entries,
    UserState,
    kinds_of_entries,
    quantities_of_entries,
    rows_of_entries,
)
from serving.state.keys import most_durable

Owner = tuple[IdKind, str]
Fact = tuple[int, str, str, int]
"""Second, type, item id, pieces (a rating's stars) of an event that is remembered."""

Facts = Mapping[str, Counter[Fact]]
"""By the name of a facet, what it holds."""


class Model:
    """The states that a set of events makes; each customer's events have seconds of their own."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._known: dict[Owner, dict[str, Event]] = defaultdict(dict)
        for one in events:
            self.add(one)

    def add(self, event: Event) -> None:
        """Take an event in; the first of an id counts."""
        self._known[most_durable(event)].setdefault(event.event_id, event)

    @property
    def owners(self) -> list[Owner]:
        """Whose events are known."""
        return sorted(self._known)

    def facts(self, owner: Owner) -> Facts:
        """Return what is remembered of a customer: of each facet's types, the newest."""
        found = {}
        for facet in FACETS:
            kept = [one for one in self._known[owner].values() if one.type in facet.kinds]
            newest = sorted(kept, key=lambda one: one.time, reverse=True)[: facet.limit]
            found[facet.name] = Counter(_fact(one) for one in newest)
        return found


def facts_of(state: UserState, items: Mapping[int, str]) -> Facts:
    """Return what a state says; items: the item id behind each row."""
    return {
        facet.name: Counter(_read(entries, items))
        for facet, entries in zip(FACETS, state.facets, strict=True)
    }


def _fact(event: Event) -> Fact:
    pieces = round(event.rating or event.quantity)
    counted = event.type.value in ("purchase", "refund", "add_to_cart", "rating")
    return int(event.time.timestamp()), event.type.value, event.item_id, pieces if counted else 1


def _read(entries: Entries, items: Mapping[int, str]) -> list[Fact]:
    columns = (
        entries["time"].tolist(),
        kinds_of_entries(entries).tolist(),
        rows_of_entries(entries).tolist(),
        quantities_of_entries(entries).tolist(),
    )
    return [
        (second, EVENT_TYPES[kind].value, items.get(row, ""), round(pieces))
        for second, kind, row, pieces in zip(*columns, strict=True)
    ]
