"""What every benchmark shares: its options, what it ran on, and how its numbers are told."""

from __future__ import annotations

import json
import os
import platform
import shlex
import statistics
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from rich.console import Console
from rich.table import Table

Number = int | float

PACKAGES = ("numpy", "scipy", "faiss-cpu")


@dataclass(frozen=True, slots=True)
class Spread:
    """A measure taken several times."""

    least: float
    median: float
    most: float

    @classmethod
    def of(cls, measured: Sequence[float]) -> Spread:
        """Return the spread of at least one measured number."""
        return cls(min(measured), statistics.median(measured), max(measured))

    def shown(self, digits: int = 0) -> str:
        """Return the three numbers as `least / median / most`."""
        return " / ".join(
            f"{number:,.{digits}f}" for number in (self.least, self.median, self.most)
        )


@dataclass(frozen=True, slots=True)
class Report:
    """All that one run of a benchmark says.

    command: what to type to repeat it. sizes: how much work it was. metrics: what was found.
    """

    benchmark: str
    command: str
    machine: Mapping[str, str | Number]
    versions: Mapping[str, str]
    seed: int
    sizes: Mapping[str, Number]
    metrics: Mapping[str, Number]


def parser(question: str) -> ArgumentParser:
    """Return a parser that knows the options which every benchmark takes."""
    options = ArgumentParser(description=question)
    options.add_argument("--json", type=Path, metavar="PATH", help="write the report here as JSON")
    options.add_argument("--seed", type=int, default=7, help="of everything drawn by chance")
    return options


def repeated(measure: Callable[[], float], repeats: int) -> Spread:
    """Return the spread of a measure taken `repeats` times, after one that does not count."""
    measure()
    return Spread.of([measure() for _ in range(repeats)])


def report_of(
    benchmark: str,
    options: Namespace,
    *,
    sizes: Mapping[str, Number],
    metrics: Mapping[str, Number],
    packages: Sequence[str] = (),
) -> Report:
    """Return the report of a run with these options on this machine."""
    return Report(
        benchmark=benchmark,
        command=shlex.join(["python", "-m", f"benchmarks.{benchmark}", *sys.argv[1:]]),
        machine=machine(),
        versions=versions((*PACKAGES, *packages)),
        seed=options.seed,
        sizes=sizes,
        metrics={name: _rounded(number) for name, number in metrics.items()},
    )


def tell(report: Report, tables: Sequence[Table], json_path: Path | None) -> None:
    """Print a report for people, and write it to `json_path` where one is given."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(f"[bold]{report.benchmark}[/bold]: {report.command}")
    console.print(_facts(report.machine), f"· seed {report.seed}")
    console.print(_facts(report.versions))
    console.print(_facts(report.sizes))
    for table in tables:
        console.print(table)
    if json_path is not None:
        json_path.write_text(json.dumps(asdict(report), indent=1) + "\n", encoding="utf-8")


def table(title: str, first: str, *columns: str) -> Table:
    """Return an empty table: `first` names its rows, the other columns hold numbers."""
    made = Table(title=title, title_justify="left")
    made.add_column(first, no_wrap=True)
    for column in columns:
        made.add_column(column, justify="right")
    return made


def machine() -> dict[str, str | Number]:
    """Return what this run has under it."""
    pages, page_bytes = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(os.getppid())),
        "memory_gib": round(pages * page_bytes / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Return the version of each package; those that are not installed are left out."""
    found = {}
    for name in dict.fromkeys(packages):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _facts(facts: Mapping[str, str | Number]) -> str:
    return " · ".join(
        f"{name} {value:,}" if isinstance(value, int) else f"{name} {value}"
        for name, value in facts.items()
    )


def _rounded(number: Number) -> Number:
    """Return the number to five significant digits: more would be noise."""
    return number if isinstance(number, int) else float(f"{number:.5g}")
