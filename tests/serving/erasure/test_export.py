"""The export: all of one customer and nothing of anybody else."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys.customers import Identifier, IdKind, LinkChange
from recsys.state import UserState
from serving.erasure.export import Exported, held_of, write_export
from serving.lake.of_customer import events_of
from serving.log.tail import LogTail
from serving.state.embedded import EmbeddedValkey
from serving.state.keys import most_durable
from tests.serving.erasure.shops import ANNA, ANNAS_BROWSER, BERT, HERS, NOON, Shop, event


async def exported(shop: Shop, identifier: Identifier, out: Path) -> tuple[Exported, Any]:
    held = await held_of(shop.places, identifier, store=shop.store, keys=shop.keys)
    return write_export(shop.places, held, out, now=shop.now), read(out)


def read(path: Path) -> Any:
    return orjson.loads(path.read_bytes())


async def test_export_holds_everything_of_her_and_nothing_of_him(
    shop: Shop, tmp_path: Path
) -> None:
    counts, found = await exported(shop, ANNA, tmp_path / "anna.json")

    assert counts == Exported(identifiers=2, events=24, rejected=1, picks=2, rejected_rows=2)
    assert found["identifiers"] == [{"kind": o.kind, "value": o.value} for o in sorted(HERS)]
    assert found["attributes"] == {"tier": "gold"}
    assert [one["purpose"] for one in found["consents"]] == ["email"]
    assert [one["event_id"] for one in found["events"]][-2:] == ["a21", "a22"]
    assert {one["event_id"] for one in found["events"]} == {*(f"a{n}" for n in range(23)), "v1"}
    assert [len(one["purchases"]) for one in found["states"]] == [2]
    assert found["states"][0]["purchases"][0]["item_id"] == "bread"
    assert {one["customer_id"] for one in found["customers"]} == {one.value for one in HERS}
    assert found["rejected_events"][0]["event"]["event_id"] == "q1"
    assert {one["file"] for one in found["campaigns"]} == {
        "campaigns/picks.csv",
        "campaigns/picks.jsonl",
    }
    assert BERT.value not in (tmp_path / "anna.json").read_text()


async def test_rejected_rows_of_imports_are_hers_where_they_name_her(
    shop: Shop, tmp_path: Path
) -> None:
    shop.change(LinkChange(ANNA, Identifier.of_email("anna@example.org")))
    shop.change(LinkChange(ANNA, Identifier(IdKind.CARD, "4711")))
    rows = {
        "her user id": {"user_id": ANNA.value, "quantity": "many"},
        "another column": {"Kundennummer": ANNA.value},
        "her browser": {"visitor_id": ANNAS_BROWSER.value, "time": "?"},
        "her address": {"contact": "Anna <Anna@Example.org>"},
        "no row": f"{ANNA.value};bread;?",
        "his row about her": {"user_id": BERT.value, "recommended_by": ANNA.value},
        "his address": {"contact": "bert@example.org"},
        "a number like her card": {"pieces": "4711"},
        "a longer word": {"Kundennummer": f"{ANNA.value}0"},
    }
    lines = [{"file": "x", "line": 2, "came": why, "row": row} for why, row in rows.items()]
    text = "".join(f"{orjson.dumps(line).decode()}\n" for line in lines)
    (shop.folder / "rejects" / "new.csv.rejects.jsonl").write_text(f"{text}torn {ANNA.value}")

    counts, found = await exported(shop, ANNA, tmp_path / "anna.json")

    new = [one for one in found["rejected_rows"] if one["kept_in"].startswith("rejects/new.csv")]
    assert [one.get("came") for one in new] == [*list(rows)[:5], None]
    assert new[-1]["row"] == f"torn {ANNA.value}"
    assert counts.rejected_rows == len(new) + 2
    assert {one["kept_in"] for one in found["rejected_rows"]} - {new[0]["kept_in"]} == {
        "rejects/old.rejects.jsonl.gz",
        "rejects/orders.csv.rejects.jsonl",
    }


async def test_export_through_his_id_does_not_name_her(shop: Shop, tmp_path: Path) -> None:
    _, found = await exported(shop, BERT, tmp_path / "bert.json")

    assert ANNA.value not in orjson.dumps(found).decode()
    shared = [one for one in found["events"] if one["event_id"] == "shared"]
    assert shared[0]["visitor_id"] == ANNAS_BROWSER.value  # his own event says so


async def test_nobody_gets_an_empty_export(shop: Shop, tmp_path: Path) -> None:
    counts, found = await exported(shop, Identifier(IdKind.USER, "nobody"), tmp_path / "n.json")

    assert counts == Exported(1, 0, 0, 0, 0)
    assert found["events"] == found["states"] == found["customers"] == []


async def test_export_can_be_read_by_its_owner_alone(shop: Shop, tmp_path: Path) -> None:
    await exported(shop, ANNA, tmp_path / "anna.json")

    assert (tmp_path / "anna.json").stat().st_mode & 0o077 == 0


ids = st.sampled_from(["", "7", "8", "77"])


@given(rows=st.lists(st.tuples(ids, ids, ids), min_size=1, max_size=12), cut=st.integers(0, 12))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_events_of_a_customer_are_those_that_count_for_one_of_the_ids(
    rows: list[tuple[str, str, str]],
    cut: int,
    valkey: EmbeddedValkey,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    made = Shop(tmp_path_factory.mktemp("of") / "data", valkey.address, "of:")
    made.open()
    events = [
        event(f"e{n}", NOON + timedelta(minutes=n), user_id=u, visitor_id=v, session_id=s)
        for n, (u, v, s) in enumerate(rows)
        if u or v or s
    ]
    hers = [Identifier(IdKind.USER, "7"), Identifier(IdKind.SESSION, "8")]

    for some in (events[:cut], events[cut:]):
        if some:
            made.take_in(*some)
        if some is not events[cut:]:
            made.drain()
    tail = LogTail(made.places.log_file)
    found = [one["event_id"] for one in events_of(tail, made.places.lake, hers)]

    tail.close()
    made.writer.close()
    assert found == [one.event_id for one in events if Identifier(*most_durable(one)) in hers]
    assert not UserState.unknown()
