"""RSS 2.0 and Atom feeds, as a stream: what is read is never more than one product.

There are no entities to expand and nothing to fetch: a file with a document type is refused, and
without one XML knows only five names for characters.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from xml.parsers import expat

from recsys.errors import InvalidInput
from serving.importing.json_files import bytes_of
from serving.importing.merchant.gathering import Gathering
from serving.importing.merchant.products import MOST_CHARACTERS, BrokenOff, Product, name_of
from serving.importing.tables import Broken

_Read = Callable[[int], bytes]

_CHUNK = 1 << 18
_MOST_TAG = 1 << 20
_MOST_DEPTH = 64
_MOST_PARTS = 64
_GOOGLE = ("http://base.google.com/ns/1.0", "http://base.google.com/cns/1.0")
_PRODUCTS = (
    "item", "http://purl.org/rss/1.0/ item", "entry", "http://www.w3.org/2005/Atom entry",
)  # fmt: skip
_ATOM_LINK = "http://www.w3.org/2005/Atom link"
_WORDS_OF_FEEDS = {"summary": "description", "content": "description"}
_ABOUT_FEEDS = frozenset((
    "author", "category", "comments", "enclosure", "guid", "pub_date", "published", "rights",
    "source", "updated",
))  # fmt: skip
_BROKEN = (
    expat.ExpatError, LookupError, ValueError, EOFError, zlib.error, gzip.BadGzipFile,
)  # fmt: skip
_WHOLE_WANTED = (
    "well-formed XML to the end of the file; nothing behind this line is read. What stands before "
    "it is in: mend the feed and import it again"
)


def xml_products(path: Path) -> Iterator[Product | BrokenOff]:
    """Yield the products of a feed, and where it can be read no further.

    Raises InvalidInput where the file has a document type.
    """
    reading = _Reading(path)
    with bytes_of(path) as file:
        while not reading.ended:
            reading.read(file.read)
            yield from reading.taken()
    if reading.broken is not None:
        yield BrokenOff(reading.broken)


class _Reading:
    """Follows the tags of a feed and gathers its products."""

    def __init__(self, path: Path) -> None:
        self.broken: Broken | None = None
        self.ended = False
        self._path = path
        self._n_bytes = 0
        self._depth = 0
        self._found: list[Product] = []
        self._tags: _Tags | None = None
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._parser.StartDoctypeDeclHandler = self._refuse_document_type

    def read(self, read: _Read) -> None:
        """Read the next piece of the file; after the last, or what is broken, it has ended."""
        try:
            chunk = read(_CHUNK)
            self._n_bytes += len(chunk)
            self.ended = not chunk
            self._parser.Parse(chunk, not chunk)
            if self._n_bytes - self._parser.CurrentByteIndex > _MOST_TAG + _CHUNK:
                raise ValueError(f"a tag or comment of more than {_MOST_TAG:,} bytes")
        except _BROKEN as error:
            came = (
                expat.ErrorString(error.code) if isinstance(error, expat.ExpatError) else str(error)
            )
            line = self._parser.CurrentLineNumber
            self.broken, self.ended = Broken(line, came, _WHOLE_WANTED), True

    def taken(self) -> list[Product]:
        """Return the products that came since the last time."""
        taken, self._found = self._found, []
        return taken

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _MOST_DEPTH:
            raise ValueError(f"tags within each other {_MOST_DEPTH} times")
        if self._tags is not None:
            self._tags.start(name, attributes)
        elif name in _PRODUCTS:
            self._tags = _Tags(self._parser.CurrentLineNumber)

    def _end(self, _name: str) -> None:
        self._depth -= 1
        if self._tags is not None and self._tags.end():
            self._found.append(self._tags.product())
            self._tags = None

    def _characters(self, text: str) -> None:
        if self._tags is not None:
            self._tags.characters(text)

    def _refuse_document_type(self, name: str, *_: object) -> None:
        raise InvalidInput(
            f"{self._path}, line {self._parser.CurrentLineNumber}",
            f"<!DOCTYPE {name[:64]}",
            "a feed without a document type, as RSS 2.0 and Atom are: it could name files to fetch "
            "or entities that grow without end. Take the line out, or save the feed itself and not "
            "a page about it",
        )


class _Tags:
    """Follows the tags within one product: its values, and the parts of a value."""

    def __init__(self, line: int) -> None:
        self._depth = 0
        self._name, self._text = "", _Text()
        self._part, self._part_text = "", _Text()
        self._parts: dict[str, str] = {}
        self._ours, self._plain = Gathering(line), list[tuple[str, str]]()
        self._is_plain = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Enter a tag."""
        self._depth += 1
        local, is_google = _named(name)
        if self._depth == 1:
            self._name, self._text, self._parts = local, _Text(), {}
            self._is_plain = not is_google
            if name == _ATOM_LINK and attributes.get("rel", "alternate") == "alternate":
                self._text.add(attributes.get("href", ""))
        elif self._depth == 2 and is_google:
            self._part, self._part_text = local, _Text()

    def end(self) -> bool:
        """Leave a tag; return whether it was the product's own."""
        if self._depth == 1:
            self._take()
        elif self._depth == 2 and self._part:
            if len(self._parts) < _MOST_PARTS:
                self._parts[self._part] = self._part_text.whole()
            self._part = ""
        self._depth -= 1
        return self._depth < 0

    def characters(self, text: str) -> None:
        """Add what stands between tags."""
        if self._depth:
            self._text.add(text)
            if self._part:
                self._part_text.add(text)

    def product(self) -> Product:
        """Return the product: what it says in Google's words, and else in those of feeds."""
        missing = [(name, text) for name, text in self._plain if not self._ours.says(name)]
        for name, text in missing:
            self._ours.take(name, text)
        return self._ours.product()

    def _take(self) -> None:
        if not self._is_plain:
            self._ours.take(self._name, self._parts or self._text.whole())
        elif len(self._plain) < _MOST_PARTS and self._name not in _ABOUT_FEEDS:
            name = _WORDS_OF_FEEDS.get(self._name, self._name)
            self._plain.append((name, self._text.whole()))


@lru_cache(maxsize=4_096)
def _named(name: str) -> tuple[str, bool]:
    """Return the name of a tag, and whether it is one of Google's."""
    space, _, local = name.rpartition(" ")
    return name_of(local), space in _GOOGLE


class _Text:
    """Gathers a text up to the characters that are kept of one."""

    __slots__ = ("_pieces", "_room")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._room = MOST_CHARACTERS

    def add(self, text: str) -> None:
        """Add a piece, or as much of it as there is room for."""
        if self._room > 0:
            self._pieces.append(text[: self._room])
            self._room -= len(text)

    def whole(self) -> str:
        """Return the text without outer spaces."""
        return "".join(self._pieces).strip()
