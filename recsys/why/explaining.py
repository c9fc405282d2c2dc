"""From what the stages made of an item to what is said of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from recsys.assortment import Assortment
from recsys.catalog import Catalog
from recsys.context import Contexts
from recsys.ids import UNKNOWN_ROW, ItemId
from recsys.languages.language import Language, Languages
from recsys.part_reasons import reasons_of
from recsys.pipeline.filters import Available
from recsys.pipeline.pages import Part, Placements
from recsys.pipeline.tiers import tiers_of
from recsys.query import Page, Query, Reason, Tier
from recsys.rules.book import NO_RULES, RuleBook
from recsys.why.explanation import (
    Explanation,
    Finding,
    FindingCode,
    LastItem,
    Proposal,
    Ranking,
    Refusal,
)
from recsys.why.trace import Trace, traced
from recsys.why.unsold import unsold


@dataclass(frozen=True, slots=True)
class Case:
    """One item and one list, with all that the stages say.

    asked: the row of the item itself; -1 where its id has none. trace: of its product; None then.
    rules: of the shop. personalised: whether what the asker did may be used. tier: what the list
    rests on.
    """

    item_id: ItemId
    query: Query
    assortment: Assortment
    asked: int
    trace: Trace | None
    rules: RuleBook = NO_RULES
    personalised: bool = True
    tier: Tier = Tier.POPULAR


def case_of(
    item_id: ItemId, page: Page, contexts: Contexts, placements: Placements, *, personalised: bool
) -> Case:
    """Return what the stages say of an item, for a page of one list.

    contexts: of the page's asker. personalised: whether what the asker did may be used.
    """
    assortment = placements.conditions.values.assortment
    asked = int(assortment.vocabulary.rows([item_id])[0])
    product = int(assortment.primaries[asked]) if asked != UNKNOWN_ROW else UNKNOWN_ROW
    known = product != UNKNOWN_ROW
    trace = traced(placements, page, contexts, product) if known else None
    case = Case(item_id, page.asker, assortment, asked, trace, placements.rules, personalised)
    if trace is None:
        return case
    tiers = tiers_of(trace.contexts, trace.pipeline, placements.conditions)
    return replace(case, tier=tiers[0])


def explained(case: Case, languages: Languages) -> Explanation:
    """Return why the item is in the list, or why it is not.

    It asks sources as deep as it takes to find the item, and reads no catalog that others read at
    the same time, so it may run in a thread of its own.
    """
    language = languages.of(case.query.language)
    if case.trace is None:
        teller = _Teller(language)
        found = [] if case.personalised else [teller.tell(FindingCode.UNPERSONALISED)]
        found.append(teller.tell(FindingCode.UNKNOWN_ITEM, item=case.item_id))
        return _bare(case, FindingCode.UNKNOWN_ITEM, found)
    return _Explained(case, case.trace, _Teller(language), languages).explanation()


def _bare(case: Case, cause: FindingCode, findings: list[Finding]) -> Explanation:
    return Explanation(
        case.item_id,
        case.query.placement,
        cause,
        tuple(findings),
        personalised=case.personalised,
    )


@dataclass(frozen=True, slots=True)
class _Teller:
    """Says findings in one language."""

    language: Language

    def tell(
        self, code: FindingCode, key: str = "", *, count: int = 0, **said: str | int | float
    ) -> Finding:
        """Return a finding; key: of its sentence, where that is not the code."""
        words = {name: self._word(value) for name, value in said.items()}
        return Finding(code, self.language.sentence(f"why.{key or code}", words, count))

    def compared(self, refusal: Refusal) -> Finding:
        """Return the finding that a filter refuses an item, with what it looked at."""
        values = [
            self.language.sentence(
                "why.value" if one.value else "why.unknown_value",
                {"name": one.name, "value": one.value},
            )
            for one in refusal.values
        ]
        key = "compared" if values else ""
        return self.tell(FindingCode.REFUSED, key, filter=refusal.filter, values=", ".join(values))

    def _word(self, value: str | int | float) -> str:
        if isinstance(value, float):
            return self.language.number(value)
        return str(value)


@dataclass(frozen=True, slots=True)
class _Explained:
    """What is said of one case."""

    case: Case
    trace: Trace
    teller: _Teller
    languages: Languages

    def explanation(self) -> Explanation:
        trace, case = self.trace, self.case
        proposals, ranking = trace.proposals(), trace.ranking()
        stages = (
            *self._about_the_asker(),
            *self._about_the_item(),
            *self._about_filters(),
            *(self._about_a_source(one) for one in proposals),
            *self._about_ranking(ranking),
            *self._about_the_list(ranking),
        )
        shown = self._shown()
        return Explanation(
            case.item_id,
            case.query.placement,
            self._cause([one.code for one in stages]),
            stages,
            shown_id="" if shown == UNKNOWN_ROW else self._catalog.vocabulary.id(shown),
            position=trace.position(),
            refusals=trace.refused,
            proposals=proposals,
            ranking=ranking,
            reason=self._reason(),
            rules=trace.rules(),
            last=self._last(),
            tier=case.tier,
            personalised=case.personalised,
        )

    @property
    def _catalog(self) -> Catalog:
        return self.case.assortment.catalog

    def _shown(self) -> int:
        """Return the row that lists show of the product; -1 where they show none."""
        shelf = self.trace.contexts.shelf
        if not shelf.allowed[self.trace.row]:
            return UNKNOWN_ROW
        return int(shelf.shown(np.array([self.trace.row], dtype=np.int32))[0])

    def _about_the_asker(self) -> Iterator[Finding]:
        if not self.case.personalised:
            yield self.teller.tell(FindingCode.UNPERSONALISED)

    def _about_the_item(self) -> Iterator[Finding]:
        """Yield what keeps the item itself from being sold, and which variant is shown instead."""
        query, items = self.case.query, self._catalog.items
        now, row = int(query.now.timestamp()), self.case.asked
        checked = any(isinstance(one.filter, Available) for one in self.trace.pipeline.filters)
        seconds = {
            FindingCode.NOT_YET_SOLD: items.available_from,
            FindingCode.NO_LONGER_SOLD: items.expires,
        }
        for code in unsold(self.case.assortment, row, query.market, now) if checked else ():
            date = self._date(int(seconds[code][row])) if code in seconds else ""
            yield self.teller.tell(code, date=date, market=query.market)
        shown = self._shown()
        if shown not in (row, UNKNOWN_ROW):
            yield self.teller.tell(FindingCode.VARIANT_SHOWN, item=self._catalog.name(shown))

    def _about_filters(self) -> Iterator[Finding]:
        if self.trace.excluded:
            yield self.teller.tell(FindingCode.EXCLUDED)
        for refusal in self.trace.refused:
            yield self.teller.compared(refusal)

    def _about_a_source(self, found: Proposal) -> Finding:
        code = FindingCode.PROPOSED if found.proposed else FindingCode.BEYOND_DEPTH
        if not found.rank:
            code = FindingCode.NOT_FOUND_BY_SOURCE
        return self.teller.tell(code, source=found.source, rank=found.rank, depth=found.depth)

    def _about_ranking(self, ranking: Ranking | None) -> Iterator[Finding]:
        if ranking is not None:
            yield self.teller.tell(
                FindingCode.RANKED,
                rank=ranking.rank,
                count=ranking.n_ranked,
                score=ranking.score,
            )

    def _about_the_list(self, ranking: Ranking | None) -> Iterator[Finding]:
        """Yield where the item stands in the list, or what kept it out that filters let through."""
        position, part = self.trace.position(), self.trace.part()
        if part is not None:
            code = FindingCode.FILLS_UP if part.fills else FindingCode.LISTED
            placement = part.contexts.queries[0].placement
            yield self.teller.tell(code, position=position, placement=placement)
        elif ranking is not None:
            yield self._left_out(ranking)
        elif self.trace.allowed:
            code = FindingCode.IRRELEVANT if self.trace.proposed else FindingCode.NOT_PROPOSED
            yield self.teller.tell(code)

    def _left_out(self, ranking: Ranking) -> Finding:
        """Return what kept a ranked item out of the list."""
        if self.trace.row in self.trace.selected.rows:
            return self.teller.tell(FindingCode.MADE_ROOM)
        if self.trace.passed_over(ranking.rank):
            return self._passed_over(ranking)
        last = self._last()
        if last is None:
            return self.teller.tell(FindingCode.OUTRANKED, "outranked_by_all", score=ranking.score)
        return self.teller.tell(
            FindingCode.OUTRANKED,
            last=last.title or last.item_id,
            last_score=last.score,
            score=ranking.score,
        )

    def _passed_over(self, ranking: Ranking) -> Finding:
        catalog = self._catalog
        n_alike = self.trace.selected_in(catalog.categories)
        return self.teller.tell(
            FindingCode.PASSED_OVER,
            "passed_over_in_category" if n_alike else "",
            count=n_alike,
            rank=ranking.rank,
            number=n_alike,
            category=catalog.category_names[catalog.categories[self.trace.row]],
        )

    def _cause(self, codes: list[FindingCode]) -> FindingCode:
        """Return what decided: the first that kept it out, or how it came into the list."""
        last = codes[-1]
        if self.trace.position():
            return FindingCode.VARIANT_SHOWN if FindingCode.VARIANT_SHOWN in codes else last
        if self.trace.allowed:
            return last
        kept_out = [one for one in codes if one not in _NOT_CAUSES]
        return kept_out[0] if kept_out else last

    def _reason(self) -> Reason | None:
        part = self.trace.part()
        if part is None:
            return None
        (given,) = reasons_of([part], self.case.rules, self._catalog, self.languages)
        return given[int(np.flatnonzero(part.filled.listed.rows == self.trace.row)[0])]

    def _last(self) -> LastItem | None:
        """Return the last item of the placement's own list."""
        part: Part = self.trace.parts[0]
        listed = part.filled.listed
        if not len(listed):
            return None
        row = int(part.contexts.shelf.shown(listed.rows[-1:])[0])
        item_id = ItemId(self._catalog.vocabulary.id(row))
        return LastItem(item_id, self._catalog.titles[row], len(listed), float(listed.scores[-1]))

    def _date(self, second: int) -> str:
        return self.teller.language.date(datetime.fromtimestamp(second, UTC))


_NOT_CAUSES = (FindingCode.UNPERSONALISED, FindingCode.VARIANT_SHOWN)
"""Findings that keep no item out of a list."""
