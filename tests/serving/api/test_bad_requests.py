"""Requests that are wrong: each is refused by its field, with a reason and what is allowed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protos.recsys.v1 import recommendation_service_pb2 as pb
from protos.recsys.v1 import recommendation_service_pb2_grpc as pb_grpc
from recsys.errors import RecsysError
from recsys.query import Page
from serving.api import codec
from serving.api.errors import DETAILS_KEY
from serving.api.interceptors import StatusInterceptor
from serving.api.recommendation_servicer import RecommendationServicer
from serving.metrics import CallMetrics, Registry
from serving.recommender import Recommender
from tests import shop
from tests.serving.test_recommender import KEYS, KnownStates, Shelf

HOME = pb.Slot(placement="home")
SERVICE = "/recsys.v1.RecommendationService/"


@pytest.fixture
async def channel() -> AsyncIterator[grpc.aio.Channel]:
    """Give a way to a server of the tiny shop."""
    server = grpc.aio.server(interceptors=[StatusInterceptor(CallMetrics(Registry()))])
    recommender = Recommender(Shelf(), KnownStates(), KEYS, chance=bytes)
    servicer = RecommendationServicer(recommender, lambda: shop.NOW)
    pb_grpc.add_RecommendationServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    await server.stop(None)


def alone(**fields: Any) -> tuple[str, bytes]:
    """Return the call for one list with these fields."""
    return "Recommend", pb.RecommendRequest(**{"placement": "home", **fields}).SerializeToString()


def fourth(**fields: Any) -> tuple[str, bytes]:
    """Return the call for a page whose fourth slot has these fields."""
    slot = pb.Slot(**{"placement": "home", **fields})
    request = pb.RecommendPageRequest(slots=[HOME, HOME, HOME, slot])
    return "RecommendPage", request.SerializeToString()


async def refusal(
    channel: grpc.aio.Channel, call: tuple[str, bytes]
) -> tuple[StatusCode, error_details_pb2.ErrorInfo]:
    """Return how a call is refused."""
    method, raw = call
    call_of: Any = channel.unary_unary(SERVICE + method)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call_of(raw)
    trailing = dict(caught.value.trailing_metadata() or ())
    status = status_pb2.Status.FromString(trailing[DETAILS_KEY])
    info = error_details_pb2.ErrorInfo()
    status.details[0].Unpack(info)
    return caught.value.code(), info


@pytest.mark.parametrize(
    ("call", "field", "allowed"),
    [
        (alone(seed_item_ids=["tea"] * 10_000), "seed_item_ids", "50"),
        (alone(excluded_item_ids=["tea"] * 10_000), "excluded_item_ids", "1,000"),
        (alone(candidate_item_ids=["tea"] * 10_000), "candidate_item_ids", "500"),
        (alone(page_size=-1), "page_size", "0 or more"),
        (alone(page_size=-(2**31)), "page_size", "0 or more"),
        (alone(user_id="x" * 129), "user_id", "128 bytes"),
        (alone(user_id="\x00"), "user_id", "printable"),
        (alone(diversity=7.0), "diversity", "from 0 to 1"),
        (alone(rotation_rate=float("nan")), "rotation_rate", "from 0 to 1"),
        (alone(language="no language at all"), "language", "tag"),
        (alone(item_fields=["colour of mood"]), "item_fields[0]", "title"),
        (alone(filter="price <"), "filter", ""),
        (alone(filter="mood = 1"), "filter", ""),
        (alone(continue_from="x" * 100_000), "continue_from", "token"),
        (alone(page_type=99), "page_type", "enum"),
        (alone(placement=""), "placement", "1 to 128 bytes"),
        (fourth(placement=""), "slots[3].placement", "1 to 128 bytes"),
        (fourth(page_size=-2), "slots[3].page_size", "0 or more"),
        (fourth(filter='price < "cheap"'), "slots[3].filter", ""),
        (fourth(filter="("), "slots[3].filter", ""),
        (fourth(filter="x" * 100_000), "slots[3].filter", "4,000"),
        (fourth(candidate_item_ids=[""]), "slots[3].candidate_item_ids[0]", "1 to 128 bytes"),
        (fourth(continue_from="no token"), "slots[3].continue_from", "token"),
        (fourth(min_relevance=-0.5), "slots[3].min_relevance", "from 0 to 1"),
    ],
)
async def test_wrong_field_is_named_with_what_is_allowed(
    channel: grpc.aio.Channel, call: tuple[str, bytes], field: str, allowed: str
) -> None:
    code, info = await refusal(channel, call)

    assert code is StatusCode.INVALID_ARGUMENT
    assert info.metadata["field"] == field
    assert info.reason
    assert allowed in info.metadata["wanted"]
    assert info.metadata["wanted"]


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (alone(placement="checkout"), "placement"),
        (fourth(placement="checkout"), "slots[3].placement"),
    ],
)
async def test_unknown_placement_is_named_with_those_that_exist(
    channel: grpc.aio.Channel, call: tuple[str, bytes], field: str
) -> None:
    code, info = await refusal(channel, call)

    assert (code, info.reason) == (StatusCode.NOT_FOUND, "UNKNOWN_PLACEMENT")
    assert info.metadata["field"] == field
    assert info.metadata["known"] == "email, home, product"


@pytest.mark.parametrize("method", ["Recommend", "RecommendPage", "Explain"])
@pytest.mark.parametrize("raw", [b"\x0a\x02\xff\xfe", b"\xff\xff\xff", b"no protobuf"])
async def test_bytes_that_are_no_request_are_refused_as_such(
    channel: grpc.aio.Channel, method: str, raw: bytes
) -> None:
    code, info = await refusal(channel, (method, raw))

    assert (code, info.reason) == (StatusCode.INVALID_ARGUMENT, "UNREADABLE_REQUEST")
    assert "UTF-8" in info.metadata["wanted"]


TEXT = st.text(max_size=12) | st.sampled_from(["home", "email", "price < 5", "tea", "da"])
ASKED = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("placement", "user_id", "market", "filter", "language"), TEXT),
        **dict.fromkeys(("continue_from", "category", "search_query", "device"), TEXT),
        **{
            name: st.lists(TEXT, max_size=3)
            for name in ("seed_item_ids", "excluded_item_ids", "cart_item_ids", "item_fields")
        },
        "page_size": st.integers(-(2**31), 2**31 - 1),
        "diversity": st.floats(width=32),
        "page_type": st.integers(-1, 20),
    },
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(fields=ASKED, on_page=st.booleans())
def test_whatever_is_asked_is_answered_or_refused_with_a_reason(
    fields: dict[str, Any], on_page: bool
) -> None:
    request = pb.RecommendRequest(**{"placement": "home", **fields})
    slot_fields = {"placement", "page_size", "filter", "diversity", "continue_from"}
    own = {name: value for name, value in fields.items() if name in slot_fields}
    rest = {name: value for name, value in fields.items() if name not in slot_fields}
    slots = [HOME, pb.Slot(**{"placement": "home", **own})]
    asked_page = pb.RecommendPageRequest(slots=slots, **rest)

    def checked() -> None:
        page = (
            codec.decode_page(asked_page, now=shop.NOW)
            if on_page
            else Page((codec.decode_query(request, now=shop.NOW),))
        )
        SHELF.check(page)

    refused = error_of(checked)

    assert refused is None or (refused.reason and refused.metadata["field"])


SHELF = Recommender(Shelf(), KnownStates(), KEYS, chance=bytes)


def error_of(checked: Callable[[], None]) -> RecsysError | None:
    try:
        checked()
    except RecsysError as error:
        return error
    return None
