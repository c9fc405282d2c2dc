from __future__ import annotations

import multiprocessing
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recsys.customers import IdKind
from recsys.errors import InvalidInput, Unavailable
from recsys.events import Event, EventType
from recsys.ids import ItemId
from recsys.query import Query
from serving.state.keys import Secret, StateKeys

NOW = datetime(2025, 1, 1, tzinfo=UTC)
KEYS = StateKeys(Secret(bytes(32)), "shop:")


def test_a_secret_is_made_once_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "data" / "secret"

    first = Secret.load_or_create(path)
    second = Secret.load_or_create(path)

    assert first == second
    assert first != Secret.load_or_create(tmp_path / "other")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["secret"]


def test_processes_that_race_for_the_secret_share_one(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")

    with context.Pool(4) as pool:
        values = pool.map(_secret_value, [tmp_path / "secret"] * 16, chunksize=1)

    assert len(set(values)) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["secret"]


def _secret_value(path: Path) -> bytes:
    return Secret.load_or_create(path).value


def test_a_damaged_secret_is_refused_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"short")

    with pytest.raises(Unavailable, match="5 bytes, wanted 32") as raised:
        Secret.load_or_create(path)

    assert raised.value.reason == "SECRET_DAMAGED"
    assert path.read_bytes() == b"short"


def test_a_secret_under_a_file_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"")

    with pytest.raises(Unavailable):
        Secret.load_or_create(tmp_path / "data" / "secret")


def test_a_secret_shows_in_no_repr() -> None:
    secret = Secret(b"k" * 32)

    assert "kkk" not in repr(secret) + repr(StateKeys(secret))


def test_a_key_hides_the_id_and_is_one_hash_tag() -> None:
    key = KEYS.customer(IdKind.USER, "anna@example.org")

    assert "anna" not in key
    assert key.startswith("shop:3:{")
    assert key.endswith("}")
    assert len(key) == len("shop:3:{}") + 32


def test_keys_differ_by_kind_by_id_and_by_secret() -> None:
    other = StateKeys(Secret(b"x" * 32), "shop:")

    keys = {
        KEYS.customer(IdKind.USER, "a"),
        KEYS.customer(IdKind.VISITOR, "a"),
        KEYS.customer(IdKind.USER, "b"),
        other.customer(IdKind.USER, "a"),
    }

    assert len(keys) == 4


@pytest.mark.parametrize("prefix", ["a{b", "}", "line\n"])
def test_a_prefix_that_breaks_the_hash_tag_is_refused(prefix: str) -> None:
    with pytest.raises(InvalidInput, match="redis_key_prefix"):
        StateKeys(Secret(bytes(32)), prefix)


@pytest.mark.parametrize(
    ("user_id", "visitor_id", "kind", "wanted"),
    [
        ("u", "v", IdKind.USER, "u"),
        ("", "v", IdKind.VISITOR, "v"),
        ("", "", IdKind.SESSION, "s"),
    ],
)
def test_an_event_is_applied_under_its_most_durable_id(
    user_id: str, visitor_id: str, kind: IdKind, wanted: str
) -> None:
    event = Event("e", EventType.CLICK, NOW, ItemId("i"), user_id, visitor_id, "s")

    key = KEYS.of_event(event)

    assert key == KEYS.customer(kind, wanted)


def test_a_query_reads_every_id_it_gives() -> None:
    keys = KEYS.of_query(Query("home", NOW, user_id="u", session_id="s"))

    assert keys == (KEYS.customer(IdKind.USER, "u"), KEYS.customer(IdKind.SESSION, "s"))
    assert KEYS.of_query(Query("home", NOW)) == ()
