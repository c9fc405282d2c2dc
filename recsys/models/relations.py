"""Relations: how items go with each other, in a bundle together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from recsys.models.neighbors import NeighborModel
from recsys.models.sessions import SessionModel


@dataclass(frozen=True, slots=True)
class Relations:
    """What was learned of items that stand side by side.

    together: bought in one basket or soon after. viewed: looked at in one session.
    sessions: what stood in one, whole. Items that came later are in none of the three.
    """

    together: NeighborModel
    viewed: NeighborModel
    sessions: SessionModel

    @classmethod
    def none(cls, n_items: int) -> Self:
        """Return the relations of items that have nothing to do with each other."""
        nothing = NeighborModel.empty(n_items)
        return cls(nothing, nothing, SessionModel.empty(n_items))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by name, as a bundle holds them."""
        sessions = self.sessions
        return {
            **_arrays_of("together", self.together),
            **_arrays_of("viewed", self.viewed),
            "session_offsets": sessions.offsets,
            "session_rows": sessions.rows,
            "session_item_offsets": sessions.item_offsets,
            "session_numbers": sessions.sessions,
            "session_rarities": sessions.rarities,
            "session_decay": np.array([sessions.decay]),
        }

    @classmethod
    def of(cls, read: Callable[[str], NDArray[Any]]) -> Self:
        """Return the relations whose arrays `read` gives by name."""
        sessions = SessionModel(
            read("session_offsets"),
            read("session_rows"),
            read("session_item_offsets"),
            read("session_numbers"),
            read("session_rarities"),
            float(read("session_decay")[0]),
        )
        return cls(_neighbors(read, "together"), _neighbors(read, "viewed"), sessions)


def _arrays_of(name: str, model: NeighborModel) -> Mapping[str, NDArray[Any]]:
    return {
        f"{name}_offsets": model.offsets,
        f"{name}_rows": model.rows,
        f"{name}_similarities": model.similarities,
    }


def _neighbors(read: Callable[[str], NDArray[Any]], name: str) -> NeighborModel:
    columns = (read(f"{name}_{part}") for part in ("offsets", "rows", "similarities"))
    return NeighborModel(*columns)
