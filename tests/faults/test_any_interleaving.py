"""Whatever is sent twice, late or in any order, and whoever dies between: one simple state."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from recsys.events import Event, Record
from serving.log.records import Lines
from serving.state.embedded import EmbeddedValkey
from tests.faults.checker import FINE, Journal
from tests.faults.model import Model
from tests.faults.place import Place, event, verdict
from tests.faults.scale import SEED, runs
from tests.faults.states import catch_up, keys_of, store_at, wrong_states

NUMBERS = st.lists(st.integers(0, 60), min_size=1, max_size=12)
WORKERS = st.integers(0, 1)
prefixes = (f"any{n}:" for n in count())


class House(RuleBasedStateMachine):
    """Two workers, a store and whoever drains, applies and trims; any of them may fail.

    waiting: records that a worker appended and has not applied to the store.
    n_ended: houses that ended as the model does, so far.
    """

    valkey: EmbeddedValkey
    runner: asyncio.Runner
    n_ended = 0

    def __init__(self) -> None:
        super().__init__()
        self.place = Place(Path(tempfile.mkdtemp(prefix="any-")))
        self.prefix = next(prefixes)
        self.store = store_at(self.valkey.address, self.prefix)
        self.model = Model()
        self.sent: dict[str, Event] = {}
        self.writers = [self.place.writer(), self.place.writer()]
        self.waiting: list[Record] = []

    @rule(worker=WORKERS, numbers=NUMBERS, applying=st.booleans())
    def send(self, worker: int, numbers: list[int], applying: bool) -> None:
        """Send events, of which any may have been sent before; not applying, the worker dies."""
        some = [event(number) for number in numbers]
        placed = self.writers[worker].append(Lines.of([Record(one) for one in some]))
        where = zip(some, placed.positions, placed.item_rows, strict=True)
        new = [Record(one, position, row) for one, position, row in where if position]
        for one in some:
            self.model.add(one)
            self.sent[one.event_id] = one
        if applying:
            self.runner.run(self.store.apply(new))
        else:
            self.waiting += new

    @rule(worker=WORKERS)
    def another_worker_takes_over(self, worker: int) -> None:
        self.writers[worker].close()
        self.writers[worker] = self.place.writer()

    @rule(order=st.randoms(use_true_random=False))
    def records_are_applied_late_and_out_of_order(self, order: Any) -> None:
        order.shuffle(self.waiting)
        for record in self.waiting:
            self.runner.run(self.store.apply([record, record]))
        self.waiting = []

    @rule()
    def store_is_flushed(self) -> None:
        self.runner.run(self._flushed())

    @rule()
    def log_is_drained(self) -> None:
        self.place.drain()

    @rule()
    def states_are_caught_up_and_the_log_trimmed(self) -> None:
        applied = self.runner.run(catch_up(self.place, self.store))
        self.place.drain(trim=True)
        assert applied == self._last_position()
        self._check()

    def teardown(self) -> None:
        try:
            self.runner.run(catch_up(self.place, self.store))
            self._check()
            sent = list(self.sent.values())
            assert verdict(self.place, Journal.of(sent, sent)) == FINE
            House.n_ended += 1
        finally:
            for writer in self.writers:
                writer.close()
            self.runner.run(self.store.close())
            shutil.rmtree(self.place.path)

    def _check(self) -> None:
        wrong = wrong_states(self.place, self.store, self.model, keys_of(self.prefix))
        assert self.runner.run(wrong) == []

    def _last_position(self) -> int:
        with self.place.tail() as tail:
            return tail.last_position()

    async def _flushed(self) -> None:
        """Delete all that this store holds, on a server that others use too."""
        keys = [key async for step in self.store.stored_keys() for key in step]
        shared = keys_of(self.prefix).shared("applied_through")
        await self.store._writes.delete(shared, *keys)


def test_any_interleaving_ends_in_the_state_of_a_simple_model(valkey: EmbeddedValkey) -> None:
    examples = runs(20, 600)

    n_ended = explore(valkey, examples=examples, phases=tuple(Phase))

    assert n_ended >= examples


def explore(valkey: EmbeddedValkey, *, examples: int, phases: Sequence[Phase]) -> int:
    """Return how many interleavings ended as the model does; assert that every one did."""
    with asyncio.Runner() as runner:
        House.valkey, House.runner, House.n_ended = valkey, runner, 0
        run_state_machine_as_test(
            seed(SEED)(House),
            settings=settings(
                max_examples=examples,
                stateful_step_count=25,
                deadline=None,
                database=None,
                phases=phases,
                suppress_health_check=list(HealthCheck),
            ),
        )
    return House.n_ended
