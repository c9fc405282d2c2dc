"""The file between the supervisor and its workers: whole, or as if there were none."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import structlog

from recsys.models.trends import Activity, Trends
from serving.trends.file import STALE, Counts, TrendsFile, write_counts

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
KEYS = np.array([1, 2, 1 << 32 | 1], dtype=np.int64)
COUNTS = Counts(("DE", "FR"), Activity(KEYS, np.array([1.0, 2, 3]), np.full(3, 300.0)), 0.1, NOW)


def reader(file: Path, now: datetime = NOW) -> TrendsFile:
    return TrendsFile(file, lambda: now)


def columns(trends: Trends) -> tuple[list[int], list[float], list[float]]:
    found = trends.activity
    return found.keys.tolist(), found.recent.tolist(), found.usual.tolist()


def test_what_was_written_is_read_once_as_news(tmp_path: Path) -> None:
    file = tmp_path / "trends.npz"
    write_counts(file, COUNTS)
    read = reader(file)

    before, trends, after = read.is_news(), read.read(), read.is_news()

    assert (before, after) == (True, False)
    assert columns(trends) == (KEYS.tolist(), [1.0, 2.0, 3.0], [300.0] * 3)
    assert (trends.markets, trends.share) == ({"DE": 0, "FR": 1}, 0.1)
    assert list(tmp_path.iterdir()) == [file]


def test_file_that_was_written_anew_is_news(tmp_path: Path) -> None:
    file = tmp_path / "trends.npz"
    write_counts(file, COUNTS)
    read = reader(file)
    read.read()

    write_counts(file, COUNTS)

    assert read.is_news()


def test_file_that_is_not_there_means_no_trends_and_is_said_once(tmp_path: Path) -> None:
    read = reader(tmp_path / "trends.npz")

    with structlog.testing.capture_logs() as said:
        found = [read.read(), read.read()]

    assert [len(one.activity) for one in found] == [0, 0]
    assert [line["event"] for line in said] == ["no trends for now"]
    assert not read.is_news()


def damaged(whole: bytes) -> Iterator[bytes]:
    """Yield a file cut off anywhere, and with any one byte changed."""
    for place, byte in enumerate(whole):
        yield whole[:place]
        for mask in (1, 255):
            yield whole[:place] + bytes([byte ^ mask]) + whole[place + 1 :]


def test_damaged_file_means_no_trends_or_the_right_ones_and_raises_nothing(tmp_path: Path) -> None:
    file = tmp_path / "trends.npz"
    write_counts(file, COUNTS)
    read, found = reader(file), []

    for content in damaged(file.read_bytes()):
        file.write_bytes(content)
        found.append(columns(read.read()))

    whole = KEYS.tolist(), [1.0, 2.0, 3.0], [300.0] * 3
    assert [one for one in found if one not in (whole, ([], [], []))] == []


def test_counts_that_nobody_renews_tell_of_no_trend_until_somebody_does(tmp_path: Path) -> None:
    file = tmp_path / "trends.npz"
    write_counts(file, COUNTS)
    now = [NOW]
    read = TrendsFile(file, lambda: now[0])
    fresh = read.read()

    now[0] = NOW + STALE + timedelta(seconds=1)
    is_news, stale, again = read.is_news(), read.read(), read.is_news()

    assert len(fresh.activity) == 3
    assert (is_news, len(stale.activity), again) == (True, 0, False)
