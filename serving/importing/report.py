"""What an import tells whoever watches: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from recsys.events import Position
from serving.importing.delivery import Delivery
from serving.importing.job import ImportCounts, Imported, OnBatch
from serving.terminal import printable

_SECONDS_BETWEEN_LINES = 5.0
_MOST_NAMES = 30
_MOST_SHOWN = 64

_Show = Callable[[int, int | None, str], None]
"""Told how much is done, of how much if known, and that in words."""


class Report:
    """Speaks to standard error while an import runs, and to standard output at its end."""

    def __init__(self) -> None:
        self._out = Console(soft_wrap=True, highlight=False, markup=False)
        self._err = Console(soft_wrap=True, highlight=False, markup=False, stderr=True)
        self._started = time.monotonic()
        self._done = ImportCounts()
        self._current = ImportCounts()

    @contextmanager
    def reading(self, file: Path) -> Iterator[OnBatch]:
        """Show how far the reading of a file has come while the block runs."""
        with self._bar(f"reading {printable(file.name)}") as show:

            def progress(counts: ImportCounts, n_rows: int | None) -> None:
                self._current = counts
                of = f" of {n_rows:,}" if n_rows else ""
                show(counts.rows_read, n_rows, f"{counts.rows_read:,}{of} rows")

            yield progress

    @contextmanager
    def delivering(self, through: Position) -> Iterator[Delivery]:
        """Show how far the lake has come while the block runs."""
        with self._bar("writing to the lake") as show:

            def delivery(position: Position, elsewhere: bool) -> None:
                who = " (by the running server)" if elsewhere else ""
                show(position, through, f"record {position:,} of {through:,}{who}")

            yield delivery

    @contextmanager
    def tidying(self) -> Iterator[None]:
        """Show that the lake is tidied while the block runs."""
        with self._bar("adding up what is known of each customer"):
            yield

    def finished(self, file: Path, imported: Imported) -> None:
        """Say what became of one file's rows."""
        self._done += imported.counts
        self._current = ImportCounts()
        self._out.print(f"{printable(file.name)}: {_sentence(imported.counts)}")
        if imported.skipped:
            self._out.print(f"  skipped, since it tells nothing: {_names(imported.skipped)}")
        if imported.n_repeated:
            self._out.print(
                f"  {imported.n_repeated:,} rows name an item that stands before them in the file: "
                "of each item the last row holds"
            )
        if imported.rejects:
            self._out.print(
                f"  rejected rows, each with its reason: {printable(str(imported.rejects))}"
            )

    def total(self, finished: Sequence[Imported]) -> None:
        """Say what became of all rows, where there was more than one file, and how fast."""
        if len(finished) > 1:
            self._out.print(f"together: {_sentence(self._done)}")
        rows, seconds = self._done.rows_read, time.monotonic() - self._started
        self._out.print(f"{rows:,} rows in {seconds:.1f} s, {_round(rows / seconds):,} a second")

    def interrupted(self) -> None:
        """Say what is in after Ctrl-C."""
        counts = self._done + self._current
        self._err.print(
            f"stopped: {counts.accepted:,} rows are in and safe. Run the same command again to "
            "import the rest; events that are in do not count twice"
        )

    @contextmanager
    def _bar(self, title: str) -> Iterator[_Show]:
        if not self._err.is_terminal:
            yield _Lines(self._err, title)
            return
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[said]}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._err, transient=True) as progress:
            task = progress.add_task(title, total=None, said="")
            yield lambda done, total, said: progress.update(
                task, completed=done, total=total, said=said
            )


class _Lines:
    """Prints a line when some seconds have passed since the last."""

    def __init__(self, console: Console, title: str) -> None:
        self._console = console
        self._title = title
        self._last = time.monotonic()

    def __call__(self, _done: int, _total: int | None, said: str) -> None:
        if time.monotonic() - self._last >= _SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            self._console.print(f"{self._title}: {said}")


def _names(counted: Mapping[str, int]) -> str:
    """Return names with how often each came, the most frequent first."""
    ordered = sorted(counted.items(), key=lambda one: (-one[1], one[0]))
    shown = ", ".join(
        f"{printable(name[:_MOST_SHOWN])} {count:,}" for name, count in ordered[:_MOST_NAMES]
    )
    more = len(ordered) - _MOST_NAMES
    return f"{shown} and {more:,} names more" if more > 0 else shown


def _round(rate: float) -> int:
    """Return a rate to two digits: the third differs from run to run."""
    return int(float(f"{rate:.2g}"))


def _sentence(counts: ImportCounts) -> str:
    return (
        f"{counts.rows_read:,} rows read = {counts.accepted:,} accepted "
        f"+ {counts.duplicates:,} already there + {counts.rejected:,} rejected"
    )
