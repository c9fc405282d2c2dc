"""Counting what is wanted: the supervisor alone does it, from lake and log, every few seconds."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

import structlog

from recsys.errors import RecsysError
from recsys.events import Position
from recsys.models.trends import Memory
from serving.clock import Clock
from serving.lake.columns import event_columns
from serving.lake.deeds import DeedsReader, Span
from serving.log.tail import LogTail
from serving.metrics import UpkeepMetrics
from serving.telemetry import described
from serving.trends.file import Counts, write_counts
from serving.trends.tally import HOURS_A_DAY, Deeds, Sums, Tally

log = structlog.get_logger("serving.trends")

HALF_LIVES = 4
"""How many half-lives back deeds are counted at all: a sixteenth of them is left there."""
OPEN_DAYS = 2
"""Days on which askers are told apart: today and the day before; later comes little."""
REST = 20.0
"""Rest after a look, in times of what it took of a core: a twentieth of one is enough."""
RENEW_S = 60.0
"""What nothing is added to is written again after so many seconds, since it fades."""
RECOUNT_S = 600.0
"""How often all is counted anew, at most, because events of days that are over came in."""
_RECORDS_A_STEP = 20_000
_RECORDS_AT_ONCE = 200_000
_SECONDS_AN_HOUR = 3_600


@dataclass(frozen=True, slots=True)
class CountingPlan:
    """Where the counts come from and go to, and how often. interval_s: between two looks."""

    log_file: Path
    lake_folder: Path
    file: Path
    interval_s: float
    memory: Memory


class Counter:
    """Counts events and writes down what they come to. For one thread. It raises Unavailable.

    At the start, and on each new day, everything of the last days is counted anew from lake and
    log; in between, what came behind it. So nothing but events has to survive a crash.

    tally: what is counted; None until it is. late: whether events of days that are over came in,
    which count the next time all is counted anew.
    """

    def __init__(self, plan: CountingPlan, reader: DeedsReader, clock: Clock) -> None:
        self._plan = plan
        self._reader = reader
        self._clock = clock
        self._tail = LogTail(plan.log_file)
        self.tally: Tally | None = None
        self._through = Position(0)
        self.late = False
        self._counted_at = self._written_at = float("-inf")

    def close(self) -> None:
        """Let the log go."""
        self._tail.close()

    def look(self) -> None:
        """Count what came in, and write the file anew where that changes it."""
        now, before = self._clock(), self.tally
        counted = self._recounted(now) if before is None or self._is_due(now, before) else before
        self.tally = tally = self._added(counted)
        if tally is not before or time.monotonic() - self._written_at > RENEW_S:
            self._write(tally, now)

    def _is_due(self, now: datetime, tally: Tally) -> bool:
        """Return whether all is to be counted anew: on a new day, or as late events came."""
        late = self.late and time.monotonic() - self._counted_at > RECOUNT_S
        return late or _first_open(now) > tally.first_open

    def _recounted(self, now: datetime) -> Tally:
        """Return the tally of all there is, but for what is far behind in the log."""
        drained = self._tail.drained_through
        through = self._tail.end_of(drained, _RECORDS_AT_ONCE)
        waiting = event_columns(self._tail.events(drained, through))
        first_open, memory = _first_open(now), self._plan.memory
        # The lake second: what is trimmed meanwhile is in it by then, and twice is once.
        sums, deeds = self._reader.in_lake(
            Span(self._first_day(now), first_open, Position(0)), waiting
        )
        self._through, self.late, self._counted_at = through, False, time.monotonic()
        return Tally.of(first_open, sums, deeds, hour=_hour(now), memory=memory)

    def _added(self, tally: Tally) -> Tally:
        """Return the tally with all that log and lake hold behind it."""
        while (through := self._tail.end_of(self._through, _RECORDS_A_STEP)) > self._through:
            span = Span(self._first_day(self._clock()), tally.first_open, self._through)
            rows = self._tail.events(self._through, through)
            trimmed = self._tail.trimmed_through
            if len(rows):
                tally = self._joined(tally, *self._reader.of(event_columns(rows), span))
            if trimmed > self._through:  # some may have gone before they were read
                tally = self._joined(tally, *self._reader.in_lake(span))
            self._through = max(through, trimmed)
        return tally

    def _joined(self, tally: Tally, sums: Sums, deeds: Deeds) -> Tally:
        self.late |= bool(len(sums.rows))
        return tally.joined(deeds)

    def _first_day(self, now: datetime) -> int:
        days = HALF_LIVES * self._plan.memory.usual_hours / HOURS_A_DAY
        return _day(now) - round(days)

    def _write(self, tally: Tally, now: datetime) -> None:
        memory = self._plan.memory
        names, activity = tally.trends(_hour(now), memory)
        write_counts(self._plan.file, Counts(names, activity, memory.share, now))
        self._written_at = time.monotonic()


class Counting:
    """Lets a counter look for good, in a thread of its own; what fails is said once and counted."""

    def __init__(self, plan: CountingPlan, clock: Clock, metrics: UpkeepMetrics) -> None:
        self._plan = plan
        self._clock = clock
        self._metrics = metrics
        self._reader = DeedsReader(plan.lake_folder)
        self._counter: Counter | None = None
        self._failing = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="trends")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._reader.stop()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    async def keep_counting(self) -> None:
        """Look every few seconds, for good, and rest for long where a look takes long."""
        loop = asyncio.get_running_loop()
        while True:
            took_s = await loop.run_in_executor(self._thread, self._timed_look)
            await asyncio.sleep(max(self._plan.interval_s, REST * took_s))

    def _timed_look(self) -> float:
        """Look, and return the seconds of a core that it took."""
        started = time.thread_time()
        self._look()
        return time.thread_time() - started

    def _look(self) -> None:
        try:
            if self._counter is None:
                self._counter = Counter(self._plan, self._reader, self._clock)
            self._counter.look()
        except Exception as error:  # of this job alone; the shop goes on
            self._failed(error)
            self._close()
            return
        if self._failing:
            log.info("can count trends again")
        self._failing = False

    def _failed(self, error: Exception) -> None:
        self._metrics.failures.labels("trends").inc()
        if not self._failing:
            known = isinstance(error, (RecsysError, OSError))
            said = {"message": str(error)} if known else described(error)
            log.warning("cannot count trends for now", **said)
        self._failing = True

    def _close(self) -> None:
        """Let the counter go, if there is one; it raises nothing, whatever it comes upon."""
        counter, self._counter = self._counter, None
        if counter is not None:
            with suppress(Exception):
                counter.close()


def _hour(now: datetime) -> float:
    return now.timestamp() / _SECONDS_AN_HOUR


def _day(now: datetime) -> int:
    return int(now.timestamp()) // (_SECONDS_AN_HOUR * HOURS_A_DAY)


def _first_open(now: datetime) -> int:
    return _day(now) - OPEN_DAYS + 1
