"""Texts from outside reach a terminal as letters only."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.terminal import printable, printable_json


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Grüner Tee, 20 €", "Grüner Tee, 20 €"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("two\nlines\r", "two\\nlines\\r"),
        ("\x9b31m", "\\x9b31m"),
        ("abc\u202efdp", "abc\\u202efdp"),
        ("\udc80", "\\udc80"),
    ],
)
def test_text_is_shown_without_what_a_terminal_obeys(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_json_that_is_printed_means_what_it_meant(text: str) -> None:
    shown = printable_json(orjson.dumps({text: [text]}).decode())

    assert shown.isprintable()
    assert orjson.loads(shown) == {text: [text]}
