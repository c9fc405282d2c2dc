"""The caller's side of pages: several lists that are asked for in one call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Unpack

from protos.recsys.v1 import recommendation_service_pb2 as pb
from recsys.query import Recommendation, Tier
from serving.api.client_codec import (
    Asker,
    decode_degraded,
    decode_fill,
    decode_items,
    encode_asker,
    ids,
    said_as_invalid,
)
from serving.api.names import TIERS


@dataclass(frozen=True, slots=True)
class Slot:
    """One list on a page.

    placement: whose list. name: what the page calls the slot; the placement's name where empty.
    limit: most items to return; 0 means the placement's own size.
    filter: what items have to be, such as `price < 20`; empty for anything.
    diversity, rotation_rate, min_relevance: 0 to 1; None means the placement's own.
    candidates: the items to choose from and to rank, at most 500; none for the whole catalog.
    continue_from: attribution token of an earlier list, none of whose items this one is to hold.
    """

    placement: str
    name: str = ""
    limit: int = 0
    filter: str = ""
    diversity: float | None = None
    rotation_rate: float | None = None
    min_relevance: float | None = None
    candidates: Iterable[str] = ()
    continue_from: str = ""


@dataclass(frozen=True, slots=True)
class RecommendedPage:
    """The lists of a page, each under the name of its slot, in the order of the request."""

    slots: tuple[Slot, ...]
    lists: tuple[Recommendation, ...]

    def __getitem__(self, name: str) -> Recommendation:
        """Return the first list of a slot of this name, or of this placement."""
        for slot, found in zip(self.slots, self.lists, strict=True):
            if name == (slot.name or slot.placement):
                return found
        raise KeyError(name)

    def __iter__(self) -> Iterator[Recommendation]:
        return iter(self.lists)

    def __len__(self) -> int:
        return len(self.lists)


def encode_page(slots: Sequence[Slot], **asked: Unpack[Asker]) -> pb.RecommendPageRequest:
    """Return the request for the lists of a page.

    Raises InvalidInput where something has a type or characters that cannot be sent.
    """
    with said_as_invalid():
        return pb.RecommendPageRequest(
            slots=[
                pb.Slot(
                    placement=slot.placement,
                    name=slot.name,
                    page_size=slot.limit,
                    filter=slot.filter,
                    diversity=slot.diversity,
                    rotation_rate=slot.rotation_rate,
                    min_relevance=slot.min_relevance,
                    candidate_item_ids=slot.candidates,
                    continue_from=slot.continue_from,
                )
                for slot in slots
            ],
            **encode_asker(asked),
        )


def decode_page(slots: Sequence[Slot], response: pb.RecommendPageResponse) -> RecommendedPage:
    """Return the lists of the slots that were asked for."""
    degraded, missing = decode_degraded(response), ids(response.missing_ids)
    lists = tuple(
        Recommendation(
            items=decode_items(one.items),
            placement=one.placement,
            tier=TIERS.get(one.tier, Tier.POPULAR),
            bundle_version=response.bundle_version,
            attribution_token=one.attribution_token,
            degraded=degraded,
            personalised=response.personalised,
            missing_ids=missing,
            fill=decode_fill(one.fill_report),
            about=ids(one.about_item_ids),
            continued=one.continued,
        )
        for one in response.lists
    )
    return RecommendedPage(tuple(slots), lists)
