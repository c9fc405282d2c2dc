"""What is written down of a run: the bundle's manifest, and everything MLflow keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version as package_version
from pathlib import Path

from recsys.bundle import ModelBundle
from recsys.index.chooser import Choice
from recsys.manifest import Manifest
from training.datasets.lake import Dataset
from training.gate import Verdict
from training.plots import draw
from training.rehearse import Placements, Rehearsal
from training.report import lines_of
from training.settings import TrainingSettings
from training.tracking import Run

PACKAGES = ("faiss-cpu", "implicit", "numpy", "scipy", "recsys")


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """What one run needs to know.

    clock: the time of day, UTC. tracking_uri: empty for the data folder's own store.
    """

    data_folder: Path
    settings: TrainingSettings
    placements: Placements
    clock: Callable[[], datetime]
    tracking_uri: str = ""

    @property
    def releases(self) -> Path:
        """The release folder."""
        return self.data_folder / "releases"


def manifest_of_run(
    job: TrainingJob, dataset: Dataset, rehearsal: Rehearsal, choice: Choice, version: str
) -> Manifest:
    """Return what a bundle says of itself: where it came from, and how good it is."""
    plan, recipe = choice.index.plan, rehearsal.recipe
    interactions = dataset.interactions
    return Manifest(
        version=version,
        created=job.clock().isoformat(timespec="seconds"),
        log_position=dataset.log_position,
        lake_versions=dataset.lake_versions,
        numbers={
            **recipe.numbers(),
            "search_depth": plan.search_depth,
            "exact_below": plan.exact_below,
        },
        index_kind=plan.kind.value,
        blends={name: blend.numbers() for name, blend in rehearsal.blends.items()},
        settings=job.settings.recipe(),
        metrics={**rehearsal.metrics(), "index_recall": choice.recall},
        counts={
            "n_items": interactions.n_items,
            "n_users": interactions.n_users,
            "n_events": len(interactions),
        },
        packages={name: package_version(name) for name in PACKAGES},
        erased_through=dataset.erased.done,
    )


def params_of(job: TrainingJob, dataset: Dataset) -> Mapping[str, object]:
    """Return the parameters of a run as they are known when it starts."""
    return {
        "settings": job.settings.recipe(),
        "placements": ", ".join(job.placements),
        "log_position": dataset.log_position,
        "n_events": len(dataset.interactions),
        "n_robots": dataset.left_out.robots,
        "n_robot_events": dataset.left_out.events,
        **{f"lake_version_{name}": number for name, number in dataset.lake_versions.items()},
    }


def record(
    job: TrainingJob,
    run: Run,
    bundle: ModelBundle,
    draft: Path,
    rehearsal: Rehearsal,
    verdict: Verdict,
) -> str:
    """Log everything, and return the number of the registered version where the gate passed."""
    report = rehearsal.evaluation.report
    pages = draft.with_name(f"{draft.name}.pages")
    pages.mkdir()
    draw(report, pages)
    (pages / "report.json").write_text(report.to_json(), encoding="utf-8")
    (pages / "report.txt").write_text("\n".join(lines_of(report)), encoding="utf-8")
    (pages / "verdict.txt").write_text("\n".join(verdict.lines()), encoding="utf-8")
    weights = {
        f"weight_{placement}_{source}": weight
        for placement, blend in rehearsal.blends.items()
        for source, weight in blend.numbers().items()
    }
    run.params({**rehearsal.recipe.numbers(), **weights, "index": bundle.manifest.index_kind})
    run.metrics(bundle.manifest.metrics, round(job.clock().timestamp() * 1_000))
    passed = "passed" if verdict.passed else "failed"
    run.tags({"gate": passed, "digest": bundle.manifest.digest})
    run.files(pages, "report")
    run.files(draft, "bundle")
    return run.register(draft.name, "bundle", {"gate": passed}) if verdict.passed else ""
