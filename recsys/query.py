"""What is asked, and what is answered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from recsys.events import Channel, EventType
from recsys.fill_report import FillReport
from recsys.ids import ItemId

MOST_ITEMS = 500
MOST_SEEDS = 50
MOST_IN_CART = 200
MOST_CANDIDATES = 500
MOST_EXCLUDED = 1_000
MOST_SLOTS = 20
MOST_FILTER = 4_000
MOST_ITEM_FIELDS = 30


class PageType(StrEnum):
    """Where the shop stands when it asks."""

    UNSPECIFIED = ""
    HOME = "home"
    CATEGORY = "category"
    PRODUCT = "product"
    CART = "cart"
    ORDER_CONFIRMATION = "order_confirmation"
    SEARCH = "search"
    SEARCH_NO_RESULTS = "search_no_results"
    APP = "app"
    TILL = "till"
    CHAT = "chat"
    EMAIL = "email"


@dataclass(frozen=True, slots=True)
class Scene:
    """What surrounds a list: the page it is for, as far as the caller tells.

    cart: items in the cart, at most 200.
    category: path of the category on the page, such as `Grocery > Bread`.
    search: what the customer searched for.
    """

    page_type: PageType = PageType.UNSPECIFIED
    cart: tuple[ItemId, ...] = ()
    category: str = ""
    search: str = ""
    channel: Channel = Channel.UNSPECIFIED
    device: str = ""


NOWHERE = Scene()


@dataclass(frozen=True, slots=True)
class Selection:
    """How a list is to be chosen, where its asker says so; None leaves it to the placement.

    diversity, rotation_rate, min_relevance: 0 to 1, as `recsys.pipeline.placement` explains them.
    """

    diversity: float | None = None
    rotation_rate: float | None = None
    min_relevance: float | None = None


AS_PLACED = Selection()


@dataclass(frozen=True, slots=True)
class Query:
    """One list that somebody asks for.

    placement: name of a configured placement.
    now: the instant of asking, UTC; everything that depends on time depends on this.
    user_id, visitor_id, session_id: whoever asks, under the ids the caller knows; all may be empty.
    seeds: items the list should relate to: the product on the page. At most 50.
    excluded: items that may not be in the list. At most 1,000.
    limit: most items to return, 1 to 500; 0 means the placement's own size, or as many as there are
        candidates.
    market: where the items are to be sold; empty means wherever, on their own terms.
    filter: what items have to be, in the language of `recsys.predicates`; empty for anything.
    scene: the page the list is for.
    language: of sentences, a tag such as `da` or `en-GB`; empty for the server's own.
    item_fields: fields of the catalog to give with each item, at most 30.
    selection: how the list is to be chosen, where that is not left to the placement.
    candidates: the items to choose from and to rank, at most 500; none for the whole catalog.
    continues: attribution token of an earlier list that this one goes on from; empty for none.
    """

    placement: str
    now: datetime
    user_id: str = ""
    visitor_id: str = ""
    session_id: str = ""
    seeds: tuple[ItemId, ...] = ()
    excluded: tuple[ItemId, ...] = ()
    limit: int = 0
    market: str = ""
    filter: str = ""
    scene: Scene = NOWHERE
    language: str = ""
    item_fields: tuple[str, ...] = ()
    selection: Selection = AS_PLACED
    candidates: tuple[ItemId, ...] = ()
    continues: str = ""

    def most_items(self, size: int) -> int:
        """Return how many items are wanted of a placement of this size."""
        return self.limit or len(self.candidates) or size


@dataclass(frozen=True, slots=True)
class Page:
    """Lists that are asked for together, none of which repeats an item of another.

    queries: one a slot, in the order in which they may choose; 1 to 20. They have asker, instant,
        market, seeds, exclusions and scene in common.
    slotted: whether the caller speaks of slots, even where there is but one.
    goes_on: whether later lists may go on from these.
    """

    queries: tuple[Query, ...]
    slotted: bool = False
    goes_on: bool = True

    @property
    def asker(self) -> Query:
        """A query that tells who asks, when and where."""
        return self.queries[0]

    def field(self, slot: int, name: str) -> str:
        """Return the path of a field of one query, as the caller knows it."""
        return f"slots[{slot}].{name}" if self.slotted else name


class Tier(StrEnum):
    """How much about the asker an answer rests on."""

    PERSONAL = "personal"
    """The asker's own history, known under a user or visitor id."""
    SESSION = "session"
    """This session's events, or the seed items, alone."""
    POPULAR = "popular"
    """Nothing is known: what everybody buys."""
    SEGMENT = "segment"
    """Nothing is known but where they are: what is wanted in their market, or on their page."""


