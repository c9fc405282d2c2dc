from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.errors import InvalidInput
from serving.attribution import AttributionToken

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TOKEN = AttributionToken("home", "20260301T120000-ab12", NOW, bytes(range(8)))


def test_token_comes_back_as_it_was() -> None:
    assert AttributionToken.decode(TOKEN.encode()) == TOKEN


@given(st.text(max_size=128), st.text(max_size=128))
def test_token_of_any_names_is_short_and_safe_in_a_url(placement: str, version: str) -> None:
    text = AttributionToken(placement, version, NOW, bytes(8)).encode()

    assert len(text) <= 128
    assert re.fullmatch(r"[A-Za-z0-9_-]+", text)
    assert AttributionToken.decode(text).time == NOW


@pytest.mark.parametrize("text", ["", "x", "not a token", "AAAA", "é", "_" * 40])
def test_foreign_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        AttributionToken.decode(text)
