"""Where Redis is: one checked URL, and a form of it that may be shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qs, quote, urlsplit

from redis.asyncio.connection import parse_url

from recsys.errors import InvalidInput

_WANTED = "redis://host:port/0, rediss://host:port/0 or unix:///path/to/socket"


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """A checked address.

    url: as given, with its password; kept out of every repr.
    shown: the same for messages and logs, without user, password and options.
    """

    url: str = field(repr=False)
    shown: str


def parse_redis_url(url: str) -> RedisAddress:
    """Return the address in a redis://, rediss:// or unix:// URL. Raises InvalidInput.

    Of options only `db` and those of TLS (`ssl_...`) are taken: how Redis is used is set elsewhere.
    """
    try:
        if not _is_complete(urlsplit(url), parse_url(url)):
            raise ValueError("a part is missing or not known")
        return RedisAddress(url, _shown(urlsplit(url)))
    except ValueError as error:
        came = url.rpartition("@")[2].partition("?")[0]
        raise InvalidInput("redis_url", came, _WANTED) from error


def unix_address(socket: Path) -> RedisAddress:
    """Return the address of a server that listens on this socket."""
    return parse_redis_url(f"unix://{quote(str(socket))}")


def _is_complete(parts: SplitResult, options: Mapping[str, Any]) -> bool:
    asked = parse_qs(parts.query, keep_blank_values=True)
    known = all(name == "db" or name.startswith("ssl_") for name in asked)
    if parts.scheme == "unix":
        return known and bool(options.get("path")) and not parts.hostname
    database = parts.path.strip("/")
    return known and bool(options.get("host")) and (not database or database.isdecimal())


def _shown(parts: SplitResult) -> str:
    if parts.scheme == "unix":
        return f"unix://{parts.path}"
    return f"{parts.scheme}://{parts.hostname}:{parts.port or 6379}{parts.path}"
