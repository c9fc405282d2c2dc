"""The reasons of lists as they are given, with those of fallbacks and of what rules picked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from recsys.catalog import Catalog
from recsys.explanations import reasons_of_all, reworded
from recsys.grounds import Listing
from recsys.languages.language import Language, Languages
from recsys.pipeline.pages import Part
from recsys.query import Reason, ReasonCode
from recsys.rules.book import RuleBook
from recsys.rules.rule import RuleKind


def reasons_of(
    parts: Sequence[Part], rules: RuleBook, catalog: Catalog, languages: Languages
) -> list[list[Reason]]:
    """Return, of each part, why each (n,) item of its lists is there, in its query's language."""
    listings = [Listing(part.pipeline, part.contexts, part.filled.listed) for part in parts]
    found = reasons_of_all(listings, catalog, languages)
    return [
        _all_given(part, own, rules, languages) if part.fills or part.filled.rules else own
        for part, own in zip(parts, found, strict=True)
    ]


def _all_given(
    part: Part, found: list[Reason], rules: RuleBook, languages: Languages
) -> list[Reason]:
    """Return the reasons that are given of lists that rules touched, or that fill up others."""
    words = [languages.of(query.language) for query in part.contexts.queries]
    columns = (found, _kinds(part, rules), part.filled.listed.queries.tolist())
    return [
        _given(reason, kinds, words[query], fills=part.fills)
        for reason, kinds, query in zip(*columns, strict=True)
    ]


def _kinds(part: Part, rules: RuleBook) -> Iterator[set[RuleKind]]:
    """Yield the kinds of the rules that touched each item."""
    kinds = {rule.name: rule.kind for rule in rules.rules}
    for names in part.filled.rules or ((),) * len(part.filled.listed):
        yield {kinds[name] for name in names if name in kinds}


def _given(reason: Reason, kinds: set[RuleKind], language: Language, *, fills: bool) -> Reason:
    """Return the reason that is given.

    A pinned item is there because the shop picked it, whatever else speaks for it; one that is
    boosted, where nothing of the asker or the page brought it.
    """
    boosted = RuleKind.BOOST in kinds and not reason.anchors
    if RuleKind.PIN in kinds or boosted:
        return reworded(reason, ReasonCode.PICKED, language)
    if fills and reason.code is ReasonCode.POPULAR:
        return reworded(reason, ReasonCode.FALLBACK, language)
    return reason
