"""The search finds what is planted in every store, and is not believed where it is blind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recsys.customers import Identifier, IdKind
from recsys.errors import Unavailable
from serving.erasure import job, places_found
from serving.erasure.plants import Plant, check_search, every_plant
from serving.erasure.search import search_files
from serving.erasure.sought import Certainty, Sought
from serving.lake import erasing, searching
from serving.log.erasing import LogErasing
from serving.state.keys import StateKeys
from serving.state.searching import live_places
from tests.serving.erasure.shops import ANNA, ANNAS_BROWSER, HERS, SECRET, Shop, of_anna

KEYS = StateKeys(SECRET, "search:")
PLANTS = every_plant()


def nothing(*_: Any, **__: Any) -> Iterator[Any]:
    return iter(())


def found_in(folder: Path, identifier: Identifier, keys: StateKeys = KEYS) -> dict[str, int]:
    """Return how many certain places each store has."""
    sought = Sought.of(identifier, keys)
    may = [folder / "erasures"]
    searched = search_files(folder, sought, may_hold_hash=may, told=lambda *_: None)
    return {one.store: len(one.certain) for one in searched}


@pytest.mark.parametrize("plant", PLANTS, ids=lambda one: one.name)
def test_plant_is_found(plant: Plant, tmp_path: Path) -> None:
    assert check_search(tmp_path / "plants", KEYS, [plant]) == 1
    assert list((tmp_path / "plants").iterdir()) == []


@pytest.mark.parametrize(
    ("module", "search", "blind_to"),
    [
        (places_found, "_in_stream", "raw"),
        (places_found, "_in_stream", "packed"),
        (places_found, "cells", "cell"),
        (places_found, "_fields", "field"),
        (searching, "_in_array", "column"),
        (searching, "_bounds", "statistics"),
    ],
)
def test_blind_search_is_not_believed(
    module: Any, search: str, blind_to: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, search, nothing)

    for plant in (one for one in PLANTS if one.how == blind_to):
        with pytest.raises(Unavailable, match="does not find"):
            check_search(tmp_path / "plants", KEYS, [plant])


def test_search_that_cuts_chunks_apart_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Sought, "longest", 1)
    plants = [one for one in PLANTS if "chunks" in one.name]

    with pytest.raises(Unavailable, match="two chunks"):
        check_search(tmp_path / "plants", KEYS, plants)


async def test_customer_is_found_in_each_store_before_and_nowhere_after(shop: Shop) -> None:
    stores = {"log", "lake", "rejects", "campaigns"}
    before = found_in(shop.folder, ANNA, shop.keys)
    assert {store for store, count in before.items() if count} == stores
    live = await live_places(shop.store, shop.keys, Sought.of(ANNA, shop.keys).hashed)
    assert len(live) == 3  # state, profile, and her browser's profile

    await shop.erase(*HERS)

    for one in HERS:
        assert sum(found_in(shop.folder, one, shop.keys).values()) == 0, one
        assert not await live_places(shop.store, shop.keys, Sought.of(one, shop.keys).hashed)


async def test_id_of_another_kind_is_another_customer(shop: Shop) -> None:
    session = Sought.of(Identifier(IdKind.SESSION, ANNA.value), shop.keys)
    searched = search_files(shop.folder, session, may_hold_hash=[], told=lambda *_: None)

    found = [one.where for stores in searched for one in stores.certain if stores.store == "lake"]
    assert found
    assert all(where.startswith("raw") for where in found)  # bytes do not say what they name


def test_short_id_is_certain_where_its_field_says_so(tmp_path: Path) -> None:
    (tmp_path / "rejects").mkdir()
    (tmp_path / "rejects" / "a.jsonl").write_text('{"item_id": "7", "quantity": 7, "line": 7}\n')
    assert found_in(tmp_path, Identifier(IdKind.USER, "7")) == {"rejects": 0}

    (tmp_path / "rejects" / "b.jsonl").write_text('{"user_id": "7"}\n')

    assert found_in(tmp_path, Identifier(IdKind.USER, "7"))["rejects"] > 0
    assert found_in(tmp_path, Identifier(IdKind.VISITOR, "7"))["rejects"] == 0


@pytest.mark.parametrize(
    ("content", "certainty"),
    [
        (b"customer-1", Certainty.CERTAIN),
        (b"x customer-1\n", Certainty.CERTAIN),
        (b"customer-12", Certainty.NOT),
        (b"customer-1s", Certainty.PERHAPS),
        (b"the-customer-1", Certainty.PERHAPS),
        (b'"user_id":"customer-1"', Certainty.CERTAIN),
        (b"user:customer-1email", Certainty.CERTAIN),
        (b"user:customer-12", Certainty.NOT),
        (b"customer-2", Certainty.NOT),
    ],
)
def test_longer_word_around_an_id_is_not_certain(content: bytes, certainty: Certainty) -> None:
    assert Sought(Identifier(IdKind.USER, "customer-1")).in_bytes(content) is certainty


@pytest.mark.parametrize(
    ("module", "name", "store"),
    [
        (LogErasing, "records", "log"),
        (LogErasing, "rejected", "log"),
        (LogErasing, "registers", "log"),
        (LogErasing, "settle", "log"),
        (erasing, "_erase_from", "lake"),
        (job, "files_of_lines", "rejects"),
        (job, "files_of_lines", "campaigns"),
    ],
)
async def test_search_finds_what_a_defect_leaves_behind(
    module: Any, name: str, store: str, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, name, nothing)

    await shop.erase(*HERS)

    found = {one: found_in(shop.folder, one, shop.keys)[store] for one in HERS}
    assert max(found.values()) > 0


async def test_file_that_cannot_be_read_is_not_clean(shop: Shop, tmp_path: Path) -> None:
    shop.take_in(of_anna("x"))
    (shop.folder / "lake" / "torn.parquet").write_bytes(b"PAR1 and no more")

    with pytest.raises(Unavailable, match=r"torn\.parquet"):
        found_in(shop.folder, ANNAS_BROWSER, shop.keys)
