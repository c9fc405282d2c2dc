"""`recsys state`: customers' states compared with log and lake, and made again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress, TaskID

from serving.clock import utc_now
from serving.settings import read_settings
from serving.telemetry import start_logging

if TYPE_CHECKING:
    from serving.rebuild import Findings
    from serving.standing_in import Told

state_app = typer.Typer(
    no_args_is_help=True, help="Compare customers' states with log and lake; make them again."
)

DataFolder = Annotated[Path | None, typer.Option("--data-folder", help="Where everything is kept.")]

DIFFERS = 1
_SECONDS_BETWEEN_LINES = 5.0


@state_app.command()
def rebuild(
    data_folder: DataFolder = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only report.")] = False,
) -> None:
    """Make the state of every customer what log and lake say, and remove states of nobody.

    Example: recsys state rebuild

    Works with or without a running server, which goes on serving.
    """
    typer.echo(_sentence(_found(data_folder, only_look=dry_run), repaired=not dry_run))


@state_app.command()
def verify(data_folder: DataFolder = None) -> None:
    """Compare the state of every customer with log and lake; exit status 1 where one differs.

    Example: recsys state verify

    Changes nothing. Works with or without a running server.
    """
    found = _found(data_folder, only_look=True)
    typer.echo(_sentence(found, repaired=False))
    if not found.clean:
        raise typer.Exit(DIFFERS)


def _found(data_folder: Path | None, *, only_look: bool) -> Findings:
    from serving.rebuild import rebuild_state  # not at the top: it loads the engines of the lake

    settings = read_settings(data_folder=data_folder)
    start_logging("warning")
    with _progress() as told:
        return asyncio.run(rebuild_state(settings, utc_now(), told, only_look=only_look))


def _sentence(found: Findings, *, repaired: bool) -> str:
    done, gone = ("repaired", "removed") if repaired else ("differ", "would be removed")
    return (
        f"{found.customers:,} customers = {found.right:,} right + {found.repaired:,} {done} "
        f"({found.missing:,} entries missing, {found.wrong:,} wrong); "
        f"{found.removed:,} states of nobody {gone}; "
        f"{found.profiles.profiles:,} profiles, {found.profiles.repaired:,} {done}, "
        f"{found.profiles.removed:,} of nobody {gone}"
    )


@contextmanager
def _progress() -> Iterator[Told]:
    """Give what shows how far the job has come: a bar on a terminal, a line now and then else."""
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    if not console.is_terminal:
        yield _Lines(console)
        return
    with Progress(console=console, transient=True) as progress:
        tasks: dict[str, TaskID] = {}

        def told(doing: str, done: int, of: int) -> None:
            if doing not in tasks:
                tasks[doing] = progress.add_task(doing)
            progress.update(tasks[doing], completed=done, total=of)

        yield told


class _Lines:
    """Prints a line when some seconds have passed since the last."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = time.monotonic()

    def __call__(self, doing: str, done: int, of: int) -> None:
        if time.monotonic() - self._last >= _SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            self._console.print(f"{doing}: {done:,} of {of:,}")
