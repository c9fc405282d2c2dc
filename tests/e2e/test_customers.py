"""Customers through the real service: linked, asked, refused, and erased."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any, Unpack

import pytest

from recsys.customers import ConsentChange, ConsentStatement, Identifier, IdKind, Purpose
from recsys.errors import RecsysError, Unavailable
from recsys.events import EventType
from recsys.query import Recommendation, Tier
from serving.api.client_codec import Asker
from serving.api.erasure_client_codec import Erasure
from serving.client import RecsysClient
from serving.clock import utc_now
from serving.erasure.receipts import MODELS, STATE
from serving.state.embedded import EmbeddedValkey
from tests.e2e.running import DataFolder, Server, alive, children_of, event, wait_until

MANY_CHANNELS = 12


@pytest.fixture
def client(server: Server) -> Iterator[RecsysClient]:
    with server.client(channels=MANY_CHANNELS) as client:
        yield client


def answers(client: RecsysClient, **asked: Unpack[Asker]) -> list[Recommendation]:
    return [client.recommend("home", limit=9, **asked) for _ in range(MANY_CHANNELS)]


def user(name: str) -> Identifier:
    return Identifier(IdKind.USER, name)


def test_visitor_who_signs_in_is_the_customer_at_once_and_may_be_parted(
    client: RecsysClient,
) -> None:
    visitor = Identifier(IdKind.VISITOR, "browser-1")
    client.write_events([event(EventType.PURCHASE, "coffee", "dana")])
    as_stranger = answers(client, visitor_id="browser-1")

    client.link_identifiers([(user("dana"), visitor)])
    linked = answers(client, visitor_id="browser-1")
    client.unlink_identifiers([(user("dana"), visitor)])
    parted = answers(client, visitor_id="browser-1")

    assert {one.item_ids for one in as_stranger} == {one.item_ids for one in parted}
    assert all("coffee" in one.item_ids for one in (*as_stranger, *parted))
    assert not any("coffee" in one.item_ids for one in linked)
    assert {one.tier for one in linked} == {Tier.PERSONAL}


def test_customer_who_refuses_is_not_profiled_by_any_worker_until_they_agree(
    client: RecsysClient,
) -> None:
    client.write_events([event(EventType.PURCHASE, "coffee", "emil")])
    before = answers(client, user_id="emil")

    client.set_consents([said("emil", granted=False)])
    refused = answers(client, user_id="emil")
    client.set_consents([said("emil", granted=True)])
    agreed = answers(client, user_id="emil")

    assert all(one.personalised and "coffee" not in one.item_ids for one in (*before, *agreed))
    assert {(one.personalised, one.tier) for one in refused} == {(False, Tier.POPULAR)}
    assert all(len(one.items) == 9 for one in refused)


def said(name: str, *, granted: bool) -> ConsentChange:
    return ConsentChange(user(name), ConsentStatement(Purpose.PERSONALISE, granted, utc_now()))


def test_customer_is_shown_whole(client: RecsysClient) -> None:
    client.write_events(
        [event(EventType.PURCHASE, "milk", "fay"), event(EventType.ADD_TO_CART, "tea", "fay")]
    )
    client.set_attributes(user("fay"), {"tier": "gold"})

    found = client.get_customer(user("fay"))

    assert dict(found.attributes) == {"tier": "gold"}
    assert [one.item_id for one in found.purchases] == ["milk"]
    assert [one.item_id for one in found.cart] == ["tea"]


def test_erased_customer_is_unknown_at_once_and_found_nowhere(
    server: Server, client: RecsysClient, tmp_path: Path
) -> None:
    name, visitor = "customer-to-be-forgotten", Identifier(IdKind.VISITOR, "browser-of-hers")
    client.write_events([event(EventType.PURCHASE, "coffee", name)])
    client.link_identifiers([(user(name), visitor)])
    exported = server.data.recsys("customers", "export", name, "--out", str(tmp_path / "all.json"))
    found = server.data.recsys("customers", "verify-erasure", name)

    erased = server.data.recsys("customers", "erase", name, "--yes")

    assert exported.returncode == 0, exported.stderr
    assert name in (tmp_path / "all.json").read_text()
    assert found.returncode == 1, found.stdout
    assert erased.returncode == 0, erased.stderr
    assert {one.tier for one in answers(client, user_id=name)} == {Tier.POPULAR}
    for one in (user(name), visitor):
        left = server.data.recsys("customers", "verify-erasure", one.value, "--kind", one.kind)
        assert left.returncode == 0, left.stdout


def test_customer_is_exported_and_erased_by_calls_alone(
    server: Server, client: RecsysClient
) -> None:
    name, visitor = "hannah-who-wants-to-go", Identifier(IdKind.VISITOR, "browser-of-hannah")
    client.write_events([event(EventType.PURCHASE, "coffee", name)])
    client.link_identifiers([(user(name), visitor)])
    client.set_attributes(user(name), {"tier": "gold"})
    before = exported(client, visitor)

    asked = client.erase_customer(visitor)
    at_once = [client.get_customer(one) for one in (user(name), visitor) * MANY_CHANNELS]
    wait_until(lambda: done_but_for_models(client.get_erasure(asked.erasure_id)), "the receipt")

    assert [one["item_id"] for one in before["events"]] == ["coffee"]
    assert [one["purchases"][0]["item_id"] for one in before["states"]] == ["coffee"]
    assert before["attributes"] == {"tier": "gold"}
    assert (asked.identifiers, asked.degraded) == (2, False)
    assert {(len(one.identifiers), one.purchases, one.first_seen) for one in at_once} == {
        (1, (), None)
    }
    assert not any(one.attributes for one in at_once)
    for one in (user(name), visitor):
        after = exported(client, one)
        assert len(after["identifiers"]) == 1
        assert not any(after[part] for part in ("events", "states", "customers", "attributes"))
    removed = {one.store: one.removed for one in client.get_erasure(asked.erasure_id).stores}
    assert removed["log"] + removed["lake"] > 0
    assert client.list_erasures(page_size=1).erasures[0].erasure_id == asked.erasure_id


def exported(client: RecsysClient, identifier: Identifier) -> Any:
    return json.loads(b"".join(client.export_customer(identifier)))


def done_but_for_models(told: Erasure) -> bool:
    return len(told.stores) > 3 and not any(one.left for one in told.stores if one.store != MODELS)


def test_export_that_is_called_off_leaves_no_process_and_no_file(server: Server) -> None:
    caller, before = server.client(), set(server.data.path.iterdir())

    def ask() -> None:
        with suppress(RecsysError):
            list(caller.export_customer(user("ida")))

    asking = Thread(target=ask)
    asking.start()
    wait_until(lambda: exporting(server), "the process that exports")
    caller.close()
    asking.join()

    wait_until(lambda: not exporting(server), "its end")
    wait_until(lambda: set(server.data.path.iterdir()) <= before, "its files to go")
    assert exporting(server) == []
    assert set(server.data.path.iterdir()) <= before


def exporting(server: Server) -> list[int]:
    """Return the processes that make exports for the workers of a server."""
    return [pid for worker in server.workers for pid in children_of(worker) if alive(pid)]


def test_erasure_is_acknowledged_while_redis_is_away_and_done_when_it_is_back(
    data: DataFolder,
) -> None:
    elsewhere = data.path / "elsewhere"
    redis = EmbeddedValkey.start_or_adopt(elsewhere)
    server = Server.ready(data, RECSYS_REDIS_URL=redis.address.url)
    try:
        with server.client() as client:
            client.write_events([event(EventType.PURCHASE, "coffee", "jo")])
            redis.stop()

            asked = client.erase_customer(user("jo"))
            with pytest.raises(Unavailable) as refused:
                exported(client, user("jo"))
            tried = wait_until(lambda: client.get_erasure(asked.erasure_id).stores, "a try")
            EmbeddedValkey.start_or_adopt(elsewhere)
            wait_until(lambda: done_but_for_models(client.get_erasure(asked.erasure_id)), "it")

            assert asked.degraded
            assert refused.value.reason == "STATE_UNAVAILABLE"
            assert [bool(one.left) for one in tried if one.store == STATE] == [True]
            assert client.get_customer(user("jo")).purchases == ()
    finally:
        server.end()
        redis.stop()


def test_customer_who_comes_back_after_an_erasure_is_a_new_one(
    server: Server, client: RecsysClient
) -> None:
    client.write_events([event(EventType.PURCHASE, "coffee", "comes-back")])
    server.data.recsys("customers", "erase", "comes-back", "--yes")
    wait_until(
        lambda: client.write_events([event(EventType.PURCHASE, "soap", "comes-back")]).accepted > 0,
        "a new life",
    )

    found = client.get_customer(user("comes-back"))

    assert {one.item_id for one in found.purchases} == {"soap"}


def test_consents_of_a_file_hold_beside_a_running_server(
    server: Server, client: RecsysClient, tmp_path: Path
) -> None:
    client.write_events([event(EventType.PURCHASE, "coffee", "gus")])
    file = tmp_path / "consents.csv"
    file.write_text("user_id,purpose,granted\ngus,personalise,false\n")

    done = server.data.recsys("import", "consents", str(file))

    assert done.returncode == 0, done.stderr
    wait_until(
        lambda: not any(one.personalised for one in answers(client, user_id="gus")),
        "the refusal of the file to hold",
    )
    assert {one.tier for one in answers(client, user_id="gus")} == {Tier.POPULAR}
