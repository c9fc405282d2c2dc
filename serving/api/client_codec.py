"""The caller's side of the codec: domain values to requests, responses to domain values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TypedDict, Unpack

from google.protobuf.timestamp_pb2 import Timestamp

from protos.recsys.v1 import event_service_pb2 as event_pb
from protos.recsys.v1 import recommendation_service_pb2 as pb
from recsys.errors import InvalidInput
from recsys.events import Event
from recsys.ids import ItemId
from recsys.query import Reason, ReasonCode, Recommendation, RecommendedItem, Tier
from serving.api.names import CHANNEL_NUMBERS, DEGRADED_REASONS, REASONS, TIERS, TYPE_NUMBERS
from serving.ingest import RejectedEvent, WriteResult

UNNAMED_DEGRADATION = "UNSPECIFIED"
"""The reason of a degraded answer whose server is newer than this client."""


class Asked(TypedDict, total=False):
    """Who asks and for what, beside the placement; all of it may be left out.

    seeds: items the list should relate to, at most 50.
    excluded: items that may not be in the list, at most 1,000.
    limit: most items to return; 0 means the placement's own size.
    market: where the items are to be sold; empty means on their own terms.
    """

    user_id: str
    visitor_id: str
    session_id: str
    seeds: Iterable[str]
    excluded: Iterable[str]
    limit: int
    market: str


def encode_query(placement: str, **asked: Unpack[Asked]) -> pb.RecommendRequest:
    """Return the request for the items of one placement.

    Raises InvalidInput where something has a type or characters that cannot be sent.
    """
    with _said_as_invalid():
        return pb.RecommendRequest(
            placement=placement,
            user_id=asked.get("user_id", ""),
            visitor_id=asked.get("visitor_id", ""),
            session_id=asked.get("session_id", ""),
            seed_item_ids=asked.get("seeds", ()),
            excluded_item_ids=asked.get("excluded", ()),
            page_size=asked.get("limit", 0),
            market=asked.get("market", ""),
        )


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
    with _said_as_invalid():
        request = event_pb.WriteEventsRequest(
            events=[_encode_event(*pair) for pair in zip(events, agents, strict=True)]
        )
        if sent_time is not None:
            request.sent_time.FromDatetime(sent_time)
        return request


def decode_recommendation(response: pb.RecommendResponse) -> Recommendation:
    """Return the answer; a tier or reason that this client does not know reads as the vaguest."""
    degraded = DEGRADED_REASONS.get(response.degraded_reason, UNNAMED_DEGRADATION)
    return Recommendation(
        items=tuple(_item(item) for item in response.items),
        placement=response.placement,
        tier=TIERS.get(response.tier, Tier.POPULAR),
        bundle_version=response.bundle_version,
        attribution_token=response.attribution_token,
        degraded=degraded if response.degraded else "",
        personalised=response.personalised,
        missing_ids=_ids(response.missing_ids),
    )


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
def _said_as_invalid() -> Iterator[None]:
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
        user_agent=user_agent,
    )


def _item(item: pb.RecommendedItem) -> RecommendedItem:
    return RecommendedItem(
        item_id=ItemId(item.item_id),
        title=item.title,
        position=item.position,
        score=item.score,
        source=item.source,
        reason=_reason(item.reason),
    )


def _reason(reason: pb.Reason) -> Reason:
    code = REASONS.get(reason.code, ReasonCode.POPULAR)
    return Reason(code, reason.text, _ids(reason.anchor_item_ids))


def _ids(ids: Sequence[str]) -> tuple[ItemId, ...]:
    return tuple(ItemId(item_id) for item_id in ids)
