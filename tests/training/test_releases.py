from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recsys.bundle import ModelBundle
from recsys.errors import CorruptBundle, NotFound, NotReady, Unavailable
from recsys.releases import history, read_pointer, versions
from tests.shop import bundle as shop_bundle
from training.releases import promote, publish, releases, rollback, sweep

NOW = datetime(2026, 6, 1, tzinfo=UTC)
BUNDLE = shop_bundle()


def saved(folder: Path, version: str) -> Path:
    """Return a draft of the shop's bundle under this version."""
    bundle: ModelBundle = replace(BUNDLE, manifest=replace(BUNDLE.manifest, version=version))
    draft = folder / ".train" / version
    bundle.save(draft)
    return draft


def published(folder: Path, *names: str, keep: int = 5) -> None:
    for name in names:
        publish(folder, saved(folder, name), name, now=NOW, reason="test", keep=keep)


def test_a_published_bundle_is_served_and_the_newest_are_kept(tmp_path: Path) -> None:
    published(tmp_path, "v1", "v2", "v3", "v4", keep=2)

    assert read_pointer(tmp_path) == "v4"
    assert versions(tmp_path) == ("v3", "v4")


def test_a_damaged_draft_is_never_served(tmp_path: Path) -> None:
    published(tmp_path, "v1")
    draft = saved(tmp_path, "v2")
    (draft / "popularity_counts.npy").write_bytes(b"rot")

    with pytest.raises(CorruptBundle, match=r"popularity_counts\.npy"):
        publish(tmp_path, draft, "v2", now=NOW, reason="test", keep=5)

    assert read_pointer(tmp_path) == "v1"
    assert versions(tmp_path) == ("v1",)


def test_what_is_served_and_what_a_rollback_would_serve_are_never_swept(tmp_path: Path) -> None:
    published(tmp_path, "v1", "v2", "v3", "v4")
    promote(tmp_path, "v1", now=NOW)

    removed = sweep(tmp_path, keep=1)

    assert removed == ("v2", "v3")
    assert versions(tmp_path) == ("v1", "v4")


def test_a_promotion_is_told_with_its_reason(tmp_path: Path) -> None:
    published(tmp_path, "v1", "v2")

    promote(tmp_path, "v1", now=NOW)

    assert read_pointer(tmp_path) == "v1"
    assert history(tmp_path)[-1].reason == "promoted by hand"


def test_promoting_what_is_not_there_lists_what_is(tmp_path: Path) -> None:
    published(tmp_path, "v1", "v2")

    with pytest.raises(NotFound, match="v2, v1"):
        promote(tmp_path, "v9", now=NOW)


def test_a_damaged_release_is_not_promoted(tmp_path: Path) -> None:
    published(tmp_path, "v1", "v2")
    (tmp_path / "v1" / "index.faiss").unlink()

    with pytest.raises(CorruptBundle, match=r"index\.faiss is missing"):
        promote(tmp_path, "v1", now=NOW)

    assert read_pointer(tmp_path) == "v2"


def test_without_an_earlier_release_a_rollback_says_so(tmp_path: Path) -> None:
    published(tmp_path, "v1")

    with pytest.raises(NotReady, match="v1 is the only one"):
        rollback(tmp_path, now=NOW)


def test_the_list_is_newest_first_and_marks_what_is_served(tmp_path: Path) -> None:
    published(tmp_path, "v1", "v2")
    promote(tmp_path, "v1", now=NOW)
    (tmp_path / "v2" / "manifest.json").write_text("{}")

    found = [(one.version, one.current, one.manifest is None) for one in releases(tmp_path)]

    assert found == [("v2", False, True), ("v1", True, False)]


def test_a_rollback_to_a_damaged_release_keeps_what_is_served_and_says_so(tmp_path: Path) -> None:
    published(tmp_path, "v1", "v2")
    (tmp_path / "v1" / "index.faiss").unlink()

    with pytest.raises(CorruptBundle, match=r"v2 stays: .*recsys promote"):
        rollback(tmp_path, now=NOW)

    assert read_pointer(tmp_path) == "v2"


def test_a_disk_that_refuses_the_pointer_keeps_what_is_served(tmp_path: Path) -> None:
    published(tmp_path, "v1", "v2")
    (tmp_path / ".current.draft").mkdir()

    with pytest.raises(Unavailable, match="v2 is served as before"):
        promote(tmp_path, "v1", now=NOW)

    assert read_pointer(tmp_path) == "v2"