class ReasonCode(StrEnum):
    """Why an item is in a list, as data."""

    BOUGHT_BEFORE = "bought_before"
    SEEN_BEFORE = "seen_before"
    SIMILAR_TO_SEED = "similar_to_seed"
    SIMILAR_TO_HISTORY = "similar_to_history"
    LIKE_YOUR_TASTE = "like_your_taste"
    POPULAR = "popular"
    NEW = "new"
    DUE_AGAIN = "due_again"
    TRENDING = "trending"
    NEW_FROM_BRAND = "new_from_brand"
    PICKED = "picked"
    FALLBACK = "fallback"
    BOUGHT_TOGETHER = "bought_together"
    ALSO_VIEWED = "also_viewed"
    LEFT_IN_CART = "left_in_cart"
    MATCHES_SEARCH = "matches_search"


@dataclass(frozen=True, slots=True)
class Contribution:
    """How much of an item's score one source brought: a share, above 0 and up to 1."""

    source: str
    share: float


@dataclass(frozen=True, slots=True)
class Reason:
    """Why one item is in a list.

    text: one sentence, in the language of the query.
    anchors: items of the asker, or of the page, that brought it here, strongest first.
    anchor_event: what the asker did with the first of them; None where that is not said.
    due: when the asker would usually buy the item again, UTC; None where their purchases do not
        tell. usual_quantity: pieces they usually buy at a time; 0 where these do not tell.
    contributions: of the sources to the score, greatest first; they add up to 1.
    """

    code: ReasonCode
    text: str
    anchors: tuple[ItemId, ...] = ()
    anchor_event: EventType | None = None
    due: datetime | None = None
    usual_quantity: float = 0.0
    contributions: tuple[Contribution, ...] = ()


@dataclass(frozen=True, slots=True)
class ItemField:
    """One field of an item, as the catalog has it: a text, a number or a list of texts."""

    name: str
    value: str | float | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RecommendedItem:
    """One item of an answer.

    position: 1-based place in the list.
    score: higher is better; comparable within this list only.
    source: the candidate source that weighed most.
    fields: those of the catalog that were asked for and that the item has.
    rules: names of the shop's rules that touched the item, in the order in which they have their
        way.
    propensity: chance that this list holds the item, above 0: 1 unless exploration drew it, or
        might have put another in its stead.
    """

    item_id: ItemId
    title: str
    position: int
    score: float
    source: str
    reason: Reason
    fields: tuple[ItemField, ...] = ()
    propensity: float = 1.0
    rules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The answer to one query.

    bundle_version: the release that answered.
    attribution_token: to be echoed by events that follow from this list.
    personalised: whether what the asker did was used, had there been any: not where they refuse it,
        nor where it cannot be told whether they do.
    degraded: empty, or why less was used than is known, such as `STATE_UNAVAILABLE`.
    missing_ids: seeds, items of the cart, excluded items and candidates this release knows nothing
        of; not an error.
    fill: why the list is as long as it is; None from a server that does not tell.
    about: items of the asker that the list is about, where its placement takes them from what they
        did; none where nothing in the list rests on one.
    continued: whether the list goes on from the one that its query names; False where that is not
        known any more, and the list begins anew.
    """

    items: tuple[RecommendedItem, ...]
    placement: str
    tier: Tier
    bundle_version: str
    attribution_token: str
    degraded: str = ""
    personalised: bool = True
    missing_ids: tuple[ItemId, ...] = ()
    fill: FillReport | None = None
    about: tuple[ItemId, ...] = ()
    continued: bool = False

    @property
    def item_ids(self) -> tuple[ItemId, ...]:
        """The ids alone, in order."""
        return tuple(item.item_id for item in self.items)
