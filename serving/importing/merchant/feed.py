"""Which kind of file a feed is, by what it begins with and else by its name; and its products."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from serving.importing.json_files import bytes_of, is_json
from serving.importing.merchant.json_feed import json_products
from serving.importing.merchant.products import BrokenOff, Product
from serving.importing.merchant.table_feed import table_products
from serving.importing.merchant.xml_feed import xml_products
from serving.importing.tables import Broken, kind_of

_HEAD = 4_096
_MARKS_AND_SPACES = b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n"
_CUT_OFF = (EOFError, zlib.error, gzip.BadGzipFile, UnicodeDecodeError)


def products_of(path: Path) -> Iterator[Product | Broken | BrokenOff]:
    """Yield the products of a feed, what is none, and where it can be read no further.

    Raises InvalidInput where it is no feed at all.
    """
    last = 0
    try:
        for one in _reader(path):
            last = one.at.line if isinstance(one, BrokenOff) else one.line
            yield one
    except _CUT_OFF as error:
        wanted = "a whole file; nothing behind this line is read. What stands before it is in"
        yield BrokenOff(Broken(last + 1, str(error), wanted))


def _reader(path: Path) -> Iterator[Product | Broken | BrokenOff]:
    with bytes_of(path) as file:
        first = file.read(_HEAD).lstrip(_MARKS_AND_SPACES)[:1]
    kind = kind_of(path)
    if first == b"<" or kind in (".xml", ".rss", ".atom"):
        return xml_products(path)
    if first in (b"{", b"[") or is_json(kind):
        return json_products(path)
    return table_products(path)
