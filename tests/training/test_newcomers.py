"""Newcomers are measured as they are served, and are no part of what is chosen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recsys.assortment import Assortment
from recsys.bundle import ModelBundle
from recsys.evaluation.replay import cases_of
from recsys.evaluation.splits import Split
from recsys.pipeline.placement import (
    NewcomersConfig,
    PlacementConfig,
    Situation,
    parse_placements,
)
from tests.training.small_lake import N_ITEMS, shop_lines, small_settings, write_lake
from training.datasets.lake import read_dataset
from training.evaluate import evaluate, replay
from training.fit.interests import Customers
from training.learn import fit_models
from training.recipe import Recipe
from training.rehearse import windows_of

HOME = parse_placements("""
[placements.home]
situation = "visit"
size = 10
sources = [{ kind = "buy_again", k = 20 }, { kind = "popular", k = 20 }]
""")["home"]
HALF = replace(HOME, newcomers=NewcomersConfig(share=0.5, days=30.0, evidence=1e6))


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelBundle, Split]:
    """Give a bundle in which the last ten items are new, and the window behind it."""
    folder: Path = tmp_path_factory.mktemp("newcomers")
    write_lake(folder, shop_lines())
    dataset, settings = read_dataset(folder / "lake"), small_settings()
    split = windows_of(dataset.interactions, settings)[-1]
    instant = int(split.instant.astype("datetime64[s]").astype(np.int64))
    since = np.full(N_ITEMS, instant - 400 * 86_400, dtype=np.int64)
    since[-10:] = instant - 86_400
    catalog = replace(dataset.catalog, since=since)
    customers = Customers.at(split.instant, split.past, Assortment.of(catalog))
    models = fit_models(split.past, customers, Recipe.first_of(settings), settings)
    return models.bundle(catalog, {}), split


def ndcg(trial: tuple[ModelBundle, Split], config: PlacementConfig) -> dict[str, float]:
    found = evaluate([trial], {"home": config}, seed=7, most_cases=50)
    return {
        f"{table.part} {line.name}": line.ndcg.mean
        for table in found.report.tables
        for line in table.lines
    }


def test_evaluation_measures_the_lists_that_are_served(trial: tuple[ModelBundle, Split]) -> None:
    without, with_half = ndcg(trial, HOME), ndcg(trial, HALF)

    assert with_half["all blend"] < without["all blend"]
    same = {name for name in without if with_half[name] == without[name]}
    assert {"all buy_again", "all personal frequency", "repeat blend", "repeat popular"} <= same


def test_popularity_owes_newcomers_the_same_share(trial: tuple[ModelBundle, Split]) -> None:
    alone = replace(HALF, sources=HALF.sources[1:])

    found = ndcg(trial, alone)

    assert found["all blend"] == found["all popular"] < ndcg(trial, HOME)["all popular"]


def test_what_weights_are_chosen_from_holds_no_newcomers(
    trial: tuple[ModelBundle, Split],
) -> None:
    bundle, split = trial
    cases = cases_of("home", Situation.VISIT, split, np.random.default_rng(1), most=50)

    without, with_half = (replay(bundle, split, one, cases) for one in (HOME, HALF))

    assert with_half.candidates().rows.tolist() == without.candidates().rows.tolist()
    assert with_half.candidates().signals.shape == without.candidates().signals.shape
    assert with_half.pipeline.proposing == without.pipeline.proposing
