"""Memories: what was computed once, kept while it is asked for. They change no answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


def remembered(memory: dict[K, V], key: K, most: int, make: Callable[[], V]) -> V:
    """Return what the memory keeps under a key, else what `make` gives, which it keeps then.

    It keeps at most so many values: those that were asked for last. Threads may share it: at worst
    two of them make the same.
    """
    found = memory.pop(key, None)
    if found is None:
        found = make()
    for oldest in list(memory)[: max(len(memory) - most + 1, 0)]:
        memory.pop(oldest, None)
    memory[key] = found
    return found
