"""The figures of `benchmarks.placements`: names for programs, tables for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from rich.table import Table

from benchmarks import harness
from benchmarks.complement_labels import ComplementLabels
from benchmarks.harness import Number
from benchmarks.placement_cases import OWN, Gained
from benchmarks.placement_shops import JudgedShop
from recsys.evaluation.metrics import Interval, bootstrap


@dataclass(frozen=True, slots=True)
class Judged:
    """What one placement's lists, and those of its peers, were worth in one situation.

    name: of the placement, and how it was asked where that is not its own way.
    gained: by list-maker, its own first, all over the same cases.
    """

    name: str
    situation: str
    gained: Mapping[str, Gained]

    @property
    def peers(self) -> tuple[str, ...]:
        """The names of its peers."""
        return tuple(name for name in self.gained if name != OWN)

    @property
    def n_customers(self) -> int:
        """How many customers were asked for."""
        return len(np.unique(self.gained[OWN].users))

    def over(self, peer: str, seed: int) -> Interval:
        """Return NDCG@10 of the placement less that of a peer, paired by customer."""
        mine, theirs = (self.gained[name].by_customer()[1] for name in (OWN, peer))
        return bootstrap(mine - theirs, np.random.default_rng(seed))


@dataclass(frozen=True, slots=True)
class ShopResult:
    """One shop's placements. unjudged: those without a situation, or without a case in it."""

    shop: JudgedShop
    days: float
    judged: tuple[Judged, ...]
    unjudged: tuple[str, ...]


def metrics_of_labels(labelled: Mapping[str, ComplementLabels]) -> dict[str, Number]:
    """Return how lists agree with labels, by name; under the name of the set if there are more."""
    return {
        f"{name}_{measure}" if len(labelled) > 1 else measure: value
        for name, found in labelled.items()
        for measure, value in asdict(found).items()
        if measure != "n_items"
    }


def sizes_of(results: Sequence[ShopResult]) -> dict[str, Number]:
    """Return how large each shop is."""
    sizes: dict[str, Number] = {}
    for one in results:
        events = one.shop.dataset.interactions
        sizes[f"{one.shop.name}_events"] = len(events)
        sizes[f"{one.shop.name}_customers"] = len(np.unique(events.users))
        sizes[f"{one.shop.name}_items"] = events.n_items
        sizes[f"{one.shop.name}_robots_left_out"] = one.shop.dataset.left_out.robots
    return sizes


def metrics_of(results: Sequence[ShopResult], seed: int) -> dict[str, Number]:
    """Return every figure by name: `<shop>_<placement>[_<peer>]_<measure>`."""
    metrics: dict[str, Number] = {}
    for result in results:
        for judged in result.judged:
            stem = f"{result.shop.name}_{judged.name}"
            metrics |= {f"{stem}_cases": len(judged.gained[OWN].users)}
            metrics |= {f"{stem}_customers": judged.n_customers}
            metrics |= dict(_of_own(stem, judged, seed))
            for peer in judged.peers:
                metrics |= dict(_of_peer(stem, judged, peer, seed))
    return metrics


def _of_own(stem: str, judged: Judged, seed: int) -> Iterator[tuple[str, Number]]:
    for measure, interval in _intervals(judged.gained[OWN], seed).items():
        yield f"{stem}_{measure}", interval.mean
        yield f"{stem}_{measure}_low", interval.low
        yield f"{stem}_{measure}_high", interval.high


def _of_peer(stem: str, judged: Judged, peer: str, seed: int) -> Iterator[tuple[str, Number]]:
    for measure, interval in _intervals(judged.gained[peer], seed).items():
        yield f"{stem}_{peer}_{measure}", interval.mean
    over = judged.over(peer, seed)
    yield f"{stem}_ndcg_at_10_over_{peer}", over.mean
    yield f"{stem}_ndcg_at_10_over_{peer}_low", over.low
    yield f"{stem}_ndcg_at_10_over_{peer}_high", over.high


def _intervals(gained: Gained, seed: int) -> dict[str, Interval]:
    """Return the measures of one list-maker by name."""
    hit_rates, ndcgs = gained.by_customer()
    return {
        "hit_rate_at_10": bootstrap(hit_rates, np.random.default_rng(seed)),
        "ndcg_at_10": bootstrap(ndcgs, np.random.default_rng(seed)),
    }


def table_of(result: ShopResult, seed: int) -> Table:
    """Return one shop's placements, each above its peers."""
    made = harness.table(
        f"{result.shop.name}: windows of {result.days:g} days",
        "list by",
        "customers",
        "hit rate@10",
        "NDCG@10",
        "NDCG of the list over it",
    )
    for judged in result.judged:
        for maker, gained in judged.gained.items():
            own = maker == OWN
            values = [_shown(one) for one in _intervals(gained, seed).values()]
            over = "" if own else _shown(judged.over(maker, seed), "+")
            name = f"{judged.name} ({judged.situation})" if own else f"  {maker}"
            number = f"{judged.n_customers:,}" if own else ""
            made.add_row(name, number, *values, over, style="bold" if own else "")
        made.add_section()
    made.caption = f"not judged here: {', '.join(result.unjudged) or 'none'}"
    return made


def verdicts_of(results: Sequence[ShopResult], seed: int) -> Table:
    """Return, for each shop and peer, which placements are better, alike and worse."""
    made = harness.table("by NDCG@10, with 95 % confidence", "list is", "")
    for result in results:
        for peer in dict.fromkeys(peer for one in result.judged for peer in one.peers):
            for word, names in _verdicts(result, peer, seed).items():
                made.add_row(f"{result.shop.name}: {word} {peer}", ", ".join(names))
        made.add_section()
    made.columns[1].justify = "left"
    return made


def _verdicts(result: ShopResult, peer: str, seed: int) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {"better than": [], "neither": [], "worse than": []}
    for judged in result.judged:
        over = judged.over(peer, seed)
        word = "better than" if over.low > 0 else "worse than" if over.high < 0 else "neither"
        found[word].append(judged.name)
    return {word: names for word, names in found.items() if names}


def _shown(interval: Interval, sign: str = "") -> str:
    """Return a mean and its 95 % interval, short enough for a table of five columns."""
    mean, low, high = (
        f"{value:{sign}.4f}".replace("0.", ".", 1)
        for value in (interval.mean, interval.low, interval.high)
    )
    return f"{mean} [{low} {high}]"
