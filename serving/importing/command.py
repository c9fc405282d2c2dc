"""`recsys import`: a shop's files into the data folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from recsys.errors import InvalidInput
from recsys.events import Position
from recsys.items import check_market
from serving.clock import utc_now
from serving.erasure.gate import gate_of
from serving.erasure.mentions import text_gate_of
from serving.importing.delivery import deliver, tidy
from serving.importing.job import ImportCounts, Imported, import_file
from serving.importing.mapping import (
    CONSENT_COLUMNS,
    EVENT_COLUMNS,
    ITEM_COLUMNS,
    FieldMapping,
    parse_flags,
    read_mapping,
)
from serving.importing.prepared import Feed, ImportJob, Shape, Subject
from serving.importing.readers import check_there
from serving.importing.report import Report
from serving.lake.files import check_openable
from serving.log.writer import Writer
from serving.settings import ServingSettings, read_settings

import_app = typer.Typer(
    no_args_is_help=True,
    help="Read a shop's files (CSV, JSON or Parquet) into the data folder.",
)

Files = Annotated[
    list[Path],
    typer.Argument(
        help="CSV, JSON, JSON Lines (each also .gz) or Parquet files.", metavar="FILE..."
    ),
]
MappingFile = Annotated[
    Path | None, typer.Option("--mapping", help="TOML file: which column holds which field.")
]
Columns = Annotated[
    list[str] | None,
    typer.Option("--column", metavar="FIELD=COLUMN", help="A field's column; repeatable."),
]
Constants = Annotated[
    list[str] | None,
    typer.Option("--constant", metavar="FIELD=VALUE", help="One value for all rows; repeatable."),
]
DataFolder = Annotated[Path | None, typer.Option("--data-folder", help="Where everything is kept.")]

_MOST_SHIFTED = 36_500

Shift = Annotated[
    int,
    typer.Option(
        "--shift-days",
        min=-_MOST_SHIFTED,
        max=_MOST_SHIFTED,
        help="Move every time by so many days, to bring an old example into the present; "
        "give the same number when importing the file again.",
    ),
]

Format = Annotated[
    Shape | None,
    typer.Option(
        "--format",
        help="Files of Google Analytics 4 or Segment events (JSON); without it, rows and columns.",
    ),
]

FeedFormat = Annotated[
    Feed | None,
    typer.Option(
        "--format",
        help="Product feeds of Google Merchant Center (XML, TSV or JSON); without it, rows and "
        "columns.",
    ),
]
Market = Annotated[
    str,
    typer.Option(
        "--market",
        help="With --format merchant: the market, such as DE, whose prices and stocks the feed "
        "tells; without it, they are the item's own.",
    ),
]

_INTERRUPTED = 130


@import_app.command("events", epilog=f"Fields: {', '.join(EVENT_COLUMNS)}.")
def events(
    files: Files,
    mapping: MappingFile = None,
    column: Columns = None,
    constant: Constants = None,
    shift_days: Shift = 0,
    shape: Format = None,
    data_folder: DataFolder = None,
) -> None:
    """Import what customers did: purchases, views, clicks.

    Examples: recsys import events orders.csv --column user_id=customer --column item_id=sku
    --column time=ordered_at --constant type=purchase

    recsys import events events_20260301.json --format ga4

    Importing a file again within seven days adds only what is new in it.
    """
    if shape and (mapping or column or constant):
        raise InvalidInput("--format", shape.value, "no mapping beside it: its fields are known")
    fields = replace(_mapping(mapping, column, constant), shift_days=shift_days)
    settings = read_settings(data_folder=data_folder)
    job = ImportJob(Subject.EVENTS, fields, settings.rejects_folder, utc_now, shape)
    _import(files, job, settings)


@import_app.command("catalog", epilog=f"Fields: {', '.join(ITEM_COLUMNS)}.")
def catalog(
    files: Files,
    mapping: MappingFile = None,
    column: Columns = None,
    constant: Constants = None,
    feed: FeedFormat = None,
    market: Market = "",
    data_folder: DataFolder = None,
) -> None:
    """Import what the shop sells: items with title, category, price.

    Examples: recsys import catalog products.csv --column item_id=sku --column title=name

    recsys import catalog feed.xml --format merchant --market DE

    An item imported again is replaced by its newest row.
    """
    if feed and (mapping or column or constant):
        raise InvalidInput("--format", feed.value, "no mapping beside it: its fields are known")
    if market:
        _check_market(market, feed)
    fields = _mapping(mapping, column, constant)
    settings = read_settings(data_folder=data_folder)
    job = ImportJob(Subject.CATALOG, fields, settings.rejects_folder, utc_now, feed, market)
    _import(files, job, settings)


@import_app.command("consents", epilog=f"Fields: {', '.join(CONSENT_COLUMNS)}.")
def consents(
    files: Files,
    mapping: MappingFile = None,
    column: Columns = None,
    constant: Constants = None,
    data_folder: DataFolder = None,
) -> None:
    """Import what customers allow, such as the list of a newsletter tool.

    Examples: recsys import consents newsletter.csv --column user_id=customer
    --column granted=opted_in --column time=since --constant purpose=email

    recsys import consents list.csv --column identifier=address --constant kind=email
    --constant purpose=email --constant granted=true --constant basis='newsletter form'

    Purposes are personalise, train and email. A row without a time counts as said now. Of several
    statements the newest holds, whatever the order in which they are imported.
    """
    fields = _mapping(mapping, column, constant)
    settings = read_settings(data_folder=data_folder)
    job = ImportJob(Subject.CONSENTS, fields, settings.rejects_folder, utc_now)
    _import(files, job, settings)


def _check_market(market: str, feed: Feed | None) -> None:
    if feed is None:
        raise InvalidInput("--market", market, "--format merchant beside it")
    check_market("--market", market)


def _mapping(
    path: Path | None, columns: list[str] | None, constants: list[str] | None
) -> FieldMapping:
    """Return the mapping of the file, or without one of equal names, with the flags over it."""
    given = read_mapping(path) if path else FieldMapping(automatic=True)
    return given.with_flags(
        parse_flags(columns or (), "--column"), parse_flags(constants or (), "--constant")
    )


def _import(files: Sequence[Path], job: ImportJob, settings: ServingSettings) -> None:
    """Import the files one after the other, bring them to the lake, and say what became of them."""
    for file in files:
        check_there(file)
    check_openable(settings.lake_folder)
    writer = Writer(settings.log_file, clock=utc_now, gate=gate_of(settings))
    report = Report()
    job = replace(job, may_be_kept=text_gate_of(settings).lets_in)
    try:
        finished = [_one(file, job, writer, report) for file in files]
        writer.close()  # frees the event ids that it remembers
        last = max((one.last_position for one in finished), default=Position(0))
        with report.delivering(last) as delivery:
            deliver(settings.data_folder, last, delivery)
        report.total(finished)
        with report.tidying():
            tidy(settings)
    except KeyboardInterrupt as interrupt:
        report.interrupted()
        raise typer.Exit(_INTERRUPTED) from interrupt
    finally:
        writer.close()
    _check_some(files, finished)
    _check_whole(files, finished)


def _check_some(files: Sequence[Path], finished: Sequence[Imported]) -> None:
    """Raise InvalidInput where nothing of all the files could be used."""
    counts = sum((one.counts for one in finished), ImportCounts())
    if not counts.accepted + counts.duplicates and not _only_skipped(finished):
        raise InvalidInput(
            ", ".join(map(str, files)),
            f"no usable row among {counts.rows_read:,}",
            "rows with the fields named in the mapping; the rejects say what is wrong with each",
            reason="NOTHING_IMPORTED",
        )


def _check_whole(files: Sequence[Path], finished: Sequence[Imported]) -> None:
    """Raise InvalidInput naming the first file that could not be read to its end."""
    for file, one in zip(files, finished, strict=True):
        if one.broken is not None:
            came = f"{one.broken.came} in line {one.broken.line:,}"
            raise InvalidInput(str(file), came, one.broken.wanted, reason="FILE_BROKEN_OFF")


def _only_skipped(finished: Sequence[Imported]) -> bool:
    """Return whether all there was is skipped on purpose."""
    return any(one.skipped for one in finished) and not any(
        one.counts.rows_read for one in finished
    )


def _one(file: Path, job: ImportJob, writer: Writer, report: Report) -> Imported:
    with report.reading(file) as progress:
        imported = import_file(file, job, writer=writer, progress=progress)
    report.finished(file, imported)
    return imported
