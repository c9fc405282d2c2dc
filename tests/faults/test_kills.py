"""An ingesting process, and the one that drains and applies, killed at moments of chance."""

from __future__ import annotations

from pathlib import Path
from random import Random

from serving.state.embedded import EmbeddedValkey
from tests.faults.checker import FINE, Journal, judged
from tests.faults.model import Model
from tests.faults.nursery import Nursery, Work
from tests.faults.place import Place, event_of, verdict
from tests.faults.scale import SEED, runs
from tests.faults.states import catch_up, keys_of, store_at, wrong_states

INGESTING = 2  # at once, as workers share a log
KILLS = runs(200, 1_000)
LONGEST_S = 0.1
PREFIX = "kills:"


async def test_two_hundred_deaths_lose_double_and_invent_nothing(
    nursery: Nursery, valkey: EmbeddedValkey, tmp_path: Path
) -> None:
    rng, place, journals = Random(SEED), Place(tmp_path / "data"), tmp_path / "journals"
    journals.mkdir()

    for number in range(KILLS // INGESTING):
        killed = works(place, journals, valkey.address.url, number, rng)
        assert nursery.run(*killed) == [-9] * len(killed)

    journal = Journal.read(sorted(journals.iterdir()))
    assert len(journal.acknowledged) > KILLS
    assert place.in_lake()
    assert verdict(place, journal) == FINE
    store = store_at(valkey.address, PREFIX)
    await catch_up(place, store)
    place.drain(trim=True)
    kept = [event_id for _, event_id in place.in_lake()]
    model = Model(event_of(event_id) for event_id in kept)
    assert await wrong_states(place, store, model, keys_of(PREFIX)) == []
    assert judged(journal, kept) == FINE
    assert place.in_snapshot() == place.ties_in_lake()
    await store.close()


def works(
    place: Place, journals: Path, url: str, number: int, rng: Random, *, defect: str = ""
) -> list[Work]:
    """Return two ingesting children and one that drains and applies, each with its end."""
    ingesting = [
        Work(
            "tests.faults.children:ingest",
            (
                str(place.path),
                str(journals / f"{number}-{one}"),
                f"r{number}-{one}",
                rng.randrange(2**32),
                url,
                PREFIX,
            ),
            killed_after_s=rng.uniform(0, LONGEST_S),
            defect=defect,
        )
        for one in range(INGESTING)
    ]
    keeping_up = Work(
        "tests.faults.children:keep_up",
        (str(place.path), url, PREFIX),
        killed_after_s=rng.uniform(0, 4 * LONGEST_S),
    )
    return [*ingesting, keeping_up]
