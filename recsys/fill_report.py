"""Fill reports: why a list is as long as it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Removed:
    """How many items one filter took away of those that the filters before it had left.

    name: the filter's, such as `available`, or the condition it checks.
    """

    name: str
    n_items: int


@dataclass(frozen=True, slots=True)
class Unmet:
    """A rule of the shop that a list could not keep, by its name, and why."""

    rule: str
    why: str


@dataclass(frozen=True, slots=True)
class FillReport:
    """Why a list is as long as it is.

    wanted: items asked for. eligible: items that all filters left. returned: items in the list.
    from_fallback: those of them that the fallback placement proposed, the last ones.
    on_page: eligible items that stand in an earlier list of the page.
    removed: what each filter took away, in their order.
    unmet: rules that the list could not keep.
    irrelevant: candidates that left because they were not relevant enough.
    relevance_kept: share of the relevance of the list that the placement makes without adjusters
        and diversity; 1 where there is neither. Newcomers and exploration count in neither.
    """

    wanted: int
    eligible: int
    returned: int
    from_fallback: int = 0
    on_page: int = 0
    removed: tuple[Removed, ...] = ()
    irrelevant: int = 0
    relevance_kept: float = 1.0
    unmet: tuple[Unmet, ...] = ()
