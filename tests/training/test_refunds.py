"""A purchase that was given back is no purchase: neither to learn from nor to be foreseen."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from recsys.assortment import Assortment
from recsys.errors import NotReady
from recsys.evaluation.replay import cases_of
from recsys.evaluation.splits import Split
from recsys.interactions import Interactions
from recsys.pipeline.placement import Situation
from tests.training.small_lake import START, Line, small_settings, write_lake
from training.datasets.enough import check_enough
from training.datasets.lake import Dataset, read_dataset
from training.fit.interests import Customers
from training.learn import Models, fit_models
from training.recipe import Recipe

DAY = timedelta(days=1)


def bought(user: str, item: int, day: float, order: str = "") -> Line:
    return Line(user, item, START + day * DAY, order)


def returned(user: str, item: int, day: float, quantity: float = 1.0) -> Line:
    return Line(user, item, START + day * DAY, type="refund", quantity=quantity)


def dataset_of(folder: Path, lines: list[Line]) -> Dataset:
    write_lake(folder, lines)
    return read_dataset(folder / "lake")


def learned(dataset: Dataset) -> Models:
    settings = small_settings()
    instant = np.datetime64(START.replace(tzinfo=None) + 100 * DAY, "s")
    customers = Customers.at(instant, dataset.interactions, Assortment.of(dataset.catalog))
    recipe = Recipe.first_of(settings)
    return fit_models(dataset.interactions, customers, recipe, settings)


def split_of(interactions: Interactions, day: int) -> Split:
    instant = np.datetime64(START.replace(tzinfo=None) + day * DAY, "s")
    return Split.at(interactions, instant, 10.0)


def targets_of(split: Split, situation: Situation) -> list[int]:
    cases = cases_of("home", situation, split, np.random.default_rng(1))
    return sorted(cases.targets.rows.tolist())


def test_what_was_given_back_makes_no_item_popular_near_or_bought_again(tmp_path: Path) -> None:
    kept = [bought(f"u{user}", 0, 1, f"o{user}") for user in range(4)]
    back = [bought(f"u{user}", item, day, f"o{user}") for user in range(4)
            for item, day in ((1, 1), (1, 2))]  # fmt: skip
    refunds = [returned(f"u{user}", 1, 3, quantity=2.0) for user in range(4)]

    models = learned(dataset_of(tmp_path, [*kept, *back, *refunds]))

    assert models.popularity.counts[0] > 0
    assert models.popularity.counts[1] == 0
    assert len(models.relations.together.rows) == 0
    assert models.repurchase.repeat_rates[1] == models.repurchase.repeat_rates[2]


def test_one_piece_given_back_of_two_leaves_a_purchase(tmp_path: Path) -> None:
    two = Line("u1", 1, START, quantity=2.0)

    models = learned(dataset_of(tmp_path, [two, bought("u2", 0, 1), returned("u1", 1, 3)]))

    assert models.popularity.counts[1] > 0


def test_a_purchase_is_no_target_when_it_is_given_back_later(tmp_path: Path) -> None:
    lines = [
        bought("u1", 0, 1),
        bought("u1", 1, 11),
        bought("u1", 2, 12),
        returned("u1", 1, 40),
    ]

    split = split_of(dataset_of(tmp_path, lines).interactions, 10)

    assert targets_of(split, Situation.VISIT) == [2]


def test_the_past_holds_what_was_known_then(tmp_path: Path) -> None:
    lines = [bought("u1", 0, 1), bought("u1", 1, 2), returned("u1", 0, 5), returned("u1", 1, 40)]

    split = split_of(dataset_of(tmp_path, lines).interactions, 10)

    assert len(split.past) == 3
    assert split.had_bought(np.array([0, 1])).tolist() == [False, True]


def test_what_was_given_back_before_is_a_discovery_when_bought_anew(tmp_path: Path) -> None:
    lines = [
        bought("u1", 0, 1),
        bought("u1", 3, 1),
        returned("u1", 0, 2),
        bought("u1", 0, 12),
        bought("u1", 3, 12),
    ]

    split = split_of(dataset_of(tmp_path, lines).interactions, 10)

    assert targets_of(split, Situation.DISCOVERY) == [0]


def test_purchases_given_back_are_not_enough_to_train_on(tmp_path: Path) -> None:
    lines = [bought("u1", 0, 1), returned("u1", 0, 2)]

    read = dataset_of(tmp_path, lines)

    with pytest.raises(NotReady, match="no purchase among them"):
        check_enough(read.interactions, window_days=14.0, history_days=14.0)
