from __future__ import annotations

import numpy as np
import pytest

from recsys.candidates import Candidates
from recsys.pipeline.compile import compile_placements
from recsys.pipeline.diversity import Diverse
from recsys.pipeline.placement import parse_placements
from recsys.pipeline.selectors import Top, Varied
from recsys.query import Selection
from recsys.state import UserState
from recsys.timelines import Ragged
from tests import shop

BUNDLE = shop.bundle()
FACTORS, CATEGORIES = BUNDLE.factors, BUNDLE.catalog.categories
SCORES = {"bread": 1.0, "butter": 0.9, "jam": 0.8, "coffee": 0.5}


def ranked(scores: dict[str, float], n_queries: int = 1) -> Candidates:
    """Return these items under their scores, for each of so many queries."""
    rows = np.tile([shop.ROW[item] for item in scores], n_queries)
    queries = np.repeat(np.arange(n_queries, dtype=np.int32), len(scores))
    values = np.tile(np.array(list(scores.values()), dtype=np.float32), n_queries)
    return Candidates.of(queries, rows.astype(np.int32), values).ordered()


def chosen(selector: Diverse, scores: dict[str, float], limit: int) -> list[str]:
    contexts = shop.contexts([UserState.unknown()])
    found = selector.select(contexts, ranked(scores), np.array([limit], dtype=np.int32))
    return shop.names(found.rows)


def test_an_item_of_another_taste_comes_before_more_of_the_same() -> None:
    # Behind bread, butter and jam lie in its direction but in other categories: half alike.
    # 0.5 * 0.9 - 0.5 * 0.5 = 0.2, and 0.15, against 0.5 * 0.5 - 0 = 0.25 of coffee.
    assert chosen(Diverse(0.5, FACTORS, CATEGORIES), SCORES, 3) == ["bread", "coffee", "butter"]


def test_a_little_diversity_leaves_a_clear_order_as_it_is() -> None:
    assert chosen(Diverse(0.1, FACTORS, CATEGORIES), SCORES, 3) == ["bread", "butter", "jam"]


def test_items_of_one_category_count_as_alike_where_their_vectors_say_nothing() -> None:
    tea_and_coffee = {"tea": 1.0, "coffee": 0.9, "cake": 0.8}  # tea and cake have no vector

    found = chosen(Diverse(0.5, FACTORS, CATEGORIES), tea_and_coffee, 2)

    assert found == ["tea", "cake"]


def test_a_full_category_comes_behind_all_others_however_diverse_it_is() -> None:
    dairy = {"butter": 1.0, "milk": 0.9, "jam": 0.1}  # milk has another taste than butter

    free = chosen(Diverse(0.3, FACTORS, CATEGORIES), dairy, 3)
    capped = chosen(Diverse(0.3, FACTORS, CATEGORIES, per_category=1), dairy, 3)

    assert free == ["butter", "milk", "jam"]
    assert capped == ["butter", "jam", "milk"]


@pytest.mark.parametrize("per_category", [0, 1])
def test_no_diversity_is_the_plain_list(per_category: int) -> None:
    contexts, limits = shop.contexts([UserState.unknown()]), np.array([3], dtype=np.int32)
    plain = Varied(CATEGORIES, per_category) if per_category else Top()
    scores = {"butter": 1.0, "milk": 0.9, "jam": 0.1, "sugar": 0.05}

    found = Diverse(0.0, FACTORS, CATEGORIES, per_category).select(contexts, ranked(scores), limits)

    assert found.rows.tolist() == plain.select(contexts, ranked(scores), limits).rows.tolist()


def test_each_query_of_a_batch_has_the_diversity_it_asks_for() -> None:
    wishes = [None, 0.5, 0.0]
    queries = [shop.query(selection=Selection(diversity=wish)) for wish in wishes]
    contexts = shop.contexts([UserState.unknown()] * 3, queries)
    limits = np.array([2, 2, 1], dtype=np.int32)

    found = Diverse(0.1, FACTORS, CATEGORIES).select(contexts, ranked(SCORES, 3), limits)

    lists = [shop.names(found.rows[found.queries == query]) for query in range(3)]
    assert lists == [["bread", "butter"], ["bread", "coffee"], ["bread"]]


def test_a_report_says_how_much_relevance_a_diverse_list_kept() -> None:
    pipeline = compile_placements(parse_placements(shop.PLACEMENTS), BUNDLE)["home"]
    known, nothing = shop.bought("bread", days=20.0), Ragged.empty(1)
    plain, diverse = (
        shop.contexts([known], [shop.query(selection=Selection(diversity=wish))])
        for wish in (None, 1.0)
    )

    kept = [pipeline.fill(one, nothing).report(0).relevance_kept for one in (plain, diverse)]

    assert kept[0] == 1.0
    lists = [pipeline.fill(one, nothing).listed for one in (plain, diverse)]
    assert kept[1] == pytest.approx(lists[1].scores.sum() / lists[0].scores.sum())
    assert kept[1] < 1.0


def test_a_list_of_nothing_stays_empty() -> None:
    contexts = shop.contexts([UserState.unknown()])
    nothing = ranked(SCORES).take(np.zeros(4, dtype=np.bool_))

    found = Diverse(0.5, FACTORS, CATEGORIES).select(contexts, nothing, np.array([3], np.int32))

    assert len(found) == 0
