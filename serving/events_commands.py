"""`recsys events`: the newest events, what they add up to, and those that were rejected."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer
from rich.console import Console

from recsys.errors import InvalidInput, NotFound, Unavailable
from recsys.events import EventType, Position
from serving.clock import utc_now
from serving.settings import ServingSettings, read_settings

if TYPE_CHECKING:
    from serving.events_shown import Overview
    from serving.lake.history import EventHistory, Row, Wanted
    from serving.log.tail import LogTail

# The engines of log and lake are imported where they are used: `recsys --help` needs none.
events_app = typer.Typer(
    no_args_is_help=True, help="Look at events; mend and replay those that were rejected."
)

DataFolder = Annotated[Path | None, typer.Option("--data-folder", help="Where everything is kept.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]

LISTED = 20
MOST_SHOWN = 1_000_000
MOST_DAYS = 20_000
_PAUSE_S = 0.3


@events_app.command()
def tail(
    number: Annotated[
        int, typer.Option("-n", "--number", min=0, max=MOST_SHOWN, help="How many.")
    ] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    kind: Annotated[EventType | None, typer.Option("--type", help="Only this type.")] = None,
    user: Annotated[str, typer.Option(help="Only of this user, visitor or session id.")] = "",
    as_json: AsJson = False,
    data_folder: DataFolder = None,
) -> None:
    """Show the newest events, by when the log took them.

    Example: recsys events tail -n 50 --follow --type purchase

    What has left the log comes from the lake. Works with or without a running server.
    """
    from serving.events_shown import json_of, line_of
    from serving.lake.history import EventHistory, Wanted

    say = json_of if as_json else line_of
    settings, wanted = read_settings(data_folder=data_folder), Wanted(kind, user)
    with _log_of(settings) as log:
        history = EventHistory(log, settings.lake_folder)
        last = log.last_position()
        for row in history.latest(wanted, number):
            typer.echo(say(row))
        if follow:
            for row in _followed(history, wanted, last, pause=lambda: time.sleep(_PAUSE_S)):
                typer.echo(say(row))


@events_app.command()
def stats(
    days: Annotated[int, typer.Option(min=1, max=MOST_DAYS, help="Days, today among them.")] = 7,
    data_folder: DataFolder = None,
) -> None:
    """Show what the events of the last days add up to, and how far everything has come.

    Example: recsys events stats --days 30
    """
    from serving.events_shown import overview

    settings = read_settings(data_folder=data_folder)
    with _log_of(settings) as log:
        Console(highlight=False, soft_wrap=True).print(overview(_overview(settings, log, days)))


@events_app.command()
def quarantine(
    limit: Annotated[
        int, typer.Option(min=0, help=f"Most events; 0: {LISTED}, or all of them into a file.")
    ] = 0,
    out: Annotated[
        Path | None, typer.Option(help="File to write them to, as JSON Lines, to be mended.")
    ] = None,
    as_json: AsJson = False,
    drop: Annotated[
        list[int] | None, typer.Option(help="Number of an event to throw away; repeatable.")
    ] = None,
    drop_all: Annotated[bool, typer.Option("--drop-all", help="Throw all of them away.")] = False,
    data_folder: DataFolder = None,
) -> None:
    """Show events that were rejected, newest first, each with its number and what is wrong.

    Example: recsys events quarantine --out rejected.jsonl

    They are kept for 30 days. Mend the `event` of each line, then `recsys events replay`.
    """
    with _log_of(read_settings(data_folder=data_folder)) as log:
        if drop or drop_all:
            _drop(log, drop or (), everything=drop_all)
        elif out:
            _export(log, out, limit)
        else:
            _list(log, limit or LISTED, as_json=as_json)


@events_app.command()
def replay(
    file: Annotated[
        Path | None, typer.Argument(help="File that `quarantine --out` wrote, mended.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of quarantine, as it is.")] = False,
    data_folder: DataFolder = None,
) -> None:
    """Send rejected events again, and take out of quarantine what went in.

    Example: recsys events replay rejected.jsonl

    Running it twice adds nothing. Works with or without a running server.
    """
    from serving.erasure.gate import gate_of
    from serving.events_shown import replayed_lines
    from serving.quarantine import document_of, documents_in, kept_oldest_first
    from serving.quarantine import replay as replayed

    if (file is None) != everything:
        raise InvalidInput("FILE", str(file or ""), "either a file, or --all")
    settings = read_settings(data_folder=data_folder)
    with _log_of(settings) as log:
        documents = documents_in(file) if file else map(document_of, kept_oldest_first(log))
        gate = gate_of(settings)
        for line in replayed_lines(replayed(documents, settings.log_file, utc_now, gate)):
            typer.echo(line)


def _followed(
    history: EventHistory, wanted: Wanted, after: Position, *, pause: Callable[[], None]
) -> Iterator[Row]:
    """Yield what comes behind a position, until Ctrl-C."""
    with suppress(KeyboardInterrupt):
        while True:
            rows, through = history.behind(after, wanted)
            yield from rows
            if through == after:
                pause()
            after = through


def _overview(settings: ServingSettings, log: LogTail, days: int) -> Overview:
    from serving.events_shown import Overview
    from serving.lake.event_statistics import event_statistics
    from serving.positions import positions_of

    today = utc_now().replace(hour=0, minute=0, second=0, microsecond=0)
    return Overview(
        days,
        event_statistics(log, settings.lake_folder, today - timedelta(days=days - 1)),
        asyncio.run(positions_of(settings, log)),
        {f"{field} {why}": count for (field, why), count in log.quarantine_counts().items()},
        _size(settings.log_file.parent),
        _size(settings.lake_folder),
    )


def _list(log: LogTail, limit: int, *, as_json: bool) -> None:
    from serving.events_shown import rejected_json, rejected_lines
    from serving.quarantine import kept_in

    if not (as_json or log.n_quarantined()):
        typer.echo("quarantine is empty")
    for line in (rejected_json if as_json else rejected_lines)(kept_in(log, limit)):
        typer.echo(line)


def _export(log: LogTail, out: Path, limit: int) -> None:
    """Write rejected events to a file, which is there when it is whole; all: the oldest first."""
    from serving.quarantine import document_of, kept_in, kept_oldest_first

    if out.exists():
        raise InvalidInput(
            "--out", str(out), "a file that is not there yet; this one may be mended"
        )
    written, unfinished = 0, out.with_name(f".{out.name}.part")
    try:
        unfinished.touch(mode=0o600)  # who did what is nobody else's business
        with unfinished.open("wb") as file:
            for one in kept_in(log, limit) if limit else kept_oldest_first(log):
                file.write(orjson.dumps(document_of(one), option=orjson.OPT_APPEND_NEWLINE))
                written += 1
        unfinished.replace(out)
    except OSError as error:
        raise Unavailable(
            f"{out} cannot be written: {error}. Give --out a file in a folder with room",
            reason="FILE_UNAVAILABLE",
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)
    typer.echo(f"{out}: {written:,} rejected events; mend them, then `recsys events replay {out}`")


def _drop(log: LogTail, numbers: Sequence[int], *, everything: bool) -> None:
    dropped = log.resolve_all() if everything else log.resolve(numbers)
    typer.echo(f"{dropped:,} rejected events thrown away")


@contextmanager
def _log_of(settings: ServingSettings) -> Iterator[LogTail]:
    """Give the log of a data folder. Raises NotFound where there is none: looking makes none."""
    from serving.log.tail import LogTail

    if not settings.log_file.exists():
        raise NotFound(
            f"there is no event log in {settings.data_folder}. Start `recsys serve` or `recsys "
            "import` there first, or name another folder with --data-folder",
            reason="NO_LOG",
        )
    log = LogTail(settings.log_file)
    try:
        yield log
    finally:
        log.close()


def _size(folder: Path) -> int:
    """Return how many bytes the files of a folder have; some may go while they are counted."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total
