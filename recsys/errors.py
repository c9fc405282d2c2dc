"""What can go wrong that a caller can act on.

    RecsysError                 reason, metadata, a message that says what to do
    ├── InvalidInput            a field holds what it may not: field, what came, what was wanted
    ├── NotFound                a named thing is not there: placement, release, file
    ├── NotReady                nothing to serve yet, or too little data to train
    ├── Unavailable             a store or port cannot be used just now; trying again may help
    ├── CorruptBundle           a bundle's bytes are not what its manifest says
    └── GateFailed              a candidate may not replace the champion

A broken promise between our own functions is a `ValueError`, not one of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType


class RecsysError(Exception):
    """An error with a machine-readable `reason`, such as UNKNOWN_PLACEMENT, and `metadata`."""

    reason = "INTERNAL"

    def __init__(
        self, message: str, *, reason: str | None = None, metadata: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.reason = reason or self.reason
        self.metadata: Mapping[str, str] = MappingProxyType(dict(metadata or {}))


class InvalidInput(RecsysError):
    """A field of a request, a file or a setting holds what it may not.

    field: path of the field, such as `events[3].item_id`.
    """

    reason = "INVALID_INPUT"

    def __init__(self, field: str, came: object, wanted: str, *, reason: str | None = None) -> None:
        super().__init__(
            f"{field}: got {came!r}, wanted {wanted}", reason=reason, metadata={"field": field}
        )
        self.field = field
        self.came = came
        self.wanted = wanted


class NotFound(RecsysError):
    """A thing that was asked for by name does not exist."""

    reason = "NOT_FOUND"


class NotReady(RecsysError):
    """There is nothing to serve yet, or too little data to do what was asked."""

    reason = "NOT_READY"


class Unavailable(RecsysError):
    """A store, a port or a file cannot be used just now."""

    reason = "UNAVAILABLE"


class CorruptBundle(RecsysError):
    """A bundle's bytes, shapes or versions are not what its manifest says."""

    reason = "CORRUPT_BUNDLE"


class GateFailed(RecsysError):
    """A candidate bundle may not replace the champion."""

    reason = "GATE_FAILED"
