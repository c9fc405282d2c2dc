"""Following rules: they act on answers, beside the catalog and across releases."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import structlog

from recsys.ids import ItemId
from recsys.items import OfferUpdate
from recsys.rules.rule import Rule, RuleKind
from serving.follow import CatalogFollower
from serving.log.rule_reads import RuleReader
from serving.log.rules import RuleRemoval, Signature
from serving.log.tail import LogTail
from serving.log.writer import Writer
from serving.snapshot import Snapshot
from tests import shop
from tests.serving.log.test_rules import spoil
from tests.serving.test_follow import PLACEMENTS, PLAIN, Shelf

IDA = Signature("ida", "a test")
TEA = Rule("tea-first", RuleKind.PIN, item="tea", position=1)


def opened(path: Path) -> tuple[Writer, CatalogFollower]:
    log = Writer(path, clock=lambda: shop.NOW)
    log.change_items(shop.items())
    follower = CatalogFollower(
        lambda: LogTail(path),
        PLACEMENTS,
        lambda: shop.NOW,
        rules=lambda: RuleReader(path),
        interval_s=0.001,
    )
    return log, follower


async def next_of(follower: CatalogFollower) -> Snapshot:
    async with asyncio.timeout(20):  # only ever waited out when something is broken
        async for snapshot in follower.snapshots():
            return snapshot
    raise AssertionError("a follower ends never")


async def test_rules_are_served_as_they_are_applied_and_removed(tmp_path: Path) -> None:
    log, follower = opened(tmp_path / "log.sqlite")
    first = await follower.overlaid(PLAIN)

    log.change_rules([TEA], IDA)
    ruled = await next_of(follower)
    log.change_rules([RuleRemoval(TEA.name)], IDA)
    free = await next_of(follower)
    await follower.close()

    tops = [(await Shelf(one).listed())[0] for one in (first, ruled, free)]
    assert tops == ["bread", "tea", "bread"]
    assert ruled.pipelines is first.pipelines  # nothing is compiled anew for a rule


async def test_rule_that_cannot_be_read_is_said_once_and_the_others_are_followed(
    tmp_path: Path,
) -> None:
    log, follower = opened(tmp_path / "log.sqlite")
    log.change_rules([TEA, replace(TEA, name="z", item="soap", position=2)], IDA)
    spoil(tmp_path / "log.sqlite", "z")

    with structlog.testing.capture_logs() as said:
        await follower.overlaid(PLAIN)
        log.change_items([OfferUpdate(ItemId("bread"), stock=0.0)])
        followed = await next_of(follower)
        await follower.overlaid(Snapshot.of(shop.bundle("v2"), PLACEMENTS))
    await follower.close()

    listed = await Shelf(followed).listed()
    assert listed[0] == "tea"
    assert "bread" not in listed
    assert [one["rule"] for one in said if one["event"] == "rule set aside"] == ["z"]


async def test_rules_hold_for_a_new_release_and_over_a_changed_catalog(tmp_path: Path) -> None:
    log, follower = opened(tmp_path / "log.sqlite")
    log.change_rules([TEA, replace(TEA, name="z", item="soap")], IDA)

    ruled = await follower.overlaid(PLAIN)
    log.change_items([OfferUpdate(ItemId("tea"), stock=0.0)])
    sold_out = await next_of(follower)
    released = await follower.overlaid(Snapshot.of(shop.bundle("v2"), PLACEMENTS))
    await follower.close()

    tops = [(await Shelf(one).listed())[0] for one in (ruled, sold_out, released)]
    assert tops == ["tea", "soap", "soap"]
