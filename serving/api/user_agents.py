"""Robots that say they are: the list of known crawlers, asked once for each User-Agent.

The list has 1,500 patterns, and a request may bring 1,000 names that were never seen. Nearly every
pattern is plain text, and of the others some text is known that has to be there. So each is filed
under three characters of its text, and tried on those names alone that hold the three.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache

MOST_LOOKED_AT = 256
"""Characters of a name; no example of the list needs more."""

_MOST_REMEMBERED = 8_192
_OPERATORS = r"\\()\[\].*+?^$|{}"
_GROUP = r"\((?:\\.|[^()\\])*\)"
_PIECES = re.compile(
    rf"{_GROUP}|\[[^\]]*\]|\\\w|((?:(?:\\\W|[^{_OPERATORS}])(?![*+?{{]))+)|.", re.DOTALL
)
"""Of a pattern: what may match different things, and, as group 1, text that has to be there."""

_Three = tuple[str, str, str]
_Robot = tuple[str, re.Pattern[str] | None]
"""Text in lower case that the name holds; the pattern too where the text alone is no proof."""


def is_robot(user_agent: str) -> bool:
    """Return whether software of this name calls itself a robot; an empty name says nothing."""
    return bool(user_agent) and _is_crawler(user_agent[:MOST_LOOKED_AT])


@lru_cache(maxsize=_MOST_REMEMBERED)
def _is_crawler(user_agent: str) -> bool:
    name, robots = user_agent.lower(), _robots()
    return any(
        text in name and (pattern is None or pattern.search(user_agent) is not None)
        for three in robots.keys() & _threes(name)
        for text, pattern in robots[three]
    )


def _threes(text: str) -> Iterable[_Three]:
    """Return all neighbours of three characters."""
    return zip(text, text[1:], text[2:], strict=False)


@cache
def _robots() -> Mapping[_Three, Sequence[_Robot]]:
    """Return the robots of the list, each under the rarest three characters of its text."""
    from crawleruseragents import CRAWLER_USER_AGENTS_DATA  # not at the top: it reads half a MB

    robots = [robot for entry in CRAWLER_USER_AGENTS_DATA for robot in _robots_of(entry["pattern"])]
    counts = Counter(three for text, _ in robots for three in _threes(text))
    filed: dict[_Three, list[_Robot]] = {}
    for robot in robots:
        filed.setdefault(min(_threes(robot[0]), key=counts.__getitem__), []).append(robot)
    return filed


def _robots_of(pattern: str) -> Iterator[_Robot]:
    """Yield the robot of a pattern, or those of its alternatives; none without three characters."""
    for one in [pattern] if re.search(_GROUP, pattern) else pattern.split("|"):
        pieces = [found[1] for found in _PIECES.finditer(one)]
        text = re.sub(r"\\(\W)", r"\1", max((piece or "" for piece in pieces), key=len)).lower()
        if len(text) >= 3:
            yield text, None if len(pieces) == 1 else re.compile(one, re.IGNORECASE)
