"""The pictures of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from training.measures import BLEND, CURVE_DEPTHS, DEPTH, Report, Table


def draw(report: Report, folder: Path) -> None:
    """Write `curves_*.png` a table, `coverage.png` and `contributions.png` into a folder."""
    for table in report.tables:
        part = "" if table.part == "all" else f"_{table.part}"
        _curves(table, folder / f"curves_{table.placement}{part}.png")
    _coverage(report, folder / "coverage.png")
    _contributions(report, folder / "contributions.png")


def _curves(table: Table, path: Path) -> None:
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, measure in zip(figure.subplots(1, 2), ("ndcg", "recall"), strict=True):
        for line in table.lines:
            values: Mapping[str, float] = getattr(line, f"{measure}_by_depth")
            heights = [values[str(depth)] for depth in CURVE_DEPTHS]
            width = 2.5 if line.name == BLEND else 1.2
            axes.plot(CURVE_DEPTHS, heights, marker="o", linewidth=width, label=line.name)
        axes.set(xlabel="k", ylabel=f"{measure}@k", xscale="log", xticks=CURVE_DEPTHS)
        axes.set_xticklabels([str(depth) for depth in CURVE_DEPTHS])
        axes.minorticks_off()
    axes.legend(fontsize=7)
    figure.suptitle(f"{table.placement} ({table.part}, {table.n_cases} customers)")
    _write(figure, path)


def _coverage(report: Report, path: Path) -> None:
    tables = [table for table in report.tables if table.part == "all"]
    figure = Figure(figsize=(4.5 * len(tables), 3.6), layout="constrained")
    panels: Any = figure.subplots(1, len(tables), squeeze=False)[0]
    for axes, table in zip(panels, tables, strict=True):
        for line in (line for line in table.lines if line.share):
            axes.scatter(line.coverage, line.ndcg.mean, s=40, label=line.name)
        axes.set(xlabel=f"coverage@{DEPTH}, share of the catalog", ylabel=f"NDCG@{DEPTH}")
        axes.set_title(table.placement)
        axes.legend(fontsize=7)
    figure.suptitle("Popular lists show few items; what does variety cost?")
    _write(figure, path)


def _contributions(report: Report, path: Path) -> None:
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes: Any = figure.subplots()
    tables = [table for table in report.tables if table.part == "all"]
    sources = sorted({name for table in tables for name in table.contributions})
    left = [0.0] * len(tables)
    for source in sources:
        widths = [table.contributions.get(source, 0.0) for table in tables]
        axes.barh([table.placement for table in tables], widths, left=left, label=source)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    axes.set_xlabel(f"share of the scores of the first {DEPTH}")
    axes.legend(fontsize=7)
    _write(figure, path)


def _write(figure: Figure, path: Path) -> None:
    canvas: Any = FigureCanvasAgg(figure)
    canvas.print_png(str(path))
