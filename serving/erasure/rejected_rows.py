"""Rows of imports that could not be used, as far as they name one customer."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from recsys.customers import KINDS_OF_EVENTS, Identifier, IdKind
from serving.erasure.mentions import Mentioned
from serving.erasure.sought import FEWEST_TELLING_BYTES
from serving.erasure.text_files import files_of_lines, opened

Document = Mapping[str, Any]

_FIELDS = {kind: f"{kind.value}_id" for kind in KINDS_OF_EVENTS}


def rejected_rows(folder: Path, identifiers: Collection[Identifier]) -> Iterator[Document]:
    """Yield the rejected rows that name a customer, with the file of rejects that each lies in.

    A row that says whose it is, by user, visitor or session, is that customer's alone. All others
    are yielded where they hold an id in any column, or an e-mail address of which it is the hash;
    there an id of less than six bytes may mean anything, and does not count. Raises OSError.
    """
    own, mentioned = frozenset(identifiers), Mentioned(_Telling(frozenset(identifiers)))
    for path in files_of_lines(folder):
        name = path.relative_to(folder.parent).as_posix()
        with opened(path) as file:
            for document in map(_document, file):
                owner = owner_of(document.get("row"))
                if owner in own or (owner is None and mentioned.in_document(document) >= 0):
                    yield {"kept_in": name, **document}


def owner_of(event: object) -> Identifier | None:
    """Return whose an event or a row is, by the first of user, visitor, session that it names."""
    if isinstance(event, dict):
        for kind, name in _FIELDS.items():
            if event.get(name):
                return Identifier(kind, str(event[name]))
    return None


@dataclass(frozen=True, slots=True)
class _Telling:
    """The ids of one customer that mean something wherever they stand."""

    identifiers: frozenset[Identifier]

    def place(self, kind: IdKind, value: str) -> int:
        """Return 0 for one of them, -1 for any other id."""
        telling = len(value.encode()) >= FEWEST_TELLING_BYTES
        return 0 if telling and Identifier(kind, value) in self.identifiers else -1


def _document(line: bytes) -> Document:
    """Return a line of rejects; of a line that is none, as one that was torn, its text."""
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        found = line.decode(errors="replace").rstrip("\r\n")
    return found if isinstance(found, dict) else {"row": found}
