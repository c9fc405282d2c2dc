"""Robots are known by the list of crawlers, and asking it is cheap."""

from __future__ import annotations

import re

import pytest
from crawleruseragents import CRAWLER_USER_AGENTS_DATA
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.api import user_agents
from serving.api.user_agents import MOST_LOOKED_AT, is_robot

BROWSERS = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:148.0) Gecko/20100101 Firefox/148.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/145.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
    "Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
]
PATTERNS = [entry["pattern"] for entry in CRAWLER_USER_AGENTS_DATA]
ANY = re.compile("|".join(PATTERNS), re.IGNORECASE)
EXAMPLES = [name for entry in CRAWLER_USER_AGENTS_DATA for name in entry["instances"]]


@pytest.mark.parametrize("name", EXAMPLES[::700])
def test_robot_is_known_in_any_case(name: str) -> None:
    assert is_robot(name.upper())


def test_every_example_of_the_list_is_a_robot() -> None:
    robots = [name for name in EXAMPLES if ANY.search(name)]

    assert len(robots) > 2_000
    assert [name for name in robots if not is_robot(name)] == []


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(EXAMPLES), st.integers(0, 300), st.integers(0, 300))
def test_part_of_an_example_is_a_robot_where_the_list_says_so(
    example: str, start: int, length: int
) -> None:
    name = example[start : start + min(length, MOST_LOOKED_AT)]

    assert is_robot(name) == bool(ANY.search(name))


def test_no_pattern_of_the_list_is_left_out() -> None:
    assert [pattern for pattern in PATTERNS if not list(user_agents._robots_of(pattern))] == []


@pytest.mark.parametrize("name", ["", *BROWSERS])
def test_browser_is_no_robot(name: str) -> None:
    assert not is_robot(name)


def test_name_is_tried_on_few_robots_whatever_it_holds() -> None:
    assert max(map(len, user_agents._robots().values())) <= 4


def test_mark_of_a_robot_behind_what_is_looked_at_does_not_count() -> None:
    assert is_robot("x" * (MOST_LOOKED_AT - 10) + "Googlebot/")
    assert not is_robot("x" * MOST_LOOKED_AT + "Googlebot/")
