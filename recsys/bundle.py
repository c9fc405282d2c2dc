"""Bundles: everything a run learned about items, as a folder that can be verified before use.

The folder holds `.npy` arrays, one FAISS index and `manifest.json`, which names every file with
its digest. Nothing in it can carry code. A bundle knows items, and which of them stood in
one session: no customer is in it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Self

import numpy as np

from recsys.catalog import Catalog
from recsys.catalog_files import Array, catalog_arrays, read_catalog
from recsys.errors import CorruptBundle
from recsys.index.faiss_index import FaissIndex, IndexKind, IndexPlan
from recsys.index.grown import GrownIndex
from recsys.interest import Interest
from recsys.manifest import INDEX_FILE, Manifest
from recsys.models.blend import Blend
from recsys.models.content import ContentModel
from recsys.models.factors import FactorModel
from recsys.models.popularity import PopularityModel
from recsys.models.relations import Relations
from recsys.models.repurchase import RepurchaseModel

MANIFEST_FILE = "manifest.json"


@dataclass(frozen=True, slots=True)
class ModelBundle:
    """The frozen result of one training run.

    manifest: version, origin and measured quality; its `files` are filled by `save`.
    blends: by placement name.
    content: None where no item was described.
    """

    manifest: Manifest
    catalog: Catalog
    interest: Interest
    factors: FactorModel
    index: FaissIndex | GrownIndex
    relations: Relations
    repurchase: RepurchaseModel
    popularity: PopularityModel
    blends: Mapping[str, Blend]
    content: ContentModel | None = None

    @property
    def version(self) -> str:
        """The release version, unique and ascending in time."""
        return self.manifest.version

    def save(self, folder: Path) -> Self:
        """Write the bundle to a folder that does not exist yet; it appears whole or not at all.

        Returns the bundle with the digests of its files. Raises OSError when the disk refuses.
        """
        draft = folder.with_name(f".{folder.name}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        try:
            for name, array in _arrays(self).items():
                np.save(draft / name, array, allow_pickle=False)
            _built(self).write(draft / INDEX_FILE)
            saved = replace(self, manifest=replace(self.manifest, files=_digests(draft)))
            (draft / MANIFEST_FILE).write_text(saved.manifest.to_json(), encoding="utf-8")
            _sync(draft)
            draft.rename(folder)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        sync_folder(folder.parent)
        return saved

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return the bundle of a folder, memory-mapped, after every digest has been checked.

        Raises CorruptBundle naming the file and what is wrong with it.
        """
        manifest = verify(folder)
        try:
            return cls._of(folder, manifest)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise CorruptBundle(
                f"{folder.name}: {error}", metadata={"bundle": folder.name}
            ) from error

    @classmethod
    def _of(cls, folder: Path, manifest: Manifest) -> Self:
        read = _Reader(folder)
        numbers = manifest.numbers
        factors = FactorModel(
            read("item_factors"),
            read("item_factors_gram"),
            numbers["regularization"],
            numbers["alpha"],
            foreseen=_foreseen(read, manifest),
        )
        plan = IndexPlan(
            IndexKind(manifest.index_kind), int(numbers["search_depth"]), numbers["exact_below"]
        )
        return cls(
            manifest=manifest,
            catalog=read_catalog(read),
            interest=Interest(read("interest_weights"), numbers["interest_half_life_days"]),
            factors=factors,
            index=FaissIndex.read(folder / INDEX_FILE, factors.items, read("factors_known"), plan),
            relations=Relations.of(read),
            repurchase=RepurchaseModel(read("repeat_rates"), numbers["repurchase_half_life_days"]),
            popularity=PopularityModel(
                read("popularity_counts"), read("popularity_order"), read("popularity_trends")
            ),
            blends={name: Blend.of(numbers) for name, numbers in manifest.blends.items()},
            content=_content(read, manifest),
        )


def _built(bundle: ModelBundle) -> FaissIndex:
    if not isinstance(bundle.index, FaissIndex):
        raise ValueError("a bundle that has grown is served, never saved")
    return bundle.index


def verify(folder: Path) -> Manifest:
    """Return the manifest once every file it names is there with the digest it states.

    Raises CorruptBundle on anything missing, changed or not named.
    """
    manifest = Manifest.read(folder / MANIFEST_FILE)
    found = _digests(folder)
    for name in sorted({*found, *manifest.files}):
        if found.get(name) != manifest.files.get(name):
            what = "missing" if name not in found else "not what the manifest says"
            raise CorruptBundle(
                f"bundle {folder.name}: {name} is {what}; publish it again or roll back",
                metadata={"bundle": folder.name, "file": name},
            )
    return manifest


def sync_folder(folder: Path) -> None:
    """Make the names inside a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _arrays(bundle: ModelBundle) -> dict[str, Array]:
    catalog = catalog_arrays(bundle.catalog)
    return {
        **{f"{name}.npy": array for name, array in catalog.items()},
        "interest_weights.npy": bundle.interest.weights,
        "item_factors.npy": bundle.factors.items,
        "item_factors_gram.npy": bundle.factors.gram,
        "factors_known.npy": _built(bundle).exact.known,
        **{f"{name}.npy": array for name, array in bundle.relations.arrays().items()},
        "repeat_rates.npy": bundle.repurchase.repeat_rates,
        "popularity_counts.npy": bundle.popularity.counts,
        "popularity_order.npy": bundle.popularity.order,
        "popularity_trends.npy": bundle.popularity.trends,
        **_foreseen_arrays(bundle),
    }


def _foreseen_arrays(bundle: ModelBundle) -> dict[str, Array]:
    """Return what foresees the vectors of items nobody has met; nothing where nothing does."""
    content, foreseen = bundle.content, bundle.factors.foreseen
    if content is None:
        return {}
    return {
        **({"factors_foreseen.npy": foreseen} if len(foreseen) else {}),
        "content_hashes.npy": content.hashes,
        "content_rarities.npy": content.rarities,
        "content_vectors.npy": content.vectors_of_features,
        "content_lengths.npy": np.array([content.exponent, content.scale]),
    }


def _content(read: _Reader, manifest: Manifest) -> ContentModel | None:
    if "content_hashes.npy" not in manifest.files:
        return None
    exponent, scale = read("content_lengths").tolist()
    return ContentModel(
        read("content_hashes"),
        read("content_rarities"),
        read("content_vectors"),
        exponent,
        scale,
    )


def _foreseen(read: _Reader, manifest: Manifest) -> Array:
    """Return which vectors come from descriptions; none in a bundle from before there were any."""
    if "factors_foreseen.npy" not in manifest.files:
        return np.empty(0, dtype=np.bool_)
    return read("factors_foreseen")


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads the arrays of one folder, mapped and never unpickled."""

    folder: Path

    def __call__(self, name: str) -> Array:
        array: Array = np.load(self.folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        return array.view(np.ndarray)


def _digests(folder: Path) -> dict[str, str]:
    return {path.name: _digest(path) for path in _files(folder)}


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.iterdir()) if path.name != MANIFEST_FILE)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        digest = blake2b(digest_size=32)
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _sync(folder: Path) -> None:
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    sync_folder(folder)
