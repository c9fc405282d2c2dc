"""A real supervisor with two workers, an embedded Valkey and bundles of the tiny shop."""

from __future__ import annotations

import csv
import os
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event as Flag

import pytest

from recsys.customers import ConsentChange, ConsentStatement, Identifier, IdKind, Purpose
from recsys.errors import InvalidInput, NotFound
from recsys.events import EventType
from recsys.query import Tier
from serving.attribution import AttributionToken
from serving.client import Slot
from serving.clock import utc_now
from tests import shop
from tests.e2e.running import Server, alive, event, wait_until

NEVER_MAPPED = ("pandas", "pyarrow", "deltalake", "duckdb", "implicit", "lightgbm", "sklearn")


def served_everywhere(server: Server) -> set[str]:
    """Return the versions that many connections, and so all workers, are answered from."""
    with server.client(channels=12) as client:
        return {client.recommend("home").bundle_version for _ in range(12)}


@contextmanager
def under_load(server: Server) -> Iterator[list[str]]:
    """Ask without pause while the block runs; give the versions that answered."""
    done, answered = Flag(), []

    def ask() -> None:
        with server.client() as client:
            while not done.is_set():
                answered.append(client.recommend("home", user_id="load").bundle_version)

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask) for _ in range(4)]
        try:
            yield answered
        finally:
            done.set()
    for one in asking:
        one.result()  # raises what any call raised


def test_stranger_is_answered_with_what_is_popular(server: Server) -> None:
    with server.client() as client:
        answer = client.recommend("home", user_id="stranger")

    assert answer.item_ids == shop.ITEMS[:4]
    assert (answer.tier, answer.bundle_version, answer.degraded) == (Tier.POPULAR, "v1", "")
    assert AttributionToken.decode(answer.attribution_token).placement == "home"


def test_event_through_one_connection_counts_through_every_other(server: Server) -> None:
    with server.client() as client:
        written = client.write_events([event(EventType.PURCHASE, "coffee", "anna")])

    with server.client(channels=12) as client:
        answers = [client.recommend("home", user_id="anna") for _ in range(12)]
    assert written.accepted == 1
    assert {answer.item_ids[0] for answer in answers} == {"milk"}
    assert all("coffee" not in answer.item_ids for answer in answers)


def test_hidden_item_is_shown_no_more(server: Server) -> None:
    with server.client() as client:
        client.write_events([event(EventType.HIDE, "bread", "ben")])
        answer = client.recommend("home", user_id="ben", limit=9)

    assert answer.item_ids == ("butter", "jam", "coffee", "milk", "sugar", "soap", "sponge", "tea")


def test_page_fills_every_slot_and_repeats_nothing_whichever_worker_answers(server: Server) -> None:
    slots = [Slot("email", "top", 3), Slot("home", "for you", 3), Slot("product", "with it")]
    with server.client(channels=12) as client:
        client.write_events([event(EventType.PURCHASE, "coffee", "paula")])
        pages = [
            client.recommend_page(slots, user_id="paula", seeds=["bread"], cart=["jam"])
            for _ in range(12)
        ]

    for page in pages:
        shown = [item for one in page for item in one.item_ids]
        assert page["top"].item_ids[0] == "milk"
        assert len(shown) == len(set(shown))
        assert not {"bread", "jam", shop.SOLD_OUT} & set(page["with it"].item_ids)
        assert [one.fill.wanted for one in page if one.fill] == [3, 3, 3]


def test_relevance_asked_for_makes_a_list_shorter_and_its_report_says_so(server: Server) -> None:
    slots = [Slot("home", "best", min_relevance=1.0), Slot("home", "others")]
    with server.client() as client:
        page = client.recommend_page(slots, user_id="stranger")

    best, others = page
    assert best.item_ids == shop.ITEMS[:1]
    assert (best.items[0].propensity, len(others.items)) == (1.0, 4)
    assert best.fill is not None
    assert (best.fill.returned, best.fill.irrelevant) == (1, best.fill.eligible - 1)


def test_broken_slot_is_named_by_its_path(server: Server) -> None:
    with server.client() as client, pytest.raises(InvalidInput) as caught:
        client.recommend_page([Slot("home"), Slot("home", limit=-1)])

    assert caught.value.field == "slots[1].page_size"


def test_unknown_placement_is_refused_with_those_that_exist(server: Server) -> None:
    with server.client() as client, pytest.raises(NotFound, match="email, home, product") as caught:
        client.recommend("checkout")

    assert caught.value.reason == "UNKNOWN_PLACEMENT"


def test_bad_field_is_refused_by_name(server: Server) -> None:
    with server.client() as client, pytest.raises(InvalidInput, match="page_size"):
        client.recommend("home", limit=-1)


def test_worker_has_loaded_no_training_stack_and_no_dataframes(server: Server) -> None:
    mapped = [Path(f"/proc/{pid}/maps").read_text() for pid in server.workers]

    found = {name for name in NEVER_MAPPED for text in mapped if re.search(rf"/{name}[/.]", text)}
    assert len(mapped) == 2
    assert all("faiss" in text for text in mapped)
    assert found == set()


