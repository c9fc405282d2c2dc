"""What is found about one item on its way to a list."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from recsys.ids import ItemId
from recsys.query import Contribution, Reason, Tier


class FindingCode(StrEnum):
    """What was found about an item, as data."""

    UNKNOWN_ITEM = "unknown_item"
    NOT_DESCRIBED = "not_described"
    HIDDEN = "hidden"
    SOLD_OUT = "sold_out"
    NOT_AVAILABLE = "not_available"
    NOT_YET_SOLD = "not_yet_sold"
    NO_LONGER_SOLD = "no_longer_sold"
    OTHER_MARKETS = "other_markets"
    VARIANT_SHOWN = "variant_shown"
    EXCLUDED = "excluded"
    REFUSED = "refused"
    PROPOSED = "proposed"
    BEYOND_DEPTH = "beyond_depth"
    NOT_FOUND_BY_SOURCE = "not_found_by_source"
    NOT_PROPOSED = "not_proposed"
    RANKED = "ranked"
    OUTRANKED = "outranked"
    PASSED_OVER = "passed_over"
    MADE_ROOM = "made_room"
    LISTED = "listed"
    FILLS_UP = "fills_up"
    UNPERSONALISED = "unpersonalised"
    IRRELEVANT = "irrelevant"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found, and a sentence that says it in the language of the query."""

    code: FindingCode
    text: str


@dataclass(frozen=True, slots=True)
class Compared:
    """A value that a condition looked at: of a field, by its path; empty where it is unknown."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A filter that refuses the item, and what it looked at where it is a condition."""

    filter: str
    values: tuple[Compared, ...] = ()


@dataclass(frozen=True, slots=True)
class Proposal:
    """What one source makes of an item.

    rank: among all it finds, from 1, asked as deep as the catalog goes; 0 where it does not find
        the item. depth: how many items it is asked for. proposed: whether the item is among them.
    score: the source's own; 0 where it does not find the item.
    """

    source: str
    rank: int
    depth: int
    proposed: bool
    score: float


@dataclass(frozen=True, slots=True)
class Ranking:
    """What became of an item in ranking.

    rank: among the `n_ranked` items that were ranked, from 1.
    contributions: of the sources to the score, greatest first; they add up to 1.
    """

    rank: int
    n_ranked: int
    score: float
    contributions: tuple[Contribution, ...]


@dataclass(frozen=True, slots=True)
class LastItem:
    """The last item of a list, which another would have to outrank."""

    item_id: ItemId
    title: str
    position: int
    score: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why one item is in a list, or why it is not.

    shown_id: the variant that stands for it in lists of the market; empty where none does.
    position: its place in the list, or that of the variant in its stead, from 1; 0 where it is not
        in the list.
    cause: what decided: how it came into the list, else what kept it out.
    findings: in the order of the stages. refusals: of every filter that refuses it.
    proposals: of every source; none where it may not be shown. ranking: None where it was not
        ranked. reason: why it is in the list; None where it is not.
    rules: names of the shop's rules that touched it in the list. last: None of an empty list.
    personalised, degraded, bundle_version: as in a recommendation.
    """

    item_id: ItemId
    placement: str
    cause: FindingCode
    findings: tuple[Finding, ...]
    shown_id: str = ""
    position: int = 0
    refusals: tuple[Refusal, ...] = ()
    proposals: tuple[Proposal, ...] = ()
    ranking: Ranking | None = None
    reason: Reason | None = None
    rules: tuple[str, ...] = ()
    last: LastItem | None = None
    tier: Tier = Tier.POPULAR
    bundle_version: str = ""
    personalised: bool = True
    degraded: str = ""

    @property
    def listed(self) -> bool:
        """Whether the item, or the variant in its stead, is in the list."""
        return self.position > 0
