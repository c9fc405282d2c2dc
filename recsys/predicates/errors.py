"""What is wrong with a filter, and where."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from recsys.errors import InvalidInput

_MOST_CAME = 40
_SHOWN_BEFORE, _SHOWN_BEHIND = 40, 36


class InvalidFilter(InvalidInput):
    """A filter that says nothing, or what the shop's fields cannot answer.

    position: of the character at fault, from 0; the text's length where the text ends too soon.
    """

    reason = "INVALID_FILTER"

    def __init__(self, source: Source, position: int, came: str, wanted: str) -> None:
        super().__init__(source.field, came, wanted)
        self.position = position
        self.metadata = MappingProxyType({"field": source.field, "position": str(position)})
        self.args = (f"{source.field}: got {came}, wanted {wanted}\n{source.shown(position)}",)


@dataclass(frozen=True, slots=True)
class Source:
    """The text of a filter, and where it came from.

    field: path of the field that held it, such as `slots[1].filter`.
    """

    text: str
    field: str = "filter"

    def wrong(self, position: int, came: str, wanted: str) -> InvalidFilter:
        """Return the error of what came at a character."""
        if len(came) > _MOST_CAME:
            came = f"{came[:_MOST_CAME]}…"
        return InvalidFilter(self, position, came, wanted)

    def shown(self, position: int) -> str:
        """Return the line around a character and, below it, a caret under the character."""
        start = self.text.rfind("\n", 0, position) + 1
        end = self.text.find("\n", position)
        first = max(start, position - _SHOWN_BEFORE)
        last = min(len(self.text) if end < 0 else end, position + _SHOWN_BEHIND)
        # What does not print, tabs among it, would push the caret aside.
        line = "".join(
            character if character.isprintable() else " " for character in self.text[first:last]
        )
        return f"  {line}\n  {' ' * (position - first)}^"
