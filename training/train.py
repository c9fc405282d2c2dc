"""One training run, top to bottom: from the lake to a release, or to the reasons why not."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import faiss
import numpy as np
from threadpoolctl import threadpool_limits

from recsys.arrays import Rows
from recsys.assortment import Assortment
from recsys.erasures import ErasureMark
from recsys.errors import InvalidInput, Unavailable
from recsys.index.chooser import Choice, choose_index
from recsys.releases import read_pointer, versions
from training.datasets.enough import check_enough
from training.datasets.lake import Dataset, read_dataset
from training.fit.interests import Customers, chosen
from training.gate import Champion, Verdict, judge
from training.learn import Models, fit_models
from training.lock import training_lock
from training.measures import Report
from training.record import TrainingJob, manifest_of_run, params_of, record
from training.rehearse import Placements, Rehearsal, StepListener, rehearse
from training.releases import keep_report, manifest_of, publish
from training.settings import TrainingSettings, recipe_settings
from training.tracking import Run, Tracker

MOST_QUESTIONS = 200
"""Customers whose vectors the index is measured with."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run. digest: of what was learned; equal input and settings share it."""

    version: str
    report: Report
    verdict: Verdict
    digest: str
    run_id: str
    choice: Choice
    champion: str | None


def train(job: TrainingJob, progress: StepListener) -> Outcome:
    """Learn from the lake, judge what was learned, and publish it if the gate agrees.

    Whatever stops the run, nothing is half published and what was served is served on. Raises
    NotReady with too little data, Unavailable when tracker, lake or disk refuse.
    """
    with training_lock(job.data_folder), threadpool_limits(1, user_api="blas"), _full_disk():
        tracker, dataset = _read_and_open(job, progress)
        name = _new_version(job)
        with (
            tracker.run(name, params_of(job, dataset), {"release": name}) as run,
            _draft_folder(job.releases, name) as draft,
        ):
            return _trained(job, dataset, run, draft, progress)


def measure(
    data_folder: Path, settings: TrainingSettings, placements: Placements, progress: StepListener
) -> Report:
    """Return what the settings are worth on the present lake; nothing is kept."""
    with threadpool_limits(1, user_api="blas"):
        dataset = _read(data_folder, settings, progress)
        rehearsal = rehearse(dataset, placements, settings, progress)
        return rehearsal.evaluation.report


def _trained(
    job: TrainingJob, dataset: Dataset, run: Run, draft: Path, progress: StepListener
) -> Outcome:
    """Run the steps between an open tracker and a release."""
    settings, version = job.settings, draft.name
    rehearsal = rehearse(dataset, job.placements, settings, progress)
    report, champion = rehearsal.evaluation.report, _champion(job, dataset, progress)
    with progress.step("learn from everything"):
        customers = _everybody(dataset)
        models = fit_models(dataset.interactions, customers, rehearsal.recipe, settings)
        models = models.foreseeing(dataset.descriptions, rehearsal.recipe.content())
    with progress.step("choose the index"):
        choice = _index(models, customers, settings)
    with progress.step("save and judge"):
        manifest = manifest_of_run(job, dataset, rehearsal, choice, version)
        bundle = models.bundle(
            dataset.catalog, rehearsal.blends, index=choice.index, manifest=manifest
        ).save(draft)
        verdict = _judged(job, dataset, rehearsal, choice, champion)
    with progress.step("record the run"):
        number = record(job, run, bundle, draft, rehearsal, verdict)
    if verdict.passed:
        with progress.step("publish"):
            _publish(job, draft, dataset, report)
            run.crown(number)
    served = champion.version if champion else None
    return Outcome(version, report, verdict, bundle.manifest.digest, run.run_id, choice, served)


def _publish(job: TrainingJob, draft: Path, dataset: Dataset, report: Report) -> None:
    """Publish the draft. Raises Unavailable where somebody was erased since the lake was read."""
    if not dataset.erased.covers(ErasureMark.read(job.data_folder / "lake")):
        raise Unavailable(
            "customers were erased while this run learned, perhaps from them too, so it is not "
            "published: run `recsys train` again",
            reason="ERASED_MEANWHILE",
        )
    keep_report(job.data_folder, draft.name, report)
    publish(
        job.releases,
        draft,
        draft.name,
        now=job.clock(),
        reason="the gate passed",
        keep=job.settings.keep_releases,
    )


def _read_and_open(job: TrainingJob, progress: StepListener) -> tuple[Tracker, Dataset]:
    """Read the lake, then open the tracker; without enough to learn from there is no tracker.

    Not side by side: Ctrl-C while two threads import can leave Python's import lock held for good.
    """
    dataset = _read(job.data_folder, job.settings, progress)
    with progress.step("open the tracker"):
        return Tracker.open(job.data_folder, job.tracking_uri), dataset


