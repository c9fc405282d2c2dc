"""Which relations a shop takes is decided by what its own window held."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from recsys.assortment import Assortment
from recsys.evaluation.splits import last_windows
from tests.training.small_lake import START, Line, shop_lines, small_settings, write_lake
from training.choose_relations import choose_relations
from training.datasets.lake import read_dataset
from training.recipe import Recipe
from training.settings import TrainingSettings


def chosen(folder: Path, lines: list[Line], settings: TrainingSettings) -> Recipe:
    """Return the recipe that the last window of these events chooses."""
    write_lake(folder, sorted(lines, key=lambda line: line.time))
    interactions = read_dataset(folder / "lake").interactions
    (split,) = last_windows(interactions, settings.window_days, 1)
    assortment = Assortment.of(read_dataset(folder / "lake").catalog)
    return choose_relations(Recipe.first_of(settings), split, assortment, settings)


def with_a_best_seller(lines: list[Line]) -> list[Line]:
    """Return the events with item 0 in every order: it tells nothing of what goes with what."""
    orders = {line.order: line for line in lines}
    return [*lines, *(replace(line, item_row=0) for line in orders.values())]


@pytest.mark.parametrize("values", ["[0.0, 0.5]", "[0.5, 0.0]"])
def test_popularity_is_divided_out_where_that_foresees_baskets(tmp_path: Path, values: str) -> None:
    settings = small_settings(f"together.exponents={values}", "together.smoothing=[0.0]")

    recipe = chosen(tmp_path, with_a_best_seller(shop_lines()), settings)

    assert recipe.together_exponent == 0.5


def test_what_is_bought_soon_after_counts_where_baskets_are_told_apart(tmp_path: Path) -> None:
    # Everything is bought alone, until the window has baskets of what used to follow.
    lines = [
        replace(line, order="") if line.time < START + timedelta(days=76) else line
        for line in shop_lines()
    ]
    spread = [
        replace(line, time=line.time + place % 3 * timedelta(days=1))
        for place, line in enumerate(lines)
        if line.time < START + timedelta(days=70)
    ]
    rest = [line for line in lines if line.time >= START + timedelta(days=76)]
    settings = small_settings("together.soon=[0.0, 1.0]")

    recipe = chosen(tmp_path, [*spread, *rest], settings)

    assert recipe.together_soon == 1.0


def looked_at(lines: list[Line]) -> list[Line]:
    """Return visits in which what was bought together is looked at, item 0 in every one first."""
    orders: dict[str, list[Line]] = {}
    for line in with_a_best_seller(lines):
        orders.setdefault(line.order, []).append(line)
    return [
        replace(line, order="", type="detail_view", time=line.time + place * timedelta(minutes=1))
        for own in orders.values()
        for place, line in enumerate([*own[-1:], *own[:-1]])
    ]


def test_popularity_is_divided_out_of_what_is_looked_at_where_that_foresees_visits(
    tmp_path: Path,
) -> None:
    settings = small_settings("viewed.exponents=[0.0, 0.5]", "viewed.smoothing=[0.0]")

    recipe = chosen(tmp_path, looked_at(shop_lines()), settings)

    assert recipe.viewed_exponent == 0.5


def test_rare_items_count_more_in_sessions_where_that_foresees_visits(tmp_path: Path) -> None:
    settings = small_settings("sessions.rarities=[0.0, 1.0]", "sessions.decays=[0.6]")

    recipe = chosen(tmp_path, looked_at(shop_lines()), settings)

    assert recipe.session_rarity == 1.0


def test_values_that_gain_nothing_leave_the_first(tmp_path: Path) -> None:
    settings = small_settings("together.half_life_days=[0.0, 1e6]", "together.exponents=[0.5]")
    settings = replace(settings, together=replace(settings.together, soon=(0.0,), smoothing=(3.0,)))

    recipe = chosen(tmp_path, shop_lines(), settings)

    assert recipe.numbers() == Recipe.first_of(settings).numbers()
