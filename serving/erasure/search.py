"""The search that says whether anything of an id is left: every file, and the live store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from recsys.errors import Unavailable
from serving.erasure.places_found import searches_of
from serving.erasure.sought import Certainty, Sought

LIVE = "live store"
_MOST_ROUNDS = 3
Told = Callable[[str, int, int], None]
"""Told what is being done, how much of it is, and of how much."""


@dataclass(frozen=True, slots=True)
class Found:
    """A place that holds the id. where: inside the file, in words."""

    store: str
    file: str
    where: str
    certainty: Certainty


@dataclass(frozen=True, slots=True)
class Searched:
    """What was looked at of one store, and what was found there."""

    store: str
    files: int
    size: int
    found: tuple[Found, ...]

    @property
    def certain(self) -> tuple[Found, ...]:
        """What was found for certain."""
        return tuple(one for one in self.found if one.certainty is Certainty.CERTAIN)


@dataclass(frozen=True, slots=True)
class _File:
    store: str
    path: Path
    name: str
    size: int


def search_files(
    folder: Path, sought: Sought, *, may_hold_hash: Sequence[Path], told: Told
) -> list[Searched]:
    """Return what every file below a folder holds of an id, by its first folder.

    may_hold_hash: folders and files that have to know the hash. Raises Unavailable for a file that
    cannot be read: what was not looked at is not known to be clean.
    """
    found: dict[Path, tuple[_File, list[Found]]] = {}
    for _ in range(_MOST_ROUNDS):  # others may write: what they made meanwhile is looked at, too
        files = [file for file in _files(folder) if file.path not in found]
        whole, done = sum(file.size for file in files), 0
        for file in files:
            told("searching", done, whole)
            found[file.path] = file, _found_in(file, sought, may_hold_hash)
            done += file.size
    return _by_store(found.values())


def _by_store(found: Iterable[tuple[_File, list[Found]]]) -> list[Searched]:
    stores: dict[str, Searched] = {}
    for file, places in found:
        so_far = stores.get(file.store, Searched(file.store, 0, 0, ()))
        stores[file.store] = Searched(
            file.store, so_far.files + 1, so_far.size + file.size, (*so_far.found, *places)
        )
    return [stores[name] for name in sorted(stores)]


def _files(folder: Path) -> Iterator[_File]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            name = path.relative_to(folder)
            yield _File(name.parts[0], path, name.as_posix(), path.stat().st_size)


def _found_in(file: _File, sought: Sought, may_hold_hash: Sequence[Path]) -> list[Found]:
    if any(file.path.is_relative_to(one) for one in may_hold_hash):
        sought = sought.without_hash()
    try:
        return [
            Found(file.store, file.name, where, sure)
            for search in searches_of(file.path)
            for where, sure in search(file.path, sought)
        ]
    except FileNotFoundError:
        return []  # it went while we looked
    except Exception as error:  # of any engine: a file that cannot be read is not clean
        raise Unavailable(
            f"{file.path} cannot be searched: {error}. Nothing is said of it; make it readable, or "
            "take it away, and search again",
            reason="NOT_SEARCHED",
        ) from error
