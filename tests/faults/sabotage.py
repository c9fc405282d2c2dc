"""Deliberate defects, one for each promise: the fault tests must find every one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import apsw
import pytest
from deltalake import DeltaTable

from recsys.errors import Unavailable
from recsys.events import Position, Record
from serving import ingest
from serving.api import event_codec
from serving.catch_up import CatchUp
from serving.lake import commits, durable, lake
from serving.lake.drain import CHUNK, Drain, Drained
from serving.lake.lake import Drawn
from serving.log import database, tail, writer
from serving.log.event_log import Placed, Rejected
from serving.log.records import Lines
from serving.log.seen import Seen
from serving.log.tail import DRAINED_THROUGH
from serving.log.writer import Writer
from serving.state.redis_store import RedisStateStore

Defect = Callable[[pytest.MonkeyPatch], None]


def _synchronous(level: str) -> Defect:
    """Return the defect of syncing less than each commit."""

    def sabotage(patch: pytest.MonkeyPatch) -> None:
        connect = database.connect

        def connected(path: Path) -> apsw.Connection:
            connection = connect(path)
            connection.execute(f"PRAGMA synchronous={level}")
            return connection

        patch.setattr(writer, "connect", connected)
        patch.setattr(tail, "connect", connected)

    return sabotage


def _acknowledged_before_the_commit(patch: pytest.MonkeyPatch) -> None:
    """Let five appends gather before the oldest is committed."""
    append, held = Writer.append, list[Lines]()

    def hasty(self: Writer, lines: Lines, rejected: Sequence[Rejected] = ()) -> Placed:
        held.append(lines)
        if len(held) > 5:
            append(self, held.pop(0))
        return _as_if_stored(lines)

    patch.setattr(Writer, "append", hasty)


def _acknowledged_in_spite_of_an_error(patch: pytest.MonkeyPatch) -> None:
    append = Writer.append

    def careless(self: Writer, lines: Lines, rejected: Sequence[Rejected] = ()) -> Placed:
        try:
            return append(self, lines, rejected)
        except Unavailable:
            return _as_if_stored(lines)

    patch.setattr(Writer, "append", careless)


def _written_on_behind_a_failed_sync(patch: pytest.MonkeyPatch) -> None:
    """Take the checkpoint away that a writer makes when it opens the log."""

    class Hurried:
        def __init__(self, connection: apsw.Connection) -> None:
            self._connection = connection

        def __getattr__(self, name: str) -> Any:
            return getattr(self._connection, name)

        def execute(self, sql: str, *more: Any) -> apsw.Cursor:
            return self._connection.execute("SELECT 1" if "checkpoint" in sql else sql, *more)

    connect = database.connect
    patch.setattr(writer, "connect", lambda path: Hurried(connect(path)))


def _repeats_taken_for_new(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(writer, "_news", lambda digests, seen: None)


def _repeats_of_other_workers_not_known(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Seen, "catch_up", lambda self, connection: None)


def _positions_used_again_after_a_trim(patch: pytest.MonkeyPatch) -> None:
    def last(connection: apsw.Connection) -> int:
        found: int | None = connection.execute("SELECT max(last) FROM blocks").get
        return found or 0

    patch.setattr(writer, "last_position", last)


def _folder_of_the_log_not_synced(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(database, "synced", lambda path: None)


def _trimmed_before_drained(patch: pytest.MonkeyPatch) -> None:
    run_once = Drain.run_once

    def hasty(self: Drain, limit: int = CHUNK) -> Drained:
        self._log.trim(self._log.last_position())
        return run_once(self, limit)

    patch.setattr(Drain, "run_once", hasty)


def _mark_set_before_the_lake_has_it(patch: pytest.MonkeyPatch) -> None:
    run_once, append = Drain.run_once, lake.Lake.append

    def hasty(self: Drain, limit: int = CHUNK) -> Drained:
        def marked(drawn: Drawn) -> None:
            self._log.set_mark(DRAINED_THROUGH, drawn.position)
            append(self._lake, drawn)

        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(self._lake, "append", marked)
            return run_once(self, limit)

    patch.setattr(Drain, "run_once", hasty)


def _lake_not_synced(patch: pytest.MonkeyPatch) -> None:
    for room in (commits, lake):
        patch.setattr(room, "make_durable", lambda table, new_commits: None)


def _lake_not_repaired(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(lake, "repair", lambda table: [])


def _lake_told_the_same_twice(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(DeltaTable, "transaction_version", lambda self, name: None)


def _failed_sync_of_the_lake_kept(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(commits, "move_aside", lambda table, files: None)
    patch.setattr(lake, "move_aside", lambda table, files: None)
    patch.setattr(durable, "_write_anew", lambda path: None)  # else the next start mends it


def _applied_through_set_blindly(patch: pytest.MonkeyPatch) -> None:
    async def blind(self: RedisStateStore, position: Position, expected: Position | None) -> bool:
        await self._writes.set(self._keys.shared("applied_through"), int(position))
        return True

    patch.setattr(RedisStateStore, "set_applied_through", blind)


def _flushed_store_not_noticed(patch: pytest.MonkeyPatch) -> None:
    """Believe what was noted last, whatever the store has."""
    noted = [Position(0)]

    async def remembered(self: RedisStateStore) -> Position | None:
        return noted[-1]

    async def note(self: RedisStateStore, position: Position, expected: Position | None) -> bool:
        noted.append(position)
        return True

    patch.setattr(RedisStateStore, "applied_through", remembered)
    patch.setattr(RedisStateStore, "set_applied_through", note)


def _never_caught_up(patch: pytest.MonkeyPatch) -> None:
    async def idle(self: CatchUp, told: object) -> Position:
        return await self.last_position()

    patch.setattr(CatchUp, "run", idle)


def _event_refused_with_its_store(patch: pytest.MonkeyPatch) -> None:
    async def strict(self: ingest.Ingest, records: Sequence[Record], durable_at: float) -> None:
        await self._store.apply(records)

    patch.setattr(ingest.Ingest, "_apply", strict)


def _poison_ends_its_request(patch: pytest.MonkeyPatch) -> None:
    decoded = event_codec.decoded

    def strict(messages: Any, **more: Any) -> event_codec.Decoded:
        found = decoded(messages, **more)
        return event_codec.Decoded((), found.rejected) if found.rejected else found

    patch.setattr(event_codec, "decoded", strict)


def _poison_thrown_away(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ingest.Ingest, "_aside", lambda self, rejected: [])


def _clock_of_a_device_trusted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(event_codec, "_correction", lambda request, now: event_codec._NO_CORRECTION)


def _any_future_taken(patch: pytest.MonkeyPatch) -> None:
    def trusting(time: datetime, now: datetime) -> datetime:
        return time

    patch.setattr(event_codec, "counted_time", trusting)


def _as_if_stored(lines: Lines) -> Placed:
    n = len(lines)
    return Placed(list(range(1, n + 1)), [0] * n, Position(n), 0)


DEFECTS: Mapping[str, Defect] = {
    "no commit synced": _synchronous("OFF"),
    "commits synced now and then": _synchronous("NORMAL"),
    "acknowledged before the commit": _acknowledged_before_the_commit,
    "acknowledged in spite of an error": _acknowledged_in_spite_of_an_error,
    "written on behind a failed sync": _written_on_behind_a_failed_sync,
    "repeats taken for new": _repeats_taken_for_new,
    "repeats of other workers not known": _repeats_of_other_workers_not_known,
    "positions used again after a trim": _positions_used_again_after_a_trim,
    "folder of the log not synced": _folder_of_the_log_not_synced,
    "trimmed before drained": _trimmed_before_drained,
    "mark set before the lake has it": _mark_set_before_the_lake_has_it,
    "lake not synced": _lake_not_synced,
    "lake not repaired": _lake_not_repaired,
    "lake told the same twice": _lake_told_the_same_twice,
    "failed sync of the lake kept": _failed_sync_of_the_lake_kept,
    "applied_through set blindly": _applied_through_set_blindly,
    "flushed store not noticed": _flushed_store_not_noticed,
    "never caught up": _never_caught_up,
    "event refused with its store": _event_refused_with_its_store,
    "poison ends its request": _poison_ends_its_request,
    "poison thrown away": _poison_thrown_away,
    "clock of a device trusted": _clock_of_a_device_trusted,
    "any future taken": _any_future_taken,
}
"""By what is wrong."""
