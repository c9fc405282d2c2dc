"""An erasure end to end: nothing of one customer is left, and everything of the others is."""

from __future__ import annotations

import gzip
import os
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from recsys.customers import Identifier
from recsys.erasures import MARK_FILE, ErasureMark
from recsys.errors import Unavailable
from serving.erasure.again import AgainRequest
from serving.log.customer_reads import CustomerReader
from serving.log.database import connect
from serving.log.tail import LogTail
from tests.serving.erasure.shops import (
    ANNA,
    ANNAS_BROWSER,
    BERT,
    HERS,
    NOON,
    Shop,
    event,
    of_anna,
    of_bert,
)


def raw_places(folder: Path, text: str) -> list[str]:
    """Return the files of a folder that hold a text as it is, packed or not."""
    wanted = text.encode()
    found = []
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            if path.suffix == ".gz":
                content += gzip.decompress(content)
            if wanted in content:
                found.append(path.relative_to(folder).as_posix())
    return sorted(found)


async def test_erased_customer_is_nowhere_and_neighbours_are_as_before(shop: Shop) -> None:
    before = [one for one in shop.event_ids() if one[0] != "a" and one != "v1"]
    berts = [one for one in shop.rows("customers") if one["customer_id"] == BERT.value]
    assert await shop.known(ANNA)
    assert raw_places(shop.folder, ANNA.value)

    receipt = await shop.erase(*HERS)

    assert receipt.left == {}
    assert receipt.finished
    assert shop.event_ids() == before
    assert shop.rows("customers") == berts
    for one in HERS:
        assert not await shop.known(one)
        assert raw_places(shop.folder, one.value) == []
    assert await shop.known(BERT)
    assert shop.table("events").column("visitor_id").unique().to_pylist() == [""]


async def test_register_and_quarantine_keep_the_neighbour_alone(shop: Shop) -> None:
    await shop.erase(*HERS)

    reader, tail = CustomerReader(shop.places.log_file), LogTail(shop.places.log_file)
    assert dict(reader.customer_of(BERT).attributes) == {"tier": "iron"}
    assert len(reader.customer_of(BERT).statements) == 1
    for one in HERS:
        found = reader.customer_of(one)
        assert (found.identifiers, found.statements, dict(found.attributes)) == ((one,), (), {})
    assert [BERT.value in one.payload for one in tail.quarantined(10)] == [True]
    reader.close()
    tail.close()


async def test_files_of_lines_lose_her_lines_and_keep_all_others(shop: Shop) -> None:
    await shop.erase(*HERS)

    campaigns, rejects = shop.folder / "campaigns", shop.folder / "rejects"
    assert (campaigns / "picks.csv").read_text() == (
        f'user_id,token,title\n{BERT.value},t,"Rye\nbread"\n'
    )
    assert BERT.value in (campaigns / "picks.jsonl").read_text()
    with gzip.open(rejects / "old.rejects.jsonl.gz", "rt") as lines:
        assert [BERT.value in line for line in lines] == [True]


async def test_receipt_counts_what_went_and_names_nobody(shop: Shop) -> None:
    receipt = await shop.erase(*HERS)

    removed = {one.store: one.removed for one in receipt.stores}
    assert removed["log"] == 2 + 1 + 2 + 1 + 1  # events, quarantine, link (twice), tier, consent
    assert removed["lake"] == 21 + 1 + 1 + 2  # hers, her browser's, one emptied, two customers
    assert removed["rejects"] == 2
    assert removed["campaigns"] == 2
    assert removed["state"] == 3  # her state, two profiles
    text = (shop.places.receipts / f"{receipt.erasure_id}.json").read_text()
    assert not any(one.value in text for one in HERS)


async def test_second_run_does_nothing(shop: Shop) -> None:
    await shop.erase(*HERS)
    told: list[str] = []

    assert await shop.eraser().run(told.append) == []
    assert told == []


async def test_late_events_do_not_come_back_and_new_ones_do(shop: Shop) -> None:
    await shop.erase(*HERS)
    before = shop.event_ids()

    late = shop.take_in(of_anna("late"), of_bert("b-late", visitor_id=ANNAS_BROWSER.value))
    new = shop.take_in(of_anna("new", shop.now + timedelta(seconds=1)))
    shop.drain()

    assert [one.fact.event_id for one in late] == ["b-late"]
    assert [one.fact.event_id for one in new] == ["new"]
    assert shop.event_ids() == sorted([*before, "b-late", "new"])
    assert raw_places(shop.folder, ANNAS_BROWSER.value) == []


def put_back(shop: Shop) -> Path:
    """Put a line of hers back into the rejects, as out of a backup; return its file."""
    path = shop.folder / "rejects" / "back.csv.rejects.jsonl"
    path.write_text(f'{{"row": {{"customer": "{ANNA.value}"}}}}\n')
    return path


async def test_rejects_that_came_back_alone_are_erased_from_when_that_is_asked_for(
    shop: Shop,
) -> None:
    await shop.erase(*HERS)
    back, eraser = put_back(shop), shop.eraser()
    request = AgainRequest(shop.places.receipts)
    unasked = await eraser.run()
    before = back.read_text()
    wish = request.ask()

    (receipt,) = await eraser.run()

    assert (unasked, ANNA.value in before) == ([], True)
    assert back.read_text() == ""
    assert receipt.finished
    assert (request.pending() == wish, request.pending()) == (False, "")
    assert await eraser.run() == []


