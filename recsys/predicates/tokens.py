"""The words of a filter: names, numbers, texts and symbols, each with its place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from recsys.predicates.errors import Source
from recsys.predicates.expressions import KEYWORDS, MOST_CHARACTERS


class Kind(StrEnum):
    """What kind of word it is. A keyword is a word of the language and stands in small letters."""

    KEYWORD = "keyword"
    NAME = "name"
    QUOTED_NAME = "quoted"
    NUMBER = "number"
    TEXT = "text"
    SYMBOL = "symbol"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """One word.

    text: what it means: a text without quotes and escapes, a keyword in small letters.
    at: position of its first character. written: as it stands in the filter.
    """

    kind: Kind
    text: str
    at: int
    written: str = ""

    def is_word(self, *words: str) -> bool:
        """Return whether it is one of these words, quoted by nothing, in any case."""
        return self.kind in {Kind.KEYWORD, Kind.NAME} and self.text.lower() in words

    def is_symbol(self, *symbols: str) -> bool:
        """Return whether it is one of these symbols."""
        return self.kind is Kind.SYMBOL and self.text in symbols


_WORDS = re.compile(
    r"""(?P<space>\s+)
    |(?P<number>[0-9](?:_?[0-9])*(?:\.[0-9](?:_?[0-9])*)?)
    |(?P<name>[^\W\d]\w*)
    |(?P<quoted>`(?:[^`]|``)+`)
    |(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<symbol><=|>=|!=|==|[=<>+\-*/(),.])""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPED = {'"': '"', "'": "'", "\\": "\\", "n": "\n", "t": "\t"}
_PLAIN_NAME = re.compile(r"[^\W\d]\w*")

_MEANT = {"&": "`and`", "|": "`or`", "!": "`not` or `!=`", "%": "a share, such as 0.2"}


def is_plain_name(text: str) -> bool:
    """Return whether a name may stand without backticks."""
    return bool(_PLAIN_NAME.fullmatch(text)) and text.lower() not in KEYWORDS


def tokens_of(source: Source) -> list[Token]:
    """Return the words of a filter, an END behind them. Raises InvalidFilter."""
    text = source.text
    if len(text) > MOST_CHARACTERS:
        wanted = f"at most {MOST_CHARACTERS:,}"
        raise source.wrong(MOST_CHARACTERS, f"{len(text):,} characters", wanted)
    found, place = [], 0
    while place < len(text):
        match = _WORDS.match(text, place)
        if match is None:
            raise _unreadable(source, place)
        if match.lastgroup != "space":
            found.append(_token(source, match))
        place = match.end()
    return [*found, Token(Kind.END, "", len(text))]


def _token(source: Source, match: re.Match[str]) -> Token:
    kind, written, at = Kind(match.lastgroup or ""), match.group(), match.start()
    match kind:
        case Kind.TEXT:
            return Token(kind, _unescaped(source, match), at, written)
        case Kind.QUOTED_NAME:
            return Token(kind, written[1:-1].replace("``", "`"), at, written)
        case Kind.NAME if written.lower() in KEYWORDS:
            return Token(Kind.KEYWORD, written.lower(), at, written)
        case _:
            return Token(kind, written, at, written)


def _unescaped(source: Source, match: re.Match[str]) -> str:
    first = match.start() + 1

    def meaning(escape: re.Match[str]) -> str:
        code = escape.group(1)
        if len(code) == 5:
            return chr(int(code[1:], 16))
        if code not in _ESCAPED:
            wanted = r"""one of \" \' \\ \n \t \u0000"""
            raise source.wrong(first + escape.start(), repr(escape.group()), wanted)
        return _ESCAPED[code]

    return _ESCAPE.sub(meaning, match.group()[1:-1])


def _unreadable(source: Source, place: int) -> Exception:
    character = source.text[place]
    if character in "\"'":
        return source.wrong(place, "a text without an end", f"a closing {character}")
    if character == "`":
        return source.wrong(place, "a name without an end", "a name and a closing `")
    wanted = _MEANT.get(character, "a field, a value or an operator")
    return source.wrong(place, repr(character), wanted)
