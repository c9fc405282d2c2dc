"""The release folder as serving sees it: which bundle is asked for, and that bundle, verified."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recsys import releases
from recsys.bundle import ModelBundle
from recsys.errors import CorruptBundle, NotReady


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


def no_release() -> NotReady:
    """Return the error of an installation that has nothing to serve."""
    return NotReady(
        "there is no release to serve yet, nor an item to show without one: run `recsys import`, "
        "then `recsys train`; it is served within a second. Where `recsys releases` shows one as "
        "served, the server refused it and says why in its log: `recsys rollback`, or `recsys "
        "promote` another",
        reason="NO_RELEASE",
    )
