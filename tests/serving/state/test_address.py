from __future__ import annotations

from pathlib import Path

import pytest

from recsys.errors import InvalidInput
from serving.state.address import parse_redis_url, unix_address


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost", "redis://localhost:6379"),
        ("redis://ann:pass@10.0.0.1:7000/2", "redis://10.0.0.1:7000/2"),
        ("rediss://:pass@redis.example:6380/0?ssl_cert_reqs=none", "rediss://redis.example:6380/0"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
    ],
)
def test_the_three_schemes_are_accepted_and_shown_without_password(url: str, shown: str) -> None:
    address = parse_redis_url(url)

    assert address.url == url
    assert address.shown == shown
    assert "pass" not in repr(address)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:6379",
        "http://x",
        "redis://",
        "unix://",
        "unix://relative/path",
        "redis://u:pass@h:port",
        "redis://h/first",
        "redis://h?decode_responses=true",
        "unix:///x.sock?password=pass",
    ],
)
def test_anything_else_is_refused_without_showing_a_password(url: str) -> None:
    with pytest.raises(InvalidInput, match="redis_url") as raised:
        parse_redis_url(url)

    assert "pass" not in str(raised.value)


def test_a_socket_path_may_hold_any_character() -> None:
    address = unix_address(Path("/tmp/my shop?#%41/valkey.sock"))

    assert address.url == "unix:///tmp/my%20shop%3F%23%2541/valkey.sock"
