"""The values of one product while they are read, within bounds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from recsys.errors import InvalidInput
from serving.importing.merchant.products import (
    MOST_CHARACTERS,
    MOST_SIZE,
    MOST_VALUES,
    TOO_LARGE,
    Product,
    Value,
    is_ignored,
)


@dataclass(slots=True)
class Gathering:
    """Takes the values of a product that begins at a line."""

    line: int
    _said: dict[str, list[Value]] = field(default_factory=dict)
    _skipped: Counter[str] = field(default_factory=Counter)
    _n_values: int = 0
    _n_characters: int = 0

    def take(self, name: str, value: Value) -> None:
        """Add a value under the name of its attribute; nothing, where it says nothing."""
        if not value:
            return
        if is_ignored(name):
            self._skipped[name] += 1
            return
        kept = value[:MOST_CHARACTERS] if isinstance(value, str) else value
        self._n_values += 1
        self._n_characters += len(kept)
        if self._n_values <= MOST_VALUES and self._n_characters <= MOST_SIZE:
            self._said.setdefault(name, []).append(kept)

    def says(self, name: str) -> bool:
        """Return whether an attribute has a value by now."""
        return name in self._said

    def product(self, document: Any = None, place: str = "") -> Product:
        """Return the product. document: all of it as it came, where its values do not tell."""
        fault = None
        if self._n_values > MOST_VALUES or self._n_characters > MOST_SIZE:
            came = f"{self._n_values:,} values and {self._n_characters:,} characters"
            fault = InvalidInput("", came, TOO_LARGE)
        return Product(self.line, self._said, document, self._skipped, place, fault)
