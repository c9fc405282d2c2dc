"""The manifest of a bundle: what it is, where it came from, and the digest of every file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Self

from recsys.errors import CorruptBundle

FORMAT = 4
"""Raised when an older reader would misread the folder."""

INDEX_FILE = "index.faiss"

PLAN = ("search_depth", "exact_below")
"""Numbers that say how to search, not what was learned."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """Facts about a bundle; plain values only.

    version: name of the release. created: ISO 8601, UTC.
    log_position: last record of the log the bundle has learned from.
    erased_through: newest erasure such that it, and all before, left nothing to learn from.
    lake_versions: Delta version of each table that was read.
    numbers: scalar parameters of the models. index_kind: how FAISS arranged the vectors.
    blends: source weights by placement.
    settings: the training settings, as text. metrics: measured on held-out data.
    counts: sizes, such as n_items, n_users, n_events. packages: versions it was made with.
    files: digest (BLAKE2b-256, hex) by file name.
    """

    version: str
    created: str
    log_position: int
    lake_versions: Mapping[str, int]
    numbers: Mapping[str, float]
    index_kind: str
    blends: Mapping[str, Mapping[str, float]]
    settings: str
    metrics: Mapping[str, float]
    counts: Mapping[str, int]
    packages: Mapping[str, str]
    files: Mapping[str, str] = field(default_factory=dict)
    erased_through: int = 0
    format: int = FORMAT

    @property
    def digest(self) -> str:
        """Hex digest of what was learned; runs on the same data and settings share it.

        The index is left out: it is chosen by measured time, and finds what the vectors say.
        """
        files = {name: digest for name, digest in self.files.items() if name != INDEX_FILE}
        numbers = {name: number for name, number in self.numbers.items() if name not in PLAN}
        content = [files, numbers, self.blends]
        return blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()

    def to_json(self) -> str:
        """Return the text of `manifest.json`."""
        return json.dumps(asdict(self), indent=1, sort_keys=True)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the manifest of a file. Raises CorruptBundle when it is missing or not one."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["format"] != FORMAT:
                raise CorruptBundle(
                    f"{path}: format {content['format']}, this version reads {FORMAT}; train again"
                )
            return cls(**content)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CorruptBundle(f"{path}: not a manifest: {error}") from error
