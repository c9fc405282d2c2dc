"""`recsys rules`: what merchandisers want of lists, as files, as a register, as a preview."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from recsys.errors import InvalidInput, NotFound
from serving.clock import utc_now
from serving.id_files import read_ids
from serving.rules.shown import cells_of, lines_of, titles_of
from serving.settings import ServingSettings, read_settings
from serving.terminal import printable

if TYPE_CHECKING:
    from recsys.rules.conflicts import Conflict
    from recsys.rules.rule import Rule
    from serving.log.rules import Signature
    from serving.rules.desk import Applied, RuleDesk
    from serving.rules.preview import PreviewedList

T = TypeVar("T")

# What rules are made of is imported where it is used: `recsys --help` needs none of the models.
rules_app = typer.Typer(
    no_args_is_help=True,
    help="Exclude, boost, bury and pin items, and set quotas; live within a second.",
)

DataFolder = Annotated[Path | None, typer.Option("--data-folder", help="Where everything is kept.")]
File = Annotated[
    Path, typer.Argument(metavar="FILE", help="TOML with a table rules.NAME for each.")
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a rule.")]
Author = Annotated[
    str, typer.Option("--author", help="Who wants it; default: who is logged in here.")
]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept with the change.")]

PREVIEWED = 20


@rules_app.command()
def apply(
    file: File,
    reason: Reason,
    author: Author = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")
    ] = False,
    data_folder: DataFolder = None,
) -> None:
    """Put the rules of a file in force, all or none; rules it does not name stay.

    Example: recsys rules apply rules.toml --reason 'Black Friday' --dry-run

    Works with or without a running server, which follows within a second.
    """
    rules, by = _read(file), _signature(author, reason)
    done = _at_desk(data_folder, lambda desk: desk.apply(rules, by, validate_only=dry_run))
    _say_applied(done, dry_run=dry_run)


@rules_app.command(name="list")
def list_rules(data_folder: DataFolder = None) -> None:
    """Show all rules, those first that have their way.

    Example: recsys rules list
    """
    found = _at_desk(data_folder, lambda desk: desk.rules())
    table = Table("Rule", "Kind", "What", "Where", "For", "From", "Until", "Priority", "By")
    for one in sorted(found, key=lambda one: one.rule.order if one.rule else (0, one.name)):
        table.add_row(*(Text(printable(cell)) for cell in cells_of(one)))
    Console(highlight=False).print(table if found else "there is no rule")


@rules_app.command()
def show(name: Name, data_folder: DataFolder = None) -> None:
    """Show one rule as a file would have it.

    Example: recsys rules show own-brand
    """
    from recsys.rules.files import toml_of

    newest = _at_desk(data_folder, lambda desk: desk.history(name))[0]
    if newest.unreadable:
        typer.echo(printable(f"not in force, since it cannot be read: {newest.unreadable}"))
        return
    if newest.rule is None:
        typer.echo(f"removed by {printable(newest.by.author)}: {printable(newest.by.reason)}")
        return
    typer.echo("\n".join(printable(line) for line in toml_of(newest.rule).splitlines()))


@rules_app.command()
def history(name: Name, data_folder: DataFolder = None) -> None:
    """Show every version of a rule: when, by whom, why, and what it said.

    Example: recsys rules history own-brand
    """
    from recsys.rules.files import toml_of

    for one in _at_desk(data_folder, lambda desk: desk.history(name)):
        what = "; ".join(toml_of(one.rule).splitlines()[1:]) if one.rule else "removed"
        what = f"cannot be read: {one.unreadable}" if one.unreadable else what
        when = f"{one.time:%Y-%m-%d %H:%M:%S} UTC"
        typer.echo(printable(f"{one.version}  {when}  {one.by.author}: {one.by.reason}  [{what}]"))


@rules_app.command()
def remove(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Names of rules.")],
    reason: Reason,
    author: Author = "",
    data_folder: DataFolder = None,
) -> None:
    """Take rules away, all or none; what they were stays in their history.

    Example: recsys rules remove own-brand --reason 'the campaign is over'
    """
    by = _signature(author, reason)
    done = _at_desk(data_folder, lambda desk: desk.remove(names, by))
    typer.echo(f"removed: {', '.join(done.changed)}; up to position {done.last_position:,}")


@rules_app.command()
def enable(name: Name, reason: Reason, author: Author = "", data_folder: DataFolder = None) -> None:
    """Put a rule in force that was put out of it.

    Example: recsys rules enable own-brand --reason 'stock is back'
    """
    by = _signature(author, reason)
    _say_applied(_at_desk(data_folder, lambda desk: desk.enable(name, by, enabled=True)))


@rules_app.command()
def disable(
    name: Name, reason: Reason, author: Author = "", data_folder: DataFolder = None
) -> None:
    """Put a rule out of force, and keep it.

    Example: recsys rules disable own-brand --reason 'out of stock'
    """
    by = _signature(author, reason)
    _say_applied(_at_desk(data_folder, lambda desk: desk.enable(name, by, enabled=False)))


@rules_app.command()
def check(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Rules beside those there are.")
    ] = None,
    data_folder: DataFolder = None,
) -> None:
    """Say which rules cannot be kept together, match nothing, or are over; change nothing.

    Example: recsys rules check rules.toml
    """
    rules = _read(file) if file else ()
    _say_conflicts(_at_desk(data_folder, lambda desk: desk.check(rules)), otherwise="no conflict")


@rules_app.command()
def preview(
    file: File,
    placement: Annotated[str, typer.Option("--placement", help="Whose lists.")] = "home",
    users: Annotated[
        Path | None, typer.Option(help="File of user ids, one a line; default: seen last.")
    ] = None,
    limit: Annotated[int, typer.Option(help="Most customers.", min=1, max=200)] = PREVIEWED,
    data_folder: DataFolder = None,
) -> None:
    """Show the lists of real customers without and with the rules of a file; change nothing.

    Example: recsys rules preview rules.toml --placement home --users users.txt

    Works with or without a running server.
    """
    rules, settings = _read(file), read_settings(data_folder=data_folder)
    asked = read_ids(users)[:limit] if users else None
    found = asyncio.run(_previewed(settings, rules, placement, asked, limit=limit))
    _say_previewed(found)


async def _previewed(
    settings: ServingSettings,
    rules: Sequence[Rule],
    placement: str,
    users: Sequence[str] | None,
    *,
    limit: int,
) -> list[PreviewedList]:
    from serving.lake.recent import recent_customers
    from serving.releases import no_release
    from serving.rules.preview import previewed
    from serving.rules.shop import snapshot_of_now
    from serving.standing_in import state_for_job
    from serving.telemetry import start_logging

    start_logging("warning")
    snapshot = snapshot_of_now(settings)
    if snapshot is None:
        raise no_release()
    if users is None:
        users = recent_customers(settings.log_file, settings.lake_folder, limit)
    async with state_for_job(settings) as state:
        await state.bring_up_to_date(lambda _doing, _done, _of: None)
        found = previewed(snapshot, rules, state.store, state.keys)
        return await found.lists(placement, users, now=utc_now())


def _say_previewed(found: Sequence[PreviewedList]) -> None:
    from serving.rules.preview import told_of_degraded

    table = Table("Customer", "Before", "After", "What changes")
    for one in found:
        cells = (titles_of(one.before), titles_of(one.after), "\n".join(one.changes()))
        table.add_row(*(lines_of(cell) for cell in (one.user_id, *cells)))
    Console(highlight=False).print(table)
    n_changed = sum(one.changed for one in found)
    typer.echo(f"{n_changed:,} of {len(found):,} lists change")
    if degraded := told_of_degraded(found):
        typer.echo(degraded)


def _at_desk(data_folder: Path | None, ask: Callable[[RuleDesk], Awaitable[T]]) -> T:
    """Return what the desk over the log's file answers."""

    async def asked() -> T:
        async with _desk(read_settings(data_folder=data_folder)) as desk:
            return await ask(desk)

    return asyncio.run(asked())


