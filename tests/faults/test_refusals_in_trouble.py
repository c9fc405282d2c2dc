"""A refusal that is acknowledged while Redis is away holds at once, for that customer alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from recsys.customers import ConsentChange, ConsentStatement, Identifier, IdKind, Purpose
from recsys.events import EventType
from recsys.query import Recommendation
from serving.client import RecsysClient
from serving.clock import utc_now
from serving.state.embedded import EmbeddedValkey
from tests import shop
from tests.e2e.running import DataFolder, Server, event, wait_until
from tests.faults.test_redis_faults import die, die_and_forget, hang

MANY_CHANNELS = 12
NEVER_S = "3600"


@dataclass
class House:
    """A server that never catches up by itself once it has started, and its Redis."""

    server: Server
    valkey: EmbeddedValkey
    client: RecsysClient

    def answers(self, user_id: str) -> list[Recommendation]:
        """Return answers of all workers."""
        return [self.client.recommend("home", user_id=user_id) for _ in range(MANY_CHANNELS)]

    def refuse(self, user_id: str) -> None:
        said = ConsentStatement(Purpose.PERSONALISE, granted=False, time=utc_now())
        self.client.set_consents([ConsentChange(Identifier(IdKind.USER, user_id), said)])


@pytest.fixture
def house(own_valkey: EmbeddedValkey, short_folder: Path) -> Iterator[House]:
    (short_folder / "data").mkdir()
    data = DataFolder(short_folder / "data").fill()
    data.publish(shop.bundle("v1"))
    data.promote("v1")
    server = Server.ready(
        data,
        RECSYS_REDIS_URL=own_valkey.address.url,
        RECSYS_READ_TIMEOUT_MS="300",
        RECSYS_WRITE_TIMEOUT_MS="300",
        RECSYS_APPLY_INTERVAL_S=NEVER_S,
    )
    with server.client(channels=MANY_CHANNELS) as client:
        yield House(server, own_valkey, client)
    server.end()


def whole(house: House) -> bool:
    """Return whether every worker reads the store again."""
    return all(one.degraded != "STATE_UNAVAILABLE" for one in house.answers("anybody"))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("harm", [hang, die])
def test_refusal_while_redis_is_away_holds_when_that_comes_back_and_others_are_known(
    house: House, harm: Callable[[EmbeddedValkey], Callable[[], None]]
) -> None:
    house.client.write_events([event(EventType.PURCHASE, "coffee", one) for one in ("emil", "fay")])
    before = house.answers("emil")
    mend = harm(house.valkey)

    house.refuse("emil")
    mend()
    at_once = house.answers("emil")
    wait_until(lambda: whole(house), "a store that is read")
    emil, fay = house.answers("emil"), house.answers("fay")

    assert all(one.personalised and one.item_ids[0] == "milk" for one in before)
    assert not any(one.personalised for one in (*at_once, *emil))
    assert {one.degraded for one in emil} == {"STATE_BEHIND"}
    assert {(one.personalised, one.degraded) for one in fay} == {(True, "")}


@pytest.mark.timeout(300)
def test_refusal_holds_though_redis_comes_back_without_anything(house: House) -> None:
    house.client.write_events([event(EventType.PURCHASE, "coffee", "emil")])
    house.refuse("emil")

    die_and_forget(house.valkey)()
    answers = house.answers("emil")
    wait_until(lambda: whole(house), "a store that is read")

    assert not any(one.personalised for one in (*answers, *house.answers("emil")))


@pytest.mark.timeout(300)
def test_refusal_holds_though_redis_comes_back_as_it_was_before(
    house: House, short_folder: Path
) -> None:
    house.client.write_events([event(EventType.PURCHASE, "coffee", one) for one in ("emil", "fay")])
    files, older = house.valkey.folder / "appendonlydir", short_folder / "older"
    house.valkey.kill()
    shutil.copytree(files, older)
    EmbeddedValkey.start_or_adopt(house.valkey.folder.parent)
    wait_until(lambda: whole(house), "a store that is read")
    house.refuse("emil")
    refused = house.answers("emil")

    house.valkey.kill()
    shutil.rmtree(files)
    shutil.copytree(older, files)
    EmbeddedValkey.start_or_adopt(house.valkey.folder.parent)
    wait_until(lambda: whole(house), "a store that is read")
    emil, fay = house.answers("emil"), house.answers("fay")

    assert {(one.personalised, one.degraded) for one in refused} == {(False, "")}
    assert {(one.personalised, one.degraded) for one in emil} == {(False, "STATE_BEHIND")}
    assert {(one.personalised, one.degraded) for one in fay} == {(True, "")}
