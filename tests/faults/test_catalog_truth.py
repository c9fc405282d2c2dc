"""A catalog that changes, bundles that are swapped and workers that die, all at the same time.

The law: no answer contains an item that was not allowed one second before, and none lacks an item
that has been allowed for a second and ranks first in the exact reference. `tests.faults.answers`
holds it against every answer: what was sent and acknowledged says what may have been true.

The exact reference is a sorted list. Of the placement `popular` it is the counts of the bundle that
answered, later items behind in the order in which they came; of `nearest` the lengths of vectors
that all point one way, those of later items among them (`tests.faults.living.Learned`). Who is
certainly allowed stands in that order, who perhaps is may stand in its place or be left out, and
a list is as long as was asked for: one item, three, or the whole shop.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import MappingProxyType

import pytest

from tests.e2e.running import RECSYS, DataFolder
from tests.faults.answers import LAW_S, complaint
from tests.faults.askers import Askers, asking
from tests.faults.changes import Shop
from tests.faults.heart import Heart
from tests.faults.living import FRESH, NEAREST, POPULAR
from tests.faults.scale import SEED, runs
from tests.faults.test_server_kills import free_port

DECK = {
    "describe": 8,
    "vary": 2,
    "stock": 4,
    "delete": 5,
    "newcomer": 4,
    "train": 3,
    "swap": 5,
    "kill_one": 3,
    "pass_a_date": 2,
}
"""How often each step is taken, in an order of chance; in the middle of it everything is killed."""
USUAL_DECKS = 1
DECKS = runs(USUAL_DECKS, 4)
LONGEST_S = 0.25
_LOOKING_BACK_S = 2.0


@dataclass
class Judge:
    """Holds the law against answers as they come in.

    judged: how many answers of each placement it found right.
    versions: how many of each release.
    """

    shop: Shop
    judged: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    _n_seen: int = 0

    def look(self, askers: Askers) -> None:
        """Judge what was answered before the heart's last beat, and fail where it is wrong."""
        while self._n_seen < len(askers.answers):
            answer = askers.answers[self._n_seen]
            if answer.answered >= askers.heart.newest:
                return
            lost_s = askers.heart.lost_s(answer.asked - _LOOKING_BACK_S, answer.answered)
            learned = self.shop.learned[answer.version]
            wrong = complaint(answer, self.shop.told, learned, LAW_S + lost_s)
            assert not wrong, f"{wrong}\n{answer}\n{self.shop.done}, {lost_s:.3f} s lost"
            self._n_seen += 1
            self.judged[answer.placement] += 1
            self.versions[answer.version] += 1


@contextmanager
def new_folder(program: str = RECSYS) -> Iterator[DataFolder]:
    """Give an empty data folder for the length of a block.

    program: see `DataFolder`.
    """
    path = Path(tempfile.mkdtemp(prefix="rs-"))
    try:
        yield DataFolder(path, program)
    finally:
        with suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int((path / "valkey" / "valkey.pid").read_text()), signal.SIGKILL)
        shutil.rmtree(path)


@pytest.mark.parametrize("seed", range(runs(1, 5)))
def test_catalog_bundles_and_workers_that_change_at_once_show_what_is_true(seed: int) -> None:
    with new_folder() as folder:
        judge = lived(folder, SEED + seed, decks=DECKS)

    assert all(judge.judged[one] for one in (POPULAR, NEAREST, FRESH))
    assert len(judge.versions) > 1


def lived(
    folder: DataFolder,
    seed: int,
    *,
    decks: int = USUAL_DECKS,
    more: Mapping[str, str] = MappingProxyType({}),
) -> Judge:
    """Let a shop live through its steps while it is asked; fail at the first wrong answer.

    more: variables of the server.
    """
    rng, port = Random(seed), free_port()
    shop = Shop(folder, {"RECSYS_PORT": str(port), **more}, rng)
    judge = Judge(shop)
    try:
        shop.open()
        with asking(f"127.0.0.1:{port}", seed, Heart(shop.workers)) as askers:
            for step in steps(rng, decks):
                shop.take(step)
                time.sleep(rng.uniform(0, LONGEST_S))
                judge.look(askers)
    finally:
        shop.end()
    judge.look(askers)
    return judge


def steps(rng: Random, decks: int) -> list[str]:
    """Return every step of so many decks, shuffled, and the death of all between."""
    deck = [name for name, n_times in DECK.items() for _ in range(n_times * decks)]
    rng.shuffle(deck)
    return [*deck[: len(deck) // 2], "kill_all", *deck[len(deck) // 2 :]]
