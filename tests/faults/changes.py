"""What happens to a living shop: changes of its catalog, swaps of bundles, deaths of processes."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from random import Random

from recsys.errors import Unavailable
from recsys.events import EventType
from recsys.items import Item, OfferUpdate
from serving.client import RecsysClient
from serving.clock import utc_now
from serving.log.tail import LogTail
from serving.log.writer import Writer
from tests.e2e.running import DataFolder, Server, alive, event, wait_until
from tests.faults.answers import Told
from tests.faults.living import (
    BOUGHT,
    BUYER,
    MOST_ITEMS,
    N_AT_FIRST,
    N_VARIANTS,
    NAMES,
    PLACEMENTS,
    Learned,
    described,
    next_second,
    plain,
    trained,
)

_AGAIN_S = 0.05
_IN_FORCE_S = 2.0
_MOST_AT_ONCE = 3


@dataclass
class Shop:
    """A shop, the server it runs, and all that it was told.

    learned: what each release says of the items, by version.
    done: how often each step was taken.
    """

    data: DataFolder
    environment: Mapping[str, str]
    rng: Random
    told: Told = field(default_factory=Told)
    learned: dict[str, Learned] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)
    server: Server | None = None

    def open(self) -> None:
        """Fill the shop, start its server, and let its one regular customer buy."""
        self.data.releases.mkdir()
        (self.data.path / "placements.toml").write_text(PLACEMENTS)
        self._fill({row: plain(row) for row in range(N_AT_FIRST)})
        self.train()
        self._start()
        bought = [event(EventType.PURCHASE, item, BUYER) for item in BOUGHT]
        self._deliver(lambda client: client.write_events(bought))

    def end(self) -> None:
        """End the server."""
        if self.server:
            self.server.end()

    def workers(self) -> list[int]:
        """Return the workers that are alive; none while that cannot be told."""
        assert self.server
        with suppress(OSError, ValueError):  # something begins or ends at this moment
            valkey = self.server.valkey
            return [one for one in self.server.workers if one != valkey and alive(one)]
        return []

    def take(self, name: str) -> None:
        """Take the step of this name."""
        getattr(self, name)()
        self.done[name] += 1

    def describe(self) -> None:
        """Describe some items anew."""
        rows = self.rng.sample(range(len(self.told)), self.rng.randint(1, _MOST_AT_ONCE))
        self._upsert({row: described(row, self.rng, utc_now()) for row in rows})

    def newcomer(self) -> None:
        """Describe an item that nobody has heard of."""
        row = len(self.told)
        if row < MOST_ITEMS:
            self._upsert({row: plain(row)})

    def stock(self) -> None:
        """Sell an item out on its own terms, or get it back."""
        row, stock = self._some_described(), self.rng.choice((0.0, 5.0))
        item = self.told.now(row)
        if item:
            update = [OfferUpdate(item.item_id, stock=stock)]
            changed = {row: replace(item, stock=stock)}
            self._change(changed, lambda client: client.update_offers(update))

    def vary(self) -> None:
        """Sell the first variant of a product out while the others are there."""
        items = {row: plain(row) for row in range(N_VARIANTS)}
        self._upsert(items | {0: replace(items[0], stock=0.0)})

    def delete(self) -> None:
        """Take an item out of the catalog."""
        row = self._some_described()
        self._change({row: None}, lambda client: client.delete_items([NAMES[row]]))

    def train(self) -> None:
        """Publish a bundle that was trained on the catalog of this moment, and serve it."""
        log = LogTail(self.data.path / "log" / "log.sqlite")
        learned, bundle = trained(f"v{len(self.learned):03d}", log)
        log.close()
        self.learned[learned.version] = learned
        self.data.publish(bundle)
        self.data.promote(learned.version)

    def swap(self) -> None:
        """Serve any release there is: an older one, mostly, of which much is not true any more."""
        self.data.promote(self.rng.choice(list(self.learned)))

    def kill_one(self) -> None:
        """Kill a worker; the supervisor starts another."""
        workers = wait_until(self.workers, "a worker that lives")
        with suppress(ProcessLookupError):
            os.kill(self.rng.choice(workers), signal.SIGKILL)

    def kill_all(self) -> None:
        """Kill every process of the server and its Valkey, and start it again."""
        assert self.server
        os.kill(self.server.process.pid, signal.SIGSTOP)  # so that no child is born unseen
        doomed = [self.server.process.pid, *self.server.workers, self.server.valkey]
        for pid in doomed:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not any(alive(pid) for pid in doomed), "death")
        self.server.end()
        self._start()

    def pass_a_date(self) -> None:
        """Let an item's selling begin or end while nothing else happens."""
        row, now = self.rng.randrange(N_VARIANTS, len(self.told)), utc_now()
        date, item = next_second(now), plain(row)
        begun, ended = replace(item, available_from=date), replace(item, expires=date)
        self._upsert({row: self.rng.choice((begun, ended))})
        time.sleep((date - now).total_seconds() + _IN_FORCE_S)

    def _start(self) -> None:
        self.server = Server.start(self.data, **self.environment)
        wait_until(lambda: self.server and self.server.said("ready"), "ready")

    def _some_described(self) -> int:
        return self.rng.choice([row for row in range(len(self.told)) if self.told.now(row)])

    def _fill(self, items: Mapping[int, Item]) -> None:
        self.told.send(items, time.monotonic())
        writer = Writer(self.data.path / "log" / "log.sqlite", clock=utc_now)
        writer.change_items(list(items.values()))
        writer.close()
        self.told.acknowledge(items, time.monotonic())

    def _upsert(self, items: Mapping[int, Item]) -> None:
        self._change(items, lambda client: client.upsert_items(list(items.values())))

    def _change(
        self, changes: Mapping[int, Item | None], said: Callable[[RecsysClient], object]
    ) -> None:
        """Say something of items until it is heard."""
        self.told.send(changes, time.monotonic())
        self._deliver(said)
        self.told.acknowledge(changes, time.monotonic())

    def _deliver(self, said: Callable[[RecsysClient], object]) -> None:
        assert self.server
        while True:
            # A client of its own for each try: one that saw its worker die waits ever longer.
            with (
                RecsysClient(self.server.address, channels=1, timeout_ms=20_000) as client,
                suppress(Unavailable),
            ):
                said(client)
                return
            time.sleep(_AGAIN_S)
