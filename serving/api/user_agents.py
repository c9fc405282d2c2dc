"""Robots that say they are: the list of known crawlers, asked once for each User-Agent."""

from __future__ import annotations

from functools import lru_cache

MOST_LOOKED_AT = 1_024
_MOST_REMEMBERED = 8_192


def is_robot(user_agent: str) -> bool:
    """Return whether software of this name calls itself a robot; an empty name says nothing."""
    return bool(user_agent) and _is_crawler(user_agent[:MOST_LOOKED_AT])


@lru_cache(maxsize=_MOST_REMEMBERED)
def _is_crawler(user_agent: str) -> bool:
    from crawleruseragents import is_crawler  # not at the top: it compiles a thousand patterns

    return bool(is_crawler(user_agent, case_sensitive=False))
