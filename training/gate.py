"""The gate: may this candidate replace the champion?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from recsys.evaluation.metrics import Interval, Values, bootstrap
from training.measures import DEPTH, POPULAR, Evaluation, Table
from training.settings import GateSettings


@dataclass(frozen=True, slots=True)
class Check:
    """One thing the gate looked at. words: what was found, with its numbers."""

    passed: bool
    words: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate says, with every reason for it and against it."""

    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether the candidate may be served."""
        return all(check.passed for check in self.checks)

    @property
    def failures(self) -> tuple[str, ...]:
        """What speaks against it."""
        return tuple(check.words for check in self.checks if not check.passed)

    def lines(self) -> tuple[str, ...]:
        """Return every check as a line: `ok` or `FAILED`, and the words."""
        return tuple(f"{'ok    ' if one.passed else 'FAILED'} {one.words}" for one in self.checks)


@dataclass(frozen=True, slots=True)
class Champion:
    """What is known of the release that is served.

    evaluation: its recipe, refitted and replayed on the candidate's own split; None where it is
        the candidate's recipe, or where `unreadable` says why there is none.
    n_events: how many events it has learned from. stored: its measures when it was trained.
    """

    version: str
    n_events: int
    stored: Mapping[str, float]
    evaluation: Evaluation | None = None
    unreadable: str = ""


def judge(
    candidate: Evaluation,
    champion: Champion | None,
    *,
    n_events: int,
    index_recall: float,
    recall_floor: float,
    settings: GateSettings,
    rng: np.random.Generator,
) -> Verdict:
    """Return whether the candidate may replace the champion.

    It beats popularity in every placement that lists popular items (on average: a small shop has
    too few customers for certainty, and the words say so), is not worse than the champion beyond
    the tolerance, its index finds enough, and it has not seen much less than the champion. Others,
    such as similar items, are for something else than what sells best.
    """
    tables = [table for table in candidate.report.tables if table.part == "all"]
    checks = [_beats_popular(table) for table in tables]
    if champion is None:
        checks.append(Check(True, "there is no champion yet: nothing to compare with"))
    else:
        checks += _against(candidate, champion, tables, settings, rng)
        checks.append(_enough_data(n_events, champion, settings))
    found = f"the index finds {index_recall:.1%} of the true nearest, wanted {recall_floor:.1%}"
    checks.append(Check(index_recall >= recall_floor, found))
    return Verdict(tuple(checks))


def _beats_popular(table: Table) -> Check:
    words = (
        f"{table.placement}: NDCG@{DEPTH} {_signed(table.over_popular)} over popularity, "
        f"{table.times_popular:.2f} times"
    )
    over = table.over_popular
    if over.low > 0:
        return Check(True, words)
    if over.low == over.high == 0:
        return Check(True, f"{table.placement}: is popularity itself")
    if over.mean > 0:
        return Check(True, f"{words}; not certain, there are too few customers to tell")
    if table.contributions and POPULAR not in table.contributions:
        return Check(True, f"{words}; it is to show something else than what is popular")
    return Check(False, f"{words}; it must be better than popularity")


def _against(
    candidate: Evaluation,
    champion: Champion,
    tables: list[Table],
    settings: GateSettings,
    rng: np.random.Generator,
) -> list[Check]:
    if champion.unreadable:
        words = f"champion {champion.version}: {champion.unreadable}; by its stored measures, "
        return [_by_stored(table, champion, settings, words) for table in tables]
    if champion.evaluation is None:
        words = f"champion {champion.version} has the same recipe: the candidate knows newer data"
        return [Check(True, words)]
    paired = champion.evaluation.values
    both = {
        name: (candidate.values[name] - paired[name], float(paired[name].mean()))
        for name in candidate.values
        if name in paired
    }
    version = f"the recipe of champion {champion.version}"
    found = [
        _paired(f"{name}: NDCG@{DEPTH} ", bootstrap(over, rng), base, version, settings)
        for name, (over, base) in both.items()
    ]
    return [*found, _all_together(list(both.values()), version, settings, rng)]


def _paired(what: str, over: Interval, base: float, version: str, settings: GateSettings) -> Check:
    """Return whether one placement is not worse beyond the tolerance for certain.

    Of many placements of few customers some are lower by chance in every run; what they say
    together is looked at more strictly.
    """
    words = f"{what}{_signed(over)} against {version} ({base:.4f}) on the same customers"
    if over.mean >= -settings.tolerance * base:
        return Check(True, words)
    if over.high >= 0:
        return Check(True, f"{words}; not certain, there are too few customers to tell")
    return Check(False, f"{words}; it may be lower by {settings.tolerance * base:.4f}")


def _all_together(
    both: list[tuple[Values, float]],
    version: str,
    settings: GateSettings,
    rng: np.random.Generator,
) -> Check:
    """Return whether the placements, each case counting alike, are worse by no more than allowed.

    both: differences by case, and what the champion gains on average, by placement.
    """
    shares = [over / base for over, base in both if base > 0]
    over = bootstrap(np.concatenate(shares) if shares else np.zeros(1), rng)
    words = (
        f"all placements together: NDCG@{DEPTH} {over.mean:+.1%} "
        f"[{over.low:+.1%}, {over.high:+.1%}] against {version}"
    )
    if over.low >= -settings.tolerance or over.mean >= 0:
        return Check(True, words)
    return Check(
        False, f"{words}; it may be lower by {settings.tolerance:.0%} with 95 % confidence"
    )


def _by_stored(table: Table, champion: Champion, settings: GateSettings, words: str) -> Check:
    mine = table.line("blend").ndcg.mean
    theirs = champion.stored.get(f"{table.placement}_ndcg_at_{DEPTH}", 0.0)
    words = f"{words}{table.placement} NDCG@{DEPTH} {mine:.4f} against {theirs:.4f}"
    return Check(mine >= theirs * (1 - settings.tolerance), words)


def _enough_data(n_events: int, champion: Champion, settings: GateSettings) -> Check:
    words = f"learned from {n_events:,} events, champion {champion.version} {champion.n_events:,}"
    if n_events >= settings.least_data * champion.n_events:
        return Check(True, words)
    return Check(False, f"{words}; wanted at least {settings.least_data:.0%} of those")


def _signed(interval: Interval) -> str:
    return f"{interval.mean:+.4f} [{interval.low:+.4f}, {interval.high:+.4f}]"