def test_releases_change_and_roll_back_under_load_without_a_failed_request(server: Server) -> None:
    server.data.publish(shop.bundle("v2"))

    with under_load(server) as answered:
        server.data.promote("v2")
        wait_until(lambda: served_everywhere(server) == {"v2"}, "v2 is served")
        server.data.promote("v1")
        wait_until(lambda: served_everywhere(server) == {"v1"}, "v1 is served again")

    assert set(answered) == {"v1", "v2"}


def test_corrupt_release_is_refused_once_and_the_old_one_served_on(server: Server) -> None:
    server.data.publish(shop.bundle("v3"))
    (server.data.releases / "v3" / "prices.npy").write_bytes(b"not what was published")

    try:
        server.data.promote("v3")
        wait_until(lambda: len(server.said("release refused")) == 2, "both workers refuse v3")
        assert served_everywhere(server) == {"v1"}
    finally:
        server.data.promote("v1")
    assert [line["reason"] for line in server.said("release refused")] == ["CORRUPT_BUNDLE"] * 2


def test_picks_are_written_beside_a_running_server(server: Server) -> None:
    out, ids = server.data.path / "picks.csv", server.data.path / "ids.txt"
    ids.write_text("cara\nnobody\n")
    agreed = ConsentStatement(Purpose.EMAIL, granted=True, time=utc_now())
    with server.client() as client:
        client.set_consents(
            [ConsentChange(Identifier(IdKind.USER, one), agreed) for one in ("cara", "nobody")]
        )
        client.write_events([event(EventType.PURCHASE, "soap", "cara")])

    done = server.data.recsys(
        "picks", "--placement", "email", "--out", str(out), "--users", str(ids)
    )

    assert done.returncode == 0, done.stderr
    with out.open(encoding="utf-8") as file:
        rows = {row["user_id"]: row for row in csv.DictReader(file)}
    assert rows["cara"]["rec_1_id"] == "sponge"
    assert rows["cara"]["rec_1_price"] == "8.00"
    assert rows["nobody"]["rec_1_title"] == "Bread"


def test_dead_worker_is_replaced(server: Server) -> None:
    before = set(server.workers)
    dead = next(iter(before))

    os.kill(dead, signal.SIGKILL)

    wait_until(lambda: len(set(server.workers) - before) == 1, "another worker")
    wait_until(lambda: served_everywhere(server) == {"v1"}, "answers through all")
    assert dead not in server.workers
    assert len(server.workers) == len(before)


def test_store_outage_degrades_answers_and_loses_no_event(server: Server) -> None:
    os.kill(server.valkey, signal.SIGSTOP)
    with server.client() as client:
        answer = client.recommend("home", user_id="dora")
        written = client.write_events([event(EventType.PURCHASE, "coffee", "dora")])
    os.kill(server.valkey, signal.SIGKILL)

    with server.client() as client:
        wait_until(lambda: client.recommend("home", user_id="dora").item_ids[0] == "milk", "it")
    assert (answer.degraded, answer.item_ids) == ("STATE_UNAVAILABLE", shop.ITEMS[:4])
    assert written.accepted == 1


def test_state_that_was_wiped_is_made_again_from_lake_and_log(server: Server) -> None:
    with server.client() as client:
        client.write_events([event(EventType.PURCHASE, "coffee", "emil")])
    wait_until(lambda: (server.data.path / "lake" / "events" / "_delta_log").exists(), "a lake")

    os.kill(server.valkey, signal.SIGKILL)
    for file in (server.data.path / "valkey" / "appendonlydir").iterdir():
        file.unlink()

    with server.client() as client:
        said = [client.recommend("home", user_id="emil").degraded]
        wait_until(lambda: not client.recommend("home", user_id="emil").degraded, "all of it")
        answer = client.recommend("home", user_id="emil")
    assert said[0] in ("STATE_UNAVAILABLE", "STATE_BEHIND")
    assert (answer.item_ids[0], answer.tier) == ("milk", Tier.PERSONAL)


def test_taken_port_is_named_with_what_to_do(server: Server, tmp_path: Path) -> None:
    port = server.address.rpartition(":")[2]

    done = server.data.recsys("serve", RECSYS_PORT=port, RECSYS_DATA_FOLDER=str(tmp_path))

    assert done.returncode == 1
    assert f"port {port} on 127.0.0.1 is taken" in done.stderr
    assert "--port" in done.stderr


def test_second_server_on_one_data_folder_is_refused(server: Server) -> None:
    done = server.data.recsys("serve")

    assert done.returncode == 1
    assert f"in use by process {server.process.pid}" in done.stderr


def test_interrupted_server_leaves_no_process_behind(server: Server) -> None:
    processes = [*server.workers, server.valkey]

    status = server.stop()

    assert status == 0
    assert [pid for pid in processes if alive(pid)] == []
