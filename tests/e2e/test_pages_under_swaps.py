"""Fifty bundles, one after the other, while pages are asked for: none fails, and none mixes two."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from threading import Event, Thread

import numpy as np

from recsys.bundle import ModelBundle
from recsys.catalog import Catalog
from recsys.events import EventType
from recsys.ids import Vocabulary
from recsys.models.popularity import PopularityModel
from recsys.query import Recommendation
from serving.client import RecsysClient
from serving.client import Slot as AskedSlot
from tests import shop
from tests.e2e.running import DataFolder, Server, event, wait_until

N_SWAPS = 50
BEYOND_THE_LOG = 1_000_000
"""A position that the log never comes to: what a bundle says of its items stands."""
SLOTS = (AskedSlot("home", limit=3), AskedSlot("email"), AskedSlot("product", limit=2))


def marked(number: int) -> ModelBundle:
    """Return a bundle whose titles, prices and most popular items tell which one it is."""
    plain = shop.bundle(f"v{number}")
    items = [
        replace(item, title=f"{item.title} of v{number}", price=number + row / 100)
        for row, item in enumerate(shop.items())
    ]
    return replace(
        plain,
        manifest=replace(plain.manifest, log_position=BEYOND_THE_LOG),
        catalog=Catalog.of(Vocabulary.of(shop.ITEMS), dict(enumerate(items))),
        popularity=PopularityModel.of(np.roll(plain.popularity.counts, number)),
    )


def mixed(answer: Recommendation) -> list[str]:
    """Return what in an answer is not of the bundle that it names."""
    own, number = f" of {answer.bundle_version}", int(answer.bundle_version[1:])
    wrong = []
    for item in answer.items:
        price = number + shop.ROW[item.item_id] / 100
        if item.title != item.item_id.title() + own:
            wrong.append(f"title {item.title!r}")
        if " of v" in item.reason.text and own not in item.reason.text:
            wrong.append(f"reason {item.reason.text!r}")
        if [(one.name, round(float(str(one.value)), 2)) for one in item.fields] != [
            ("price", round(price, 2))
        ]:
            wrong.append(f"fields {item.fields}")
    return [f"{answer.bundle_version}: {one}" for one in wrong]


def repeated(lists: Sequence[Recommendation]) -> list[str]:
    """Return the items that stand in several of these lists."""
    counts = Counter(item for one in lists for item in one.item_ids)
    return [item for item, count in counts.items() if count > 1]


@dataclass
class Load:
    """Askers beside the swaps.

    seen: answers by bundle. wrong: what should not have been. continued: lists that went on.
    """

    stop: Event = field(default_factory=Event)
    seen: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    continued: int = 0

    def met(self, version: str) -> bool:
        """Return whether a bundle has answered, or something went wrong."""
        return bool(self.wrong or self.seen[version])

    def pages(self, client: RecsysClient) -> None:
        """Ask for pages, and for pages that go on from them, until told to stop."""
        while not self.stop.is_set():
            first = client.recommend_page(SLOTS, user_id="anna", item_fields=["price"])
            on = [
                replace(slot, continue_from=one.attribution_token)
                for slot, one in zip(SLOTS, first, strict=True)
            ]
            second = client.recommend_page(on, user_id="anna", item_fields=["price"])
            for page in (first, second):
                self._judge(list(page))
                self.wrong += [f"{item} twice on a page" for item in repeated(list(page))]
            for before, after in zip(first, second, strict=True):
                self.continued += after.continued
                if after.continued:
                    self.wrong += [f"{one} again" for one in repeated([before, after])]

    def lists(self, client: RecsysClient) -> None:
        """Ask for one list after the other, each of which goes on, until told to stop."""
        while not self.stop.is_set():
            token = ""
            for _ in range(4):
                answer = client.recommend(
                    "home", user_id="ben", continue_from=token, item_fields=["price"]
                )
                token = answer.attribution_token
                self._judge([answer])

    def _judge(self, lists: Sequence[Recommendation]) -> None:
        self.seen.update(one.bundle_version for one in lists)
        self.wrong += [one for answer in lists for one in mixed(answer)]
        if len({one.bundle_version for one in lists}) > 1:
            self.wrong.append("a page of two bundles")
        self.wrong += [f"degraded: {one.degraded}" for one in lists if one.degraded]


@contextmanager
def asked(server: Server) -> Iterator[Load]:
    """Ask for lists and pages in the background; an error of any call is told as wrong."""
    load = Load()

    def run(what: str) -> None:
        try:
            with server.client(channels=2) as client:
                getattr(load, what)(client)
        except Exception as error:
            load.wrong.append(f"{type(error).__name__}: {error}")

    threads = [Thread(target=run, args=(what,)) for what in ("pages", "lists")]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load.stop.set()
        for thread in threads:
            thread.join()


def test_fifty_swaps_under_load_fail_no_page_and_mix_no_two_bundles(data: DataFolder) -> None:
    data.publish(marked(1))
    data.promote("v1")
    server = Server.ready(data)
    try:
        with server.client() as client:
            client.write_events([event(EventType.PURCHASE, "coffee", "anna")])

        with asked(server) as load:
            for number in range(2, N_SWAPS + 2):
                data.publish(marked(number))
                data.promote(f"v{number}")
                wait_until(partial(load.met, f"v{number}"), "the next bundle")

        assert load.wrong == []
        assert len(load.seen) == N_SWAPS + 1
        assert load.continued > N_SWAPS
    finally:
        server.end()
