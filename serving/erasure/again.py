"""Every erasure once more: what tells that files came back, and how it is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from uuid import uuid4

from recsys.erasures import ErasureMark
from recsys.errors import Unavailable
from serving.disk import make_private
from serving.erasure.places import Places
from serving.log.erasing import LogErasing

_LOOK_EVERY_S = 0.2


class AgainRequest:
    """The wish that all erasures be done again, as a file that whoever erases looks for.

    Every method raises OSError.
    """

    def __init__(self, receipts: Path) -> None:
        self._path = receipts / "again"

    def ask(self) -> str:
        """Ask for it; return what this wish is known by."""
        make_private(self._path.parent)
        wish = uuid4().hex
        draft = self._path.with_name(f".{self._path.name}.{wish}")
        draft.write_text(wish)
        draft.replace(self._path)
        return wish

    def pending(self) -> str:
        """Return the wish that is still to be met, empty for none."""
        try:
            return self._path.read_text()
        except FileNotFoundError:
            return ""

    def meet(self, wish: str) -> None:
        """Note that a wish is met, unless there is a newer one."""
        if wish and self.pending() == wish:
            self._path.unlink(missing_ok=True)


def lake_done(places: Places) -> int:
    """Return the newest erasure that a lake has seen, 0 for none. Raises Unavailable."""
    return ErasureMark.read(places.lake).done


def log_done(places: Places) -> int:
    """Return the newest erasure that a log has seen, 0 for none. Raises Unavailable."""
    with closing(LogErasing(places.log_file)) as log:
        return log.done()


async def wait_until_met(
    request: AgainRequest, wish: str, *, told: Callable[[str], None], wait_s: float
) -> None:
    """Return once the server has met a wish, or a newer one takes its place.

    Raises Unavailable where it takes longer than `wait_s`; it goes on.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(wait_s):
            while await asyncio.to_thread(request.pending) == wish:
                told("the server")
                await asyncio.sleep(_LOOK_EVERY_S)
            return
    raise Unavailable(
        "the server that holds the data folder has not finished yet; it goes on. `recsys customers "
        "erasures` tells what it has done",
        reason="ERASURE_UNDER_WAY",
    )
