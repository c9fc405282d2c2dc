"""Contexts: all a stage may know of a batch of queries, in rows of one bundle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Self, TypeVar

import numpy as np

from recsys.arrays import Mask, Rows, Scores, Seconds, Times, frozen, keys_of
from recsys.assortment import Assortment, Shelf
from recsys.ids import UNKNOWN_ROW, ItemId
from recsys.interactions import Interactions
from recsys.interest import Interest
from recsys.query import Query, Selection, Tier
from recsys.state import FACETS, HISTORY, OPINIONS, PURCHASES, Facet, UserState
from recsys.timelines import Ragged, Remembered, Timeline, Weighted

T = TypeVar("T")

MOST_AHEAD = np.timedelta64(1, "D")
"""What is remembered of a time further ahead comes from a clock that was wrong: it never counts."""


class RelatesTo(StrEnum):
    """Which of the items at hand a list is about."""

    PAGE = "page"
    CART = "cart"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Contexts:
    """What is asked and known, for q queries.

    now: (q,) datetime64[s], the instant of each query.
    history, purchases, opinions: what each asker did, newest first (`recsys.state` says what each
        remembers, and how much); of purchases, what was not given back.
    interests: how much each asker cares for which item, by the bundle's `Interest`.
    seeds: items on the page. cart: items in the cart. related: items the list should relate to:
        those on the page and in the cart, unless its placement is about one of them alone.
    excluded: items the request itself rules out.
    missing: seeds, items of the cart and excluded ids that have no row, for each query.
    shelf: what may be shown, in the market and at the time of all of them.
    lines: of any facet what each asker did, for stages that ask for more than the above.
    room: items that other lists of the pages may take.
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
    made: dict[tuple[int, str], tuple[object, object]] = field(
        default_factory=dict, repr=False, compare=False
    )

    def __len__(self) -> int:
        return len(self.queries)

    @classmethod
    def resolve(
        cls,
        queries: Sequence[Query],
        states: Sequence[UserState],
        *,
        assortment: Assortment,
        interest: Interest,
    ) -> Self:
        """Return the contexts of queries whose askers' states were read: the way of serving.

        The queries are to ask for one market, and between the same two dated changes.
        """
        n_items = len(assortment.vocabulary)

        def line(facet: Facet) -> Timeline:
            place = FACETS.index(facet)
            return Timeline.of_entries([state.facets[place] for state in states], n_items)

        return cls._of(queries, line, assortment, interest)

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
        latest = (now + MOST_AHEAD).astype("datetime64[s]")

        def read(facet: Facet) -> Timeline:
            found = line(facet).until(latest)
            found = found.settled() if facet is PURCHASES else found
            return found.rolled_up(assortment.primaries)

        lines = Remembered(read)
        history, purchases, opinions = map(lines.of, (HISTORY, PURCHASES, OPINIONS))
        interests = interest.of(history, purchases, opinions, now)
        (seeds, cart, excluded), missing = _rows_named(queries, assortment)
        return cls(
            tuple(queries),
            now,
            history,
            purchases,
            opinions,
            interests,
            seeds,
            cart,
            _each_once(seeds.joined(cart)) if len(cart.rows) else seeds,
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
        )

    def asking(self, queries: Sequence[Query], room: int = 0) -> Self:
        """Return the contexts of other lists for the same pages.

        The (q,) queries differ in placement, limit and filter alone.
        """
        return replace(self, queries=tuple(queries), room=room)

    def once(self, maker: object, what: str, make: Callable[[], T]) -> T:
        """Return what a maker makes of the askers, made once for all lists of their pages."""
        key = (id(maker), what)
        if key not in self.made:  # the maker is kept, or another might get its identity
            self.made[key] = (maker, make())
        found: T = self.made[key][1]  # type: ignore[assignment]  # as `make` of this key gave it
        return found

    def relating_to(self, what: RelatesTo) -> Self:
        """Return the contexts of lists that should relate to these items alone."""
        match what:
            case RelatesTo.PAGE:
                return replace(self, related=self.seeds)
            case RelatesTo.CART:
                return replace(self, related=self.cart)
            case RelatesTo.BOTH:
                return self

    def limits(self, size: int) -> Rows:
        """Return the (q,) most items each query wants, `size` where it does not say."""
        return np.array([query.limit or size for query in self.queries], dtype=np.int32)

    def asked(self, wish: Callable[[Selection], float | None], default: float) -> Scores:
        """Return the (q,) numbers that the queries wish for, `default` where they say nothing."""
        wishes = [wish(query.selection) for query in self.queries]
        return np.array([default if one is None else one for one in wishes], dtype=np.float32)

    def tiers(self) -> list[Tier]:
        """Return how much each answer rests on."""
        lines = (self.history, self.purchases, self.opinions)
        remembered = np.sum([np.diff(line.offsets) for line in lines], axis=0) > 0
        seeded = np.diff(self.related.offsets) > 0
        return [
            _tier(query, bool(knows), bool(seeds))
            for query, knows, seeds in zip(self.queries, remembered, seeded, strict=True)
        ]


def _shelf(queries: Sequence[Query], seconds: Seconds, assortment: Assortment) -> Shelf:
    """Return what all the queries may be shown. Raises ValueError where that is not the same."""
    markets = {query.market for query in queries} or {""}
    shelf = assortment.shelf(min(markets), int(seconds.min()) if len(seconds) else 0)
    if len(markets) > 1 or (len(seconds) and not shelf.covers(int(seconds.max()))):
        raise ValueError(
            f"queries of {len(markets)} markets, from {seconds.min()} to {seconds.max()}"
        )
    return shelf


def _tier(query: Query, knows: bool, seeded: bool) -> Tier:
    if knows and (query.user_id or query.visitor_id):
        return Tier.PERSONAL
    return Tier.SESSION if knows or seeded else Tier.POPULAR


def _each_once(lists: Ragged) -> Ragged:
    """Return the lists without repeats, each row where it stands first."""
    keys = keys_of(lists.owners(), lists.rows)
    _, first = np.unique(keys, return_index=True)
    kept = np.sort(first)
    return Ragged.of_pairs(lists.owners()[kept], lists.rows[kept], len(lists))


def _rows_named(
    queries: Sequence[Query], assortment: Assortment
) -> tuple[tuple[Ragged, Ragged, Ragged], tuple[tuple[ItemId, ...], ...]]:
    """Return the products of seeds, cart and exclusions, and the ids among them without a row."""
    seeds, unknown_seeds = _rows_of([query.seeds for query in queries], assortment)
    cart, unknown_in_cart = _rows_of([query.scene.cart for query in queries], assortment)
    excluded, unknown_excluded = _rows_of([query.excluded for query in queries], assortment)
    unknown = zip(unknown_seeds, unknown_in_cart, unknown_excluded, strict=True)
    missing = tuple(tuple(dict.fromkeys(a + b + c)) for a, b, c in unknown)
    return (seeds, cart, excluded), missing


def _rows_of(
    lists: Sequence[tuple[ItemId, ...]], assortment: Assortment
) -> tuple[Ragged, list[tuple[ItemId, ...]]]:
    """Return the products of these ids, each once, and the ids that have no row."""
    rows: list[Rows] = []
    missing: list[tuple[ItemId, ...]] = []
    for ids in lists:
        found = assortment.vocabulary.rows(ids)
        known: Mask = found != UNKNOWN_ROW
        products = assortment.primaries[found[known]]
        _, first = np.unique(products, return_index=True)
        rows.append(frozen(products[np.sort(first)]))
        missing.append(tuple(item for item, here in zip(ids, known, strict=True) if not here))
    return Ragged.of(rows), missing
