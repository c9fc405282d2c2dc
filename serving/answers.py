"""Answers: the lists of pages that were asked for together, made from one snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from recsys.chosen_fields import ChosenFields, known_fields
from recsys.errors import InvalidInput, NotFound
from recsys.ids import ItemId
from recsys.languages.language import Languages
from recsys.part_reasons import reasons_of
from recsys.pipeline.pages import Part, Place, composed
from recsys.query import ItemField, Page, Recommendation, RecommendedItem, Unmet
from serving.attribution import RANDOM_BYTES, AttributionToken
from serving.snapshot import Snapshot
from serving.state.profiles import Known

Chance = Callable[[int], bytes]
"""Returns so many random bytes."""

PageAnswer = tuple[Recommendation, ...]
"""The list of each slot of a page."""

Answer = PageAnswer | Exception


@dataclass(frozen=True, slots=True)
class Means:
    """What answers are made with, beside a snapshot: chance for their tokens, and languages."""

    chance: Chance
    languages: Languages


@dataclass(frozen=True, slots=True)
class AskedPage:
    """A page with what may be used of its asker; `degraded` says why that may be too little."""

    page: Page
    known: Known
    degraded: str = ""


def answered(snapshot: Snapshot, asked: Sequence[AskedPage], means: Means) -> list[Answer]:
    """Return each page's lists, or the error that it met.

    What may be shown the same is computed together; a page that fails takes no other with it.
    """
    answers: dict[int, Answer] = {}
    known: list[int] = []
    for place, one in enumerate(asked):
        try:
            snapshot.check(one.page)
            known.append(place)
        except (NotFound, InvalidInput) as error:
            answers[place] = error
    for places in _by_shelf(snapshot, asked, known):
        group = [asked[place] for place in places]
        answers |= zip(places, _computed_apart(snapshot, group, means), strict=True)
    return [answers[place] for place in range(len(asked))]


def _computed_apart(snapshot: Snapshot, asked: Sequence[AskedPage], means: Means) -> list[Answer]:
    try:
        return [*_computed(snapshot, asked, means)]
    except Exception as error:
        if len(asked) == 1:
            return [error]
    return [_computed_apart(snapshot, [one], means)[0] for one in asked]


def _computed(snapshot: Snapshot, asked: Sequence[AskedPage], means: Means) -> Iterator[PageAnswer]:
    """Yield the lists of pages on one shelf."""
    contexts = snapshot.resolve(
        [one.page.asker for one in asked], [one.known.state for one in asked]
    )
    lists: dict[Place, Recommendation] = {}
    for part in composed([one.page for one in asked], contexts, snapshot.placements):
        found = _items(snapshot, part, means.languages)
        if part.fills:
            for number, place in enumerate(part.places):
                unmet = part.filled.report(number).unmet
                lists[place] = _filled_up(lists[place], found[number], unmet)
        else:
            made = _answers(snapshot, part, found, asked, means.chance)
            lists |= zip(part.places, made, strict=True)
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


def _filled_up(
    answer: Recommendation, items: Sequence[RecommendedItem], unmet: tuple[Unmet, ...]
) -> Recommendation:
    """Return the answer with items of the fallback behind its own.

    unmet: rules that the list does not keep with these.
    """
    if answer.fill is None:
        raise ValueError("the lists of a placement come before what fills them")
    first = len(answer.items)
    more = tuple(replace(item, position=first + item.position) for item in items)
    n_items = first + len(more)
    fill = replace(answer.fill, returned=n_items, from_fallback=len(more), unmet=unmet)
    return replace(answer, items=answer.items + more, fill=fill)


def _items(snapshot: Snapshot, part: Part, languages: Languages) -> list[list[RecommendedItem]]:
    """Return the items of each query of a part."""
    catalog, contexts, listed = snapshot.bundle.catalog, part.contexts, part.filled.listed
    why = reasons_of(part, snapshot.placements.rules, catalog, languages)
    fields = _fields(snapshot, part)
    lists: list[list[RecommendedItem]] = [[] for _ in range(len(contexts))]
    rows = contexts.shelf.shown(listed.rows).tolist()
    chances = part.filled.choice.propensities.tolist()
    rules = part.filled.rules or ((),) * len(listed)
    scores = listed.scores.tolist()
    columns = (listed.queries.tolist(), rows, scores, why, fields, chances, rules)
    for query, row, score, reason, chosen, chance, ruled in zip(*columns, strict=True):
        items = lists[query]
        items.append(
            RecommendedItem(
                item_id=ItemId(catalog.vocabulary.id(row)),
                title=catalog.titles[row],
                position=len(items) + 1,
                score=score,
                source=reason.contributions[0].source,
                reason=reason,
                fields=chosen,
                propensity=chance,
                rules=ruled,
            )
        )
    return lists


def _fields(snapshot: Snapshot, part: Part) -> list[tuple[ItemField, ...]]:
    """Return the fields of each item of a part that its query asks for."""
    listed, queries = part.filled.listed, part.contexts.queries
    if not any(query.item_fields for query in queries):
        return [()] * len(listed)
    conditions, catalog = snapshot.placements.conditions, snapshot.bundle.catalog
    known = known_fields(conditions.schema)
    chosen = []
    for query in queries:
        values = conditions.values.of(query.market, int(query.now.timestamp()))
        kinds = {name: known[name] for name in query.item_fields}
        chosen.append(ChosenFields(catalog, values, kinds))
    shown = part.contexts.shelf.shown(listed.rows)
    columns = (listed.queries.tolist(), listed.rows.tolist(), shown.tolist())
    return [chosen[query].of(row, face) for query, row, face in zip(*columns, strict=True)]


def _by_shelf(
    snapshot: Snapshot, asked: Sequence[AskedPage], places: Iterable[int]
) -> Iterator[list[int]]:
    """Yield the places of pages that may be shown the same."""

    def shelf(place: int) -> tuple[str, int]:
        query = asked[place].page.asker
        return query.market, snapshot.shelf(query).since

    for _, group in groupby(sorted(places, key=shelf), key=shelf):
        yield list(group)
