"""Lists into tables: what each list-maker's lists were worth, window by window or pooled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from recsys.arrays import Rows
from recsys.candidates import Candidates
from recsys.evaluation.metrics import Values, bootstrap, coverage, hits, ndcg, recall
from recsys.evaluation.replay import Cases, joined
from recsys.timelines import Ragged
from training.measures import BLEND, CURVE_DEPTHS, DEPTH, POPULAR, Line, Table

LONGEST = max(CURVE_DEPTHS)


@dataclass(frozen=True, slots=True)
class Lists:
    """Each list-maker's lists for the same cases, and what each source adds to the blend."""

    cases: Cases
    by_name: Mapping[str, Candidates]
    contributions: Mapping[str, float]


def pooled(windows: Sequence[Lists]) -> Lists | None:
    """Return the lists of several windows as those of one; the cases stand one behind another."""
    if not windows:
        return None
    sizes = [len(one.cases) for one in windows]
    ends = np.cumsum(sizes).tolist()
    places = [range(end - size, end) for end, size in zip(ends, sizes, strict=True)]
    names = windows[0].by_name
    return Lists(
        _appended([one.cases for one in windows]),
        {
            name: joined(list(zip(places, [one.by_name[name] for one in windows], strict=True)))
            for name in names
        },
        {
            name: round(float(np.mean([one.contributions[name] for one in windows])), 4)
            for name in windows[0].contributions
        },
    )


def _appended(cases: Sequence[Cases]) -> Cases:
    """Return all cases as of one split; they are not asked any more, only counted."""
    return replace(
        cases[0],
        users=np.concatenate([one.users for one in cases]),
        instants=np.concatenate([one.instants for one in cases]),
        seeds=Ragged.of([one.seeds.at(place) for one in cases for place in range(len(one))]),
        targets=Ragged.of([one.targets.at(place) for one in cases for place in range(len(one))]),
    )


def table_of(
    part: str, lists: Lists, n_items: int, rng: np.random.Generator
) -> tuple[Table, Mapping[str, Values]]:
    """Return the table of these lists, and each list-maker's NDCG@10 by customer."""
    cases = lists.cases
    lines, gained = [], {}
    for name, listed in lists.by_name.items():
        line, gained[name] = _line(name, listed, cases, n_items, rng)
        lines.append(line)
    singles = [line for line in lines if line.name in lists.contributions]
    best = max(singles, key=lambda line: line.ndcg.mean)
    return Table(
        cases.placement,
        part,
        len(gained[BLEND]),
        tuple(sorted(lines, key=lambda line: line.ndcg.mean)),
        best.name,
        bootstrap(gained[BLEND] - gained[best.name], rng),
        bootstrap(gained[BLEND] - gained[POPULAR], rng),
        lists.contributions,
        str(cases.situation),
    ), gained


def _line(
    name: str, listed: Candidates, cases: Cases, n_items: int, rng: np.random.Generator
) -> tuple[Line, Values]:
    wanted = np.diff(cases.targets.offsets)
    asked = wanted > 0
    found, wanted = hits(listed, cases.targets, LONGEST)[asked], wanted[asked]
    users = cases.users[asked]
    gains = {depth: _by_customer(ndcg(found[:, :depth], wanted), users) for depth in CURVE_DEPTHS}
    shares = {
        depth: _by_customer(recall(found[:, :depth], wanted), users) for depth in CURVE_DEPTHS
    }
    line = Line(
        name,
        bootstrap(shares[DEPTH], rng),
        bootstrap(gains[DEPTH], rng),
        coverage(listed, DEPTH, n_items, len(cases)),
        len(np.unique(listed.queries)) / max(len(cases), 1),
        {str(depth): float(values.mean()) for depth, values in gains.items()},
        {str(depth): float(values.mean()) for depth, values in shares.items()},
    )
    return line, gains[DEPTH]


def _by_customer(values: Values, users: Rows) -> Values:
    """Return each customer's mean over the windows they were asked in: the unit of chance."""
    _, places = np.unique(users, return_inverse=True)
    means: Values = np.bincount(places, weights=values) / np.bincount(places)
    return means
