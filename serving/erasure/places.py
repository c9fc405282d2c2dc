"""Where erasures look: every folder and file of one shop that may name a customer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from serving.settings import ServingSettings

_CAMPAIGNS = ("campaigns", "picks")


@dataclass(frozen=True, slots=True)
class Places:
    """The places of one shop.

    ledger: beside the data folder's own, it may lie where no backup puts an older one in its place.
    texts: by name of a store, folders with files of lines.
    """

    data_folder: Path
    ledger: Path
    log_file: Path
    lake: Path
    releases: Path
    artifacts: Path
    texts: dict[str, Path]

    @classmethod
    def of(cls, settings: ServingSettings) -> Self:
        """Return the places of a shop with these settings."""
        data = settings.data_folder
        campaigns = {name: data / name for name in _CAMPAIGNS}
        return cls(
            data_folder=data,
            ledger=settings.erasure_ledger_file,
            log_file=settings.log_file,
            lake=settings.lake_folder,
            releases=settings.releases_folder,
            artifacts=data / "mlartifacts",
            texts={"rejects": settings.rejects_folder, **campaigns},
        )

    @property
    def receipts(self) -> Path:
        """The folder of receipts, beside what they are about."""
        return self.data_folder / "erasures"

    @property
    def customers_table(self) -> Path:
        """The table that another thread writes."""
        return self.lake / "customers"

    def tables(self) -> list[Path]:
        """Return the folders that may be tables, but for that one."""
        if not self.lake.is_dir():
            return []
        return sorted(
            one for one in self.lake.iterdir() if one.is_dir() and one != self.customers_table
        )
