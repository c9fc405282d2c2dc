"""Looking at how far everything has come starts nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recsys.events import Event, EventType, Position, Record
from recsys.ids import ItemId
from serving.log.records import Lines
from serving.log.tail import LogTail
from serving.log.writer import Writer
from serving.positions import positions_of
from serving.settings import read_settings
from serving.state.embedded import EmbeddedValkey
from serving.state.keys import Secret, StateKeys
from serving.state.redis_store import RedisStateStore

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
BOUGHT = Event("e1", EventType.PURCHASE, NOON, ItemId("tea"), user_id="ann")


@pytest.fixture
def tail(short_folder: Path) -> Iterator[LogTail]:
    """Give a log of one event."""
    path = read_settings(data_folder=short_folder).log_file
    writer = Writer(path, clock=lambda: NOON)
    writer.append(Lines.of([Record(BOUGHT)]))
    writer.close()
    one = LogTail(path)
    yield one
    one.close()


@pytest.mark.parametrize("pid", [os.getpid(), 1 << 22], ids=["alive", "gone"])
async def test_pid_that_was_left_behind_starts_no_store(
    short_folder: Path, tail: LogTail, pid: int, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = read_settings(data_folder=short_folder)
    Secret.load_or_create(settings.secret_file)
    left = short_folder / "valkey" / "valkey.pid"
    left.parent.mkdir()
    left.write_text(str(pid))

    found = await positions_of(settings, tail)

    assert (found.last, found.applied) == (1, None)
    assert list(left.parent.iterdir()) == [left]
    assert capsys.readouterr().out == ""


async def test_store_that_runs_is_asked_without_a_word_on_the_terminal(
    short_folder: Path, tail: LogTail, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = read_settings(data_folder=short_folder)
    server = EmbeddedValkey.start_or_adopt(short_folder)
    keys = StateKeys(Secret.load_or_create(settings.secret_file))
    store = RedisStateStore(server.address, keys)
    assert await store.set_applied_through(Position(1), None)

    found = await positions_of(settings, tail)

    assert found.applied == 1
    assert capsys.readouterr().out == ""
    await store.close()
    server.stop()


def test_folder_with_a_long_path_is_left_as_it_is(short_folder: Path) -> None:
    assert EmbeddedValkey.running(short_folder / ("long" * 30)) is None
    assert list(short_folder.iterdir()) == []
