from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from protos.recsys.v1 import customer_service_pb2 as pb
from recsys.errors import InvalidInput
from serving.api import erasure_client_codec, erasure_codec
from serving.api.customer_names import STORE_NUMBERS
from serving.api.erasure_client_codec import ErasedStore, Erasure
from serving.erasure.places import Places
from serving.erasure.receipts import LAKE, LOG, MODELS, STATE, Receipt, Removed
from serving.settings import read_settings

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(milliseconds=1_500)


def test_every_store_of_a_receipt_has_its_number() -> None:
    texts = Places.of(read_settings()).texts

    assert set(STORE_NUMBERS) == {STATE, LOG, LAKE, *texts, MODELS}
    assert len(STORE_NUMBERS) == len(pb.StoreKind.values()) - 1


@pytest.mark.parametrize(("asked", "size"), [(0, 100), (7, 7), (1_001, 1_000)])
def test_page_has_the_size_that_is_asked_for_within_limits(asked: int, size: int) -> None:
    assert erasure_codec.decode_page(pb.ListErasuresRequest(page_size=asked)) == (None, size)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.ListErasuresRequest(page_size=-1), "page_size"),
        (pb.ListErasuresRequest(page_token="next"), "page_token"),
        (pb.ListErasuresRequest(page_token="9" * 19), "page_token"),
    ],
)
def test_page_that_cannot_be_meant_is_refused(request_: pb.ListErasuresRequest, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        erasure_codec.decode_page(request_)

    assert caught.value.field == field


def test_receipt_is_told_whole_from_end_to_end() -> None:
    stores = tuple(
        Removed(name, place, NOON.isoformat(), LATER.isoformat(), f"left {name}", f"note {name}")
        for place, name in enumerate(STORE_NUMBERS)
    )
    receipt = Receipt("e1", 5, NOON.isoformat(), 2, True, stores, LATER.isoformat())

    wire = pb.GetErasureResponse(erasure=erasure_codec.encode_receipt(receipt))

    assert erasure_client_codec.decode_erasure(wire) == Erasure(
        "e1",
        NOON,
        2,
        True,
        tuple(
            ErasedStore(name, place, NOON, LATER, f"left {name}", f"note {name}")
            for place, name in enumerate(STORE_NUMBERS)
        ),
        LATER,
    )


def test_erasure_with_something_left_has_no_time_at_which_it_was_finished() -> None:
    receipt = Receipt("e1", 5, NOON.isoformat(), 2, alone=False)

    wire = erasure_codec.encode_receipt(receipt)

    assert not wire.HasField("finish_time")
    assert erasure_client_codec.decode_erasure(pb.GetErasureResponse(erasure=wire)).finished is None


def test_store_that_a_client_does_not_know_is_told_without_its_name() -> None:
    removed = Removed("cellar", 3, NOON.isoformat(), NOON.isoformat())
    receipt = Receipt("e1", 5, NOON.isoformat(), 2, False, (removed,))

    wire = pb.GetErasureResponse(erasure=erasure_codec.encode_receipt(receipt))

    (store,) = erasure_client_codec.decode_erasure(wire).stores
    assert (store.store, store.removed) == ("unspecified", 3)
