from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recsys.candidates import Candidates
from recsys.pipeline.compile import compile_placements
from recsys.pipeline.placement import parse_placements
from recsys.pipeline.relevance import relevance_kept, relevant_enough
from recsys.query import Selection
from recsys.state import UserState
from recsys.timelines import Ragged
from tests import shop

CONFIG = parse_placements(shop.PLACEMENTS)["home"]
NOTHING = Ragged.empty(1)


def candidates(*lists: list[float]) -> Candidates:
    """Return rows 0, 1, ... of each query under these scores."""
    queries = np.repeat(np.arange(len(lists), dtype=np.int32), [len(scores) for scores in lists])
    rows = np.concatenate([np.arange(len(scores), dtype=np.int32) for scores in lists])
    return Candidates.of(queries, rows, np.concatenate(lists).astype(np.float32))


def test_what_is_too_far_behind_the_best_of_its_own_query_leaves() -> None:
    scored = candidates([1.0, 0.5, 0.2], [0.2, 0.1, 0.04])
    queries = [shop.query(), shop.query(selection=Selection(min_relevance=0.6))]
    contexts = shop.contexts([UserState.unknown()] * 2, queries)

    enough = relevant_enough(contexts, scored, 0.5)

    assert enough.tolist() == [True, True, False, True, False, False]


def test_where_even_the_best_scores_nothing_all_are_relevant() -> None:
    contexts = shop.contexts([UserState.unknown()])

    assert relevant_enough(contexts, candidates([0.0, 0.0]), 0.5).all()


def test_relevance_kept_is_a_share_of_the_plain_lists() -> None:
    relevant = candidates([1.0, 0.5, 0.25], [0.0, 0.0])
    listed = relevant.take(np.array([1, 2, 3]))
    plain = relevant.take(np.array([0, 1, 4]))

    assert relevance_kept(relevant, listed, plain, 2).tolist() == [0.5, 1.0]


def test_a_list_is_shorter_where_too_few_are_relevant_and_says_how_many_left() -> None:
    contexts = shop.contexts([shop.bought("bread", days=20.0)])
    plain = compile_placements({"home": CONFIG}, shop.bundle())["home"]
    strict = compile_placements({"home": replace(CONFIG, min_relevance=0.5)}, shop.bundle())["home"]

    whole, short = (one.fill(contexts, NOTHING) for one in (plain, strict))

    scores = plain.ranked(contexts, plain.retrieve(contexts, plain.eligible(contexts))).scores
    left = int((scores < 0.5 * scores.max()).sum())
    assert left > len(scores) - 4
    assert short.report(0).irrelevant == left
    assert short.listed.rows.tolist() == whole.listed.rows.tolist()[: len(scores) - left]
    assert whole.report(0).irrelevant == 0


@pytest.mark.parametrize(("weight", "changes"), [(0.0, False), (1.0, True)])
def test_a_report_says_what_dearer_items_cost_in_relevance(weight: float, changes: bool) -> None:
    contexts = shop.contexts([shop.bought("bread", days=20.0)])
    config = replace(CONFIG, size=2, price_preference=weight)
    pipeline = compile_placements({"home": config}, shop.bundle())["home"]

    filled = pipeline.fill(contexts, NOTHING)

    plain = compile_placements({"home": replace(CONFIG, size=2)}, shop.bundle())["home"]
    relevance = _scored(plain.run(contexts.asking([shop.query(limit=10)])))
    best = sum(sorted(relevance.values())[-2:])
    own = sum(relevance[row] for row in filled.listed.rows.tolist())
    assert filled.report(0).relevance_kept == pytest.approx(own / best)
    assert (filled.report(0).relevance_kept < 1.0) == changes


def _scored(found: Candidates) -> dict[int, float]:
    return dict(zip(found.rows.tolist(), found.scores.tolist(), strict=True))
