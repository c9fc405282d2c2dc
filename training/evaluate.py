"""Replay of the real placements over held-out customers, beside each source alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from recsys.arrays import Mask, keys_of
from recsys.assortment import Assortment
from recsys.bundle import ModelBundle
from recsys.candidates import Candidates
from recsys.context import Contexts
from recsys.evaluation.metrics import Values
from recsys.evaluation.replay import Cases, cases_for, contexts_of, joined
from recsys.evaluation.splits import Split
from recsys.models.repurchase import RepurchaseModel
from recsys.pipeline.compile import compile_placement
from recsys.pipeline.filters import NotPurchased
from recsys.pipeline.pipeline import NamedFilter, NamedSource, Pipeline
from recsys.pipeline.placement import PlacementConfig, Situation
from recsys.pipeline.sources import BuyAgain, Popular
from recsys.timelines import Ragged
from training.lists import LONGEST, Lists, pooled, table_of
from training.measures import (
    BLEND,
    DEPTH,
    FREQUENCY,
    POPULAR,
    Evaluation,
    Report,
    Table,
)

PARTS = ("all", "repeat", "new")
THREADS = 2
BASELINE_K = 100


Trial = tuple[ModelBundle, Split]
"""A bundle fitted on a split's past, and the split whose window it has not seen."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """The candidates of one placement over its cases, before they are ranked.

    pipeline: as served. names: of the columns of `signals`: its sources, then the baselines.
    parts: batches of cases with their contexts and merged candidates.
    """

    pipeline: Pipeline
    names: tuple[str, ...]
    cases: Cases
    parts: tuple[tuple[range, Contexts, Candidates], ...]

    @property
    def n_own(self) -> int:
        """How many of the columns are the placement's own sources."""
        return len(self.pipeline.sources)

    def candidates(self) -> Candidates:
        """Return the candidates of the placement's own sources, over all cases."""
        own = joined([(places, found) for places, _, found in self.parts])
        own = replace(own, signals=own.signals[:, : self.n_own])
        return own.take(_proposed(own))


def evaluate(
    trials: Sequence[Trial],
    placements: Mapping[str, PlacementConfig],
    *,
    seed: int,
    most_cases: int,
) -> Evaluation:
    """Return how well bundles foresee the windows behind what they were fitted on, by placement.

    A visit's table comes a second and third time for items bought before and not.
    """
    tables = partial(_tables, trials, seed=seed, most_cases=most_cases)
    # Placements are independent, and most of their time is spent outside the interpreter's lock.
    with ThreadPoolExecutor(THREADS) as pool:
        found = [
            pair for pairs in pool.map(tables, placements, placements.values()) for pair in pairs
        ]
    values = {table.placement: gained for table, gained in found if table.part == "all"}
    instants = tuple(str(split.instant) for _, split in trials)
    return Evaluation(
        Report(instants, _days(trials[-1][1]), tuple(table for table, _ in found)),
        {name: gained[BLEND] for name, gained in values.items()},
        {name: gained[POPULAR] for name, gained in values.items()},
    )


def _tables(
    trials: Sequence[Trial], name: str, config: PlacementConfig, *, seed: int, most_cases: int
) -> list[tuple[Table, Mapping[str, Values]]]:
    """Return the tables of one placement, each with what every case gained by each source."""
    rng = np.random.default_rng(seed)
    parts = [
        _parts(bundle, split, config, name, most_cases=most_cases, rng=rng)
        for bundle, split in trials
    ]
    whole = {part: pooled([one[part] for one in parts if part in one]) for part in PARTS}
    n_items = len(trials[0][0].catalog)
    return [
        table_of(part, one, n_items, rng)
        for part, one in whole.items()
        if one and len(one.cases.targets.rows)
    ]


def _parts(
    bundle: ModelBundle,
    split: Split,
    config: PlacementConfig,
    name: str,
    *,
    most_cases: int,
    rng: np.random.Generator,
) -> dict[str, Lists]:
    """Return the lists of one placement in one window, by part; none without a case."""
    cases = cases_for(name, config, split, rng, most=most_cases)
    if cases is None:
        return {}
    whole = replay(bundle, split, config, cases)
    parts = {"all": whole}
    if config.situation is Situation.VISIT:
        known = _bought_targets(cases, split)
        parts["repeat"] = _repeats(whole, _with_targets(cases, known))
        parts["new"] = replay(bundle, split, config, _with_targets(cases, ~known), new=True)
    return {part: _lists(one) for part, one in parts.items()}


_NEVER_BOUGHT = NamedFilter("not_purchased", NotPurchased(np.inf))


def replay(
    bundle: ModelBundle, split: Split, config: PlacementConfig, cases: Cases, *, new: bool = False
) -> Replayed:
    """Return the candidates of a placement for its cases, by a bundle of what `split.past` held.

    new: refuse what the customer ever bought.
    """
    pipeline = compile_placement(cases.placement, config, bundle, idle=True)
    if new:
        pipeline = replace(pipeline, filters=(*pipeline.filters, _NEVER_BOUGHT))
    wide = replace(pipeline, sources=(*pipeline.sources, *_baselines(pipeline, bundle)))
    parts, assortment = [], Assortment.of(bundle.catalog)
    for places, contexts in contexts_of(
        cases,
        split.known,
        assortment=assortment,
        interest=bundle.interest,
        limit=LONGEST,
    ):
        if pipeline.relates_to.of_the_asker:  # else it is about what the cases hold at hand
            contexts = contexts.relating_to(pipeline.relates_to)
        found = wide.retrieve(contexts, wide.eligible(contexts))
        parts.append((places, contexts, found))
    return Replayed(pipeline, wide.proposing, cases, tuple(parts))


