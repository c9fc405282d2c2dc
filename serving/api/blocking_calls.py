"""Calls that wait for their answer, and what closes behind a `with`."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self, TypeVar

import grpc

from serving.api.channels import error_of_call

Response = TypeVar("Response")


class Closes(Protocol):
    """Whatever is closed at the end of a `with`."""

    def close(self) -> None:
        """Let go of what is held."""
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def called(method: Callable[..., Response], request: object, *, timeout_s: float) -> Response:
    """Return what a method answers in time. Raises the RecsysError behind a fault."""
    try:
        return method(request, timeout=timeout_s)
    except grpc.RpcError as error:
        raise error_of_call(error) from None
