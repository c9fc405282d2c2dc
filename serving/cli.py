"""The commands of serving: serve, recommend, event, import, picks."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import orjson
import typer
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from recsys.errors import InvalidInput, Unavailable
from recsys.events import Event, EventType
from recsys.ids import ItemId
from recsys.query import Recommendation
from recsys.variables import unknown_variables
from serving.clock import utc_now
from serving.events_commands import events_app
from serving.importing.command import import_app
from serving.settings import ServingSettings, read_settings
from serving.state_commands import state_app
from serving.telemetry import announce, start_logging

app = typer.Typer(no_args_is_help=True, add_completion=False)
app.add_typer(import_app, name="import")
app.add_typer(events_app, name="events")
app.add_typer(state_app, name="state")

DataFolder = Annotated[Path | None, typer.Option("--data-folder", help="Where everything is kept.")]
Address = Annotated[
    str | None, typer.Option("--address", help="host:port of a server; default: the settings'.")
]
User = Annotated[str, typer.Option("--user", help="The shop's id of the user.")]
Visitor = Annotated[str, typer.Option("--visitor", help="The shop's id of the browser.")]
Session = Annotated[str, typer.Option("--session", help="The shop's id of the visit.")]
TIMEOUT_MS = 10_000


@app.command()
def serve(
    data_folder: DataFolder = None,
    port: Annotated[int | None, typer.Option(help="Port of gRPC; 0 takes a free one.")] = None,
    host: Annotated[str | None, typer.Option(help="Loopback address to listen on.")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes; 0: one a core, at most 2.")
    ] = None,
    redis_url: Annotated[
        str | None, typer.Option(help="Redis to use; default: the embedded Valkey.")
    ] = None,
    placements: Annotated[str | None, typer.Option(help="Your own placements.toml.")] = None,
) -> None:
    """Answer recommendations and take events over gRPC, until Ctrl-C.

    Example: recsys serve --port 50051

    Further settings: RECSYS_<KEY>, or a file named by RECSYS_SERVING_CONFIG.
    """
    from serving.supervisor import supervise  # not at the top: the other commands need none of it

    settings = _settings(
        data_folder=data_folder,
        port=port,
        host=host,
        workers=workers,
        redis_url=redis_url,
        placements=placements,
    )
    start_logging(settings.log_level)
    asyncio.run(supervise(settings, announce))


@app.command()
def recommend(
    placement: Annotated[
        str, typer.Option(help="home, product, cart, email, or your own.")
    ] = "home",
    user: User = "",
    visitor: Visitor = "",
    session: Session = "",
    seed: Annotated[
        list[str] | None, typer.Option(help="Item on the page or in the cart; repeatable.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="Item to leave out; repeatable.")
    ] = None,
    limit: Annotated[int, typer.Option(help="Most items; 0: the placement's own size.")] = 0,
    address: Address = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Ask a running server what to show one customer.

    Example: recsys recommend --user 42 --placement home --limit 5
    """
    from serving.client import RecsysClient  # not at the top: gRPC takes long to load

    with _asking(address) as to, RecsysClient(to, channels=1, timeout_ms=TIMEOUT_MS) as client:
        answer = client.recommend(
            placement,
            user_id=user,
            visitor_id=visitor,
            session_id=session,
            seeds=seed or (),
            excluded=exclude or (),
            limit=limit,
        )
    if as_json:
        print(orjson.dumps(answer).decode())
    else:
        _print(answer)


