"""A data folder that is put back from a backup of before an erasure: nobody comes back with it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from recsys.customers import Identifier, IdKind
from recsys.events import EventType
from recsys.query import Tier
from tests import shop
from tests.e2e.running import DataFolder, Server, event

NAME, BROWSER = "customer-to-be-forgotten", "browser-of-hers"
OTHER = "customer-who-stays"
RESTORED = ("log", "lake", "valkey", "rejects")


def planted(server: Server, folder: Path) -> None:
    """Have her in the log, the lake, the register, the live store, and a file of rejects."""
    user, visitor = Identifier(IdKind.USER, NAME), Identifier(IdKind.VISITOR, BROWSER)
    with server.client() as client:
        client.write_events([event(EventType.PURCHASE, "coffee", one) for one in (NAME, OTHER)])
        client.link_identifiers([(user, visitor)])
    file = folder / "orders.csv"
    file.write_text(
        "user_id,item_id,time,type\n"
        f"{NAME},coffee,2026-05-01T10:00:00Z,purchase\n{NAME},coffee,someday,purchase\n"
    )
    imported = server.data.recsys("import", "events", str(file))
    assert imported.returncode == 0, imported.stderr


def rejects_with_her(data: DataFolder) -> list[Path]:
    return [one for one in (data.path / "rejects").glob("*") if NAME in one.read_text()]


def searched(data: DataFolder) -> list[int]:
    """Return the exit status of searches for each of her ids, and for his."""
    asked = ((NAME, "user"), (BROWSER, "visitor"), (OTHER, "user"))
    found = (
        data.recsys("customers", "verify-erasure", name, "--kind", kind) for name, kind in asked
    )
    return [one.returncode for one in found]


@pytest.mark.timeout(300)
def test_restored_folder_forgets_again_and_rejects_that_come_back_alone_when_asked(
    data: DataFolder, tmp_path: Path
) -> None:
    data.publish(shop.bundle("v1"))
    data.promote("v1")
    server = Server.ready(data)
    try:
        planted(server, tmp_path)
        server.end()
        for name in RESTORED:
            shutil.copytree(data.path / name, tmp_path / "backup" / name, symlinks=True)
        server = Server.ready(data)
        erased = data.recsys("customers", "erase", NAME, "--yes")
        server.end()
        assert erased.returncode == 0, erased.stderr
        for name in RESTORED:
            shutil.rmtree(data.path / name)
            shutil.copytree(tmp_path / "backup" / name, data.path / name, symlinks=True)
        there = rejects_with_her(data)

        server = Server.ready(data)
        with server.client() as client:
            answer = client.recommend("home", user_id=NAME)
        at_once = rejects_with_her(data)
        after_restore = searched(data)
        shutil.copytree(tmp_path / "backup" / "rejects", data.path / "rejects", dirs_exist_ok=True)
        before = rejects_with_her(data)
        reapplied = data.recsys("customers", "reapply-erasures")

        assert len(there) == len(before) == 1
        assert (answer.tier, at_once) == (Tier.POPULAR, [])
        assert after_restore == [0, 0, 1]
        assert reapplied.returncode == 0, reapplied.stderr
        assert rejects_with_her(data) == []
    finally:
        server.end()
