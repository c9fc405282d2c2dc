"""Answers: the lists of pages that were asked for together, made from one snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from recsys.arrays import Rows
from recsys.chosen_fields import ChosenFields, known_fields
from recsys.errors import InvalidInput, NotFound
from recsys.fill_report import Unmet
from recsys.ids import ItemId
from recsys.languages.language import Languages
from recsys.part_reasons import reasons_of
from recsys.pipeline.alone import fills_up
from recsys.pipeline.pages import Part, Place, Shown, composed
from recsys.pipeline.tiers import tiers_of
from recsys.query import ItemField, Page, Reason, Recommendation, RecommendedItem, Tier
from serving.attribution import RANDOM_BYTES, AttributionToken
from serving.degraded import Degraded
from serving.shown_lists import products_of
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
    """A page with what may be used of its asker; `degraded` says why that may be too little.

    shown: by slot, what is in the lists that its list goes on from; None where there are none.
    hurried: whether there is no time for more than popular items.
    """

    page: Page
    known: Known
    degraded: str = ""
    shown: tuple[Rows | None, ...] = ()
    hurried: bool = False

    def continued(self, slot: int) -> bool:
        """Return whether the list of a slot goes on from another."""
        return bool(self.shown) and self.shown[slot] is not None


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
        own = _in_a_hurry(snapshot, group) if group[0].hurried else snapshot
        answers |= zip(places, _computed_apart(own, group, means), strict=True)
    return [answers[place] for place in range(len(asked))]


def _in_a_hurry(snapshot: Snapshot, asked: Sequence[AskedPage]) -> Snapshot:
    return snapshot.in_a_hurry({query.placement for one in asked for query in one.page.queries})


def _shown(snapshot: Snapshot, asked: Sequence[AskedPage]) -> Shown:
    """Return what lists may not hold, since they go on from others that do."""
    primaries = snapshot.assortment.primaries
    return {
        Place(page, slot): products_of(rows, primaries)
        for page, one in enumerate(asked)
        for slot, rows in enumerate(one.shown)
        if rows is not None
    }


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
    pages, shown = [one.page for one in asked], _shown(snapshot, asked)
    parts = list(composed(pages, contexts, snapshot.placements, shown=shown))
    rules, catalog = snapshot.placements.rules, snapshot.bundle.catalog
    reasons = reasons_of(parts, rules, catalog, means.languages)
    for part, why in zip(parts, reasons, strict=True):
        found = _items(snapshot, part, why)
        if part.fills:
            tiers = _tiers(snapshot, part, asked)
            for number, place in enumerate(part.places):
                unmet = part.filled.unmet[number] if part.filled.unmet else ()
                lists[place] = _filled_up(lists[place], found[number], unmet, tier=tiers[number])
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
    reports = part.filled.reports()
    for number, tier in enumerate(_tiers(snapshot, part, asked)):
        query, place = part.contexts.queries[number], part.places[number]
        whose = asked[place.page]
        token = AttributionToken(query.placement, version, query.now, chance(RANDOM_BYTES))
        yield Recommendation(
            items=tuple(found[number]),
            placement=query.placement,
            tier=tier,
            bundle_version=version,
            attribution_token=token.encode(),
            degraded=whose.degraded if version else Degraded.NO_RELEASE,
            personalised=whose.known.personalise,
            missing_ids=tuple(dict.fromkeys((*missing[number], *part.more.unknown))),
            about=_about(snapshot, part, number, found[number]),
            fill=reports[number],
            continued=whose.continued(place.slot),
        )


def _tiers(snapshot: Snapshot, part: Part, asked: Sequence[AskedPage]) -> Sequence[Tier]:
    """Return how much each list of a part rests on: on nobody, where it stands in for another."""
    pipeline, conditions = part.pipeline, snapshot.placements.conditions
    tiers = tiers_of(part.contexts, pipeline, conditions)
    stands_in = asked[part.places[0].page].hurried or not snapshot.bundle.version
    if not (stands_in and fills_up(pipeline)):
        return tiers
    return [tier if tier is Tier.SEGMENT else Tier.POPULAR for tier in tiers]


def _about(
    snapshot: Snapshot, part: Part, number: int, items: Sequence[RecommendedItem]
) -> tuple[ItemId, ...]:
    """Return the items of the asker that a list is about, those that brought any item into it."""
    vocabulary = snapshot.bundle.catalog.vocabulary
    ids = [vocabulary.id(row) for row in part.about.at(number).tolist()]
    return tuple(one for one in ids if any(one in item.reason.anchors for item in items))


def _filled_up(
    answer: Recommendation,
    items: Sequence[RecommendedItem],
    unmet: tuple[Unmet, ...],
    *,
    tier: Tier,
) -> Recommendation:
    """Return the answer with items of the fallback behind its own.

    unmet: rules that the list does not keep with these. tier: how much these rest on, which is
    said where the list's own rest on nothing.
    """
    if answer.fill is None:
        raise ValueError("the lists of a placement come before what fills them")
    first = len(answer.items)
    more = tuple(replace(item, position=first + item.position) for item in items)
    n_items = first + len(more)
    fill = replace(answer.fill, returned=n_items, from_fallback=len(more), unmet=unmet)
    said = tier if more and answer.tier is Tier.POPULAR else answer.tier
    return replace(answer, items=answer.items + more, tier=said, fill=fill)


def _items(snapshot: Snapshot, part: Part, why: list[Reason]) -> list[list[RecommendedItem]]:
    """Return the items of each query of a part."""
    catalog, contexts, listed = snapshot.bundle.catalog, part.contexts, part.filled.listed
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
    """Yield the places of pages that may be shown the same, in a hurry or not."""

    def shelf(place: int) -> tuple[str, int, bool]:
        query = asked[place].page.asker
        return query.market, snapshot.shelf(query).since, asked[place].hurried

    for _, group in groupby(sorted(places, key=shelf), key=shelf):
        yield list(group)
