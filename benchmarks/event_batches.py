"""Batches of events as a busy web shop sends them, each new, drawn once and stamped when sent."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.synthetic import user_id
from protos.recsys.v1 import event_service_pb2 as pb

STAMP = "@" * 24
"""Stands in a drawn batch for what makes its event ids new: the batch's name."""

SHARES = {
    "DETAIL_VIEW": 0.40,
    "IMPRESSION": 0.22,
    "CLICK": 0.15,
    "ADD_TO_CART": 0.08,
    "PURCHASE": 0.06,
    "SEARCH": 0.04,
    "CATEGORY_VIEW": 0.02,
    "REMOVE_FROM_CART": 0.02,
    "LIKE": 0.005,
    "HIDE": 0.005,
}
AGENTS = tuple(
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    f"Chrome/{version}.0.0.0 Safari/537.36"
    for version in range(120, 140)
)
N_DRAWN = 500


@dataclass(frozen=True, slots=True)
class EventBatches:
    """What one client sends.

    name: of the client's part of the run: letters and digits, so that no two send the same id.
    size: events of a batch, each of another customer; the customers take turns.
    now: seconds since 1970; the events lie within the minute before.
    poisoned: whether one event in a hundred cannot be used.
    """

    name: str
    size: int
    n_items: int
    seed: int
    now: int
    poisoned: bool = False

    def named(self, name: str, *, poisoned: bool) -> EventBatches:
        """Return the same batches under another name, with or without poison."""
        return replace(self, name=name, poisoned=poisoned)

    def of_client(self, place: int) -> EventBatches:
        """Return the batches of one of several clients, under a name of its own."""
        return replace(self, name=f"{self.name}{string.ascii_lowercase[place]}")

    def drawn(self) -> Callable[[int], bytes]:
        """Return what gives the serialised request of each number."""
        batches = [self._drawn(place) for place in range(N_DRAWN)]
        stamp = STAMP.encode()
        return lambda number: batches[number % N_DRAWN].replace(stamp, self.stamp(number).encode())

    def stamp(self, number: int) -> str:
        """Return the 24 characters with which the ids of one batch begin."""
        width = len(STAMP) - len(self.name) - 1
        return f"{self.name}-{number:0{width}d}"

    def event_ids(self, number: int) -> list[str]:
        """Return the ids of the events of one batch that can be used."""
        stamp = self.stamp(number)
        return [f"{stamp}-{place:03d}" for place in range(self.size) if not self._is_bad(place)]

    @property
    def n_customers(self) -> int:
        """How many customers take turns."""
        return N_DRAWN * self.size

    def events_of(self, customer: int, numbers: Iterable[int]) -> list[pb.Event]:
        """Return one customer's events in the batches of these numbers that can be used."""
        drawn, place = divmod(customer, self.size)
        if self._is_bad(place):
            return []
        kind, item = self._chosen(drawn)[place]
        return [
            self._event(number, place, kind, item)
            for number in numbers
            if number % N_DRAWN == drawn
        ]

    def _is_bad(self, place: int) -> bool:
        return self.poisoned and place % 100 == 50

    def _drawn(self, number: int) -> bytes:
        """Return a request whose event ids begin with the stand-in."""
        events = []
        for place, (kind, item) in enumerate(self._chosen(number)):
            event = self._event(number, place, kind, item)
            event.event_id = event.event_id.replace(self.stamp(number), STAMP)
            if self._is_bad(place):
                _spoil(event, number % 4)
            events.append(event)
        return pb.WriteEventsRequest(events=events).SerializeToString()

    def _chosen(self, drawn: int) -> list[tuple[str, int]]:
        """Return type and item of each event of a batch."""
        rng = np.random.default_rng((self.seed, drawn))
        kinds = rng.choice(list(SHARES), self.size, p=list(SHARES.values()))
        # Low numbers come up most, as best sellers do.
        items = (self.n_items ** rng.random(self.size)).astype(np.int64) - 1
        return list(zip(kinds.tolist(), items.tolist(), strict=True))

    def _event(self, number: int, place: int, kind: str, item: int) -> pb.Event:
        customer = number % N_DRAWN * self.size + place
        event = event_of(kind, item=item, customer=customer, order=number)
        event.event_id = f"{self.stamp(number)}-{place:03d}"
        event.time.FromMilliseconds((self.now - 60) * 1_000 + customer)
        return event


def event_of(kind: str, *, item: int, customer: int, order: int) -> pb.Event:
    """Return one event without id and time, with the fields that its type has in a shop."""
    event = pb.Event(
        type=pb.EventType.Value(f"EVENT_TYPE_{kind}"),
        user_id=user_id(customer) if customer % 3 else "",
        visitor_id=f"visitor-{customer:06d}",
        session_id=f"session-{customer:06d}",
        channel=pb.CHANNEL_WEB if customer % 2 else pb.CHANNEL_APP,
        user_agent=AGENTS[customer % len(AGENTS)],
    )
    if kind == "SEARCH":
        event.query = f"organic coffee {item % 500}"
    elif kind == "CATEGORY_VIEW":
        event.category = f"Category {item % 100}"
    else:
        event.item_id = f"item-{item:07d}"
    if kind in ("CLICK", "PURCHASE"):
        event.attribution_token = f"{order:06d}{customer:06d}".ljust(64, "x")
    if kind == "PURCHASE":
        event.quantity, event.price, event.currency = 1 + item % 3, 1.0 + item % 50, "EUR"
        event.order_id = f"order-{order:06d}"
    return event


def _spoil(event: pb.Event, how: int) -> None:
    """Make an event one that cannot be used, in one of four ways."""
    if how == 0:
        event.type = pb.EVENT_TYPE_UNSPECIFIED
    elif how == 1:
        event.quantity = -1.0
    elif how == 2:
        event.user_id = event.visitor_id = event.session_id = ""
    else:
        event.time.FromSeconds(4_000_000_000)
