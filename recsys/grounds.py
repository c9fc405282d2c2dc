"""Grounds: what is known of the items of lists, found once for all lists of the same askers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np

from recsys.anchors import events_with, of_bought_brands
from recsys.arrays import Mask, Rows, Times
from recsys.candidates import Candidates
from recsys.context import Contexts
from recsys.events import EventType
from recsys.habits import habits_with
from recsys.pipeline.pipeline import Pipeline
from recsys.pipeline.stages import CandidateSource
from recsys.query import ReasonCode


@dataclass(frozen=True, slots=True)
class Listing:
    """Lists that one placement made for the askers of its contexts."""

    pipeline: Pipeline
    contexts: Contexts
    listed: Candidates


class Ground(NamedTuple):
    """What is known of one item of a list; a tuple, since each item of each answer has one.

    code: what its main source says by itself. row: the product. shown: the row that stands for it.
    anchor: -1 where there is none. event: the strongest thing done with that. times: how often the
    item was bought. due: None without a habit. near, overdue: whether that is nearer than the last
    purchase, and past. known_brand: whether a new item is of a brand that was bought.
    """

    code: ReasonCode
    row: int
    shown: int
    anchor: int
    event: EventType | None
    times: int
    due: datetime | None
    quantity: float
    near: bool
    overdue: bool
    known_brand: bool


def grounds_of(
    listings: Sequence[Listing], main: Rows, brands: Rows, codes: Mapping[str, ReasonCode]
) -> Iterator[Ground]:
    """Yield what is known of each (n,) item of lists of the same askers, laid end to end.

    main: (n,) places of the main sources. brands: (n_items,) codes. codes: of sources by their
    name, what each says by itself; one that is not named says what everybody buys.
    """
    contexts = listings[0].contexts
    queries = np.concatenate([one.listed.queries for one in listings])
    rows = np.concatenate([one.listed.rows for one in listings])
    said = [*_codes(listings, main.tolist(), codes)]
    anchors = _anchors(listings, main, queries, rows)
    shown = contexts.shelf.shown(rows)
    habits, now = habits_with(contexts, queries, rows), contexts.now[queries]
    due, lasting = habits.due(), habits.lasting(now)
    columns = (
        said,
        rows.tolist(),
        shown.tolist(),
        anchors.tolist(),
        events_with(contexts, queries, anchors),
        habits.n_times.tolist(),
        _instants(due, lasting),
        np.where(lasting, habits.quantities, 0.0).tolist(),
        habits.near(now).tolist(),
        (due < now).tolist(),
        _of_known_brands(contexts, brands, queries, shown, said),
    )
    return map(Ground, *columns)


def _codes(
    listings: Sequence[Listing], main: Iterable[int], codes: Mapping[str, ReasonCode]
) -> Iterator[ReasonCode]:
    """Yield what the main source of each item says by itself."""
    places = iter(main)
    for one in listings:
        own = [codes.get(name, ReasonCode.POPULAR) for name in one.pipeline.source_names]
        for _ in range(len(one.listed)):
            yield own[next(places)]


def _anchors(listings: Sequence[Listing], main: Rows, queries: Rows, rows: Rows) -> Rows:
    """Return the (n,) item that brought each candidate, by its main source; -1 for none.

    A source is asked once for all lists that relate to the same.
    """
    asked: dict[tuple[int, int], tuple[CandidateSource, Contexts, list[Rows]]] = {}
    start = 0
    for one in listings:
        own = main[start : start + len(one.listed)]
        for place in set(own.tolist()) & set(range(len(one.pipeline.sources))):
            source = one.pipeline.sources[place].source
            key = id(source), id(one.contexts.related)
            chosen = start + np.flatnonzero(own == place).astype(np.int32)
            asked.setdefault(key, (source, one.contexts, []))[2].append(chosen)
        start += len(own)
    anchors = np.full(len(rows), -1, dtype=np.int32)
    for source, contexts, places in asked.values():
        chosen = np.concatenate(places)
        chosen = chosen[np.argsort(queries[chosen], kind="stable")]
        anchors[chosen] = source.anchors(contexts, _unscored(queries[chosen], rows[chosen]))
    return anchors


def _unscored(queries: Rows, rows: Rows) -> Candidates:
    """Return candidates of which nothing is said, in order of their queries."""
    nothing = np.zeros(len(rows), dtype=np.float32)
    return Candidates(queries, rows, nothing, np.empty((len(rows), 0), dtype=np.float32))


def _of_known_brands(
    contexts: Contexts, brands: Rows, queries: Rows, shown: Rows, said: Sequence[ReasonCode]
) -> list[bool]:
    """Return of each item whether it is new and of a brand that its asker has bought."""
    found = [False] * len(said)
    new = [place for place, code in enumerate(said) if code is ReasonCode.NEW]
    if new:
        bought = of_bought_brands(contexts, brands, queries[new], shown[new]).tolist()
        for place, known in zip(new, bought, strict=True):
            found[place] = known
    return found


def _instants(times: Times, there: Mask) -> list[datetime | None]:
    found: list[datetime | None] = [None] * len(times)
    for place in np.flatnonzero(there).tolist():
        found[place] = datetime.fromtimestamp(int(times[place].astype(np.int64)), UTC)
    return found