def discoveries(replayed: Replayed, split: Split) -> tuple[Candidates, Ragged]:
    """Return the candidates and targets of a replay that their customers never bought before."""
    found, cases = replayed.candidates(), replayed.cases
    known = split.had_bought(keys_of(cases.users[found.queries], found.rows))
    return found.take(~known), _with_targets(cases, ~_bought_targets(cases, split)).targets


def _baselines(pipeline: Pipeline, bundle: ModelBundle) -> Iterator[NamedSource]:
    """Yield what every placement is measured against, where it is none of its sources."""
    if POPULAR not in pipeline.proposing:
        yield NamedSource(POPULAR, Popular(bundle.popularity), BASELINE_K)
    counts = RepurchaseModel(np.ones(len(bundle.catalog), dtype=np.float32), 0.0)
    yield NamedSource(FREQUENCY, BuyAgain(counts), BASELINE_K)


def _proposed(candidates: Candidates) -> Mask:
    """Return which candidates any source proposed at all."""
    proposed: Mask = np.any(candidates.signals > 0, axis=1)
    return proposed


def _bought(contexts: Contexts, found: Candidates) -> Mask:
    own = keys_of(contexts.purchases.owners(), contexts.purchases.rows)
    return np.isin(keys_of(found.queries, found.rows), own)


def _repeats(whole: Replayed, cases: Cases) -> Replayed:
    """Return the replay with those candidates alone that their customer had bought before.

    Newcomers are none of them, and take no place among them.
    """
    parts = [
        (places, contexts, found.take(_bought(contexts, found)))
        for places, contexts, found in whole.parts
    ]
    pipeline = replace(whole.pipeline, newcomers=None)
    return replace(whole, pipeline=pipeline, cases=cases, parts=tuple(parts))


def _bought_targets(cases: Cases, split: Split) -> Mask:
    """Return which targets of the cases their customers had bought before."""
    wanted = keys_of(cases.users[cases.targets.owners()], cases.targets.rows)
    return split.had_bought(wanted)


def _with_targets(cases: Cases, chosen: Mask) -> Cases:
    """Return the same cases with these targets alone; some may have none left."""
    owners, rows = cases.targets.owners()[chosen], cases.targets.rows[chosen]
    return replace(cases, targets=Ragged.of_pairs(owners, rows, len(cases)))


def _lists(replayed: Replayed) -> Lists:
    """Return the lists of every source alone and of the blend, made as the placement makes them."""
    found: dict[str, list[tuple[range, Candidates]]] = {}
    for places, contexts, merged in replayed.parts:
        for column, name in enumerate(replayed.names):
            alone = merged.take(merged.signals[:, column] > 0)
            alone = alone.scored(alone.signals[:, column])
            # Popularity, which a placement must beat, owes newcomers the same share.
            made = _finished if name == POPULAR else _select
            found.setdefault(name, []).append((places, made(replayed, contexts, alone)))
        own = replace(merged, signals=merged.signals[:, : replayed.n_own])
        own = own.take(_proposed(own))
        own = replayed.pipeline.ranked(contexts, own)
        found.setdefault(BLEND, []).append((places, _finished(replayed, contexts, own)))
    lists = {name: joined(parts) for name, parts in found.items()}
    return Lists(replayed.cases, lists, _contributions(replayed, lists[BLEND]))


def _select(replayed: Replayed, contexts: Contexts, candidates: Candidates) -> Candidates:
    limits = np.full(len(contexts), LONGEST, dtype=np.int32)
    return replayed.pipeline.selector.select(contexts, candidates.ordered(), limits)


def _finished(replayed: Replayed, contexts: Contexts, candidates: Candidates) -> Candidates:
    """Return the lists as they are served, newcomers among them, and behind those the others."""
    pipeline, whole = replayed.pipeline, _select(replayed, contexts, candidates)
    if pipeline.newcomers is None:
        return whole
    size = np.full(len(contexts), min(pipeline.size, LONGEST), dtype=np.int32)
    eligible = pipeline.eligible(contexts)
    served = pipeline.newcomers.introduce(contexts, eligible, whole.first(size))
    listed = np.isin(keys_of(whole.queries, whole.rows), keys_of(served.queries, served.rows))
    others = whole.take(~listed)
    return served.followed_by(others.with_signal())


def _contributions(replayed: Replayed, listed: Candidates) -> dict[str, float]:
    first = listed.first(np.full(len(replayed.cases), DEPTH, dtype=np.int32))
    added = replayed.pipeline.contributions(first)[:, : replayed.n_own].sum(axis=0)
    shares = added / max(float(added.sum()), 1e-12)
    return {
        name: round(float(share), 4)
        for name, share in zip(replayed.pipeline.proposing, shares, strict=True)
    }


def _days(split: Split) -> float:
    if not len(split.future):
        return 0.0
    length: np.timedelta64 = split.future.times[-1] - split.instant
    return round(float(length / np.timedelta64(1, "D")), 1)
