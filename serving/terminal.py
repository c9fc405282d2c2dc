"""Text from outside on its way to a person's terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""Return the text on one line, with what a terminal would obey written as an escape.

    Colours, cursor moves, line breaks, marks of writing direction and halves of characters come
    out as `\x1b`, `\n`, `\u202e`; every character that can be seen stays as it is.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else _escaped(one) for one in text)


def printable_json(text: str) -> str:
    """Return JSON that means the same, with what a terminal would obey written as its escape.

    text: JSON without space between its parts, so that what cannot be seen stands in a text.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else _escaped_in_json(one) for one in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _escaped_in_json(character: str) -> str:
    """Return a character as JSON writes it; one beyond the first 65,536 as a pair."""
    units = character.encode("utf-16-be", "surrogatepass").hex(" ", 2).split()
    return "".join(f"\\u{unit}" for unit in units)
