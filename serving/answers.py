"""Answers: the lists of pages that were asked for together, made from one snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from recsys.errors import InvalidInput, NotFound
from recsys.explanations import main_sources, reasons
from recsys.ids import ItemId
from recsys.pipeline.pages import Part, Place, composed
from recsys.query import Page, Recommendation, RecommendedItem
from serving.attribution import RANDOM_BYTES, AttributionToken
from serving.snapshot import Snapshot
from serving.state.profiles import Known

Chance = Callable[[int], bytes]
"""Returns so many random bytes."""

PageAnswer = tuple[Recommendation, ...]
"""The list of each slot of a page."""

Answer = PageAnswer | Exception


@dataclass(frozen=True, slots=True)
class AskedPage:
    """A page with what may be used of its asker; `degraded` says why that may be too little."""

    page: Page
    known: Known
    degraded: str = ""


def answered(snapshot: Snapshot, asked: Sequence[AskedPage], chance: Chance) -> list[Answer]:
    """Return each page's lists, or the error that it met.

    What may be shown the same is computed together; a page that fails takes no other with it.
    """
    answers: dict[int, Answer] = {}
    known: list[int] = []
    for place, one in enumerate(asked):
        try:
            snapshot.placements.check(one.page)
            known.append(place)
        except (NotFound, InvalidInput) as error:
            answers[place] = error
    for places in _by_shelf(snapshot, asked, known):
        group = [asked[place] for place in places]
        answers |= zip(places, _computed_apart(snapshot, group, chance), strict=True)
    return [answers[place] for place in range(len(asked))]


def _computed_apart(snapshot: Snapshot, asked: Sequence[AskedPage], chance: Chance) -> list[Answer]:
    try:
        return [*_computed(snapshot, asked, chance)]
    except Exception as error:
        if len(asked) == 1:
            return [error]
    return [_computed_apart(snapshot, [one], chance)[0] for one in asked]


def _computed(
    snapshot: Snapshot, asked: Sequence[AskedPage], chance: Chance
) -> Iterator[PageAnswer]:
    """Yield the lists of pages on one shelf."""
    contexts = snapshot.resolve(
        [one.page.asker for one in asked], [one.known.state for one in asked]
    )
    lists: dict[Place, Recommendation] = {}
    for part in composed([one.page for one in asked], contexts, snapshot.placements):
        found = _items(snapshot, part)
        if part.fills:
            for place, items in zip(part.places, found, strict=True):
                lists[place] = _filled_up(lists[place], items)
        else:
            lists |= zip(part.places, _answers(snapshot, part, found, asked, chance), strict=True)
    for number, one in enumerate(asked):
        yield tuple(lists[Place(number, slot)] for slot in range(len(one.page.queries)))


def _answers(
    snapshot: Snapshot,
    part: Part,
    found: Sequence[list[RecommendedItem]],
    asked: Sequence[AskedPage],
    chance: Chance,
) -> Iterator[Recommendation]:
    """Yield the answers to the queries of one part."""
    version, missing = snapshot.bundle.version, part.contexts.missing
    for number, tier in enumerate(part.contexts.tiers()):
        query, whose = part.contexts.queries[number], asked[part.places[number].page]
        token = AttributionToken(query.placement, version, query.now, chance(RANDOM_BYTES))
        yield Recommendation(
            items=tuple(found[number]),
            placement=query.placement,
            tier=tier,
            bundle_version=version,
            attribution_token=token.encode(),
            degraded=whose.degraded,
            personalised=whose.known.personalise,
            missing_ids=missing[number],
            fill=part.filled.report(number),
        )


def _filled_up(answer: Recommendation, items: Sequence[RecommendedItem]) -> Recommendation:
    """Return the answer with items of the fallback behind its own."""
    if answer.fill is None:
        raise ValueError("the lists of a placement come before what fills them")
    first = len(answer.items)
    more = tuple(replace(item, position=first + item.position) for item in items)
    fill = replace(answer.fill, returned=first + len(more), from_fallback=len(more))
    return replace(answer, items=answer.items + more, fill=fill)


def _items(snapshot: Snapshot, part: Part) -> list[list[RecommendedItem]]:
    """Return the items of each query of a part."""
    catalog, names = snapshot.bundle.catalog, part.pipeline.source_names
    contexts, listed = part.contexts, part.filled.listed
    why = reasons(part.pipeline, contexts, listed, catalog)
    sources = main_sources(part.pipeline, listed).tolist()
    lists: list[list[RecommendedItem]] = [[] for _ in range(len(contexts))]
    rows = contexts.shelf.shown(listed.rows).tolist()
    columns = (listed.queries.tolist(), rows, listed.scores.tolist(), sources, why)
    for query, row, score, source, reason in zip(*columns, strict=True):
        items = lists[query]
        items.append(
            RecommendedItem(
                item_id=ItemId(catalog.vocabulary.id(row)),
                title=catalog.titles[row],
                position=len(items) + 1,
                score=score,
                source=names[source],
                reason=reason,
            )
        )
    return lists


def _by_shelf(
    snapshot: Snapshot, asked: Sequence[AskedPage], places: Iterable[int]
) -> Iterator[list[int]]:
    """Yield the places of pages that may be shown the same."""

    def shelf(place: int) -> tuple[str, int]:
        query = asked[place].page.asker
        return query.market, snapshot.shelf(query).since

    for _, group in groupby(sorted(places, key=shelf), key=shelf):
        yield list(group)
