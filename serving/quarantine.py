"""Rejected events: written out to be mended, and sent again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from recsys.errors import InvalidInput, NotFound
from recsys.events import Event, Record
from serving.api.event_codec import event_of, message_of_json
from serving.clock import Clock
from serving.importing.json_files import document_batches
from serving.importing.readers import said_as_unreadable
from serving.log.event_log import Rejected
from serving.log.records import Lines
from serving.log.tail import LogTail
from serving.log.writer import Gate, Writer

Document = Mapping[str, Any]
"""A rejected event as JSON: number, received, field, reason, message, event."""

_A_PAGE = 100
"""Events at a time: the largest are kept with 64 KiB each."""

_MOST_TOLD = 200
_WANTED = "an object as `recsys events quarantine --out` writes it, with `event`"


@dataclass(frozen=True, slots=True)
class Wrong:
    """An event that still cannot be used. number: under which it is kept; 0 where it is not."""

    number: int
    field: str
    message: str


@dataclass(slots=True)
class Replayed:
    """What became of events that were sent again.

    new: recorded now. known: their ids were recorded before. resolved: taken out of quarantine.
    """

    new: int = 0
    known: int = 0
    resolved: int = 0
    wrong: list[Wrong] = field(default_factory=list)


def kept_in(tail: LogTail, limit: int = 0) -> Iterator[Rejected]:
    """Yield at most `limit` rejected events, newest first; 0: all. Raises Unavailable."""
    return islice(_pages(tail), limit or None)


def kept_oldest_first(tail: LogTail) -> Iterator[Rejected]:
    """Yield all rejected events as they came: of two with one id the first counts."""
    page = tail.quarantined_after(0, _A_PAGE)
    while page:
        yield from page
        page = tail.quarantined_after(page[-1].number, _A_PAGE)


def _pages(tail: LogTail) -> Iterator[Rejected]:
    """Yield all rejected events, a few in memory at a time."""
    page = tail.quarantined(_A_PAGE)
    while page:
        yield from page
        page = tail.quarantined(_A_PAGE, before=page[-1].number)


def document_of(rejected: Rejected) -> Document:
    """Return a rejected event as JSON, with the event in the fields of the wire."""
    return {
        "number": rejected.number,
        "received": rejected.received.isoformat(),
        "field": rejected.field,
        "reason": rejected.reason,
        "message": rejected.message,
        "event": _event_in(rejected.payload),
    }


def _event_in(payload: str) -> object:
    """Return an event as quarantine keeps it; as text where it is no JSON."""
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError:
        return payload


def documents_in(path: Path) -> Iterator[Document]:
    """Yield the objects of a JSON file, and for what is none an empty one.

    Raises NotFound, InvalidInput.
    """
    if not path.is_file():
        raise NotFound(
            f"there is no file {path}: write one with `recsys events quarantine --out {path}`",
            reason="FILE_NOT_FOUND",
        )
    with said_as_unreadable(path):
        for batch in document_batches(path):
            yield from batch.found
            yield from ({"message": one.came} for one in batch.broken)


def replay(
    documents: Iterable[Document], log_file: Path, clock: Clock, gate: Gate | None = None
) -> Replayed:
    """Record the events of documents, and take out of quarantine what is in the log then.

    An event is judged by the clock of when it was received first, so that one without a time
    counts then, and one that lay ahead does not become right by waiting. What is still wrong
    stays. Stopped anywhere it can be run again: what is in is known then. Raises Unavailable.
    """
    tail, writer = LogTail(log_file), Writer(log_file, clock=clock, gate=gate)
    found, pending = Replayed(), iter(documents)
    try:
        while page := list(islice(pending, _A_PAGE)):
            mended = list(_mended(page, clock(), found.wrong))
            _append([one.event for one in mended], writer, found)
            found.resolved += tail.resolve(_still_kept(mended, tail))
    finally:
        writer.close()
        tail.close()
    return found


@dataclass(frozen=True, slots=True)
class _Mended:
    """An event that can be used now. number, received: as quarantine has them, if it does."""

    number: int
    received: datetime
    event: Event


def _still_kept(mended: Sequence[_Mended], tail: LogTail) -> list[int]:
    """Return the numbers of what came from this quarantine: received when it says so."""
    received = tail.quarantine_received([one.number for one in mended])
    return [one.number for one in mended if received.get(one.number) == one.received]


def _mended(page: Iterable[Document], now: datetime, wrong: list[Wrong]) -> Iterator[_Mended]:
    """Yield what can be used, and add the rest to `wrong`."""
    for document in page:
        number = document.get("number")
        number = number if isinstance(number, int) else 0
        try:
            yield _read(document, number, now)
        except InvalidInput as error:
            wrong.append(Wrong(number, error.field, str(error)))


def _read(document: Document, number: int, now: datetime) -> _Mended:
    """Return the event of a document. Raises InvalidInput."""
    if not isinstance(document.get("event"), dict):
        raise InvalidInput("event", _short(document.get("message", "")), _WANTED)
    received = _received(document, now)
    message = message_of_json(_json_of(document["event"]))
    return _Mended(number, received, event_of(message, now=received))


def _json_of(event: object) -> bytes:
    """Return an event as JSON. Raises InvalidInput for what no field can hold."""
    try:
        return orjson.dumps(event)
    except orjson.JSONEncodeError as error:
        raise InvalidInput("event", str(error), "numbers and texts as an Event has them") from error


def _short(told: object) -> str:
    return str(told)[:_MOST_TOLD]


def _received(document: Document, now: datetime) -> datetime:
    """Return when an event came first; now where the document does not say."""
    said = document.get("received")
    try:
        found = datetime.fromisoformat(said) if said else now
    except (TypeError, ValueError) as error:
        raise InvalidInput("received", _short(said), "the time of export, or none") from error
    return min(found if found.tzinfo else found.replace(tzinfo=UTC), now)


def _append(events: list[Event], writer: Writer, found: Replayed) -> None:
    if events:
        placed = writer.append(Lines.of([Record(event) for event in events]))
        found.new += placed.n_new
        found.known += len(events) - placed.n_new
