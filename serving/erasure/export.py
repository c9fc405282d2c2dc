"""Everything known of one customer, as one JSON file."""

from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import orjson

from recsys.customers import Identifier, IdKind
from recsys.errors import Unavailable
from recsys.events import EVENT_TYPES
from recsys.state import (
    FACETS,
    NO_ROW,
    Entries,
    UserState,
    kinds_of_entries,
    quantities_of_entries,
    rows_of_entries,
)
from serving.erasure.places import Places
from serving.erasure.rejected_rows import owner_of, rejected_rows
from serving.erasure.text_files import files_of_lines
from serving.lake.of_customer import customer_rows, events_of
from serving.log.customer_reads import CustomerReader
from serving.log.customer_register import RegisteredCustomer
from serving.log.tail import LogTail
from serving.quarantine import document_of, kept_oldest_first
from serving.state.keys import StateKeys
from serving.state.redis_store import RedisStateStore

_OPTIONS = orjson.OPT_APPEND_NEWLINE

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Exported:
    """What is in an export. A customer of whom nothing is known gives zeros."""

    identifiers: int
    events: int
    rejected: int
    picks: int
    rejected_rows: int


@dataclass(frozen=True, slots=True)
class Held:
    """What the export begins with.

    customer: by the register. states: of each identifier that has one.
    """

    customer: RegisteredCustomer
    states: Mapping[Identifier, UserState]


async def held_of(
    places: Places, identifier: Identifier, *, store: RedisStateStore, keys: StateKeys
) -> Held:
    """Return what register and store tell of a customer. Raises Unavailable."""
    with closing(CustomerReader(places.log_file)) as reader:
        customer = reader.customer_of(identifier)
    asked = [[keys.customer(one.kind, one.value)] for one in customer.identifiers]
    states = zip(customer.identifiers, await store.read(asked), strict=True)
    return Held(customer, {one: state for one, state in states if state})


def write_export(places: Places, held: Held, out: Path, *, now: datetime) -> Exported:
    """Write the document into a file for its owner alone, whole or not at all.

    Raises Unavailable.
    """
    draft = out.with_name(f".{out.name}.{os.getpid()}.draft")
    descriptor = -1
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as file:
            exported = write_document(file, places, held, now=now)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(out)
    except OSError as error:
        raise Unavailable(
            f"{out} cannot be written: {error}; choose another place with --out",
            reason="OUTPUT_UNUSABLE",
        ) from error
    finally:
        draft.unlink(missing_ok=True)
    return exported


def write_document(file: BinaryIO, places: Places, held: Held, *, now: datetime) -> Exported:
    """Write the document; nobody else is in it. Memory stays bounded.

    An event, a rejected one too, is the customer's where the first of its user, visitor and session
    is one of the customer's identifiers; `rejected_rows` says whose a row of an import is. Raises
    Unavailable, and OSError of the file.
    """
    identifiers = held.customer.identifiers
    tail, reader = LogTail(places.log_file), CustomerReader(places.log_file)
    try:
        _begin(file, held, reader, now)
        _list(file, "customers", customer_rows(places.lake, identifiers))
        events = _list(file, "events", events_of(tail, places.lake, identifiers))
        rejected = _list(file, "rejected_events", _rejected(tail, identifiers))
        picks = _list(file, "campaigns", _picks(places, identifiers))
        rows = _list(file, "rejected_rows", rejected_rows(places.texts["rejects"], identifiers))
        file.write(b"}\n")
    finally:
        tail.close()
        reader.close()
    return Exported(len(identifiers), events, rejected, picks, rows)


def _begin(file: BinaryIO, held: Held, reader: CustomerReader, now: datetime) -> None:
    """Write what is small: the register, and the states."""
    begun = {
        "exported": now.isoformat(timespec="seconds"),
        "identifiers": [_named(one) for one in held.customer.identifiers],
        "attributes": dict(held.customer.attributes),
        "consents": list(held.customer.statements),
        "states": [
            {**_named(one), **_decoded(state, reader)} for one, state in held.states.items()
        ],
    }
    file.write(orjson.dumps(begun)[:-1])  # its last brace comes at the end


def _list(file: BinaryIO, name: str, found: Iterable[Document]) -> int:
    """Write a list, a line for each of its parts; return how many there are."""
    count = 0
    file.write(b',\n"' + name.encode() + b'": [\n')
    for one in found:
        file.write((b"," if count else b"") + orjson.dumps(one, default=str, option=_OPTIONS))
        count += 1
    file.write(b"]\n")
    return count


def _named(identifier: Identifier) -> dict[str, str]:
    return {"kind": identifier.kind.value, "value": identifier.value}


def _decoded(state: UserState, reader: CustomerReader) -> dict[str, list[Document]]:
    """Return what serving remembers, in words."""
    facets = zip(FACETS, state.facets, strict=True)
    return {facet.name: _entries(entries, reader) for facet, entries in facets if len(entries)}


def _entries(entries: Entries, reader: CustomerReader) -> list[Document]:
    rows = rows_of_entries(entries).tolist()
    names = reader.item_names([row for row in rows if row != NO_ROW])
    columns = (
        entries["time"].tolist(),
        kinds_of_entries(entries).tolist(),
        rows,
        quantities_of_entries(entries).tolist(),
    )
    return [
        {
            "time": datetime.fromtimestamp(second, UTC).isoformat(),
            "type": EVENT_TYPES[kind].value,
            "item_id": names.get(row, ("", ""))[0],
            "quantity": quantity,
        }
        for second, kind, row, quantity in zip(*columns, strict=True)
    ]


def _rejected(tail: LogTail, identifiers: Sequence[Identifier]) -> Iterator[Document]:
    """Yield the rejected events that are the customer's, as far as they say whose they are."""
    own = set(identifiers)
    documents = map(document_of, kept_oldest_first(tail))
    return (one for one in documents if owner_of(one["event"]) in own)


def _picks(places: Places, identifiers: Sequence[Identifier]) -> Iterator[Document]:
    """Yield the lines of campaign files that are for the customer."""
    users = {one.value for one in identifiers if one.kind is IdKind.USER}
    for store, folder in places.texts.items():
        for path in files_of_lines(folder) if store != "rejects" else ():
            name = path.relative_to(places.data_folder).as_posix()
            for line in _lines(path):
                if line.get("user_id") in users:
                    yield {"file": name, **line}


def _lines(path: Path) -> Iterator[Document]:
    """Yield the lines of a campaign's file by the names of their columns."""
    packed = path.suffix == ".gz"
    form = Path(path.stem).suffix if packed else path.suffix
    with (
        gzip.open(path, "rt", encoding="utf-8", newline="")
        if packed
        else path.open(encoding="utf-8", newline="")
    ) as file:
        yield from csv.DictReader(file) if form == ".csv" else _documents(file)


def _documents(file: TextIO) -> Iterator[Document]:
    for line in file:
        try:
            found = orjson.loads(line)
        except orjson.JSONDecodeError:
            found = {"user_id": line.strip()}
        yield found if isinstance(found, dict) else {"user_id": str(found)}
