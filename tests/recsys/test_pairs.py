from __future__ import annotations

import math

import numpy as np
import pytest

from recsys import pairs
from recsys.pairs import Pairs, number_of


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("12", 12.0),
        ("1.5", 1.5),
        ("-3", -3.0),
        ("007", 7.0),
        ("-123456789012.345", -123456789012.345),
    ],
)
def test_decimal_number_is_read_as_it_is_written(value: str, number: float) -> None:
    assert number_of(value) == number


@pytest.mark.parametrize(
    "value",
    [
        "",
        "XL",
        "1,5",
        "1.",
        ".5",
        "+1",
        "1e5",
        "inf",
        "nan",
        " 1",
        "1 kg",
        "--1",
        "1_000",
        "٣",
        "1\n",
    ],
)
def test_any_other_text_is_no_number(value: str) -> None:
    assert math.isnan(number_of(value))


def test_numbers_too_long_to_be_told_apart_are_none() -> None:
    assert number_of("123456789012345") == 123456789012345
    assert math.isnan(number_of("1234567890123456"))


def test_pairs_of_one_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "hashes_of", lambda found: np.zeros(len(found), dtype=np.uint64))
    known = [("color", "red"), ("size", "red"), ("color", "blue")]

    found, codes = Pairs.of(known)
    grown, again = found.placed([*known, ("size", "blue")])

    assert again.tolist() == [*codes.tolist(), 3]
    assert len(grown) == 4


def test_pairs_that_are_there_are_shared() -> None:
    found, codes = Pairs.of([("size", "38"), ("color", "red")])

    same, again = found.placed([("color", "red"), ("size", "38"), ("color", "red")])

    assert same is found
    assert again.tolist() == [codes[1], codes[0], codes[1]]


def test_name_and_value_are_never_mixed_up() -> None:
    found, _ = Pairs.of([("a", "b")])

    _, codes = found.placed([("ab", ""), ("", "ab"), ("a", "b")])

    assert codes.tolist() == [1, 2, 0]
