"""Settling: one list made of what is there, so that it keeps as many wishes as it can.

Wishes are taken in their order, and what one has taken no later one takes away: a pin its position,
a minimum its best items, a maximum what is too many. The rest of the list is the best of the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from recsys.rules.wishes import Pinned, Quota, Wish

MOST_TRIED = 8
"""Wishes of a list that are tried one by one where not all of them can be kept."""


@dataclass(frozen=True, slots=True)
class Pool:
    """What one list can be made of.

    rows: all of it, best first: the list as it would be, then what was ranked behind it, then what
        may only come in for a wish that names it.
    n_listed, n_ranked: how many the list is without wishes, and with what was ranked behind it.
    ahead: rows of the same list that stand before, which cannot be changed.
    limit: most items, those ahead not counted.
    more: whether another placement fills up what is missing.
    """

    rows: Sequence[int]
    n_listed: int
    n_ranked: int
    ahead: Sequence[int]
    limit: int
    more: bool = False


@dataclass(frozen=True, slots=True)
class Settled:
    """A list.

    places: of its items in the pool's rows, first to last.
    unmet: rules that it does not keep, and why. touched: rules that changed an item, by its place.
    """

    places: list[int]
    unmet: dict[str, str]
    touched: dict[int, list[str]]


def settled(pool: Pool, wishes: Sequence[Wish]) -> Settled:
    """Return the list. Laws: no longer than the limit; a wish is kept, or it is among `unmet`.

    Where some cannot be kept, they step behind those that can, in whose way they would be.
    """
    first = _settled(pool, wishes)
    if not first.unmet or pool.more or not 1 < len(wishes) <= MOST_TRIED:
        return first
    able: list[Wish] = []
    for wish in wishes:
        if not _settled(pool, [*able, wish]).unmet:
            able.append(wish)
    again = _settled(
        pool, [*able, *(wish for wish in wishes if all(wish is not one for one in able))]
    )
    return max(first, again, key=lambda one: [wish.rule not in one.unmet for wish in wishes])


def _settled(pool: Pool, wishes: Sequence[Wish]) -> Settled:
    """Return the list in which each wish takes what it needs of what those before it left."""
    held: frozenset[int] = frozenset()
    n_items, short = pool.n_listed, pool.more
    while True:
        draft = _Draft(pool, wishes, n_items, short=short and n_items < pool.limit, held=held)
        draft.take_all()
        if draft.length() > n_items:
            n_items = draft.length()
        elif late := draft.pinned_behind(n_items):
            held |= late
        else:
            return draft.settled()


@dataclass(slots=True)
class _Draft:
    """A list under way: what wishes have taken so far.

    n_items: how long it will be. short: whether others will fill it up, so that nothing needs to
    stand in it that a wish is against. held: places of what is kept back for those.
    """

    pool: Pool
    wishes: Sequence[Wish]
    n_items: int
    short: bool
    held: frozenset[int]
    taken: dict[int, None] = field(default_factory=dict)
    pins: dict[int, int] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)
    touched: dict[int, list[str]] = field(default_factory=dict)
    capped: list[_Cap] = field(default_factory=list)
    caps: list[_Cap] = field(default_factory=list)
    groups: dict[str, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.caps = [
            _Cap.of(one, self.pool, self.total)
            for one in self.wishes
            if isinstance(one, Quota) and one.at_most
        ]

    @property
    def total(self) -> int:
        """How long the whole list will be."""
        return len(self.pool.ahead) + (self.pool.limit if self.short else self.n_items)

    def take_all(self) -> None:
        """Take what each wish asks for, in their order, then the best of the rest."""
        caps = iter(self.caps)
        for wish in self.wishes:
            if isinstance(wish, Pinned):
                self._pin(wish)
                continue
            if wish.at_least:
                self._reserve(wish)
            if wish.at_most:
                self.capped.append(next(caps))

    def length(self) -> int:
        """Return how long the list is with all that was taken."""
        more = sum(place >= self.pool.n_listed for place in self.taken)
        return min(self.pool.limit, self.pool.n_listed + more)

    def pinned_behind(self, n_items: int) -> frozenset[int]:
        """Return what is pinned to a position that others are to fill the list up to."""
        if not self.short:
            return frozenset()
        return frozenset(place for place, local in self.pins.items() if local > n_items)

    def settled(self) -> Settled:
        """Return the list that this comes to."""
        filled, surplus = self._filled()
        places = self._in_order(filled, surplus)
        rows = [*self.pool.ahead, *(self.pool.rows[place] for place in places)]
        unmet = {}
        for wish in self.wishes:
            if why := wish.broken(rows):
                unmet[wish.rule] = self.why.get(wish.rule, why)
        for place in surplus:
            for cap in self.caps:
                if cap.groups[place]:
                    self._touch(place, cap.rule)
        return Settled(places, unmet, {place: self.touched.get(place, []) for place in places})

    def _pin(self, wish: Pinned) -> None:
        local = wish.position - len(self.pool.ahead)
        if local < 1 or wish.row not in self.pool.rows:
            return
        place = self.pool.rows.index(wish.row)
        if place in self.held:
            return
        if why := self._why_not(place, local):
            self.why[wish.rule] = why
            return
        self._take(place)
        self.pins[place] = local
        self._touch(place, wish.rule)

    def _why_not(self, place: int, local: int) -> str:
        """Return why an item cannot be pinned; empty where it can."""
        if local > self.pool.limit:
            return f"the list has room for {len(self.pool.ahead) + self.pool.limit} items"
        if local in self.pins.values():
            return "a rule before it holds the position"
        if place in self.pins:
            return "a rule before it holds the item at another position"
        if place in self.taken:
            return ""
        if len(self.taken) >= self.pool.limit:
            return "rules before it fill the list"
        return next((f"{cap.rule} lets in no more" for cap in self._full(place, self.capped)), "")

    def _reserve(self, wish: Quota) -> None:
        """Take the best items that count, as many as are missing, those first that harm nobody."""
        counted = wish.groups[list(self.pool.rows)].tolist() if self.pool.rows else []
        ahead = sum(bool(wish.groups[row]) for row in self.pool.ahead)
        missing = wish.fewest(self.total) - ahead - sum(bool(counted[one]) for one in self.taken)
        for caps in (self.caps, self.capped):
            for place, counts in enumerate(counted):
                if missing <= 0 or len(self.taken) >= self.pool.limit:
                    return
                if counts and self._free(place) and not any(self._full(place, caps)):
                    self._take(place)
                    missing -= 1
                    if place >= self.pool.n_listed:
                        self._touch(place, wish.rule)

    def _filled(self) -> tuple[list[int], list[int]]:
        """Return the places of the whole list, and of them those that a maximum is against."""
        left = []
        for place in self._rest():
            if len(self.taken) >= self.n_items:
                break
            if any(self._full(place, self.caps)):
                left.append(place)
            else:
                self._take(place)
        surplus: list[int] = []
        if not self.short:
            ranks = {cap.rule: rank for rank, cap in enumerate(self.caps)}
            # Where some have to stay, they are those that the least of the rules is against.
            left.sort(key=lambda one: -min(ranks[cap.rule] for cap in self._full(one, self.caps)))
            surplus = sorted(left[: max(self.n_items - len(self.taken), 0)])
        return [*self.taken, *surplus], surplus

    def _rest(self) -> Iterator[int]:
        return (place for place in range(self.pool.n_ranked) if self._free(place))

    def _free(self, place: int) -> bool:
        return place not in self.taken and place not in self.held

    def _in_order(self, filled: Iterable[int], surplus: Sequence[int]) -> list[int]:
        """Return the places as they stand: what is pinned there, else the next best."""
        filled = list(filled)
        behind = set(surplus)
        within = {local: place for place, local in self.pins.items() if local <= len(filled)}
        late = [place for place, local in self.pins.items() if local > len(filled)]
        late.sort(key=lambda place: self.pins[place])
        others = [place for place in filled if place not in self.pins]
        others.sort(key=lambda place: (place in behind, place))
        left = iter([*others, *late])
        return [
            within[local] if local in within else next(left) for local in range(1, len(filled) + 1)
        ]

    def _take(self, place: int) -> None:
        if place not in self.taken:
            self.taken[place] = None
            for cap in self.caps:
                cap.counts[cap.groups[place]] += 1

    def _full(self, place: int, caps: Iterable[_Cap]) -> Iterator[_Cap]:
        """Yield those of the maximums that are against one item more of the kind."""
        return (cap for cap in caps if cap.full(place))

    def _touch(self, place: int, rule: str) -> None:
        names = self.touched.setdefault(place, [])
        if rule not in names:
            names.append(rule)


@dataclass(slots=True)
class _Cap:
    """A maximum. groups: of each place of the pool, 0 for none. counts: taken of each group."""

    rule: str
    groups: list[int]
    most: int
    counts: Counter[int]

    @classmethod
    def of(cls, wish: Quota, pool: Pool, total: int) -> _Cap:
        """Return what one wish allows in a list of so many."""
        groups = wish.groups[list(pool.rows)].tolist() if pool.rows else []
        ahead = Counter(int(wish.groups[row]) for row in pool.ahead)
        return cls(wish.rule, groups, wish.most(total), ahead)

    def full(self, place: int) -> bool:
        """Return whether one item more would be too many."""
        group = self.groups[place]
        return bool(group) and self.counts[group] >= self.most
