"""`recsys customers`: everything known of one, taken out, erased, and looked for afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from recsys.customers import Identifier, IdKind
from serving.clock import utc_now
from serving.settings import ServingSettings, read_settings
from serving.telemetry import start_logging
from serving.terminal import printable

if TYPE_CHECKING:
    from serving.erasure.receipts import Receipt
    from serving.erasure.search import Searched, Told

customers_app = typer.Typer(
    no_args_is_help=True, help="Customers: what is known of them, and erasing it."
)

DataFolder = Annotated[Path | None, typer.Option("--data-folder", help="Where everything is kept.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="The shop's id of the customer.")]
Kind = Annotated[
    IdKind,
    typer.Option("--kind", help="What the id names. An e-mail address may stand for its hash."),
]
LONGEST_WAIT_S = 3_600.0
LEFT = 1
_MOST_PLACES = 20


@customers_app.command()
def export(
    customer_id: Id,
    out: Annotated[Path, typer.Option("--out", help="JSON file to write, for its owner alone.")],
    kind: Kind = IdKind.USER,
    data_folder: DataFolder = None,
) -> None:
    """Write everything known of a customer into one file, under all ids that are linked.

    Example: recsys customers export 42 --out customer-42.json

    Works with or without a running server.
    """
    from serving.erasure import running  # not at the top: it loads the engines of the lake

    identifier, settings = _asked(kind, customer_id, data_folder)

    async def job() -> None:
        async with running.home_of(settings) as home:
            found = await running.export(home, identifier, out, utc_now())
        typer.echo(
            f"{out}: {found.identifiers:,} identifiers, {found.events:,} events, "
            f"{found.rejected:,} rejected events, {found.rejected_rows:,} rejected rows of "
            f"imports, {found.picks:,} lines of campaigns"
        )

    asyncio.run(job())


@customers_app.command()
def erase(
    customer_id: Id,
    kind: Kind = IdKind.USER,
    only_this: Annotated[
        bool, typer.Option("--only-this-identifier", help="Leave what is linked with it.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data_folder: DataFolder = None,
) -> None:
    """Erase a customer for good, everywhere, under all ids that are linked. Prints a receipt.

    Example: recsys customers erase 42 --yes

    Works with or without a running server. What comes in late of before is dropped from then on;
    what happens after is a new customer's. Models that learned from the customer are removed once
    `recsys train` has published another one.
    """
    identifier, settings = _asked(kind, customer_id, data_folder)
    _print_receipt(asyncio.run(_erased(settings, identifier, only_this=only_this, yes=yes)))


@customers_app.command()
def erasures(
    data_folder: DataFolder = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the receipts as JSON.")] = False,
) -> None:
    """List all erasures with what became of them. They name nobody.

    Example: recsys customers erasures
    """
    from serving.erasure.asking import receipts_of
    from serving.erasure.ledger import Ledger
    from serving.erasure.places import Places

    places = Places.of(read_settings(data_folder=data_folder))
    found = receipts_of(places, Ledger(places.ledger).entries())
    if as_json:
        typer.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
        return
    table = Table("Erasure", "Asked", "Ids", "Removed", "Finished", "Left")
    for one in found:
        removed = sum(store.removed for store in one.stores)
        left = ", ".join(one.left) or ("" if one.finished else "not begun")
        cells = (one.erasure_id, one.asked, str(one.identifiers), f"{removed:,}", one.finished)
        table.add_row(*cells, left)
    Console(highlight=False, markup=False).print(table)


@customers_app.command(name="verify-erasure")
def verify_erasure(
    customer_id: Id,
    kind: Kind = IdKind.USER,
    also: Annotated[
        list[Path] | None, typer.Option("--also", help="Another folder to search; repeatable.")
    ] = None,
    data_folder: DataFolder = None,
) -> None:
    """Search every file and the live store for an id; exit status 1 where it is found.

    Example: recsys customers verify-erasure 42

    Before it is believed it has to find an id of chance that it plants in every kind of file.
    Bytes are searched for whole words, columns and fields for whole values. Ids of less than six
    characters count only where a field says what they name; other places are listed as doubtful.
    """
    from serving.erasure import running  # not at the top: it loads the engines of the lake

    identifier, settings = _asked(kind, customer_id, data_folder)
    with _progress() as told:
        found = asyncio.run(running.verify(settings, identifier, also or [], told))
    _print_searched(found)
    if any(one.certain for one in found):
        raise typer.Exit(LEFT)


@customers_app.command(name="reapply-erasures")
def reapply_erasures(data_folder: DataFolder = None) -> None:
    """Do every erasure again, after files were put back from a backup.

    Example: recsys customers reapply-erasures

    A server that starts notices a log, a lake or a Redis of before an erasure by itself. Rejects,
    campaign files, models and records of trainings that come back alone tell nothing: for those
    there is this. Works with or without a running server.
    """
    start_logging("warning")
    receipts = asyncio.run(_reapplied(read_settings(data_folder=data_folder)))
    left = [one for one in receipts if not one.finished]
    typer.echo(f"{len(receipts):,} erasures are done again, {len(left):,} of them open")
    if left:
        typer.echo("open ones: see `recsys customers erasures`")


async def _reapplied(settings: ServingSettings) -> Sequence[Receipt]:
    from serving.erasure import again, running  # not at the top: they load engines
    from serving.erasure.asking import receipts_of
    from serving.erasure.ledger import Ledger

    async with running.home_of(settings) as home:
        entries = Ledger(home.places.ledger).entries()
        with _progress() as shown:

            def told(store: str) -> None:
                shown(f"erasing: {store}", 0, 1)

            if home.alone:
                async with running.eraser_alone(home, utc_now) as eraser:
                    await eraser.run(told, again=True)
            elif entries:
                request = again.AgainRequest(home.places.receipts)
                wish = request.ask()
                await again.wait_until_met(request, wish, told=told, wait_s=LONGEST_WAIT_S)
        return receipts_of(home.places, entries)


async def _erased(
    settings: ServingSettings, identifier: Identifier, *, only_this: bool, yes: bool
) -> Receipt:
    from serving.erasure import asking, running  # not at the top: they load engines

    async with running.home_of(settings) as home:
        members = asking.customer_of(home.places, identifier, alone=only_this)
        if not yes:
            typer.confirm(_question(members), abort=True)
        now = utc_now()
        entry = asking.ask(home.places, members, keys=home.keys, now=now, alone=only_this)
        with _progress() as shown:

            def told(store: str) -> None:
                shown(f"erasing: {store}", 0, 1)

            return await running.erase(home, entry, told, clock=utc_now, wait_s=LONGEST_WAIT_S)


def _asked(
    kind: IdKind, value: str, data_folder: Path | None
) -> tuple[Identifier, ServingSettings]:
    """Return who is meant, and the settings. Raises InvalidInput."""
    of_address = kind is IdKind.EMAIL and "@" in value
    identifier = Identifier.of_email(value) if of_address else Identifier(kind, value)
    identifier.check("ID")
    start_logging("warning")
    return identifier, read_settings(data_folder=data_folder)


def _question(members: tuple[Identifier, ...]) -> str:
    names = ", ".join(printable(f"{one.kind.value} {one.value}") for one in members)
    return f"Erase {names} for good, everywhere? Nothing brings it back."


def _print_receipt(receipt: Receipt) -> None:
    typer.echo(f"erasure {receipt.erasure_id}, {receipt.identifiers} identifiers")
    for one in receipt.stores:
        typer.echo(f"  {one.store}: {one.removed:,} removed by {one.finished}")
        for remark in filter(None, (one.left, one.note)):
            typer.echo(f"    {remark}")
    typer.echo("finished" if receipt.finished else "open: see above what is left")


def _print_searched(found: list[Searched]) -> None:
    console = Console(highlight=False, markup=False, soft_wrap=True)
    table = Table("Store", "Files", "MiB", "Found", "Doubtful")
    for one in found:
        certain = len(one.certain)
        cells = (f"{one.files:,}", f"{one.size / (1 << 20):,.1f}")
        table.add_row(one.store, *cells, f"{certain:,}", f"{len(one.found) - certain:,}")
    console.print(table)
    for one in found:
        for place in one.found[:_MOST_PLACES]:
            doubt = "" if place in one.certain else " (doubtful: perhaps another word)"
            console.print(printable(f"{place.file}: {place.where}{doubt}"))
        if len(one.found) > _MOST_PLACES:
            console.print(f"{one.store}: {len(one.found) - _MOST_PLACES:,} more places")


@contextmanager
def _progress() -> Iterator[Told]:
    """Give what shows how far a job has come, on standard error of a terminal."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        tasks: dict[str, TaskID] = {}

        def told(doing: str, done: int, of: int) -> None:
            if doing not in tasks:
                tasks[doing] = progress.add_task(doing)
            progress.update(tasks[doing], completed=done, total=of)

        yield told
