"""Clients that send events to a server without pause, and know what became of each."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from random import Random
from threading import Event as Flag
from threading import Lock

from recsys.errors import Unavailable
from serving.client import RecsysClient
from tests.faults.checker import Journal
from tests.faults.place import events, ids

_MOST_EVENTS = 30
_GIVES_UP = 0.2
_PAUSE_S = 0.02


class Streams:
    """What all clients of one test know, added to by each.

    n_unavailable: calls that were not answered with a promise.
    """

    def __init__(self, address: str, seed: int) -> None:
        self.n_unavailable = 0
        self._address = address
        self._seed = seed
        self._stop = Flag()
        self._lock = Lock()
        self._sent: set[str] = set()
        self._acknowledged: set[str] = set()

    @property
    def journal(self) -> Journal:
        """What is known so far."""
        with self._lock:
            return Journal(frozenset(self._sent), frozenset(self._acknowledged))

    def stop(self) -> None:
        """Let each client end after the call it is in."""
        self._stop.set()

    def stream(self, name: str) -> None:
        """Send batches until told to stop. What is not acknowledged is sent again, mostly."""
        rng, first = Random(f"{self._seed}{name}"), 0
        while not self._stop.is_set():
            last = first + rng.randrange(_MOST_EVENTS)
            # A client of its own for each call: one that saw its server die waits ever longer.
            with RecsysClient(self._address, channels=1, timeout_ms=2_000) as client:
                if self._delivered(client, name, first, last) or rng.random() < _GIVES_UP:
                    first = last + 1

    def _delivered(self, client: RecsysClient, name: str, first: int, last: int) -> bool:
        batch = events(first, last, name)
        with self._lock:
            self._sent.update(ids(batch))
        try:
            client.write_events(batch)
        except Unavailable:
            with self._lock:
                self.n_unavailable += 1
            self._stop.wait(_PAUSE_S)
            return False
        with self._lock:
            self._acknowledged.update(ids(batch))
        return True


@contextmanager
def streaming(address: str, *, clients: int, seed: int) -> Iterator[Streams]:
    """Let clients stream while the block runs; raise what any of them raised but Unavailable."""
    streams = Streams(address, seed)
    with ThreadPoolExecutor(clients) as pool:
        running = [pool.submit(streams.stream, f"s{one}-") for one in range(clients)]
        try:
            yield streams
        finally:
            streams.stop()
    for one in running:
        one.result()
