"""The release folder as training uses it: publish, promote, roll back, list, sweep."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from recsys.bundle import MANIFEST_FILE, sync_folder, verify
from recsys.errors import CorruptBundle, NotFound, NotReady, Unavailable
from recsys.manifest import Manifest
from recsys.releases import Move, move_pointer, previous, read_pointer, versions
from training.measures import Report


@dataclass(frozen=True, slots=True)
class Release:
    """One release of the folder. manifest: None where it cannot be read."""

    version: str
    manifest: Manifest | None
    current: bool


def publish(
    folder: Path, draft: Path, version: str, *, now: datetime, reason: str, keep: int
) -> Move:
    """Take a saved bundle into the release folder, serve it, and sweep what is old.

    draft: the bundle's folder, on the same disk; it is verified first, then renamed, so that a
    release is there whole or not at all. Raises OSError when the disk refuses, CorruptBundle
    when what was written is not what was meant.
    """
    verify(draft)
    home = folder / version
    draft.rename(home)
    try:
        sync_folder(folder)
        move = move_pointer(folder, version, reason=reason, now=now)
    except BaseException:
        if read_pointer(folder) != version:
            shutil.rmtree(home, ignore_errors=True)
        raise
    sweep(folder, keep=keep)
    return move


def promote(folder: Path, version: str, *, now: datetime, reason: str = "promoted by hand") -> Move:
    """Serve a release of the folder.

    Raises NotFound, CorruptBundle when it is damaged, Unavailable when the disk refuses.
    """
    if version not in versions(folder):
        known = ", ".join(reversed(versions(folder))) or "none yet; `recsys train` makes one"
        raise NotFound(
            f"there is no release {version!r}; there are: {known}",
            reason="UNKNOWN_RELEASE",
            metadata={"version": version},
        )
    verify(folder / version)
    try:
        return move_pointer(folder, version, reason=reason, now=now)
    except OSError as error:
        raise Unavailable(
            f"the disk refused: {error}. {read_pointer(folder) or 'Nothing'} is served as before; "
            "make room in the data folder, then promote again",
            reason="DISK_UNAVAILABLE",
        ) from error


def rollback(folder: Path, *, now: datetime) -> Move:
    """Serve the release that was served before.

    Raises NotReady where there is none, CorruptBundle when it is damaged.
    """
    version = previous(folder)
    if version is None:
        current = read_pointer(folder)
        there = f"{current} is the only one that was ever served" if current else "none is served"
        raise NotReady(
            f"there is no earlier release to go back to: {there}. `recsys releases` lists all",
            reason="NO_EARLIER_RELEASE",
        )
    try:
        return promote(folder, version, now=now, reason=f"rolled back from {read_pointer(folder)}")
    except CorruptBundle as error:
        raise CorruptBundle(
            f"there is no way back to {version}, and {read_pointer(folder)} stays: {error}. Name "
            "another with `recsys promote`; `recsys releases` lists all",
            metadata=error.metadata,
        ) from error


def releases(folder: Path) -> tuple[Release, ...]:
    """Return the releases of a folder, newest first."""
    current = read_pointer(folder)
    return tuple(
        Release(version, manifest_of(folder, version), version == current)
        for version in reversed(versions(folder))
    )


def manifest_of(folder: Path, version: str) -> Manifest | None:
    """Return the manifest of a release, None where it cannot be read."""
    try:
        return Manifest.read(folder / version / MANIFEST_FILE)
    except CorruptBundle:
        return None


def keep_report(data_folder: Path, version: str, report: Report) -> None:
    """Keep the report of a release beside its run, for `recsys evaluate`."""
    path = _report_path(data_folder, version)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(report.to_json(), encoding="utf-8")


def stored_report(data_folder: Path, version: str) -> Report:
    """Return the report kept with a release. Raises NotFound where none is."""
    try:
        return Report.of_json(_report_path(data_folder, version).read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotFound(
            f"no report of a release {version!r} can be read; `recsys releases` lists those "
            "there are, and `recsys evaluate --again` measures anew",
            reason="NO_REPORT",
        ) from error


def _report_path(data_folder: Path, version: str) -> Path:
    return data_folder / "reports" / f"{version}.json"


def sweep(folder: Path, *, keep: int) -> tuple[str, ...]:
    """Remove the oldest releases beyond `keep`, but none in use; return those removed.

    In use are the release that is served and the one a rollback would serve.
    """
    used = {read_pointer(folder), previous(folder)}
    old = versions(folder)[:-keep]
    removed = tuple(version for version in old if version not in used)
    for version in removed:
        # The manifest goes last-but-first: without it the folder is no release to anybody.
        (folder / version / MANIFEST_FILE).unlink(missing_ok=True)
        shutil.rmtree(folder / version, ignore_errors=True)
    return removed
