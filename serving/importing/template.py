"""Texts made of several columns: `{product_type}[, {package_size}][ ({brand})]`.

`{a|b}` is the first of columns a and b that has a value. A part in brackets is left out where
a column in it has none; where a column outside brackets has none, there is no text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa
import pyarrow.compute as pc

from recsys.errors import InvalidInput
from serving.importing.normal import texts

_PART = re.compile(r"\[(?P<optional>[^\[\]]*)\]|(?P<column>\{[^{}]+\})|(?P<literal>[^\[\]{}]+)")
_PIECE = re.compile(r"\{(?P<column>[^{}]+)\}|(?P<literal>[^{}]+)")
_SPACES = re.compile(r"\s+")
_COLON = re.compile(r":(?=\w)")
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_SIZE = re.compile(
    r"\b(\d+(?:[\d./ ]*\d)?) ?(oz|lb|ct|ml|l|g|kg|gal|pt|qt|pk|ft|in|inch|loads|count|each)\b",
    re.IGNORECASE,
)
_SMALL = frozenset({"and", "or", "of", "in", "with", "for", "the", "to", "on", "at", "by"})


class Case(StrEnum):
    """What happens to the letters of a combined text."""

    KEEP = "keep"
    TITLE = "title"


@dataclass(frozen=True, slots=True)
class Piece:
    """A literal text, or the columns of which the first with a value is taken."""

    literal: str = ""
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """Pieces that stand or fall together."""

    pieces: tuple[Piece, ...]
    optional: bool


@dataclass(frozen=True, slots=True)
class Template:
    """A text of several columns, and how its letters are written."""

    parts: tuple[Part, ...]
    case: Case

    @classmethod
    def parse(cls, name: str, text: str, case: Case) -> Template:
        """Return the template of a text. Raises InvalidInput, naming `name`."""
        found = list(_PART.finditer(text))
        if "".join(match[0] for match in found) != text or "{" not in text:
            raise InvalidInput(name, text, 'a text with {column}s, such as "{kind}[, {size}]"')
        return cls(tuple(_part(match) for match in found), case)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it takes from."""
        return tuple(
            column for part in self.parts for piece in part.pieces for column in piece.columns
        )

    def fill(self, batch: pa.RecordBatch, words: Mapping[str, str]) -> pa.Array:
        """Return the text of each row of a batch, null where a column it needs has no value."""
        filled = [_filled(part, batch) for part in self.parts]
        combined = pc.binary_join_element_wise(*filled, "", null_handling="emit_null")
        if self.case is Case.KEEP:
            return texts(combined)
        coded = combined.dictionary_encode()
        neat = [title_cased(text, words) for text in coded.dictionary.to_pylist()]
        return pa.DictionaryArray.from_arrays(coded.indices, pa.array(neat, pa.string())).cast(
            pa.string()
        )


def title_cased(text: str, words: Mapping[str, str]) -> str:
    """Return a text as a shop window has it: `WHT BREAD 20 OZ` -> `White Bread 20 oz`.

    words: replacements for words, which are looked up in capitals.
    """
    spaced = _COLON.sub(": ", _SPACES.sub(" ", text).strip())
    cased = _WORD.sub(lambda match: _cased(match[0], words), spaced)
    sized = _SIZE.sub(lambda match: f"{match[1]} {match[2].lower()}", cased)
    return sized[:1].upper() + sized[1:]


def _cased(word: str, words: Mapping[str, str]) -> str:
    if word.upper() in words:
        return words[word.upper()]
    return word.lower() if word.lower() in _SMALL else word.capitalize()


def _part(match: re.Match[str]) -> Part:
    optional = match["optional"]
    pieces = _PIECE.finditer(match[0] if optional is None else optional)
    return Part(tuple(_piece(piece) for piece in pieces), optional is not None)


def _piece(match: re.Match[str]) -> Piece:
    if match["column"] is None:
        return Piece(literal=match["literal"])
    return Piece(columns=tuple(name.strip() for name in match["column"].split("|")))


def _filled(part: Part, batch: pa.RecordBatch) -> pa.Array:
    pieces: Sequence[pa.Array | pa.Scalar] = [
        pc.coalesce(*(texts(batch.column(name)) for name in piece.columns))
        if piece.columns
        else pa.scalar(piece.literal)
        for piece in part.pieces
    ]
    if not any(piece.columns for piece in part.pieces):
        return pa.array([_literal(part)] * batch.num_rows, pa.string())
    joined = pc.binary_join_element_wise(*pieces, "", null_handling="emit_null")
    return joined.fill_null("") if part.optional else joined


def _literal(part: Part) -> str:
    return "".join(piece.literal for piece in part.pieces)
