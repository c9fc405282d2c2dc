"""Picks as files that other tools read: CSV, or JSON Lines."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import orjson

from recsys.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Pick:
    """One item for one customer. price: None, and texts empty, where the catalog has none."""

    item_id: str
    title: str
    url: str
    image_url: str
    price: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class CustomerPicks:
    """The items for one customer, best first, and the token that ties events to them."""

    user_id: str
    picks: Sequence[Pick]
    attribution_token: str


Write = Callable[[CustomerPicks], None]


@contextmanager
def picks_file(path: Path, n_picks: int) -> Iterator[Write]:
    """Give what writes one customer's line; the file appears whole, when the block ends well.

    path: JSON Lines where it ends in .jsonl, else CSV with `n_picks` items a line.
    Raises Unavailable when the disk refuses.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        with draft.open("w", encoding="utf-8", newline="") as file:
            yield _json_writer(file) if path.suffix == ".jsonl" else _csv_writer(file, n_picks)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise Unavailable(
            f"{path} cannot be written: {error}; choose another place with --out",
            reason="OUTPUT_UNUSABLE",
        ) from error
    finally:
        draft.unlink(missing_ok=True)


def _csv_writer(file: TextIO, n_picks: int) -> Write:
    lines = csv.writer(file)
    columns = ("id", "title", "url", "image_url", "price", "reason")
    head = [f"rec_{place}_{name}" for place in range(1, n_picks + 1) for name in columns]
    lines.writerow(["user_id", "attribution_token", *head])

    def write(one: CustomerPicks) -> None:
        cells = [cell for pick in one.picks for cell in _cells(pick)]
        empty = [""] * (len(head) - len(cells))
        lines.writerow([one.user_id, one.attribution_token, *cells, *empty])

    return write


def _cells(pick: Pick) -> tuple[str, ...]:
    price = "" if pick.price is None else f"{pick.price:.2f}"
    return pick.item_id, pick.title, pick.url, pick.image_url, price, pick.reason


def _json_writer(file: TextIO) -> Write:
    def write(one: CustomerPicks) -> None:
        file.write(orjson.dumps(one).decode() + "\n")

    return write
