"""The commands of training: train, evaluate, promote, rollback, releases."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recsys.data_folder import data_folder_of
from recsys.errors import NotFound, RecsysError
from recsys.pipeline.placement import DEFAULT_PLACEMENTS, PlacementConfig, read_placements
from recsys.releases import Move, read_pointer
from recsys.variables import unknown_variables
from training import releases as folder_of_releases
from training.settings import DEFAULT_SETTINGS, TrainingSettings, read_settings

if TYPE_CHECKING:
    from training.train import Outcome

app = typer.Typer(no_args_is_help=True)

GATE_FAILED = 3
"""Exit status when a run went through and its gate said no."""

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""

DataFolder = Annotated[Path | None, typer.Option("--data-folder", help="Where everything is kept.")]
SettingsFile = Annotated[
    Path,
    typer.Option("--settings", envvar="RECSYS_TRAINING_SETTINGS", help="TOML file of settings."),
]
PlacementsFile = Annotated[
    Path,
    typer.Option("--placements", envvar="RECSYS_PLACEMENTS", help="TOML file of placements."),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="One setting; repeatable."),
]
TrackingUri = Annotated[
    str,
    typer.Option(
        "--tracking-uri",
        envvar="RECSYS_TRACKING_URI",
        help="MLflow store; empty for the data folder's own.",
    ),
]


@app.command()
def train(
    data_folder: DataFolder = None,
    settings: SettingsFile = DEFAULT_SETTINGS,
    placements: PlacementsFile = DEFAULT_PLACEMENTS,
    override: Overrides = None,
    tracking_uri: TrackingUri = "",
) -> None:
    """Learn from all events, measure on held-out customers, and publish if the gate agrees.

    Example: recsys train --set factors.dim=32

    Exit status: 0 published, 3 the gate said no (what was served is served on), 1 an error.
    """
    from training.record import TrainingJob
    from training.train import train as run_training

    console = Console()
    folder = data_folder_of(data_folder, os.environ)
    job = TrainingJob(
        folder, _settings(settings, override), read_placements(placements), _now, tracking_uri
    )
    before = read_pointer(job.releases)
    try:
        outcome = run_training(job, _Steps(console))
    except KeyboardInterrupt as interrupt:
        _stopped(before, read_pointer(job.releases))
        raise typer.Exit(INTERRUPTED) from interrupt
    _tell(console, outcome, folder)
    if not outcome.verdict.passed:
        raise typer.Exit(GATE_FAILED)


@app.command()
def evaluate(
    version: Annotated[str, typer.Argument(help="A release; empty for what is served.")] = "",
    data_folder: DataFolder = None,
    settings: SettingsFile = DEFAULT_SETTINGS,
    placements: PlacementsFile = DEFAULT_PLACEMENTS,
    override: Overrides = None,
    again: Annotated[
        bool, typer.Option("--again", help="Measure the settings anew; nothing is published.")
    ] = False,
) -> None:
    """Show how well a release foresaw held-out purchases when it was trained.

    Example: recsys evaluate 20260131-040000

    With --again the settings are measured anew on the present lake, and nothing is kept.
    """
    console, folder = Console(), data_folder_of(data_folder, os.environ)
    if again:
        _measure(console, folder, _settings(settings, override), read_placements(placements))
        return
    from training.report import rendered

    chosen = version or read_pointer(folder / "releases")
    if chosen is None:
        raise NotFound("no release is served yet; `recsys train` makes one", reason="NO_RELEASE")
    console.print(f"Measured when release {chosen} was trained:\n")
    console.print(rendered(folder_of_releases.stored_report(folder, chosen)))


@app.command()
def promote(
    version: Annotated[str, typer.Argument(help="A release of `recsys releases`.")],
    data_folder: DataFolder = None,
    tracking_uri: TrackingUri = "",
) -> None:
    """Serve a release from now on; a running server follows within a second.

    Example: recsys promote 20260131-040000
    """
    folder = data_folder_of(data_folder, os.environ)
    move = folder_of_releases.promote(folder / "releases", version, now=_now())
    _moved(move, folder, tracking_uri)


@app.command()
def rollback(data_folder: DataFolder = None, tracking_uri: TrackingUri = "") -> None:
    """Serve again what was served before.

    Example: recsys rollback
    """
    folder = data_folder_of(data_folder, os.environ)
    move = folder_of_releases.rollback(folder / "releases", now=_now())
    _moved(move, folder, tracking_uri)


@app.command()
def releases(data_folder: DataFolder = None) -> None:
    """List the releases, newest first, and which one is served.

    Example: recsys releases
    """
    console = Console()
    folder = data_folder_of(data_folder, os.environ)
    found = folder_of_releases.releases(folder / "releases")
    if not found:
        console.print("There is no release yet; `recsys train` makes one.")
        return
    table = Table(caption="NDCG@10: of each placement that is judged, when it was trained.")
    for name in ("release", "served", "events"):
        table.add_column(name, no_wrap=True)
    table.add_column("NDCG@10")
    for one in found:
        table.add_row(*_cells(one))
    console.print(table)


def _cells(release: folder_of_releases.Release) -> Iterator[str]:
    """Yield what the list of releases says of one."""
    yield release.version
    yield "served" if release.current else ""
    if release.manifest is None:
        yield "unreadable"
        return
    yield f"{release.manifest.counts.get('n_events', 0):,}"
    metrics = release.manifest.metrics
    yield ", ".join(
        f"{name} {f'{metrics[key]:.3f}'.removeprefix('0')}"
        for name in release.manifest.blends
        if (key := f"{name}_ndcg_at_10") in metrics
    )


def _settings(path: Path, override: list[str] | None) -> TrainingSettings:
    for warning in unknown_variables(os.environ):
        print(f"recsys: {warning}", file=sys.stderr)
    return read_settings(path, variables=os.environ, flags=override or ())


def _now() -> datetime:
    return datetime.now(UTC)


def _tell(console: Console, outcome: Outcome, data_folder: Path) -> None:
    """Print the tables, the verdict and what to do next."""
    from training.report import rendered

    console.print(rendered(outcome.report))
    passed = outcome.verdict.passed
    console.print(f"\nThe gate {'agrees' if passed else 'says no'}:", style="bold")
    for line in outcome.verdict.lines():
        console.print(f"  {escape(line)}", highlight=False)
    usual = data_folder == data_folder_of(None, os.environ)
    folder = "" if usual else f" --data-folder {data_folder}"
    if passed:
        console.print(f"\nRelease {outcome.version} is served from now on.", style="bold")
        console.print(
            f"Next: `recsys serve{folder}`; `recsys rollback{folder}` goes one step back."
        )
        return
    kept = outcome.champion
    stays = f"release {kept} is served on" if kept else "no release is served yet"
    console.print(f"\nNothing was published: {stays}.", style="bold")
    console.print("Next: look at what FAILED above; the run is kept in MLflow with all of it.")


def _stopped(before: str | None, now: str | None) -> None:
    """Say what is served after Ctrl-C, and what to do."""
    served = f"release {now} is served on" if now else "no release is served yet"
    said = f"nothing was published, {served}; the same command starts anew"
    if now != before:
        said = f"but release {now} was published already and is served"
    print(f"recsys: stopped: {said}", file=sys.stderr)


def _measure(
    console: Console,
    data_folder: Path,
    settings: TrainingSettings,
    placements: Mapping[str, PlacementConfig],
) -> None:
    from training.report import rendered
    from training.train import measure

    report = measure(data_folder, settings, placements, _Steps(console))
    console.print("Measured just now, with these settings on the present lake:\n")
    console.print(rendered(report))


def _moved(move: Move, data_folder: Path, tracking_uri: str) -> None:
    """Say what is served now, and let MLflow's alias follow; the pointer is the truth."""
    console = Console()
    before = f" (before: {move.previous})" if move.previous else ""
    console.print(f"Release {move.version} is served from now on{before}.")
    if not tracking_uri and not (data_folder / "mlflow.db").exists():
        return
    try:
        from training.tracking import Tracker

        told = "What is served is as said above"
        followed = Tracker.open(data_folder, tracking_uri, consequence=told).crown(move.version)
    except (RecsysError, ModuleNotFoundError) as error:
        console.print(f"MLflow's alias `champion` did not follow: {error}")
        return
    if not followed:
        console.print("MLflow knows no model of this release; its alias `champion` stays.")


@dataclass(frozen=True, slots=True)
class _Steps:
    """Shows each step of a run, with its time."""

    console: Console

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Show a step while it runs, and how long it took."""
        start = time.perf_counter()
        with self.console.status(f"{name} ..."):
            yield
        self.console.print(f"{time.perf_counter() - start:6.1f} s  {name}", highlight=False)

    def tell(self, words: str) -> None:
        """Show what was found, under the step before."""
        self.console.print(f"{'':10s}{words}", highlight=False)
