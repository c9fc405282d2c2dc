"""The tiny shop, asked why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from recsys.assortment import Assortment
from recsys.bundle import ModelBundle
from recsys.catalog import Catalog
from recsys.conditions import Conditions
from recsys.context import Contexts
from recsys.ids import ItemId, Vocabulary
from recsys.items import Item
from recsys.languages.reading import shipped
from recsys.pipeline.compile import compile_placements
from recsys.pipeline.pages import Placements
from recsys.pipeline.placement import parse_placements
from recsys.query import Page, Query
from recsys.rules.book import RuleBook
from recsys.rules.rule import Rule
from recsys.state import UserState
from recsys.why.explaining import Case, case_of, explained
from recsys.why.explanation import Explanation, FindingCode
from tests import shop

HOME = """
[placements.home]
situation = "visit"
size = 4
filters = [{ kind = "available" }, { kind = "not_hidden" }, { kind = "not_seeds" },
           { kind = "not_purchased", within_days = 1.0 }]
sources = [{ kind = "nearest", k = 4 }, { kind = "popular", k = 4 }]
"""


@dataclass(frozen=True)
class Asked:
    """A question in the tiny shop.

    changes: of items; None for one that was taken out. placements: TOML. bundle: the models.
    days: since when each item has been described; none where that is not known.
    rules: of the shop.
    """

    query: Query = field(default_factory=shop.query)
    state: UserState = field(default_factory=UserState.unknown)
    changes: Mapping[str, dict[str, Any] | None] = field(default_factory=dict)
    placements: str = HOME
    bundle: ModelBundle = field(default_factory=shop.bundle)
    personalised: bool = True
    days: Sequence[int] = ()
    rules: Sequence[Rule] = ()

    def whole(self) -> ModelBundle:
        """Return the bundle over the changed catalog."""
        described = {row: self._item(item) for row, item in enumerate(shop.items())}
        since = dict(enumerate(shop.since(self.days).tolist()))
        catalog = Catalog.of(Vocabulary.of(shop.ITEMS), described, since)
        return replace(self.bundle, catalog=catalog)

    def _item(self, item: Item) -> Item | None:
        change = self.changes.get(item.item_id, {})
        return None if change is None else replace(item, **change)

    def case(self, item: str) -> Case:
        """Return what the stages say of an item."""
        bundle = self.whole()
        assortment = Assortment.of(bundle.catalog)
        conditions = Conditions.of(assortment)
        pipelines = compile_placements(parse_placements(self.placements), bundle, conditions)
        contexts = Contexts.resolve(
            [self.query], [self.state], assortment=assortment, interest=bundle.interest
        )
        return case_of(
            ItemId(item),
            Page((self.query,)),
            contexts,
            Placements(pipelines, conditions, RuleBook.of(self.rules)),
            personalised=self.personalised,
        )

    def why(self, item: str) -> Explanation:
        """Return why an item is in the list, or why it is not."""
        return explained(self.case(item), shipped())


def codes(found: Explanation) -> list[FindingCode]:
    """Return the codes of the findings, in their order."""
    return [one.code for one in found.findings]
