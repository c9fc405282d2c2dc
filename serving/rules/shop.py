"""The shop as it is now: what would be served, for jobs that run beside the server."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime

from recsys.pipeline.placement import read_placements
from recsys.rules.conflicts import Shop
from serving.clock import utc_now
from serving.follow import catalog_of_now
from serving.log.rule_reads import RuleReader
from serving.log.tail import LogTail
from serving.releases import ReleaseFolder
from serving.settings import ServingSettings
from serving.snapshot import Snapshot
from serving.trends.file import TrendsFile


def snapshot_of_now(settings: ServingSettings) -> Snapshot | None:
    """Return the served release over all of this moment; None where none is served.

    Raises CorruptBundle, Unavailable.
    """
    folder = ReleaseFolder(settings.releases_folder)
    pointer = folder.pointer()
    if pointer is None:
        return None
    placements = read_placements(settings.placements_file)
    with closing(LogTail(settings.log_file)) as register:
        bundle = catalog_of_now(folder.load(pointer.version), register)
    with closing(RuleReader(settings.log_file)) as rules:
        snapshot = Snapshot.of(bundle, placements).ruled(rules.book())
    if not settings.trends_file.exists():  # no server has run here yet
        return snapshot
    return snapshot.wanting(TrendsFile(settings.trends_file, utc_now).read())


def shop_of(settings: ServingSettings, snapshot: Snapshot | None, now: datetime) -> Shop:
    """Return what rules are held against; without a snapshot nothing that depends on items."""
    if snapshot is not None:
        return snapshot.shop(now)
    placements = read_placements(settings.placements_file)
    return Shop(now, {name: config.size for name, config in placements.items()})
