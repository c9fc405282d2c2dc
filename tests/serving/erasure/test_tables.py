"""Tables of the lake: what their logs say, and what an erasure does to any of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from shutil import rmtree

import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake

from recsys.customers import Identifier, IdKind
from serving.lake.erasing import erase_rows
from serving.lake.schema import NO_STATISTICS
from tests.serving.erasure.shops import ANNA, ANNAS_BROWSER, BERT, HERS, Shop


def logs_of(shop: Shop, name: str) -> bytes:
    """Return all that the log of a table says, commits and checkpoints."""
    folder = shop.places.lake / name / "_delta_log"
    commits = b"".join(one.read_bytes() for one in sorted(folder.glob("*.json")))
    checkpoints = (pq.read_table(one).to_pylist() for one in folder.glob("*.parquet"))
    return commits + repr(list(checkpoints)).encode()


async def test_logs_of_new_tables_never_name_customers(shop: Shop) -> None:
    for name in ("events", "customers"):
        assert DeltaTable(shop.places.lake / name).metadata().configuration == NO_STATISTICS
        assert b"numRecords" in logs_of(shop, name)
        assert ANNA.value.encode() not in logs_of(shop, name)


async def test_facts_of_a_customer_go_and_those_of_others_stay(shop: Shop) -> None:
    shop.drain()
    before = shop.rows("customer_facts")
    assert {one["identifier"] for one in before} == {ANNA.value, ANNAS_BROWSER.value, BERT.value}

    await shop.erase(*HERS)

    assert shop.rows("customer_facts") == [one for one in before if one["identifier"] == BERT.value]


async def test_statistics_of_an_older_table_go_with_the_erasure(shop: Shop) -> None:
    shop.drain()
    facts = shop.places.lake / "customer_facts"
    rows = shop.table("customer_facts")
    rmtree(facts)
    write_deltalake(facts, rows)  # as an older version of this program wrote it
    assert ANNAS_BROWSER.value.encode() in logs_of(shop, "customer_facts")

    await shop.erase(*HERS)

    assert ANNAS_BROWSER.value.encode() not in logs_of(shop, "customer_facts")
    assert BERT.value.encode() in repr(shop.rows("customer_facts")).encode()


async def test_what_each_table_holds_through_is_remembered(shop: Shop) -> None:
    events = shop.places.lake / "events"
    before = DeltaTable(events).transaction_version("drain")
    ids = shop.event_ids()

    await shop.erase(*HERS)
    assert DeltaTable(events).transaction_version("drain") == before
    tail_marks_gone = shop.forget_the_mark()
    shop.drain()  # again, as after a crash between commit and mark

    assert tail_marks_gone
    assert len(shop.event_ids()) == len(set(shop.event_ids())) < len(ids)


async def test_file_that_no_version_names_goes_too(shop: Shop) -> None:
    events = shop.places.lake / "events"
    stray = events / "day=2026-11-20" / "part-stray.parquet"
    stray.write_bytes(next(events.glob("day=2026-11-20/*.parquet")).read_bytes())

    await shop.erase(*HERS)

    assert not stray.exists()


async def test_file_of_a_commit_that_never_was_goes_though_nobody_can_read_it(shop: Shop) -> None:
    events = shop.places.lake / "events"
    stray = events / "day=2026-11-20" / "part-torn.parquet"
    stray.write_bytes(next(events.glob("day=2026-11-20/*.parquet")).read_bytes()[:-9])

    receipt = await shop.erase(*HERS)

    assert not stray.exists()
    assert not any(one.left for one in receipt.stores if one.store == "lake")


async def test_table_that_names_nobody_is_left_alone(shop: Shop) -> None:
    items, vocabulary = shop.places.lake / "items", shop.places.lake / "vocabulary"
    before = [DeltaTable(one).version() for one in (items, vocabulary)]

    await shop.erase(*HERS)

    assert [DeltaTable(one).version() for one in (items, vocabulary)] == before


async def test_steps_are_bounded(shop: Shop, tmp_path: Path) -> None:
    shop.ask(Identifier(IdKind.USER, "nobody"))

    steps = erase_rows(shop.places.lake / "events", shop.erased(), Counter())

    assert len(list(steps)) == 2  # one for its few files, one for its log
