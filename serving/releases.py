"""The release folder as serving sees it: which bundle is asked for, and that bundle, verified."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recsys import releases
from recsys.bundle import ModelBundle
from recsys.errors import CorruptBundle


@dataclass(frozen=True, slots=True)
class ReleaseFolder:
    """Bundles in folders of their own, and a pointer to the one to serve."""

    path: Path

    def pointer(self) -> releases.Pointer | None:
        """Return what is to be served; None where nothing was ever published."""
        return releases.pointer(self.path)

    def load(self, version: str) -> ModelBundle:
        """Return a release, every digest checked. Raises CorruptBundle saying what is wrong."""
        folder = self.path / version
        if not folder.is_dir():
            raise CorruptBundle(
                f"the pointer names release {version}, which is not in {self.path}; promote one "
                "that `recsys releases` lists"
            )
        return ModelBundle.load(folder)
