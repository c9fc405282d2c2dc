"""E-mail addresses as they stand in texts, for customers who are known by the hash of theirs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote

from recsys.customers import Identifier

_LONGEST = 320
"""Of an address: 64 before the sign, 255 behind it."""

_ENDS = r"\x00-\x20\x7f\s,;:=&|?/#'\"<>()\[\]{}@\\"
_ADDRESS = re.compile(rf"[^{_ENDS}]+@[^{_ENDS}]+")
_AROUND = "._*~!`$-"
"""What may stand in an address, and often stands around one instead."""

_IN_BYTES = re.compile(rb"(?:@|%40|\\u0040)((?:[A-Za-z0-9_\x80-\xff-]+\.)+[A-Za-z0-9_\x80-\xff-]+)")
_LAST_WORD = re.compile(rf"[^{_ENDS}]*$".encode())


def hashes_of_addresses(text: str) -> set[str]:
    """Return the hash of everything in a text that looks like an e-mail address.

    Percent signs may stand for what a link cannot hold.
    """
    if "@" not in text and "%40" not in text:
        return set()
    text = text.encode(errors="replace").decode()  # bytes that are no text come as surrogates
    found = {one for some in (text, unquote(text)) for one in _ADDRESS.findall(some)}
    tried = found | {one.strip(_AROUND) for one in found}
    return {Identifier.of_email(one).value for one in tried}


def hashes_in_bytes(content: bytes) -> Iterator[str]:
    """Yield the same of bytes of any kind, of which most are no text.

    Here only what has a dot behind its sign looks like an address.
    """
    for one in _IN_BYTES.finditer(content):
        before = content[max(0, one.start() - _LONGEST) : one.start()]
        if word := _LAST_WORD.search(before):
            address = word[0] + b"@" + one[1]
            yield from hashes_of_addresses(address.decode(errors="replace"))
