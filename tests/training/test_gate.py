from dataclasses import replace

import numpy as np
import pytest

from recsys.evaluation.metrics import Interval
from training.gate import Champion, Verdict, judge
from training.measures import BLEND, POPULAR, Evaluation, Line, Report, Table
from training.settings import GateSettings

NOTHING = Interval(0.0, 0.0, 0.0)


def line(name: str, ndcg: float) -> Line:
    measured = Interval(ndcg, ndcg - 0.01, ndcg + 0.01)
    return Line(name, measured, measured, 0.1, 1.0, {"10": ndcg}, {"10": ndcg})


def evaluation(*, blend: float = 0.4, over_popular: float = 0.2, low: float = 0.1) -> Evaluation:
    lines = (line(POPULAR, blend - over_popular), line(BLEND, blend))
    over = Interval(over_popular, low, over_popular + 0.1)
    table = Table("home", "all", 100, lines, POPULAR, over, over, {})
    values = np.full(100, blend) + np.linspace(-0.05, 0.05, 100)
    report = Report(("2026-01-01",), 28.0, (table,))
    return Evaluation(report, {"home": values}, {"home": values - over_popular})


def verdict(
    candidate: Evaluation, champion: Champion | None, *, n_events: int = 1_000, recall: float = 0.99
) -> Verdict:
    return judge(
        candidate,
        champion,
        n_events=n_events,
        index_recall=recall,
        recall_floor=0.95,
        settings=GateSettings(tolerance=0.02, least_data=0.8),
        rng=np.random.default_rng(0),
    )


CHAMPION = Champion("v1", 1_000, {"home_ndcg_at_10": 0.4})


def test_the_first_candidate_that_beats_popularity_passes() -> None:
    found = verdict(evaluation(), None)

    assert found.passed
    assert "no champion yet" in "\n".join(found.lines())


def test_a_candidate_below_popularity_fails_with_its_numbers() -> None:
    found = verdict(evaluation(over_popular=-0.01, low=-0.02), None)

    assert len(found.failures) == 1
    assert "home: NDCG@10 -0.0100 [-0.0200" in found.failures[0]


def test_a_candidate_above_popularity_by_a_hair_passes_and_says_it_is_not_certain() -> None:
    found = verdict(evaluation(over_popular=0.01, low=-0.002), None)

    assert found.passed
    assert "not certain" in "\n".join(found.lines())


def test_a_placement_without_popular_items_need_not_beat_them_and_the_words_say_so() -> None:
    found = evaluation(over_popular=-0.01, low=-0.02)
    (table,) = found.report.tables
    alone, beside = (
        replace(
            found,
            report=replace(found.report, tables=(replace(table, contributions=contributions),)),
        )
        for contributions in ({"alike": 1.0}, {"alike": 0.9, POPULAR: 0.1})
    )

    assert verdict(alone, None).passed
    assert "something else" in "\n".join(verdict(alone, None).lines())
    assert not verdict(beside, None).passed


def test_the_same_recipe_on_newer_data_passes_without_a_comparison() -> None:
    assert verdict(evaluation(), CHAMPION).passed


@pytest.mark.parametrize(("theirs", "passed"), [(0.395, True), (0.405, True), (0.42, False)])
def test_another_recipe_may_be_lower_only_within_the_tolerance(theirs: float, passed: bool) -> None:
    other = replace(CHAMPION, evaluation=evaluation(blend=theirs))

    found = verdict(evaluation(blend=0.4), other)

    assert found.passed is passed
    assert "v1" in "\n".join(found.lines())


def of_two(first: list[float], second: list[float]) -> Evaluation:
    """Return what two placements gain, case by case."""
    table = evaluation().report.tables[0]
    both = {"home": np.array(first), "cart": np.array(second)}
    tables = tuple(replace(table, placement=name) for name in both)
    return Evaluation(Report(("2026-01-01",), 28.0, tables), both, both)


def test_one_placement_of_few_customers_that_is_lower_by_chance_does_not_block() -> None:
    champion = replace(CHAMPION, evaluation=of_two([0.4] * 100, [0.2, 0.4] * 10))

    found = verdict(of_two([0.42] * 100, [0.4, 0.1] * 10), champion)

    assert found.passed
    assert "cart" in next(line for line in found.lines() if "too few customers" in line)


def test_one_placement_that_is_lower_for_certain_blocks_whatever_the_others_gain() -> None:
    champion = replace(CHAMPION, evaluation=of_two([0.4] * 100, [0.4] * 100))

    found = verdict(of_two([0.8] * 100, [0.38] * 100), champion)

    assert [words.partition(":")[0] for words in found.failures] == ["cart"]


def test_placements_that_are_all_lower_by_chance_block_together() -> None:
    champion = replace(CHAMPION, evaluation=of_two([0.3, 0.5] * 10, [0.3, 0.5] * 10))

    found = verdict(of_two([0.5, 0.2] * 10, [0.5, 0.2] * 10), champion)

    assert [words.partition(":")[0] for words in found.failures] == ["all placements together"]


def test_a_champion_that_cannot_be_refitted_is_compared_by_its_stored_measures() -> None:
    unreadable = replace(CHAMPION, stored={"home_ndcg_at_10": 0.5}, unreadable="too old")

    assert "0.4000 against 0.5000" in verdict(evaluation(), unreadable).failures[0]


def test_much_less_data_than_the_champion_had_fails() -> None:
    assert verdict(evaluation(), CHAMPION, n_events=800).passed
    assert "champion v1 1,000" in verdict(evaluation(), CHAMPION, n_events=799).failures[0]


def test_an_index_below_its_floor_fails() -> None:
    assert "94.0%" in verdict(evaluation(), None, recall=0.94).failures[0]