def _read(data_folder: Path, settings: TrainingSettings, progress: StepListener) -> Dataset:
    """Return what there is to learn from. Raises NotReady where that is too little."""
    with progress.step("read the lake"):
        dataset = read_dataset(
            data_folder / "lake",
            settings.robots.rule(),
            settings.consent.allowed_unless_refused,
        )
    left_out = dataset.left_out
    if left_out.events:
        progress.tell(f"robots left out: {left_out.robots:,}, with {left_out.events:,} events")
    check_enough(
        dataset.interactions,
        window_days=settings.window_days,
        history_days=settings.history_days,
    )
    return dataset


def _everybody(dataset: Dataset) -> Customers:
    instant = dataset.interactions.times[-1] + np.timedelta64(1, "s")
    return Customers.at(instant, dataset.interactions, Assortment.of(dataset.catalog))


def _index(models: Models, customers: Customers, settings: TrainingSettings) -> Choice:
    """Return the index measured with the vectors of customers drawn by the seed."""
    faiss.omp_set_num_threads(1)  # a graph built by several threads is another each time
    rng = np.random.default_rng(settings.seed)
    interests = customers.interests(models.interest)
    asking = np.flatnonzero(np.diff(interests.offsets))
    drawn: Rows = np.sort(rng.choice(asking, min(MOST_QUESTIONS, len(asking)), replace=False))
    return choose_index(
        models.factors.items,
        models.factors.known,
        models.factors.fold_in(chosen(interests, drawn)),
        k=min(settings.index.k, int(models.factors.known.sum())),
        recall_floor=settings.index.recall_floor,
        clock=time.perf_counter,
        rng=rng,
    )


def _champion(job: TrainingJob, dataset: Dataset, progress: StepListener) -> Champion | None:
    """Return what is served, its recipe rehearsed on the same past where it is another.

    The champion's own models have seen the test window, so recipes are compared, not bundles.
    """
    version = read_pointer(job.releases)
    manifest = manifest_of(job.releases, version) if version else None
    if version is None or manifest is None:
        return None
    champion = Champion(version, manifest.counts.get("n_events", 0), manifest.metrics)
    if manifest.settings == job.settings.recipe():
        return champion
    try:
        settings = recipe_settings(manifest.settings)
    except InvalidInput as error:
        return replace(champion, unreadable=f"its settings are of another version ({error})")
    with progress.step(f"the recipe of champion {version}, on the same past"):
        settings = replace(
            settings,
            seed=job.settings.seed,
            window_days=job.settings.window_days,
            most_cases=job.settings.most_cases,
            threads=job.settings.threads,
        )
        silent = _Silent()
        rehearsal = rehearse(dataset, job.placements, settings, silent)
    return replace(champion, evaluation=rehearsal.evaluation)


def _judged(
    job: TrainingJob,
    dataset: Dataset,
    rehearsal: Rehearsal,
    choice: Choice,
    champion: Champion | None,
) -> Verdict:
    return judge(
        rehearsal.evaluation,
        champion,
        n_events=len(dataset.interactions),
        index_recall=choice.recall,
        recall_floor=job.settings.index.recall_floor,
        settings=job.settings.gate,
        rng=np.random.default_rng(job.settings.seed),
    )


def _new_version(job: TrainingJob) -> str:
    """Return a name of a release: the time, UTC, and later in order than any there is."""
    name = f"{job.clock():%Y%m%d-%H%M%S}"
    same = [known for known in versions(job.releases) if known.startswith(name)]
    return f"{name}-{len(same) + 1}" if same else name


@contextmanager
def _draft_folder(releases: Path, version: str) -> Iterator[Path]:
    """Give the path for a draft on the disk of the releases; whatever is left of it goes."""
    releases.mkdir(parents=True, exist_ok=True)
    for left in releases.glob(".train-*"):  # of a run that was killed; the lock says none is on
        shutil.rmtree(left, ignore_errors=True)
    home = releases / f".train-{version}"
    home.mkdir()
    try:
        yield home / version
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _full_disk() -> Iterator[None]:
    """Say what a disk that refuses means for what is served."""
    try:
        yield
    except OSError as error:
        raise Unavailable(
            f"the disk refused: {error}. Nothing was published and what is served stays. Make "
            "room in the data folder (`recsys releases` lists old releases), then train again",
            reason="DISK_UNAVAILABLE",
        ) from error


class _Silent:
    """Hears of the steps of a run, and says nothing."""

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Run the step."""
        yield

    def tell(self, words: str) -> None:
        """Pass over it."""
