"""Contexts: all a stage may know of a batch of queries, in rows of one bundle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Self, TypeVar

import numpy as np

from recsys.arrays import Kinds, Rows, Scores, Seconds, Times, keys_of
from recsys.assortment import Assortment, Shelf
from recsys.events import EVENT_CODES, EventType
from recsys.ids import ItemId
from recsys.interactions import Interactions
from recsys.interest import Interest
from recsys.models.trends import NO_TRENDS, Trends
from recsys.named_rows import each_once, rows_named
from recsys.query import Query, Selection
from recsys.state import FACETS, HISTORY, OPINIONS, PURCHASES, Facet, UserState
from recsys.timelines import Ragged, Remembered, Timeline, Weighted

T = TypeVar("T")

VIEWS: Kinds = np.array(
    [EVENT_CODES[EventType.DETAIL_VIEW], EVENT_CODES[EventType.CLICK]], dtype=np.uint8
)
"""Codes of the events by which an asker looks at an item."""

_RATING, _HIDE = EVENT_CODES[EventType.RATING], EVENT_CODES[EventType.HIDE]

MOST_AHEAD = np.timedelta64(1, "D")
"""What is remembered of a time further ahead comes from a clock that was wrong: it never counts."""


class RelatesTo(StrEnum):
    """Which of the items at hand a list is about."""

    PAGE = "page"
    CART = "cart"
    BOTH = "both"
    LAST_VIEWED = "last_viewed"
    """What the asker looked at last."""
    LAST_BOUGHT = "last_bought"
    """What the asker bought last."""

    @property
    def of_the_asker(self) -> bool:
        """Whether it is about something that the asker did, not about the page."""
        return self in (RelatesTo.LAST_VIEWED, RelatesTo.LAST_BOUGHT)


@dataclass(frozen=True, slots=True)
class Contexts:
    """What is asked and known, for q queries.

    now: (q,) datetime64[s], the instant of each query.
    history, purchases, opinions: what each asker did, newest first (`recsys.state` says what each
        remembers, and how much); of purchases, what was not given back.
    interests: how much each asker cares for which item, by the bundle's `Interest`.
    seeds: items on the page. cart: items in the cart. related: items the list should relate to:
        those on the page and in the cart, unless its placement is about something else: `about`.
    excluded: items the request itself rules out.
    missing: seeds, items of the cart and excluded ids that have no row, for each query.
    shelf: what may be shown, in the market and at the time of all of them.
    lines: of any facet what each asker did, for stages that ask for more than the above.
    room: items that other lists of the pages may take.
    spoken: items of each asker that earlier lists of the page are about.
    apart: tells lists that exclude more than the request does; 0 for all others.
    trends: what is wanted, by market; in replay nothing is.
    made: a memory of what sources made of the askers, which the lists of their pages share.

    All rows are of products: a variant counts as its primary.
    """

    queries: tuple[Query, ...]
    now: Times
    history: Timeline
    purchases: Timeline
    opinions: Timeline
    interests: Weighted
    seeds: Ragged
    cart: Ragged
    related: Ragged
    excluded: Ragged
    missing: tuple[tuple[ItemId, ...], ...]
    shelf: Shelf
    lines: Remembered
    room: int = 0
    about: RelatesTo = RelatesTo.BOTH
    spoken: Ragged | None = None
    apart: int = 0
    trends: Trends = NO_TRENDS
    made: dict[tuple[int, str], tuple[object, object]] = field(
        default_factory=dict, repr=False, compare=False
    )

    def __len__(self) -> int:
        return len(self.queries)

    @property
    def market(self) -> str:
        """The market that all of them ask for."""
        return self.queries[0].market if self.queries else ""

    @classmethod
    def resolve(
        cls,
        queries: Sequence[Query],
        states: Sequence[UserState],
        *,
        assortment: Assortment,
        interest: Interest,
        trends: Trends = NO_TRENDS,
    ) -> Self:
        """Return the contexts of queries whose askers' states were read: the way of serving.

        The queries are to ask for one market, and between the same two dated changes.
        """
        n_items = len(assortment.vocabulary)

        def line(facet: Facet) -> Timeline:
            place = FACETS.index(facet)
            return Timeline.of_entries([state.facets[place] for state in states], n_items)

        return replace(cls._of(queries, line, assortment, interest), trends=trends)

    @classmethod
    def replay(
        cls,
        queries: Sequence[Query],
        interactions: Interactions,
        users: Rows,
        *,
        assortment: Assortment,
        interest: Interest,
    ) -> Self:
        """Return the contexts of queries by these (q,) users after these interactions.

        The way of training and evaluation; it equals `resolve` over the states that the same
        events leave behind.
        """

        def line(facet: Facet) -> Timeline:
            return Timeline.of_interactions(interactions, users, facet)

        return cls._of(queries, line, assortment, interest)

    @classmethod
    def _of(
        cls,
        queries: Sequence[Query],
        line: Callable[[Facet], Timeline],
        assortment: Assortment,
        interest: Interest,
    ) -> Self:
        seconds = np.array([int(query.now.timestamp()) for query in queries], dtype=np.int64)
        now = seconds.astype("datetime64[s]")
        lines = _remembered(line, now, assortment.primaries)
        history, purchases, opinions = map(lines.of, (HISTORY, PURCHASES, OPINIONS))
        interests = interest.of(history, purchases, opinions, now)
        (seeds, cart, excluded), missing = rows_named(queries, assortment)
        return cls(
            tuple(queries),
            now,
            history,
            purchases,
            opinions,
            interests,
            seeds,
            cart,
            each_once(seeds.joined(cart)) if len(cart.rows) else seeds,
            excluded,
            missing,
            _shelf(queries, seconds, assortment),
            lines,
        )

    def of(self, places: Rows) -> Contexts:
        """Return the contexts of the queries at these (m,) places."""
        return Contexts(
            tuple(self.queries[place] for place in places.tolist()),
            self.now[places],
            self.history.of_queries(places),
            self.purchases.of_queries(places),
            self.opinions.of_queries(places),
            self.interests.of_queries(places),
            self.seeds.of_queries(places),
            self.cart.of_queries(places),
            self.related.of_queries(places),
            self.excluded.of_queries(places),
            tuple(self.missing[place] for place in places.tolist()),
            self.shelf,
            self.lines.of_queries(places),
            trends=self.trends,
        )

    def asking(
        self, queries: Sequence[Query], room: int = 0, *, spoken: Ragged | None = None
    ) -> Self:
        """Return the contexts of other lists for the same pages.

        The (q,) queries differ in placement, limit, filter and candidates alone. spoken: items of
        the askers that earlier lists of the pages are about.
        """
        return replace(self, queries=tuple(queries), room=room, spoken=spoken)

    def excluding(self, rows: Ragged, apart: int) -> Self:
        """Return the contexts of lists that may hold none of these (q,) rows either.

        apart: a number of theirs, not 0, by which what is made of them is told from what is made of
        other lists of the pages.
        """
        if not len(rows.rows):
            return self
        return replace(self, excluded=self.excluded.joined(rows), apart=apart)

    def once(self, maker: object, what: str, make: Callable[[], T]) -> T:
        """Return what a maker makes of the askers, made once for all lists of their pages."""
        key = (id(maker), what)
        if key not in self.made:  # the maker is kept, or another might get its identity
            self.made[key] = (maker, make())
        found: T = self.made[key][1]  # type: ignore[assignment]  # as `make` of this key gave it
        return found

    def relating_to(self, what: RelatesTo) -> Self:
        """Return the contexts of lists that should relate to these items alone.

        Of what the asker did it is the newest item that the request does not exclude, that is not
        at hand, not hidden, and that no earlier list of the page is about. Such lists share no
        memory with others, since no other list is about the same.
        """
        if what is self.about:
            return self
        match what:
            case RelatesTo.PAGE:
                return replace(self, related=self.seeds, about=what)
            case RelatesTo.CART:
                return replace(self, related=self.cart, about=what)
            case RelatesTo.LAST_VIEWED:
                viewed = self.history.take(np.isin(self.history.kinds, VIEWS))
                return replace(self, related=self._newest(viewed), about=what, made={})
            case RelatesTo.LAST_BOUGHT:
                return replace(self, related=self._newest(self.purchases), about=what, made={})
            case RelatesTo.BOTH:
                return self

    def hidden(self) -> Ragged:
        """Return what each asker has hidden, and not liked since."""
        newest = self.opinions.take(self.opinions.kinds != _RATING).newest_of_each()
        return newest.take(newest.kinds == _HIDE).of_rows()

    def limits(self, size: int) -> Rows:
        """Return the (q,) most items each query wants, `size` where it does not say."""
        return np.array([query.most_items(size) for query in self.queries], dtype=np.int32)

    def asked(self, wish: Callable[[Selection], float | None], default: float) -> Scores:
        """Return the (q,) numbers that the queries wish for, `default` where they say nothing."""
        wishes = [wish(query.selection) for query in self.queries]
        return np.array([default if one is None else one for one in wishes], dtype=np.float32)

    def _newest(self, line: Timeline) -> Ragged:
        """Return the newest row of each asker's line that a list may be about; none where none."""
        refused = [self.excluded, self.seeds, self.cart, self.hidden()]
        refused += [self.spoken] if self.spoken is not None else []
        keys = np.concatenate([keys_of(rows.owners(), rows.rows) for rows in refused])
        owners = line.owners()
        free = np.flatnonzero(~np.isin(keys_of(owners, line.rows), keys))
        _, first = np.unique(owners[free], return_index=True)
        newest = free[first]
        return Ragged.of_pairs(owners[newest], line.rows[newest], len(self))


def _remembered(line: Callable[[Facet], Timeline], now: Times, primaries: Rows) -> Remembered:
    """Return the lines as stages see them: up to now, of what was not given back, by product."""
    latest = (now + MOST_AHEAD).astype("datetime64[s]")

    def read(facet: Facet) -> Timeline:
        found = line(facet).until(latest)
        found = found.settled() if facet is PURCHASES else found
        return found.rolled_up(primaries)

    return Remembered(read)


def _shelf(queries: Sequence[Query], seconds: Seconds, assortment: Assortment) -> Shelf:
    """Return what all the queries may be shown. Raises ValueError where that is not the same."""
    markets = {query.market for query in queries} or {""}
    shelf = assortment.shelf(min(markets), int(seconds.min()) if len(seconds) else 0)
    if len(markets) > 1 or (len(seconds) and not shelf.covers(int(seconds.max()))):
        raise ValueError(
            f"queries of {len(markets)} markets, from {seconds.min()} to {seconds.max()}"
        )
    return shelf
