"""What a power cut leaves: of everything noted, that which was synced for certain, and no more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from pathlib import Path
from random import Random
from shutil import rmtree

from tests.faults.disk import Disk, Step, Tree
from tests.faults.operations import OK, Kind, Operation

SECTOR = 512


class Cut(StrEnum):
    """What becomes of what was not synced.

    DROPPED: all of it is gone, names of files too.
    TRUNCATED: names are there; of the writes to a file the first half is.
    TORN: each name and each sector of each write is there or not, by chance.
    """

    DROPPED = "dropped"
    TRUNCATED = "truncated"
    TORN = "torn"


@dataclass(eq=False)
class _File:
    """What the disk holds of a file for certain, and the writes since that it may hold too."""

    durable: bytes = b""
    pending: list[Operation] = field(default_factory=list)
    last_seen: bytes | None = None

    def sync(self, *, succeeds: bool) -> None:
        """Take the writes in. After a failed sync no later one brings them to the disk."""
        if succeeds:
            self.durable = _written(self.durable, self.pending)
        self.pending = []

    def see(self, content: bytes) -> None:
        """Take what a writer that is not watched has made of the file."""
        if content != self.last_seen:
            self.last_seen = content
            self.pending += [
                Operation(Kind.TRUNCATE, ""),
                Operation(Kind.WRITE, "", content=content),
            ]

    def left(self, cut: Cut, rng: Random) -> bytes:
        """Return the content after a cut."""
        match cut:
            case Cut.DROPPED:
                return self.durable
            case Cut.TRUNCATED:
                return _written(self.durable, _first_half(self.pending))
            case Cut.TORN:
                return _written(self.durable, _torn(self.pending, rng))


@dataclass(frozen=True, slots=True)
class Image:
    """One disk as a power cut leaves it.

    folder: the root as it is then. acknowledged: what was promised until then.
    """

    n_steps: int
    folder: Path
    acknowledged: frozenset[str]


def images(disk: Disk, cut: Cut, into: Path, *, seed: int, every: int = 1) -> Iterator[Image]:
    """Yield what a cut leaves after each `every`-th step, each of a row of like images once.

    Of like ones it is the last that counts: by then the most was promised.
    """
    model, before = PowerModel(disk), b""
    held: Image | None = None
    for n_steps, step in enumerate(disk.steps, start=1):
        model.take(step)
        if n_steps % every and n_steps < len(disk.steps):
            continue
        folder = into / f"{cut}-{n_steps}"
        folder.mkdir()
        model.left(cut, Random(seed + n_steps), folder)
        digest = _digest(folder)
        if held is not None and digest != before:
            yield held
        if held is not None:
            rmtree(held.folder)
        held, before = Image(n_steps, folder, frozenset(disk.acknowledged(n_steps))), digest
    if held is not None:
        yield held


_FOLDER = _File()
_Names = dict[str, _File]


class PowerModel:
    """The disk below a root, step by step; after any of them the power may be cut."""

    def __init__(self, disk: Disk) -> None:
        self._root = str(disk.root)
        self._live: _Names = {
            path: _FOLDER if content is None else _File(content, last_seen=content)
            for path, content in disk.before.items()
        }
        self._numbered: dict[int, _File] = {}
        self._synced: dict[str, _Names] = {}
        for folder in {self._root, *(p for p, one in self._live.items() if one is _FOLDER)}:
            self._sync_names(folder)

    def take(self, step: Step) -> None:
        """Go one step further."""
        if step.tree is not None:
            self._see(step.tree)
        operation, succeeds = step.operation, step.code == OK
        match operation.kind:
            case Kind.SYNC:
                self._live[operation.path].sync(succeeds=succeeds)
                if succeeds and operation.with_folder:
                    self._sync_names(_parent(operation.path))
            case _ if succeeds:
                self._happen(operation)

    def left(self, cut: Cut, rng: Random, into: Path) -> None:
        """Write what a cut at this moment leaves, as a tree of files, into an empty folder."""
        self._restore(self._root, into, cut, rng)

    def _happen(self, operation: Operation) -> None:
        path = operation.path
        match operation.kind:
            case Kind.CREATE:
                self._create(path)
            case Kind.WRITE | Kind.TRUNCATE:
                self._live[path].pending.append(operation)
            case Kind.SYNC_FOLDER:
                self._sync_names(path)
            case Kind.RENAME:
                self._live[operation.target] = self._live.pop(path)
            case Kind.DELETE:
                self._live.pop(path)
                if operation.with_folder:
                    self._sync_names(_parent(path))

    def _create(self, path: str) -> None:
        self._live[path] = _File()
        folder = _parent(path)
        while folder != self._root and folder not in self._live:
            self._live[folder] = _FOLDER
            folder = _parent(folder)

    def _see(self, tree: Tree) -> None:
        """Take the files of the engine as they are now; those of SQLite stay as they were."""
        of_sqlite = {path: one for path, one in self._live.items() if ".sqlite" in path}
        seen: _Names = {}
        for path, found in tree.items():
            if found is None:
                seen[path] = _FOLDER
                continue
            number, content = found
            if number not in self._numbered:
                before = self._live.get(path)
                known = before is not None and before.last_seen == content
                self._numbered[number] = before if before is not None and known else _File()
            seen[path] = self._numbered[number]
            seen[path].see(content)
        self._live = of_sqlite | seen

    def _sync_names(self, folder: str) -> None:
        self._synced[folder] = {p: one for p, one in self._live.items() if _parent(p) == folder}

    def _restore(self, folder: str, into: Path, cut: Cut, rng: Random) -> None:
        for path, file in sorted(self._names(folder, cut, rng).items()):
            target = into / Path(path).name
            if file is _FOLDER:
                target.mkdir()
                self._restore(path, target, cut, rng)
            else:
                target.write_bytes(file.left(cut, rng))

    def _names(self, folder: str, cut: Cut, rng: Random) -> _Names:
        """Return the names that a folder has after a cut, and what stands behind each."""
        synced = self._synced.get(folder, {})
        if cut is Cut.DROPPED:
            return synced
        live = {path: one for path, one in self._live.items() if _parent(path) == folder}
        if cut is Cut.TRUNCATED:
            return live
        # A rename is whole or not at all, so both of its names follow one throw.
        throws = {id(one): rng.random() < 0.5 for one in (*synced.values(), *live.values())}
        both = synced.keys() | live.keys()
        names: _Names = {}
        for path in sorted(both):
            old, new = synced.get(path), live.get(path)
            changed = new if new is not None else old
            chosen = new if old is new or throws[id(changed)] else old
            if chosen is not None:
                names[path] = chosen
        return names


def _digest(folder: Path) -> bytes:
    digest = blake2b()
    for path in sorted(folder.rglob("*")):
        content = b"" if path.is_dir() else path.read_bytes()
        digest.update(f"{path.relative_to(folder)} {len(content)} ".encode() + content)
    return digest.digest()


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _written(content: bytes, operations: list[Operation]) -> bytes:
    """Return a file's content after these writes and truncations."""
    file = bytearray(content)
    for operation in operations:
        if operation.kind is Kind.TRUNCATE:
            del file[operation.offset :]
            continue
        end = operation.offset + len(operation.content)
        file.extend(bytes(max(0, end - len(file))))
        file[operation.offset : end] = operation.content
    return bytes(file)


def _first_half(operations: list[Operation]) -> list[Operation]:
    """Return the first half of the bytes written, in order."""
    left = sum(len(one.content) for one in operations) // 2
    kept: list[Operation] = []
    for one in operations:
        if one.kind is Kind.WRITE and len(one.content) > left:
            return [*kept, Operation(Kind.WRITE, one.path, one.offset, one.content[:left])]
        left -= len(one.content)
        kept.append(one)
    return kept


def _torn(operations: list[Operation], rng: Random) -> list[Operation]:
    """Return a part of the operations by chance, cut where a sector of the file ends."""
    kept: list[Operation] = []
    for one in operations:
        if one.kind is Kind.TRUNCATE:
            kept += [one] if rng.random() < 0.5 else []
            continue
        place, end = one.offset, one.offset + len(one.content)
        while place < end:
            stop = min(end, (place // SECTOR + 1) * SECTOR)
            if rng.random() < 0.5:
                part = one.content[place - one.offset : stop - one.offset]
                kept.append(Operation(Kind.WRITE, one.path, place, part))
            place = stop
    return kept
