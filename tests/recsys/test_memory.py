from __future__ import annotations

from recsys.memory import remembered


def test_value_is_made_once_while_it_is_kept() -> None:
    memory: dict[str, list[int]] = {}

    first = remembered(memory, "a", 2, lambda: [1])

    assert remembered(memory, "a", 2, lambda: [2]) is first


def test_value_that_is_kept_drives_out_no_other() -> None:
    memory = {"a": "A", "b": "B"}

    remembered(memory, "b", 2, str)

    assert memory == {"a": "A", "b": "B"}


def test_values_asked_for_longest_ago_are_forgotten() -> None:
    memory: dict[str, str] = {}

    for key in ("a", "b", "a", "c"):
        remembered(memory, key, 2, key.upper)

    assert memory == {"a": "A", "c": "C"}
