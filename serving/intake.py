"""What is asked of an event at every door, beyond what it asks of itself: gRPC, files, replays."""

from __future__ import annotations

from datetime import datetime, timedelta

from recsys.errors import InvalidInput

MOST_AHEAD = timedelta(days=1)
"""Further ahead of our clock a time is refused: nothing is known about when it was."""

LIKELY_AHEAD = timedelta(minutes=5)
"""Further ahead than clocks differ, so the event counts as of now."""

MOST_TOKEN_BYTES = 512
AHEAD_WANTED = "a time at most one day ahead of the server's clock"
ID_WANTED = "a text, or a whole number with at most 15 digits"
TOKEN_WANTED = f"at most {MOST_TOKEN_BYTES} bytes of printable text"
_MOST_EXACT = 2.0**53


def may_be_id(value: object) -> bool:
    """Return whether a value of JSON names something: a text, a number with one text, or nothing.

    An object or a list is no name, and a fraction or a number beyond 2^53 has several texts.
    """
    if isinstance(value, float):
        return value.is_integer() and abs(value) < _MOST_EXACT
    return value is None or (isinstance(value, (str, int)) and not isinstance(value, bool))


def counted_time(time: datetime, now: datetime) -> datetime:
    """Return when an event of this time counts: then, unless that lies ahead of `now`.

    Raises InvalidInput for a time further ahead than a clock can be wrong by mistake.
    """
    if time > now + MOST_AHEAD:
        raise InvalidInput("time", str(time), AHEAD_WANTED)
    return time if time <= now + LIKELY_AHEAD else now


def checked_token(text: str) -> str:
    """Return the attribution token. Raises InvalidInput where it cannot be one of ours."""
    if text and (len(text.encode()) > MOST_TOKEN_BYTES or not text.isprintable()):
        raise InvalidInput("attribution_token", text[:64], TOKEN_WANTED)
    return text
