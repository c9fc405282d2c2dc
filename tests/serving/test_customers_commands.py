"""`recsys customers`, as a person calls it, against a real servicer, log and store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner, Result

from recsys.customers import Identifier, IdKind
from recsys.errors import InvalidInput, RecsysError, Unavailable
from recsys.events import Event, EventType
from recsys.ids import ItemId
from recsys.items import Item
from serving.cli import app
from serving.client import Client
from serving.clock import utc_now
from serving.customers_commands import STATEMENTS_A_CALL
from serving.port import held_port
from serving.state.embedded import EmbeddedValkey
from tests.serving.desk import Desk, opened

COMMANDS = ("get", "link", "unlink", "attributes", "consent")
EVIL = "\x1b]0;evil\x07\u202e"


@pytest.fixture
async def desk(valkey: EmbeddedValkey, tmp_path: Path) -> AsyncIterator[Desk]:
    async with opened(valkey, tmp_path) as one:
        yield one


async def told(desk: Desk, *words: str) -> Result:
    words = ("customers", *words, "--address", desk.address)
    return await asyncio.to_thread(CliRunner(env={"COLUMNS": "120"}).invoke, app, list(words))


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_shows_how_to_call_it(command: str) -> None:
    shown = CliRunner().invoke(app, ["customers", command, "--help"])

    assert shown.exit_code == 0
    assert f"Example: recsys customers {command}" in shown.output


def test_without_a_server_the_next_step_is_said() -> None:
    with held_port("127.0.0.1", 0) as port:
        words = ["customers", "get", "42", "--address", f"127.0.0.1:{port}"]
        called = CliRunner().invoke(app, words)

    assert isinstance(called.exception, Unavailable)
    assert "recsys serve" in str(called.exception)


async def test_page_tells_ids_consents_history_and_what_was_done(desk: Desk) -> None:
    time = utc_now() - timedelta(hours=1)
    await desk.describe(Item(ItemId("tea"), title="Green tea"))
    await desk.did(
        Event("e1", EventType.PURCHASE, time, ItemId("tea"), user_id="42", quantity=3.0),
        Event("e2", EventType.EMAIL_CLICKED, time, ItemId("tea"), user_id="42"),
    )
    await told(desk, "link", "user:42", "visitor:7f3a")
    await told(desk, "attributes", "42", "tier=gold")
    await told(desk, "consent", "email", "granted", "42", "--basis", "form of March")

    page = (await told(desk, "get", "7f3a", "--kind", "visitor")).output

    lines = [" ".join(line.split()) for line in page.splitlines()]
    assert lines[:3] == ["user 42", "visitor 7f3a", "tier = gold"]
    assert f"{time:%Y-%m-%d %H:%M:%S} Green tea tea 3" in lines
    assert f"{time:%Y-%m-%d %H:%M:%S} clicked Green tea tea" in lines
    assert "personalise yes by default: nothing was said" in lines
    assert [line for line in lines if line.endswith("email granted form of March")]


async def test_page_in_json_is_all_that_the_client_is_told(desk: Desk) -> None:
    await told(desk, "link", "user:42", "card:4711")

    shown = await told(desk, "get", "42", "--json")

    document = orjson.loads(shown.output)
    assert document["identifiers"] == [
        {"kind": "card", "value": "4711"}, {"kind": "user", "value": "42"},
    ]  # fmt: skip
    assert [one["granted"] for one in document["consents"]] == [True, True, False]


@pytest.mark.parametrize("form", [[], ["--json"]])
async def test_terminal_gets_nothing_to_obey(desk: Desk, form: list[str]) -> None:
    await desk.describe(Item(ItemId("tea"), title=f"tea{EVIL}"))
    await desk.did(Event("e1", EventType.PURCHASE, utc_now(), ItemId("tea"), user_id="42"))

    shown = await told(desk, "get", "42", *form)

    assert "evil" in shown.output
    assert [line for line in shown.output.splitlines() if not line.isprintable()] == []


async def test_unlinked_device_is_another_customers(desk: Desk) -> None:
    linked = await told(desk, "link", "user:42", "device:till-3")
    again = await told(desk, "link", "device:till-3", "user:42")
    gone = await told(desk, "unlink", "device:till-3", "user:42")
    none = await told(desk, "unlink", "device:till-3", "user:42")

    said = [one.output.partition(";")[0] for one in (linked, again, gone, none)]
    assert said == ["linked", "linked already", "unlinked", "no such link"]


@pytest.mark.parametrize("end", ["42", "person:42", "email:no-hash", "user:"])
async def test_end_of_a_link_that_names_nobody_is_refused(desk: Desk, end: str) -> None:
    shown = await told(desk, "link", "user:42", end)

    assert isinstance(shown.exception, InvalidInput)
    assert shown.exception.field.startswith("KIND:VALUE")


async def test_link_of_an_id_with_itself_is_refused_with_the_servers_words(desk: Desk) -> None:
    shown = await told(desk, "link", "user:42", "user:42")

    assert isinstance(shown.exception, RecsysError)
    assert "another identifier than `one`" in str(shown.exception)


async def test_address_of_an_e_mail_stands_for_its_hash_which_alone_is_kept(desk: Desk) -> None:
    await told(desk, "link", "user:42", "email:Anna@Example.org")

    shown = await told(desk, "get", "anna@example.org", "--kind", "email")

    assert "user     42" in shown.output
    assert "@" not in shown.output


async def test_attribute_without_a_value_is_taken_away(desk: Desk) -> None:
    await told(desk, "attributes", "42", "tier=gold", "city=Ulm=Donau")
    await told(desk, "attributes", "42", "tier=")

    shown = (await told(desk, "get", "42")).output

    assert "city = Ulm=Donau" in shown
    assert "tier" not in shown


async def test_property_without_a_sign_is_refused(desk: Desk) -> None:
    shown = await told(desk, "attributes", "42", "gold")

    assert isinstance(shown.exception, InvalidInput)
    assert shown.exception.field == "NAME=VALUE"


async def test_consent_of_a_whole_file_goes_in_many_calls(desk: Desk, tmp_path: Path) -> None:
    users = [f"u{number}" for number in range(2 * STATEMENTS_A_CALL + 5)]
    file = tmp_path / "agreed.txt"
    file.write_text("\n".join([*users, "", users[0]]))

    shown = await told(desk, "consent", "email", "granted", "--users", str(file))

    async with Client(desk.address, timeout_ms=10_000) as client:
        last = await client.get_customer(Identifier(IdKind.USER, users[-1]))
    assert shown.output.startswith("recorded 2,005 of 2,005")
    assert last.consents[-1].granted


@pytest.mark.parametrize("words", [(), ("42", "--users", "f.txt")])
async def test_consent_wants_either_an_id_or_a_file(desk: Desk, words: tuple[str, ...]) -> None:
    shown = await told(desk, "consent", "email", "refused", *words)

    assert isinstance(shown.exception, InvalidInput)
    assert "--users" in str(shown.exception)


async def test_line_of_a_file_that_is_no_id_is_named(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "agreed.txt"
    file.write_text("anna\n" + "x" * 200)

    shown = await told(desk, "consent", "email", "granted", "--users", str(file))

    assert isinstance(shown.exception, InvalidInput)
    assert shown.exception.field == f"{file}:2"
