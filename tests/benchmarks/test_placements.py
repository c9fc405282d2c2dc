"""Ready placements beside their plain peers: what is read, asked and counted."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import placements
from benchmarks.placement_cases import Gained, Neighbours, last_cases
from benchmarks.placement_shops import shop_in
from recsys.arrays import keys_of
from recsys.candidates import Candidates
from recsys.eligibility import Eligibility
from recsys.evaluation.replay import Cases
from recsys.events import EventType
from recsys.ids import ItemId
from recsys.pipeline.placement import Situation
from recsys.query import Query
from recsys.robots import RobotRule
from recsys.timelines import Ragged
from tests import shop

N_TASTES, N_ITEMS = 6, 60
MARCH = np.datetime64("2026-03-01T00:00:00", "s")

PLACEMENTS = """
[placements.front]
situation = "visit"
size = 10
sources = [{ kind = "nearest", k = 50 }, { kind = "popular", k = 50 }]

[placements.next]
situation = "session"
size = 10
filters = [{ kind = "not_seeds" }]
sources = [{ kind = "also_viewed", k = 50 }, { kind = "popular", k = 50 }]

[placements.again]
situation = "due"
size = 10
sources = [{ kind = "buy_again", k = 50 }]

[placements.news]
size = 10
sources = [{ kind = "new", k = 50 }]
"""


def stream(folder: Path, columns: dict[str, Any], test: dict[str, Any] | None = None) -> Path:
    """Write a folder as a stream of events has it."""
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), folder / "events.parquet")
    if test is not None:
        pq.write_table(pa.table(test), folder / "test.parquet")
    return folder


def drawn_stream(folder: Path) -> Path:
    """Write a shop whose customers keep to one of six tastes; each session ends with a purchase."""
    rng = np.random.default_rng(3)
    lines = []
    for user in range(120):
        for day in rng.choice(160, 8, replace=False).tolist():
            row = rng.integers(0, N_ITEMS // N_TASTES, 3) * N_TASTES + user % N_TASTES
            for minute, (item, event) in enumerate(
                zip(row.tolist(), ("view", "view", "purchase"), strict=True)
            ):
                second = int(MARCH.astype(np.int64)) + day * 86_400 + user * 60 + minute * 120
                lines.append((second * 1_000, user, item, event))
    stamps, users, items, events = zip(*sorted(lines), strict=True)
    columns = {
        "timestamp": pa.array(stamps, pa.timestamp("ms", tz="UTC")),
        "user_id": pa.array(users, pa.int32()),
        "item_id": pa.array(items, pa.int32()),
        "event": list(events),
    }
    last = {"user_id": [1, 2, 999], "item_id": [1, N_ITEMS + 5, 1]}
    return stream(folder, columns, last)


def labelled(folder: Path) -> Path:
    """Write reviews of two items that go together, and labels that say so."""
    folder.mkdir()
    items = {
        "item_id": [1, 2, 3],
        "complement_item_ids": [[2], [1], []],
        "substitute_item_ids": [[3], [], []],
    }
    users = [user for user in range(6) for _ in range(2)]
    stamps = [
        int((MARCH - np.timedelta64(400, "D")).astype(np.int64)) + 86_400 * one for one in users
    ]
    reviews = {
        "user_id": users,
        "item_id": [1, 2] * 6,
        "timestamp": pa.array([1_000 * one for one in stamps], pa.timestamp("ms", tz="UTC")),
    }
    pq.write_table(pa.table(items), folder / "items.parquet")
    pq.write_table(pa.table(reviews), folder / "interactions.parquet")
    return folder


def run(folder: Path, *words: str) -> dict[str, float]:
    """Run the benchmark over a folder, and return its metrics."""
    file, path = folder / "placements.toml", folder / "report.json"
    file.write_text(PLACEMENTS)
    placements.main(["--placements", str(file), "--json", str(path), *words])
    return dict(json.loads(path.read_text())["metrics"])


def test_every_situation_is_asked_beside_its_peers_and_what_has_none_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = drawn_stream(tmp_path / "six-tastes")

    metrics = run(tmp_path, "--data", str(data), "--data", str(tmp_path / "gone"))

    out = capsys.readouterr().out
    assert "gone is left out: no folder" in " ".join(out.split())
    assert "not judged here: news" in out
    assert json.loads(out.splitlines()[-1]) == metrics
    for name in ("front", "next", "again"):
        assert metrics[f"six_tastes_{name}_customers"] > 20
        assert metrics[f"six_tastes_{name}_ndcg_at_10_over_popular_low"] > 0
        assert metrics[f"six_tastes_{name}_hit_rate_at_10"] <= 1
    assert metrics["six_tastes_next_neighbours_hit_rate_at_10"] > 0.5
    assert metrics["six_tastes_again_frequency_hit_rate_at_10"] > 0.5
    assert metrics["six_tastes_front_last_purchase_customers"] == 2


def test_a_shop_with_too_little_to_train_on_is_left_out_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = {
        "timestamp": [datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2)],
        "user_id": [1, 1],
        "item_id": [1, 2],
        "event": ["view", "purchase"],
    }

    metrics = run(tmp_path, "--data", str(stream(tmp_path / "young", columns)))

    assert metrics == {}
    assert "young is left out: too little to train on" in capsys.readouterr().out


def test_labels_of_a_publisher_are_compared_with_and_named_by_set_where_there_are_two(
    tmp_path: Path,
) -> None:
    data = labelled(tmp_path / "labels")

    one = run(tmp_path, "--data", str(data))
    two = run(tmp_path, "--data", str(data), "--data", str(labelled(tmp_path / "others")))

    assert one["complement_precision_at_10"] == pytest.approx(0.1)
    assert {"popularity_precision_at_10", "substitute_share_at_10"} <= set(one)
    assert two["labels_complement_precision_at_10"] == two["others_complement_precision_at_10"]


def test_a_stream_keeps_its_times_kinds_and_the_purchases_behind_it(tmp_path: Path) -> None:
    days = [datetime(2026, 1, day, tzinfo=UTC) for day in (1, 1, 2)]
    columns = {
        "timestamp": days,
        "user_id": [7, 5, 5],
        "item_id": [30, 10, 20],
        "event": ["view", "addtocart", "transaction"],
    }

    found = shop_in(
        stream(tmp_path / "a-b", columns, {"user_id": [7, 8], "item_id": [40, 10]}), None
    )

    events = found.dataset.interactions
    assert found.name == "a_b"
    assert found.dataset.catalog.vocabulary.rows(["10", "20", "30", "40"]).tolist() == [0, 1, 2, 3]
    assert events.users.tolist() == [1, 0, 0]
    assert events.items.tolist() == [2, 0, 1]
    assert (
        len(events.of_kind(EventType.PURCHASE)) == len(events.of_kind(EventType.ADD_TO_CART)) == 1
    )
    assert events.baskets[0] != events.baskets[1] != events.baskets[2]
    assert found.bought_last.tolist() == keys_of(np.array([1]), np.array([3])).tolist()


def test_robots_of_a_stream_are_not_learned_from(tmp_path: Path) -> None:
    moments = [datetime(2026, 1, 1, 12, 0, second, tzinfo=UTC) for second in range(9)]
    columns = {
        "timestamp": [*moments, moments[-1]],
        "user_id": [1] * 9 + [2],
        "item_id": [1] * 10,
        "event": ["view"] * 10,
    }

    found = shop_in(stream(tmp_path, columns), RobotRule(a_minute=5))

    assert len(found.dataset.interactions) == 1
    assert (found.dataset.left_out.robots, found.dataset.left_out.events) == (1, 9)


def test_orders_are_purchases_of_described_products(tmp_path: Path) -> None:
    products = {
        "product_id": [11, 12],
        "manufacturer_id": [1, 1],
        "department": ["GROCERY", "GROCERY"],
        "brand": ["National", "Private"],
        "product_category": ["BREAD", "TEA"],
        "product_type": ["RYE BREAD", None],
        "package_size": ["", ""],
    }
    orders = {
        "household_id": [1, 1, 2],
        "basket_id": [100, 100, 101],
        "product_id": [11, 12, 999],
        "transaction_timestamp": [MARCH, MARCH, MARCH + np.timedelta64(1, "D")],
    }
    pq.write_table(pa.table(products), tmp_path / "products.parquet")
    pq.write_table(pa.table(orders), tmp_path / "transactions.parquet")

    found = shop_in(tmp_path, None)

    events = found.dataset.interactions
    assert events.items.tolist() == [0, 1]
    assert len(set(events.baskets.tolist())) == 1
    assert found.dataset.catalog.titles[0].startswith("Rye Bread")
    assert not len(found.bought_last)


@pytest.mark.parametrize("event", ["impression", ""])
def test_a_folder_that_cannot_be_read_says_why(tmp_path: Path, event: str) -> None:
    columns = {"timestamp": [datetime(2026, 1, 1, tzinfo=UTC)], "user_id": [1], "item_id": [1]}
    folder = stream(tmp_path / "s", {**columns, "event": [event]})

    with pytest.raises(ValueError, match=f"events called \\['{event}'\\]"):
        shop_in(folder, None)
    with pytest.raises(ValueError, match="neither events"):
        shop_in(tmp_path, None)


def test_plain_neighbours_sum_cosines_and_are_filled_with_what_is_popular() -> None:
    # Customers 0 and 1 met bread and butter, 0 jam too; 2 met tea and sugar.
    met = [("bread", 0), ("butter", 0), ("jam", 0), ("bread", 1), ("butter", 1), ("tea", 2)]
    met.append(("sugar", 2))
    events = shop.interactions(
        seconds=np.arange(7),
        ties=np.arange(7),
        items=np.array([shop.ROW[name] for name, _ in met]),
        kinds=np.ones(7),
    )
    popularity = np.zeros(len(shop.ITEMS), dtype=np.float32)
    popularity[shop.ROW["soap"]] = 9.0
    groups = np.array([user for _, user in met], dtype=np.int32)
    neighbours = Neighbours.of(groups, replace(events, n_items=len(shop.ITEMS)), popularity)
    queries = [shop.query(seeds=(ItemId("bread"),)), shop.query()]
    contexts = shop.contexts([shop.bought("tea"), shop.bought("jam")], queries)
    eligible = Eligibility.everything(len(shop.ITEMS), 2)
    refused = Ragged.of([np.array([shop.ROW["butter"]], dtype=np.int32), np.empty(0, np.int32)])

    listed = neighbours(contexts, eligible.without(refused))

    first = listed.first(np.array([2, 3], dtype=np.int32))
    assert shop.names(first.rows) == ["jam", "soap", "bread", "butter", "soap"]
    assert first.scores[[0, 2]].tolist() == pytest.approx([1 / np.sqrt(2)] * 2)
    assert not np.any(listed.rows[listed.queries == 0] == shop.ROW["butter"])


def test_who_asks_twice_counts_once_and_any_right_answer_is_a_hit() -> None:
    targets = Ragged.of([np.array(rows, dtype=np.int32) for rows in ([1, 2], [3], [4])])
    instants = np.full(3, MARCH)
    asked = Cases(
        "next", Situation.SESSION, np.array([5, 5, 6], dtype=np.int32), instants,
        Ragged.empty(3), targets,
    )  # fmt: skip
    rows = np.array([2, 9, 4], dtype=np.int32)
    listed = Candidates.of(np.array([0, 1, 2], dtype=np.int32), rows, np.zeros(3, dtype=np.float32))

    hit_rates, ndcgs = Gained.of(listed, asked).by_customer()

    ideal = 1 + 1 / np.log2(3)
    assert hit_rates.tolist() == [0.5, 1.0]
    assert ndcgs.tolist() == pytest.approx([0.5 / ideal, 1.0])


def test_the_purchase_behind_all_events_is_asked_for_right_after_the_last_of_them() -> None:
    events = shop.interactions(
        seconds=np.array([10, 50]),
        ties=np.arange(2),
        items=np.array([1, 2]),
        kinds=np.ones(2),
    )
    pair = keys_of(np.array([0], dtype=np.int32), np.array([7], dtype=np.int32))

    asked = last_cases("front", Situation.VISIT, events, pair)

    query = asked.queries([0], shop.catalog().vocabulary, 10)[0]
    assert query == Query("front", datetime.fromtimestamp(51, UTC), user_id="user 0", limit=10)
    assert asked.targets.at(0).tolist() == [7]