@asynccontextmanager
async def _desk(settings: ServingSettings) -> AsyncIterator[RuleDesk]:
    from serving.log.sqlite_log import SqliteLog
    from serving.rules.desk import RuleDesk
    from serving.rules.shop import shop_of, snapshot_of_now
    from serving.telemetry import start_logging

    start_logging("warning")
    log = SqliteLog(settings.log_file, clock=utc_now)
    try:
        yield RuleDesk(log, lambda: shop_of(settings, snapshot_of_now(settings), utc_now()))
    finally:
        await log.close()


def _read(file: Path) -> tuple[Rule, ...]:
    from recsys.rules.files import parse_rules

    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise NotFound(f"{file} cannot be read: {error}", reason="FILE_NOT_FOUND") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(str(file), str(error), "a TOML file in UTF-8") from error
    return parse_rules(text, name=file.name)


def _signature(author: str, reason: str) -> Signature:
    from serving.log.rules import Signature

    return Signature(author or getpass.getuser(), reason)


def _say_applied(done: Applied, *, dry_run: bool = False) -> None:
    would = "would be " if dry_run else ""
    names = f": {', '.join(done.changed)}" if done.changed else ""
    at = f"; up to position {done.position:,} of the log" if done.changed and not dry_run else ""
    typer.echo(f"{len(done.changed)} rules {would}changed{names}, {done.unchanged} as before{at}")
    _say_conflicts(done.conflicts)


def _say_conflicts(found: Sequence[Conflict], otherwise: str = "") -> None:
    for one in found:
        typer.echo(printable(f"{one.kind}: {', '.join(one.rules)}: {one.why}"))
    if not found and otherwise:
        typer.echo(otherwise)
