"""The stages of a pipeline, each over a whole batch of queries, and their laws."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from recsys.arrays import Mask, Rows, Scores
from recsys.candidates import Candidates
from recsys.context import Contexts
from recsys.eligibility import Eligibility
from recsys.fill_report import Unmet


class Filter(Protocol):
    """Narrows what may be shown. Law: the result allows nothing that was not allowed before."""

    def narrow(self, contexts: Contexts, eligible: Eligibility) -> Eligibility:
        """Return the eligibility less what this filter refuses."""


class CandidateSource(Protocol):
    """Proposes items.

    Laws: per query, rows are unique, eligible, best first and at most `k`; a batch equals its
    queries one by one; a query about which the source knows nothing gets nothing; with less
    eligible or a smaller `k`, it proposes the best of what it proposed before.
    """

    def retrieve(self, contexts: Contexts, eligible: Eligibility, k: int) -> Candidates:
        """Return up to `k` candidates of each query, with this source's own scores."""

    def anchors(self, contexts: Contexts, candidates: Candidates) -> Rows:
        """Return the (n,) item of the asker or the page that brought each candidate, or -1."""


class Ranker(Protocol):
    """Scores merged candidates. Law: permuting candidates permutes scores."""

    def score(self, contexts: Contexts, candidates: Candidates) -> Scores:
        """Return a (n,) score for each candidate, higher is better."""

    def contributions(self, candidates: Candidates) -> Scores:
        """Return the (n, n_sources) part of each source in the scores."""


class Adjuster(Protocol):
    """Changes scores for other reasons than relevance, such as what the shop would rather sell.

    Laws: scores stay finite; permuting candidates permutes scores.
    """

    def adjust(self, contexts: Contexts, candidates: Candidates) -> Scores:
        """Return a (n,) score for each candidate in place of the one it has."""


class Selector(Protocol):
    """Orders and cuts the ranked list. Laws: a subset; at most `limits` (q,) of each query."""

    def select(self, contexts: Contexts, ranked: Candidates, limits: Rows) -> Candidates:
        """Return the chosen candidates, best first within each query."""


class Newcomers(Protocol):
    """Lets items into finished lists for their newness, not for their score.

    Laws: who is let in is eligible; a list keeps its length, its first item and the order of the
    others, and holds no item twice; a batch equals its queries one by one; where nothing is new,
    lists stay as they are.
    """

    def introduce(
        self, contexts: Contexts, eligible: Eligibility, listed: Candidates
    ) -> Candidates:
        """Return the lists, with one column of `signals` more that is 1 for those let in."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Items of which sources are to be asked once more, since too few of them were proposed.

    mask: (n_items,) which items. wanted: (q,) how many each query wants; 0 where it has enough.
    """

    mask: Mask
    wanted: Rows


@dataclass(frozen=True, slots=True)
class Arranged:
    """Lists as the shop's rules want them.

    unmet: of each query, the rules that its list does not keep. rules: of each (n,) item listed,
        the names of those that touched it.
    """

    listed: Candidates
    unmet: tuple[tuple[Unmet, ...], ...]
    rules: tuple[tuple[str, ...], ...]


class Arranger(Protocol):
    """Has the last word on finished lists, for what the shop wants of them.

    Laws: whatever is listed is eligible; a list holds no item twice, at most as many as its limit,
    and no fewer than before unless another placement fills it up; a batch equals its queries one
    by one.
    """

    def missing(self, contexts: Contexts, found: Candidates) -> Iterable[Missing]:
        """Yield what is missing among all that the sources proposed."""
        ...

    def arrange(
        self, contexts: Contexts, eligible: Eligibility, listed: Candidates, ranked: Candidates
    ) -> Arranged:
        """Return finished lists, arranged; `ranked` holds every candidate, best first."""
        ...