async def test_newer_wish_is_not_met_by_what_began_before_it(shop: Shop) -> None:
    request = AgainRequest(shop.places.receipts)
    older = request.ask()
    newer = request.ask()

    request.meet(older)

    assert request.pending() == newer


@pytest.mark.parametrize("store", ["log", "lake"])
async def test_log_or_lake_that_came_back_has_everything_erased_again(
    store: str, shop: Shop
) -> None:
    await shop.erase(*HERS)
    back = put_back(shop)
    if store == "log":
        connection = connect(shop.places.log_file)
        connection.execute("DELETE FROM marks WHERE name = 'erased_through'")
        connection.close()
    else:
        (shop.places.lake / MARK_FILE).unlink()

    first = await shop.eraser().run()

    assert [one.finished != "" for one in first] == [True]
    assert back.read_text() == ""
    assert await shop.eraser().run() == []


async def test_shop_without_a_lake_is_not_taken_for_one_that_came_back(shop: Shop) -> None:
    shutil.rmtree(shop.places.lake)
    await shop.erase(*HERS)
    back = put_back(shop)

    await shop.eraser().run()

    assert back.read_text()


async def test_new_customer_of_the_same_id_survives_a_repeated_erasure(shop: Shop) -> None:
    await shop.erase(*HERS)
    records = shop.take_in(of_anna("new", shop.now + timedelta(seconds=1)))
    await shop.store.apply(records)
    shop.drain()

    await shop.eraser().run(again=True)

    assert "new" in shop.event_ids()
    assert await shop.known(ANNA)


async def test_one_identifier_alone_leaves_what_was_linked_with_it(shop: Shop) -> None:
    await shop.erase(ANNAS_BROWSER, alone=True)

    reader = CustomerReader(shop.places.log_file)
    found = reader.customer_of(ANNA)
    reader.close()
    assert found.identifiers == (ANNA,)
    assert found.statements == ()
    assert dict(found.attributes) == {"tier": "gold"}
    assert "a1" in shop.event_ids()
    assert "v1" not in shop.event_ids()
    profile = await shop.store.known([[shop.keys.customer(ANNA.kind, ANNA.value)]])
    assert not profile[0].email  # granted under the browser alone, which is gone


async def test_mark_in_the_lake_tells_training_what_it_read(shop: Shop) -> None:
    read = ErasureMark.read(shop.places.lake)
    assert read.covers(ErasureMark.read(shop.places.lake))

    await shop.erase(*HERS)

    now = ErasureMark.read(shop.places.lake)
    assert not read.covers(now)
    assert now.covers(now)


async def test_damaged_mark_stops_training_and_not_erasing(shop: Shop) -> None:
    (shop.places.lake / "erased.json").write_text("{")
    with pytest.raises(Unavailable):
        ErasureMark.read(shop.places.lake)


async def test_store_away_leaves_the_receipt_open_and_the_rest_done(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> None:
        raise Unavailable("away", reason="STATE_UNAVAILABLE")

    eraser = shop.eraser()
    shop.ask(*HERS)
    with monkeypatch.context() as patched:
        for name in ("done", "forget"):
            patched.setattr(eraser._live.erasing.__class__, name, away)
        (receipt,) = await eraser.run()

    assert set(receipt.left) == {"state"}
    assert not receipt.finished
    assert raw_places(shop.folder, ANNA.value) == []

    (receipt,) = await shop.eraser().run()

    assert receipt.finished
    assert not await shop.known(ANNA)


async def test_number_like_ids_of_others_stay(shop: Shop) -> None:
    shop.take_in(event("seven", user_id="7"), event("other", user_id="8", quantity=7.0))
    shop.drain()

    await shop.erase(Identifier(ANNA.kind, "7"))

    assert "seven" not in shop.event_ids()
    assert "other" in shop.event_ids()
    assert shop.now > NOON


async def test_event_that_was_on_its_way_into_the_store_is_not_remembered(shop: Shop) -> None:
    on_its_way = shop.records_in_log()
    shop.ask(*HERS)

    async def applied_late(work):  # type: ignore[no-untyped-def]
        await shop.store.apply(on_its_way)
        return work()

    await shop.eraser(applied_late).run()

    assert not await shop.known(ANNA)
    assert await shop.known(BERT)


async def test_campaign_that_is_written_meanwhile_keeps_the_receipt_open(shop: Shop) -> None:
    campaigns = shop.folder / "campaigns"
    written = campaigns / f".new.csv.{os.getppid()}.draft"
    stale = campaigns / ".old.csv.99999999.draft"
    for draft in (written, stale):
        draft.write_text(f"user_id\n{ANNA.value}\n")

    receipt = await shop.erase(*HERS)

    assert set(receipt.left) == {"campaigns"}
    assert not stale.exists()

    written.rename(campaigns / "new.csv")
    (receipt,) = await shop.eraser().run()

    assert receipt.finished
    assert (campaigns / "new.csv").read_text() == "user_id\n"
