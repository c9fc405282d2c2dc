"""The caller's side of the codec: domain values to requests, responses to domain values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypedDict, Unpack

from google.protobuf.timestamp_pb2 import Timestamp

from protos.recsys.v1 import event_service_pb2 as event_pb
from protos.recsys.v1 import recommendation_service_pb2 as pb
from recsys.errors import InvalidInput
from recsys.events import Channel, Event
from recsys.fill_report import FillReport, Removed, Unmet
from recsys.ids import ItemId
from recsys.query import PageType, Recommendation, RecommendedItem, Tier
from serving.api.names import (
    CHANNEL_NUMBERS,
    DEGRADED_REASONS,
    PAGE_TYPE_NUMBERS,
    TIERS,
    TYPE_NUMBERS,
)
from serving.api.reason_client_codec import decode_fields, decode_reason
from serving.ingest import RejectedEvent, WriteResult

UNNAMED_DEGRADATION = "UNSPECIFIED"
"""The reason of a degraded answer whose server is newer than this client."""


class Asker(TypedDict, total=False):
    """Who asks, when and where; all of it may be left out.

    seeds: items the lists should relate to: the product on the page. At most 50.
    cart: items in the cart, at most 200.
    excluded: items that may be in no list, at most 1,000.
    market: where the items are to be sold; empty means on their own terms.
    page_type, channel: words of `recsys.query.PageType` and `recsys.events.Channel`.
    category, search, device: what the page is about, and what it is seen on.
    language: of the sentences, a tag such as `da`; empty for the server's own.
    item_fields: fields of the catalog to give with each item, at most 30.
    validate_only: whether to check the request and serve nothing.
    """

    user_id: str
    visitor_id: str
    session_id: str
    seeds: Iterable[str]
    cart: Iterable[str]
    excluded: Iterable[str]
    market: str
    page_type: str
    category: str
    search: str
    channel: str
    device: str
    language: str
    item_fields: Iterable[str]
    validate_only: bool


class Asked(Asker, total=False):
    """Who asks, and for what list beside the placement.

    limit: most items to return; 0 means the placement's own size.
    filter: what items have to be, such as `price < 20`; empty for anything.
    diversity, rotation_rate, min_relevance: 0 to 1; where not given, the placement's own.
    candidates: the items to choose from and to rank, at most 500; none for the whole catalog.
    continue_from: attribution token of an earlier list, none of whose items this one is to hold.
    """

    limit: int
    filter: str
    diversity: float | None
    rotation_rate: float | None
    min_relevance: float | None
    candidates: Iterable[str]
    continue_from: str


def encode_query(placement: str, **asked: Unpack[Asked]) -> pb.RecommendRequest:
    """Return the request for the items of one placement.

    Raises InvalidInput where something has a type or characters that cannot be sent.
    """
    with said_as_invalid():
        return pb.RecommendRequest(
            placement=placement,
            page_size=asked.get("limit", 0),
            filter=asked.get("filter", ""),
            diversity=asked.get("diversity"),
            rotation_rate=asked.get("rotation_rate"),
            min_relevance=asked.get("min_relevance"),
            candidate_item_ids=asked.get("candidates", ()),
            continue_from=asked.get("continue_from", ""),
            **encode_asker(asked),
        )


def encode_asker(asked: Asker) -> dict[str, Any]:
    """Return the fields that say who asks, when and where, by their names in a request."""
    return {
        "user_id": asked.get("user_id", ""),
        "visitor_id": asked.get("visitor_id", ""),
        "session_id": asked.get("session_id", ""),
        "seed_item_ids": asked.get("seeds", ()),
        "cart_item_ids": asked.get("cart", ()),
        "excluded_item_ids": asked.get("excluded", ()),
        "market": asked.get("market", ""),
        "page_type": PAGE_TYPE_NUMBERS[PageType(asked.get("page_type", ""))],
        "category": asked.get("category", ""),
        "search_query": asked.get("search", ""),
        "channel": CHANNEL_NUMBERS[Channel(asked.get("channel", ""))],
        "device": asked.get("device", ""),
        "language": asked.get("language", ""),
        "item_fields": asked.get("item_fields", ()),
        "validate_only": asked.get("validate_only", False),
    }


def encode_events(
    events: Sequence[Event],
    sent_time: datetime | None = None,
    *,
    user_agents: Sequence[str] = (),
) -> event_pb.WriteEventsRequest:
    """Return the request that records these events. sent_time: the sender's clock, if it counts.

    user_agents: one for each event, empty where none is known; none at all for none of them.
    Raises InvalidInput where something has a type or characters that cannot be sent, or there are
    more or fewer user agents than events.
    """
    agents = _one_each(user_agents, len(events))
    with said_as_invalid():
        request = event_pb.WriteEventsRequest(
            events=[_encode_event(*pair) for pair in zip(events, agents, strict=True)]
        )
        if sent_time is not None:
            request.sent_time.FromDatetime(sent_time)
        return request


def decode_recommendation(response: pb.RecommendResponse) -> Recommendation:
    """Return the answer; a tier or reason that this client does not know reads as the vaguest."""
    return Recommendation(
        items=decode_items(response.items),
        placement=response.placement,
        tier=TIERS.get(response.tier, Tier.POPULAR),
        bundle_version=response.bundle_version,
        attribution_token=response.attribution_token,
        degraded=decode_degraded(response),
        personalised=response.personalised,
        missing_ids=ids(response.missing_ids),
        fill=decode_fill(response.fill_report) if response.HasField("fill_report") else None,
        about=ids(response.about_item_ids),
        continued=response.continued,
    )


def decode_fill(fill: pb.FillReport) -> FillReport:
    """Return why a list is as long as it is."""
    return FillReport(
        wanted=fill.wanted_count,
        eligible=fill.eligible_count,
        returned=fill.returned_count,
        from_fallback=fill.fallback_count,
        on_page=fill.on_page_count,
        removed=tuple(Removed(one.filter, one.item_count) for one in fill.removed),
        unmet=tuple(Unmet(one.rule, one.why) for one in fill.unmet),
        irrelevant=fill.irrelevant_count,
        relevance_kept=fill.relevance_kept if fill.HasField("relevance_kept") else 1.0,
    )


def decode_degraded(
    response: pb.RecommendResponse
    | pb.RecommendPageResponse
    | pb.RecommendGroupsResponse
    | pb.ExplainResponse,
) -> str:
    """Return why an answer is degraded, empty where it is not."""
    if not response.degraded:
        return ""
    return DEGRADED_REASONS.get(response.degraded_reason, UNNAMED_DEGRADATION)


def decode_write_result(response: event_pb.WriteEventsResponse) -> WriteResult:
    """Return what became of the events."""
    return WriteResult(
        accepted=response.accepted_count,
        duplicates=response.duplicate_count,
        position=response.log_position,
        rejected=tuple(
            RejectedEvent(event.index, event.field, event.reason, event.message)
            for event in response.rejected
        ),
    )


@contextmanager
def said_as_invalid() -> Iterator[None]:
    """Raise InvalidInput for what protobuf refuses to hold."""
    try:
        yield
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise InvalidInput("request", str(error), "values of the types the method names") from error


def _one_each(user_agents: Sequence[str], n_events: int) -> Sequence[str]:
    """Return a user agent for each event. Raises InvalidInput where some are missing."""
    if isinstance(user_agents, str) or len(user_agents) not in (0, n_events):
        came = user_agents if isinstance(user_agents, str) else len(user_agents)
        raise InvalidInput(
            "user_agents", came, f"a list with one text for each of {n_events} events"
        )
    return user_agents or [""] * n_events


def _encode_event(event: Event, user_agent: str) -> event_pb.Event:
    time = Timestamp()
    time.FromDatetime(event.time)
    return event_pb.Event(
        event_id=event.event_id,
        type=TYPE_NUMBERS[event.type],
        time=time,
        item_id=event.item_id,
        user_id=event.user_id,
        visitor_id=event.visitor_id,
        session_id=event.session_id,
        quantity=event.quantity,
        price=event.price,
        currency=event.currency,
        order_id=event.order_id,
        channel=CHANNEL_NUMBERS[event.channel],
        outlet=event.outlet,
        attribution_token=event.attribution_token,
        rating=event.rating,
        query=event.query,
        category=event.category,
        campaign_id=event.campaign_id,
        robot=event.robot,
        market=event.market,
        user_agent=user_agent,
    )


def decode_items(items: Iterable[pb.RecommendedItem]) -> tuple[RecommendedItem, ...]:
    """Return the items of a list."""
    return tuple(_item(item) for item in items)


def _item(item: pb.RecommendedItem) -> RecommendedItem:
    return RecommendedItem(
        item_id=ItemId(item.item_id),
        title=item.title,
        position=item.position,
        score=item.score,
        source=item.source,
        reason=decode_reason(item.reason),
        fields=decode_fields(item.fields),
        rules=tuple(item.rules_applied),
        propensity=item.propensity if item.HasField("propensity") else 1.0,
    )


def ids(texts: Iterable[str]) -> tuple[ItemId, ...]:
    """Return these texts as ids of items."""
    return tuple(ItemId(text) for text in texts)
