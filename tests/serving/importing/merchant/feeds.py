"""Feeds of the same products in every kind of file."""

from __future__ import annotations

from pathlib import Path

GOOGLE = 'xmlns:g="http://base.google.com/ns/1.0" xmlns:c="http://base.google.com/cns/1.0"'
RSS = f'<rss version="2.0" {GOOGLE}><channel><title>Shop</title>\n'
RSS_END = "</channel></rss>\n"
GOOD = "<item><g:id>good</g:id><title>Good</title></item>\n"


def rss(*items: str) -> str:
    """Return a feed of these items; the first begins in line 2."""
    return RSS + "".join(items) + RSS_END


def item(**said: str) -> str:
    """Return one item of a feed, in one line; without an id, it gets one."""
    named = {"id": "bad"} | said
    return "<item>" + "".join(f"<g:{n}>{text}</g:{n}>" for n, text in named.items()) + "</item>\n"


def written(path: Path, content: str | bytes) -> Path:
    """Return the path of a file with this content."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path