@app.command()
def event(
    item: Annotated[str, typer.Option(help="The shop's id of the item.")],
    kind: Annotated[EventType, typer.Option("--type", help="What was done.")],
    user: User = "",
    visitor: Visitor = "",
    session: Session = "",
    quantity: Annotated[float, typer.Option(help="Pieces.")] = 1.0,
    event_id: Annotated[str, typer.Option(help="The shop's id of the event; default: new.")] = "",
    token: Annotated[str, typer.Option(help="attribution_token of the list behind it.")] = "",
    address: Address = None,
) -> None:
    """Tell a running server what one customer did; it counts in the next answer.

    Example: recsys event --user 42 --type purchase --item 1029743
    """
    from serving.client import RecsysClient  # not at the top: gRPC takes long to load

    one = Event(
        event_id or uuid4().hex, kind, utc_now(), ItemId(item), user, visitor, session, quantity,
        attribution_token=token,
    )  # fmt: skip
    one.check()
    with _asking(address) as to, RecsysClient(to, channels=1, timeout_ms=TIMEOUT_MS) as client:
        result = client.write_events([one])
    for rejected in result.rejected:
        raise InvalidInput(rejected.field, rejected.message, "an event that can be used")
    what = "recorded" if result.accepted else "known already"
    print(f"{what}: {kind} of {item}, up to position {result.position} of the log")


@app.command()
def picks(
    placement: Annotated[str, typer.Option(help="Whose lists to write.")],
    out: Annotated[Path, typer.Option(help="File to write: CSV, or JSON Lines as .jsonl.")],
    limit: Annotated[int, typer.Option(help="Most customers; 0: all of the file, else 100.")] = 0,
    users: Annotated[
        Path | None, typer.Option(help="File of user ids, one a line; default: seen last.")
    ] = None,
    data_folder: DataFolder = None,
) -> None:
    """Write what to recommend to many customers into a file, as for an e-mail.

    Example: recsys picks --placement email --out picks.csv --limit 100

    Works with or without a running server.
    """
    from serving.campaigns.picks import PicksJob, write_picks  # not at the top: loads the models

    settings = _settings(data_folder=data_folder)
    start_logging("warning")
    job = PicksJob(placement, out, users, limit)
    with _progress() as told:
        counts = asyncio.run(write_picks(settings, job, utc_now, told))
    print(
        f"{out}: {counts.customers:,} customers, {counts.items:,} items, "
        f"{counts.unknown:,} customers of whom nothing is known (they get what is popular), "
        f"{counts.unsubscribed:,} left out who unsubscribed, "
        f"release {counts.release}"
    )


def _settings(**flags: Any) -> ServingSettings:
    """Return the settings; say which variables look like ours and set nothing."""
    for warning in unknown_variables(os.environ):
        print(f"recsys: {warning}", file=sys.stderr)
    return read_settings(**flags)


@contextmanager
def _asking(address: str | None) -> Iterator[str]:
    """Give the address to ask; say what to do where no server answers there."""
    to = address or _settings().address
    try:
        yield to
    except Unavailable as error:
        if error.reason not in ("UNAVAILABLE", "DEADLINE_EXCEEDED"):
            raise
        raise Unavailable(
            f"no server answers at {to}; start one with `recsys serve`, or name another with "
            f"--address ({error})",
            reason="NO_SERVER",
        ) from error


def _print(answer: Recommendation) -> None:
    console = Console(highlight=False)
    table = Table("", "Item", "Id", "Score", "Why", title=f"{answer.placement} ({answer.tier})")
    for item in answer.items:
        score = f"{item.score:.3f}"
        cells = (str(item.position), item.title or item.item_id, item.item_id, score)
        table.add_row(*cells, item.reason.text)
    console.print(table)
    console.print(f"release {answer.bundle_version}", style="dim")
    if answer.degraded:
        console.print(f"degraded: {answer.degraded}; the customer was taken as unknown")
    if answer.missing_ids:
        console.print(f"not in this release: {', '.join(answer.missing_ids)}", markup=False)


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """Give what shows how far a job has come, on standard error."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        tasks: dict[str, TaskID] = {}

        def told(doing: str, done: int, of: int) -> None:
            if doing not in tasks:
                tasks[doing] = progress.add_task(doing)
            progress.update(tasks[doing], completed=done, total=of)

        yield told
