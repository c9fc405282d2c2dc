"""Previews of rules over a store that answers, and over one that does not."""

from __future__ import annotations

import pytest

from recsys.rules.rule import Rule, RuleKind
from serving.recommender import StateReader
from serving.rules.preview import PreviewedList, previewed, told_of_degraded
from tests import shop
from tests.serving.test_recommender import ANNA, KEYS, SHOP, KnownStates, UnreachableStates

TEA = Rule("tea-first", RuleKind.PIN, item="tea", position=1)


async def preview_over(store: StateReader) -> list[PreviewedList]:
    preview = previewed(SHOP, [TEA], store, KEYS)
    return await preview.lists("home", ["anna", "bob"], now=shop.NOW)


async def test_preview_over_a_store_that_answers_says_nothing_of_degraded_lists() -> None:
    found = await preview_over(KnownStates(ANNA))

    assert [one.after.item_ids[0] for one in found] == ["tea", "tea"]
    assert told_of_degraded(found) == ""


@pytest.mark.parametrize("n_degraded", [1, 2])
async def test_preview_without_states_says_how_many_lists_are_not_those_of_customers(
    n_degraded: int,
) -> None:
    well, poorly = await preview_over(KnownStates(ANNA)), await preview_over(UnreachableStates())
    found = [*well[: 2 - n_degraded], *poorly[:n_degraded]]

    told = told_of_degraded(found)

    assert told.startswith(f"degraded (STATE_UNAVAILABLE): {n_degraded} of 2 customers")
