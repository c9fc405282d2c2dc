"""A data folder whose secret is not the one that its ledger of erasures was written with."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.running import DataFolder

NAME = "customer-to-be-forgotten"


def test_nothing_that_lets_events_in_or_out_works_with_another_secret(
    data: DataFolder, tmp_path: Path
) -> None:
    erased = data.recsys("customers", "erase", NAME, "--yes")
    assert erased.returncode == 0, erased.stderr
    secret = data.path / "secret"
    kept = secret.read_bytes()
    secret.write_bytes(bytes(32))
    orders = tmp_path / "orders.csv"
    orders.write_text(f"user_id,item_id,time,type\n{NAME},coffee,2020-01-01T00:00:00Z,purchase\n")
    commands = [
        ("serve",),
        ("import", "events", str(orders)),
        ("state", "verify"),
        ("customers", "erase", "anybody", "--yes"),
        ("customers", "export", "anybody", "--out", str(tmp_path / "all.json")),
        ("customers", "verify-erasure", "anybody"),
    ]

    refused = [data.recsys(*words) for words in commands]
    secret.write_bytes(kept)
    imported = data.recsys("import", "events", str(orders))

    for one in refused:
        assert one.returncode == 1, one.args
        for told in (str(secret), str(data.path / "erasures" / "ledger.jsonl"), "from a backup"):
            assert told in one.stderr, one.args
    assert imported.returncode == 0, imported.stderr
