"""How many rows of a file name an item that another row of it names again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class Repeats:
    """Remembers which items a file has named, in 8 bytes each."""

    def __init__(self) -> None:
        self._known = np.empty(0, dtype=np.int64)

    def count(self, item_ids: Sequence[str]) -> int:
        """Return how many of these name an item that was named before, and remember them all."""
        hashes = np.fromiter(map(hash, item_ids), dtype=np.int64, count=len(item_ids))
        distinct = np.unique(hashes)
        places = np.searchsorted(self._known, distinct)
        beside = self._known[np.minimum(places, self._known.size - 1)] if self._known.size else None
        fresh = distinct != beside if beside is not None else np.ones(distinct.size, dtype=np.bool_)
        self._known = np.insert(self._known, places[fresh], distinct[fresh])
        return len(item_ids) - int(np.count_nonzero(fresh))
