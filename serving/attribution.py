"""Attribution tokens: what ties an event to the list behind it."""

from __future__ import annotations

import struct
from base64 import b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from recsys.errors import InvalidInput

_FORMAT = 1
_HEAD = struct.Struct(">BI8sB")  # format, seconds since 1970, chance, bytes of the version
_MOST_NAME_BYTES = 40

RANDOM_BYTES = 8


@dataclass(frozen=True, slots=True)
class AttributionToken:
    """What a token says of its list: no customer and no item.

    placement, bundle_version: cut after 40 bytes. time: whole seconds, UTC.
    chance: 8 random bytes, which make the token unique.
    """

    placement: str
    bundle_version: str
    time: datetime
    chance: bytes

    def encode(self) -> str:
        """Return the token as at most 128 letters, digits, `-` and `_`."""
        version = self.bundle_version.encode()[:_MOST_NAME_BYTES]
        head = _HEAD.pack(_FORMAT, int(self.time.timestamp()), self.chance, len(version))
        raw = head + version + self.placement.encode()[:_MOST_NAME_BYTES]
        return urlsafe_b64encode(raw).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str, field: str = "attribution_token") -> Self:
        """Return what a token says. Raises InvalidInput for a text that is none of ours.

        field: the path of the field that holds it.
        """
        try:
            raw = b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            form, seconds, chance, n_version = _HEAD.unpack_from(raw)
            if form != _FORMAT:
                raise ValueError(f"format {form}")
            names = raw[_HEAD.size :]
            version, placement = names[:n_version], names[n_version:]
            time = datetime.fromtimestamp(seconds, UTC)
            return cls(
                placement.decode(errors="ignore"), version.decode(errors="ignore"), time, chance
            )
        except (ValueError, struct.error) as error:
            raise InvalidInput(field, text[:64], "a token from an answer") from error
