from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from recsys.ids import ItemId, hashes_of
from recsys.items import Item
from recsys.models.content import ContentModel, lengthened

WORDS = ("bread", "rye", "white", "soap", "green")


def model(exponent: float = 0.0) -> ContentModel:
    """Return the model of five words of a title, on two tastes."""
    hashes = hashes_of([f"title:{word}" for word in WORDS])
    order = np.argsort(hashes)
    vectors = np.array([[2, 0], [1, 0], [1, 1], [0, 3], [0, 1]], dtype=np.float32)
    return ContentModel(
        hashes[order], np.ones(5, dtype=np.float32), vectors[order], exponent, scale=2.0
    )


def titled(*titles: str) -> list[Item]:
    return [Item(ItemId(str(row)), title) for row, title in enumerate(titles)]


titles = st.lists(st.sampled_from((*WORDS, "unheard")), max_size=4).map(" ".join)


def test_a_vector_is_the_sum_of_the_known_words_in_a_row_of_unit_length() -> None:
    found = model().vectors(titled("Rye bread", "soap"))

    assert_allclose(found, [[2 * 3 / np.sqrt(2), 0], [0, 6]], rtol=1e-6)


@given(st.lists(titles, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_permuting_items_permutes_vectors(drawn: list[str], random) -> None:  # type: ignore[no-untyped-def]
    order = list(range(len(drawn)))
    random.shuffle(order)

    permuted = model(0.5).vectors(titled(*[drawn[place] for place in order]))

    assert_array_equal(permuted, model(0.5).vectors(titled(*drawn))[order])


@given(titles)
def test_the_same_description_gives_the_same_vector_in_any_company(title: str) -> None:
    alone = model(0.5).vectors(titled(title))

    together = model(0.5).vectors(titled("white soap", title, "", title))

    assert_array_equal(together[[1, 3]], np.repeat(alone, 2, axis=0))


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_items_of_unknown_words_have_the_zero_vector(exponent: float) -> None:
    found = model(exponent).vectors(titled("unheard of", ""))

    assert_array_equal(found, np.zeros((2, 2)))


def test_familiarity_is_the_share_of_features_that_are_known() -> None:
    found = model().familiarity(titled("rye", "rye unheard", "unheard", ""))

    assert_allclose(found, [1, 1 / 3, 0, 0], rtol=1e-6)  # the pair of words is a feature too


def test_a_model_of_no_feature_gives_zero_vectors() -> None:
    nothing = np.empty(0, dtype=np.float32)
    empty = ContentModel(
        np.empty(0, dtype=np.uint64), nothing, np.empty((0, 2), dtype=np.float32), 0.5, 1.0
    )

    assert_array_equal(empty.vectors(titled("rye")), np.zeros((1, 2)))
    assert empty.familiarity(titled("rye")).tolist() == [0]


def test_an_exponent_of_one_makes_all_lengths_equal() -> None:
    vectors = np.array([[3, 4], [0, 0.1], [0, 0]], dtype=np.float32)

    made = np.linalg.norm(lengthened(vectors, 1.0, 7.0), axis=1)

    assert_allclose(made, [7, 7, 0], rtol=1e-5)
