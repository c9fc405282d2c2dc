"""Customers who ask a server without pause, and what they were answered."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from random import Random
from threading import Event as Flag

from recsys.errors import Unavailable
from recsys.query import Recommendation, Tier
from serving.client import RecsysClient
from tests.faults.answers import Answer
from tests.faults.heart import Heart
from tests.faults.living import BUYER, FRESH, MARKETS, MOST_ITEMS, NEAREST, POPULAR, STRANGER

N_ASKERS = 3
_PAUSE_S = 0.01


class Askers:
    """What all askers of one test were answered, added to by each."""

    def __init__(self, address: str, seed: int, heart: Heart) -> None:
        self.answers: list[Answer] = []
        self.heart = heart
        self._address = address
        self._seed = seed
        self._stop = Flag()

    def stop(self) -> None:
        """Let each asker end after the call it is in."""
        self._stop.set()

    def beat(self) -> None:
        """Let the heart beat until told to stop."""
        self.heart.beat(self._stop)

    def ask(self, number: int) -> None:
        """Ask until told to stop, each time through another channel.

        A channel stays with its worker: by new ones a worker that has just begun is asked, too.
        """
        rng = Random(f"{self._seed} asker {number}")
        while not self._stop.wait(_PAUSE_S):
            with RecsysClient(self._address, channels=1, timeout_ms=10_000) as client:
                self._asked(client, rng)

    def _asked(self, client: RecsysClient, rng: Random) -> None:
        placement = rng.choice((POPULAR, POPULAR, NEAREST, NEAREST, FRESH))
        user_id = STRANGER if placement == POPULAR and rng.random() < 0.5 else BUYER
        market, limit = rng.choice(MARKETS), rng.choice((1, 3, MOST_ITEMS))
        asked = time.monotonic()
        try:
            found = client.recommend(placement, user_id=user_id, market=market, limit=limit)
        except Unavailable:  # its worker died
            return
        answered = time.monotonic()
        if is_whole(found):
            self.answers.append(
                Answer(
                    placement, market, limit, asked, answered, found.bundle_version, found.item_ids
                )
            )


def is_whole(found: Recommendation) -> bool:
    """Return whether an answer rests on all it should: nearest to whom, without a history?"""
    return found.placement == POPULAR or found.tier is Tier.PERSONAL


@contextmanager
def asking(address: str, seed: int, heart: Heart) -> Iterator[Askers]:
    """Let customers ask while the block runs; raise what any of them raised but Unavailable."""
    askers = Askers(address, seed, heart)
    with ThreadPoolExecutor(N_ASKERS + 1) as pool:
        running = [pool.submit(askers.ask, one) for one in range(N_ASKERS)]
        running.append(pool.submit(askers.beat))
        try:
            yield askers
        finally:
            askers.stop()
    for one in running:
        one.result()
