"""A scene of the demo: the server is killed while events stream in, and the counts agree."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event as Flag
from threading import Thread
from uuid import uuid4

from examples.shop_server import ShopServer
from recsys.errors import Unavailable
from recsys.events import Channel, Event, EventType
from recsys.ids import ItemId
from serving.client import RecsysClient

STREAMS = 2
BATCH = 20
BEFORE_S = 1.5
AFTER_S = 1.0
PAUSE_S = 0.01


@dataclass(frozen=True, slots=True)
class Streamed:
    """What the senders know: ids they were told are recorded, and how often they had to repeat."""

    acknowledged: tuple[str, ...]
    repeated: int
    down_s: float


def kill_while_streaming(server: ShopServer, address: str, items: Sequence[str]) -> Streamed:
    """Stream visits into the server, kill it, start it again, and return what was acknowledged."""
    end = Flag()
    streams = [_Stream(f"outage-{number}", address, items, end) for number in range(STREAMS)]
    for stream in streams:
        stream.start()
    time.sleep(BEFORE_S)
    killed = time.monotonic()
    server.kill()
    server.start()
    down_s = time.monotonic() - killed
    time.sleep(AFTER_S)
    end.set()
    for stream in streams:
        stream.join()
    ids = [event_id for stream in streams for event_id in stream.acknowledged]
    return Streamed(tuple(ids), sum(stream.repeated for stream in streams), down_s)


class _Stream(Thread):
    """Sends visits batch by batch; each batch again until it is acknowledged."""

    def __init__(self, name: str, address: str, items: Sequence[str], end: Flag) -> None:
        super().__init__(name=name, daemon=True)
        self.acknowledged: list[str] = []
        self.repeated = 0
        self._address = address
        self._items = items
        self._end = end

    def run(self) -> None:
        """Send until told to end, and then until the last batch is in."""
        with RecsysClient(self._address, channels=1, timeout_ms=2_000) as client:
            while not self._end.is_set():
                self._send(client, [self._visit(place) for place in range(BATCH)])

    def _send(self, client: RecsysClient, events: Sequence[Event]) -> None:
        while True:
            try:
                client.write_events(events)
            except Unavailable:
                self.repeated += 1
                time.sleep(PAUSE_S)
            else:
                self.acknowledged += [event.event_id for event in events]
                return

    def _visit(self, place: int) -> Event:
        return Event(
            f"{self.name}-{uuid4().hex}",
            EventType.DETAIL_VIEW,
            datetime.now(UTC),
            ItemId(self._items[place % len(self._items)]),
            visitor_id=f"{self.name}-visitor-{place}",
            channel=Channel.WEB,
        )
