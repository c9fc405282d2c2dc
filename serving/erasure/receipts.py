"""The receipt of an erasure: what was removed where and when, and what is still to come."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import orjson

from serving.disk import make_private, synced
from serving.erasure.ledger import Entry

STATE, LOG, LAKE, MODELS = "state", "log", "lake", "models"
"""Names of stores beside those of texts. Models, which learned from somebody, are done last: they
go once others are served."""


@dataclass(frozen=True, slots=True)
class Removed:
    """What was done in one store.

    removed: how many rows, records, lines or values went, over all runs.
    started, finished: ISO 8601, UTC, of the last run. left: what is still there, and why; else
    empty. note: what else is worth knowing.
    """

    store: str
    removed: int
    started: str
    finished: str
    left: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one erasure; it names nobody.

    number, asked: as the ledger has them. identifiers: how many.
    stores: in the order in which they were first done. finished: empty while anything is left.
    """

    erasure_id: str
    number: int
    asked: str
    identifiers: int
    alone: bool
    stores: tuple[Removed, ...] = ()
    finished: str = ""

    @classmethod
    def begun(cls, entry: Entry) -> Self:
        """Return the receipt of an erasure of which nothing is done."""
        asked = entry.time.isoformat(timespec="seconds")
        return cls(entry.erasure_id, entry.number, asked, len(entry.hashes), entry.alone)

    @property
    def left(self) -> Mapping[str, str]:
        """What is still there, by store."""
        return {one.store: one.left for one in self.stores if one.left}

    @property
    def waits_for_models(self) -> bool:
        """Whether all is done but what the next training replaces."""
        return bool(self.stores) and set(self.left) == {MODELS}

    def lacks(self, store: str) -> bool:
        """Return whether a store is still to be done."""
        return store in self.left or all(one.store != store for one in self.stores)

    def with_store(self, done: Removed) -> Self:
        """Return the receipt after a store was done, perhaps again."""
        stores = {one.store: one for one in self.stores}
        before = stores[done.store].removed if done.store in stores else 0
        stores[done.store] = replace(done, removed=before + done.removed)
        return replace(self, stores=tuple(stores.values()), finished="")

    def closed(self, now: datetime) -> Self:
        """Return the receipt as finished, where nothing is left."""
        if self.left or self.finished:
            return self
        return replace(self, finished=now.isoformat(timespec="seconds"))


class Receipts:
    """The receipts in one folder, a JSON file each. Every method raises OSError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, erasure_id: str) -> Path:
        """Return the file of a receipt."""
        return self._folder / f"{erasure_id}.json"

    def read(self, erasure_id: str) -> Receipt | None:
        """Return a receipt, None where there is none that can be read."""
        try:
            found: dict[str, Any] = orjson.loads(self.path(erasure_id).read_bytes())
            stores = tuple(Removed(**one) for one in found.pop("stores"))
            return Receipt(**found, stores=stores)
        except (FileNotFoundError, orjson.JSONDecodeError, TypeError, KeyError):
            return None

    def write(self, receipt: Receipt) -> None:
        """Put a receipt on the disk, whole."""
        make_private(self._folder)
        path = self.path(receipt.erasure_id)
        draft = path.with_name(f".{path.name}.draft")
        with draft.open("wb") as file:
            file.write(orjson.dumps(asdict(receipt), option=orjson.OPT_INDENT_2))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        synced(self._folder)
