"""Why an item is in a list: a code, the items that brought it, and one sentence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np

from recsys.candidates import Candidates
from recsys.catalog import Catalog
from recsys.context import Contexts
from recsys.events import EventType
from recsys.grounds import Ground, Listing, grounds_of
from recsys.ids import ItemId
from recsys.languages.language import Language, Languages
from recsys.languages.reading import shipped
from recsys.pipeline.pipeline import NEWCOMERS, Pipeline
from recsys.query import Contribution, Reason, ReasonCode
from recsys.shares import contributions_of, shares_of

CODES = {
    "nearest": ReasonCode.LIKE_YOUR_TASTE,
    "similar_to_history": ReasonCode.SIMILAR_TO_HISTORY,
    "bought_together": ReasonCode.BOUGHT_TOGETHER,
    "also_viewed": ReasonCode.ALSO_VIEWED,
    "alike": ReasonCode.SIMILAR_TO_SEED,
    "session": ReasonCode.SIMILAR_TO_HISTORY,
    "buy_again": ReasonCode.BOUGHT_BEFORE,
    "bought_lately": ReasonCode.BOUGHT_BEFORE,
    "due": ReasonCode.BOUGHT_BEFORE,
    "popular": ReasonCode.POPULAR,
    "trending": ReasonCode.TRENDING,
    NEWCOMERS: ReasonCode.NEW,
    "new": ReasonCode.NEW,
    "recently_viewed": ReasonCode.SEEN_BEFORE,
    "abandoned": ReasonCode.LEFT_IN_CART,
    "searched": ReasonCode.MATCHES_SEARCH,
}
"""What each source says by itself; one that is not named here says what `popular` says."""

_BECAUSE = {
    EventType.PURCHASE: "because_you_bought",
    EventType.LIKE: "because_you_liked",
    EventType.RATING: "because_you_liked",
    EventType.ADD_TO_WISHLIST: "because_you_wished",
    EventType.ADD_TO_CART: "because_you_carted",
}
"""How it is said that an item goes with another, by what was done with that; else it was viewed."""

_UNANCHORED = (
    ReasonCode.NEW,
    ReasonCode.TRENDING,
    ReasonCode.POPULAR,
    ReasonCode.MATCHES_SEARCH,
)

_OF_THE_ITEM_ITSELF = (ReasonCode.SEEN_BEFORE, ReasonCode.LEFT_IN_CART)
"""What sources say of an item for what the asker did with it, whatever else they did."""


def reasons(
    pipeline: Pipeline,
    contexts: Contexts,
    listed: Candidates,
    catalog: Catalog,
    languages: Languages | None = None,
) -> list[Reason]:
    """Return why each (n,) candidate of the final lists is there, in its query's language.

    The reason is that of the source that added most; its anchors are that source's own.
    languages: those that come with the package, unless told otherwise.
    """
    listing = Listing(pipeline, contexts, listed)
    return reasons_of_all([listing], catalog, languages or shipped())[0]


def reasons_of_all(
    listings: Sequence[Listing], catalog: Catalog, languages: Languages
) -> list[list[Reason]]:
    """Return `reasons` of each of these lists; what they need of one asker is found once."""
    found: list[list[Reason]] = [[] for _ in listings]
    for together in _of_same_askers(listings):
        own = [listings[place] for place in together]
        made = _reasons(own, catalog, languages)
        for place, one in zip(together, own, strict=True):
            found[place] = list(islice(made, len(one.listed)))
    return found


def reworded(reason: Reason, code: ReasonCode, language: Language) -> Reason:
    """Return a reason for the same item that needs no anchor, such as that the shop picked it."""
    text = language.sentence(f"reasons.{code}", {})
    return replace(reason, code=code, text=text, anchors=(), anchor_event=None)


def _of_same_askers(listings: Sequence[Listing]) -> Iterable[list[int]]:
    """Return the places of lists whose contexts differ in nothing but what is asked."""
    groups: dict[int, list[int]] = {}
    for place, one in enumerate(listings):
        groups.setdefault(id(one.contexts.made), []).append(place)
    return groups.values()


def _reasons(
    listings: Sequence[Listing], catalog: Catalog, languages: Languages
) -> Iterator[Reason]:
    """Yield the reasons of lists of the same askers, laid end to end."""
    lists = [one.listed for one in listings]
    shares = shares_of([one.pipeline for one in listings], lists)
    main = shares.argmax(axis=1).astype(np.int32)
    names = [name for one in listings for name in [one.pipeline.source_names] * len(one.listed)]
    columns = (
        grounds_of(listings, main, catalog.brands, CODES),
        _words(listings, languages),
        contributions_of(shares, names),
    )
    for ground, language, contributions in zip(*columns, strict=True):
        yield _reason(ground, catalog, language, contributions)


def _words(listings: Sequence[Listing], languages: Languages) -> Iterator[Language]:
    """Yield the language of each item."""
    for one in listings:
        words = [languages.of(query.language) for query in one.contexts.queries]
        for query in one.listed.queries.tolist():
            yield words[query]


def _reason(
    ground: Ground, catalog: Catalog, language: Language, contributions: tuple[Contribution, ...]
) -> Reason:
    code = _code(ground)
    anchored = ground.anchor >= 0 and code not in (*_UNANCHORED, ReasonCode.NEW_FROM_BRAND)
    history = code is ReasonCode.SIMILAR_TO_HISTORY
    key = f"reasons.{_key(code, ground)}"
    said = _said(language.places[key], ground, catalog, language)
    return Reason(
        code,
        language.sentence(key, said, ground.times),
        (ItemId(catalog.vocabulary.id(ground.anchor)),) if anchored else (),
        ground.event if history or code is ReasonCode.LIKE_YOUR_TASTE else None,
        ground.due,
        ground.quantity,
        contributions,
    )


def _code(ground: Ground) -> ReasonCode:
    """Return the code of what the source says, seen beside what else is known of the item."""
    code = ground.code
    if code is ReasonCode.NEW:
        return ReasonCode.NEW_FROM_BRAND if ground.known_brand else code
    if ground.anchor < 0:
        return code if code in _UNANCHORED else ReasonCode.POPULAR
    if code in _OF_THE_ITEM_ITSELF:
        return code
    if ground.anchor == ground.row or code is ReasonCode.BOUGHT_BEFORE:
        if not ground.times:
            return ReasonCode.SEEN_BEFORE
        return ReasonCode.DUE_AGAIN if ground.near else ReasonCode.BOUGHT_BEFORE
    return code


def _key(code: ReasonCode, ground: Ground) -> str:
    """Return which sentence says it."""
    if code is ReasonCode.DUE_AGAIN:
        return "overdue_again" if ground.overdue else "due_again"
    if code is ReasonCode.SIMILAR_TO_HISTORY:
        return _BECAUSE.get(ground.event or EventType.DETAIL_VIEW, "because_you_viewed")
    return code


def _said(
    places: Iterable[str], ground: Ground, catalog: Catalog, language: Language
) -> Mapping[str, str]:
    """Return what these places of sentences hold for one item."""
    return {place: _word(place, ground, catalog, language) for place in places}


def _word(place: str, ground: Ground, catalog: Catalog, language: Language) -> str:
    """Return what one place of a sentence holds; nothing where that is not known."""
    match place:
        case "anchor":
            return catalog.name(ground.anchor) if ground.anchor >= 0 else ""
        case "times":
            return str(ground.times)
        case "date":
            return language.date(ground.due) if ground.due else ""
        case "brand":
            return catalog.brand_names[catalog.brands[ground.shown]]
        case "category":
            name = catalog.category_names[catalog.categories[ground.shown]]
            return name.rpartition(">")[2].strip()
    raise ValueError(f"no sentence has a place {place}")
