"""Why, and why not, through a real server with a language of its own."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from recsys.customers import ConsentChange, ConsentStatement, Identifier, IdKind, Purpose
from recsys.errors import InvalidInput, NotFound
from recsys.events import EventType
from recsys.why.explanation import FindingCode
from serving.client import Slot
from serving.clock import utc_now
from tests import shop
from tests.e2e.running import DataFolder, Server, event, wait_until


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    path = Path(tempfile.mkdtemp(prefix="rs-"))
    data = DataFolder(path).fill()
    data.publish(shop.bundle("v1"))
    data.promote("v1")
    languages = path / "languages"
    languages.mkdir()
    (languages / "sv.toml").write_text('[reasons]\npopular = "Populärt just nu"\n', "utf-8")
    server = Server.ready(data, RECSYS_LANGUAGES_FOLDER=str(languages), RECSYS_LANGUAGE="da")
    yield server
    server.end()
    shutil.rmtree(path)


def test_listed_item_is_explained_as_the_list_gives_it(server: Server) -> None:
    with server.client() as client:
        client.write_events([event(EventType.PURCHASE, "coffee", "anna")])
        answer = client.recommend("home", user_id="anna", language="en")
        first = answer.items[0]
        found = client.explain("home", first.item_id, user_id="anna", language="en")

    assert (found.cause, found.position) == (FindingCode.LISTED, 1)
    assert found.reason == first.reason
    assert first.reason.anchors == ("coffee",)
    assert found.ranking is not None
    assert found.ranking.contributions == first.reason.contributions
    assert found.findings[-1].text == "The item stands at place 1 of the list"


def test_item_that_is_missing_is_explained_by_what_keeps_it_out(server: Server) -> None:
    with server.client() as client:
        client.write_events([event(EventType.PURCHASE, "coffee", "bo")])
        bought = client.explain("home", "coffee", user_id="bo", language="en")
        gone = client.explain("home", "cake", user_id="bo", language="en")
        dear = client.explain("home", "tea", user_id="bo", filter="price < 5")
        deep = client.explain("home", "tea", user_id="bo", limit=1)
        unknown = client.explain("home", "caviar", user_id="bo")

    assert (bought.cause, bought.refusals[0].filter) == (FindingCode.REFUSED, "not_purchased")
    assert gone.cause is FindingCode.NOT_AVAILABLE
    assert dear.findings[0].text == "Varen opfylder ikke price < 5: price er 9"
    assert deep.cause is FindingCode.OUTRANKED
    assert unknown.cause is FindingCode.UNKNOWN_ITEM


def test_customer_who_refuses_is_explained_the_page_alone(server: Server) -> None:
    who = Identifier(IdKind.USER, "cleo")
    refused = ConsentStatement(Purpose.PERSONALISE, granted=False, time=utc_now())
    with server.client() as client:
        client.write_events([event(EventType.PURCHASE, "coffee", "cleo")])
        client.set_consents([ConsentChange(who, refused)])
        found = client.explain("home", "milk", user_id="cleo")

    assert (found.personalised, found.findings[0].code) == (False, FindingCode.UNPERSONALISED)


def test_sentences_are_in_the_language_asked_for_else_in_that_of_the_setting(
    server: Server,
) -> None:
    with server.client() as client:
        texts = [
            client.recommend("home", user_id="dora", language=tag).items[0].reason.text
            for tag in ("sv-FI", "en", "", "fi")
        ]

    danish = "Populær blandt andre kunder lige nu"
    assert texts == ["Populärt just nu", "Popular with other customers right now", danish, danish]


def test_chosen_fields_come_with_every_item_of_a_page(server: Server) -> None:
    with server.client() as client:
        found = client.recommend_page([Slot("home")], item_fields=["price", "category"])

    first = found["home"].items[0]
    assert {one.name: one.value for one in first.fields} == {"price": 1.0, "category": "Bakery"}


def test_request_that_is_only_checked_is_answered_with_what_it_would_use(server: Server) -> None:
    with server.client() as client:
        answer = client.recommend("home", user_id="anna", filter="price < 5", validate_only=True)
        pages = client.recommend_page([Slot("home", "top"), Slot("email")], validate_only=True)
        with pytest.raises(InvalidInput, match="prise"):
            client.recommend("home", filter="prise < 5", validate_only=True)
        with pytest.raises(NotFound):
            client.recommend_page([Slot("nowhere")], validate_only=True)

    assert (answer.items, answer.placement, answer.bundle_version) == ((), "home", "v1")
    assert answer.attribution_token == ""
    assert [(one.placement, one.items) for one in pages] == [("home", ()), ("email", ())]


def test_command_says_why_in_words_and_as_data(server: Server) -> None:
    words = ("--item", "cake", "--user", "eve", "--language", "en", "--address", server.address)

    said = server.data.recsys("explain", *words)
    data = server.data.recsys("explain", *words, "--json")

    assert said.returncode == data.returncode == 0, said.stderr + data.stderr
    assert "cake in home (popular): not in the list, not_available" in said.stdout
    assert "- The item is marked as not available" in said.stdout
    assert json.loads(data.stdout)["cause"] == "not_available"


def test_command_shows_what_each_source_adds(server: Server) -> None:
    words = ("--item", "bread", "--user", "fred", "--language", "en")

    said = server.data.recsys("explain", *words, "--address", server.address)

    assert "at place 1, listed" in said.stdout
    assert "Popular with other customers right now" in said.stdout
    assert "100%" in said.stdout


def test_server_with_a_fault_in_a_language_does_not_start_and_names_the_key(tmp_path: Path) -> None:
    (tmp_path / "sv.toml").write_text('[reasons]\nnew = "Nytt, {where}"\n', "utf-8")
    data = DataFolder(Path(tempfile.mkdtemp(prefix="rs-"))).fill()

    server = Server.start(data, RECSYS_LANGUAGES_FOLDER=str(tmp_path))

    assert server.process.wait(60) == 1
    wait_until(lambda: bool(server.lines), "the reason is said")
    server.end()
    said = "".join(str(line) for line in server.lines)
    assert "sv.toml: reasons.new" in said
    assert not server.said("worker cannot serve")
    shutil.rmtree(data.path)
