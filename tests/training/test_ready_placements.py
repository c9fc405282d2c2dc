"""What training weighs and judges of placements, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsys.assortment import Assortment
from recsys.evaluation.splits import Split
from recsys.models.blend import Blend
from recsys.pipeline.placement import parse_placements
from tests.training.small_lake import shop_lines, small_settings, write_lake
from training.datasets.lake import Dataset, read_dataset
from training.evaluate import evaluate
from training.fit.interests import Customers
from training.learn import Models, fit_models
from training.recipe import Recipe
from training.rehearse import fit_blends, windows_of

PLACEMENTS = parse_placements("""
[placements.weighed]
situation = "visit"
size = 10
sources = [{ kind = "buy_again", k = 20 }, { kind = "popular", k = 20 }]

[placements.alone]
situation = "visit"
size = 10
sources = [{ kind = "popular", k = 20 }]

[placements.unjudged]
size = 10
sources = [{ kind = "buy_again", k = 20 }, { kind = "popular", k = 20 }]

[placements.likewise]
situation = "visit"
size = 10
sources = [{ kind = "buy_again", k = 20 }, { kind = "popular", k = 20 }]
ranker = { kind = "blend", like = "weighed" }

[placements.about_the_asker]
situation = "visit"
size = 10
relates_to = "last_bought"
sources = [{ kind = "bought_together", k = 20 }]
""")


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Models, Split, Dataset]:
    folder: Path = tmp_path_factory.mktemp("ready")
    write_lake(folder, shop_lines())
    dataset, settings = read_dataset(folder / "lake"), small_settings()
    split = windows_of(dataset.interactions, settings)[-1]
    customers = Customers.at(split.instant, split.past, Assortment.of(dataset.catalog))
    return fit_models(split.past, customers, Recipe.first_of(settings), settings), split, dataset


def test_weights_are_looked_for_where_there_is_something_to_weigh_and_judge(
    learned: tuple[Models, Split, Dataset],
) -> None:
    models, split, dataset = learned

    blends = fit_blends(models, split, dataset.catalog, PLACEMENTS, small_settings())

    assert {name for name, blend in blends.items() if blend != Blend({})} == {"weighed"}
    assert set(blends) == set(PLACEMENTS)


def test_what_has_a_situation_is_judged_by_itself_and_the_rest_is_not(
    learned: tuple[Models, Split, Dataset],
) -> None:
    models, split, dataset = learned
    blends = {"weighed": Blend({"buy_again": 1.0, "popular": 0.1})}
    bundle = models.bundle(dataset.catalog, blends)

    found = evaluate([(bundle, split)], PLACEMENTS, seed=7, most_cases=50)

    assert set(found.report.placements) == set(PLACEMENTS) - {"unjudged"}
    weighed, likewise = (found.report.table(name) for name in ("weighed", "likewise"))
    assert weighed.line("blend") == likewise.line("blend")
    assert found.report.table("about_the_asker").line("blend").share > 0
