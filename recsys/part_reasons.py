"""The reasons of lists as they are given, with those of fallbacks and of what rules picked."""

from __future__ import annotations

from collections.abc import Iterator

from recsys.catalog import Catalog
from recsys.explanations import reasons, reworded
from recsys.languages.language import Language, Languages
from recsys.pipeline.pages import Part
from recsys.query import Reason, ReasonCode
from recsys.rules.book import RuleBook
from recsys.rules.rule import RuleKind


def reasons_of(part: Part, rules: RuleBook, catalog: Catalog, languages: Languages) -> list[Reason]:
    """Return why each (n,) item of the lists is there, in its query's language."""
    listed, queries = part.filled.listed, part.contexts.queries
    found = reasons(part.pipeline, part.contexts, listed, catalog, languages)
    if not part.fills and not part.filled.rules:
        return found
    words = [languages.of(query.language) for query in queries]
    return [
        _given(reason, kinds, words[query], fills=part.fills)
        for reason, kinds, query in zip(
            found, _kinds(part, rules), listed.queries.tolist(), strict=True
        )
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
