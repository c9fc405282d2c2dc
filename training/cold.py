"""Cold items: how the content model is chosen and judged, on items hidden from all training.

A tenth of the items is hidden, with all that was done to them, and the factors are fitted anew
without them. Then each customer's list of hidden items is made by the content model alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recsys.arrays import Mask, Rows, Scores, Vectors, offsets_of
from recsys.models.content import ContentModel
from recsys.models.described import Descriptions
from recsys.models.factors import FactorModel
from recsys.timelines import Weighted
from training.fit.als import AlsConfig, fit_als
from training.fit.content import ContentConfig, fit_content, with_lengths
from training.fit.interests import chosen
from training.settings import ContentSettings

HIDDEN_SHARE = 0.1
WARM_WEIGHT = 1 / HIDDEN_SHARE
DEPTH = 50
MOST_CUSTOMERS = 2_000
FEWEST_HIDDEN = 2 * DEPTH
"""Hidden items below which any list of `DEPTH` would find most of them."""
BLOCK = 256
"""Customers whose scores are held at once."""
FEWEST_IN_CATEGORY = 5
"""Items a category needs for its mean popularity to stand for it; else the one above it does."""


@dataclass(frozen=True, slots=True)
class ColdTrial:
    """What validation chose, and how well hidden items were found by it.

    recall: share of the hidden items a customer cares for that are among the first 50 of all
        hidden ones. by_category: the same by how popular the item's category is. Both mean
        nothing where `n_customers` is 0: then there was too little to choose by.
    """

    config: ContentConfig
    recall: float = 0.0
    by_category: float = 0.0
    n_hidden: int = 0
    n_customers: int = 0

    def metrics(self) -> dict[str, float]:
        """Return the measures by name; none where there was too little to measure."""
        if not self.n_customers:
            return {}
        found = {"cold_recall_at_50": self.recall, "cold_category_recall_at_50": self.by_category}
        if self.by_category:
            found["cold_recall_ratio"] = self.recall / self.by_category
        return found


def choose_content(
    descriptions: Descriptions,
    paths: Sequence[tuple[str, ...]],
    interests: Weighted,
    *,
    als: AlsConfig,
    grid: ContentSettings,
    rng: np.random.Generator,
) -> ColdTrial:
    """Return the configuration under which hidden items are found best, and how well.

    descriptions, paths: (n_items,) of every item; paths of categories, from the root.
    Regularization and exponent are judged by lists of hidden items alone, the length by lists of
    all items, some known ones to be found too: so foreseen vectors neither drown nor are drowned.
    """
    first = ContentConfig(grid.regularization[0], grid.exponents[0], grid.lengths[0])
    hideout = Hideout.of(descriptions, interests, rng)
    if hideout is None:
        return ColdTrial(first)
    factors = fit_als(hideout.rest, len(descriptions), als, rng)
    tried = list(_tried(descriptions, factors, grid))
    if not tried:
        return ColdTrial(first)
    customers, hidden = factors.fold_in(hideout.asking), descriptions.take(hideout.hidden)
    found = [hideout.recall(customers @ model.of(hidden).T) for _, model in tried]
    config, model = tried[int(np.argmax(found))]  # the first of equals
    merged = hideout.merged(customers, factors.items, model.of(hidden), grid.lengths)
    config = replace(config, length=grid.lengths[int(np.argmax(merged))])
    by_category = hideout.recall_by_category(paths)
    return ColdTrial(config, max(found), by_category, len(hideout.hidden), len(customers))


def _tried(
    descriptions: Descriptions, factors: FactorModel, grid: ContentSettings
) -> Iterator[tuple[ContentConfig, ContentModel]]:
    """Yield the model of each pair, at length 1; none where descriptions tell nothing."""
    for regularization in grid.regularization:
        model = fit_content(descriptions, factors, ContentConfig(regularization, 0.0, 1.0))
        if model is None:
            return
        for exponent in grid.exponents:
            config = ContentConfig(regularization, exponent, 1.0)
            yield config, with_lengths(model, descriptions, factors, config)


@dataclass(frozen=True, slots=True)
class Hideout:
    """Customers' interests, some of which are hidden and to be found.

    hidden: (n_hidden,) rows of items hidden from everybody, ascending.
    rest: what is not hidden, of all customers. asking: of those who have something to find, alone.
    cold: (q, n_hidden) what they have among the hidden items. warm: (q, n_items) what else was
        hidden of theirs.
    """

    hidden: Rows
    rest: Weighted
    asking: Weighted
    cold: csr_matrix
    warm: csr_matrix

    @classmethod
    def of(
        cls, descriptions: Descriptions, interests: Weighted, rng: np.random.Generator
    ) -> Self | None:
        """Return interests with a tenth of the described items hidden, None with too few."""
        n_items = len(descriptions)
        met = np.bincount(interests.rows, minlength=n_items) > 0
        rows = np.flatnonzero(met & (np.diff(descriptions.offsets) > 0)).astype(np.int32)
        hidden: Rows = np.sort(rng.permutation(rows)[: round(HIDDEN_SHARE * len(rows))])
        if len(hidden) < FEWEST_HIDDEN:
            return None
        is_cold: Mask = np.isin(interests.rows, hidden)
        is_warm: Mask = ~is_cold & (rng.random(len(interests.rows)) < HIDDEN_SHARE)
        rest = _those(interests, ~(is_cold | is_warm))
        cold, warm = _those(interests, is_cold), _those(interests, is_warm)
        askers = np.flatnonzero((np.diff(rest.offsets) > 0) & (np.diff(cold.offsets) > 0))
        if not len(askers):
            return None
        drawn: Rows = np.sort(rng.permutation(askers)[:MOST_CUSTOMERS]).astype(np.int32)
        columns = _matrix(chosen(cold, drawn), n_items)[:, hidden]
        return cls(
            hidden, rest, chosen(rest, drawn), columns, _matrix(chosen(warm, drawn), n_items)
        )

    def recall(self, scores: Scores) -> float:
        """Return the mean recall of lists by (q, n_hidden) scores."""
        return recall_at(DEPTH, scores, self.cold)

    def recall_by_category(self, paths: Sequence[tuple[str, ...]]) -> float:
        """Return the mean recall of one list for all: by the popularity of categories."""
        popular = category_popularity(paths, self.rest, self.hidden)
        return self.recall(np.broadcast_to(popular, (len(self.asking), len(popular))))

    def merged(
        self, customers: Vectors, items: Vectors, foreseen: Vectors, lengths: Sequence[float]
    ) -> list[float]:
        """Return the share of what is hidden that is found, at each length of foreseen vectors.

        By lists of all items, over all customers together. Each kind counts as much as it is asked
        for: of hidden items everything is to be found, of others a tenth, which stands for all.

        items: (n_items, dim), of hidden ones zero. foreseen: (n_hidden, dim), at length 1.
        """
        totals = np.zeros(len(lengths))
        own = _matrix(self.asking, len(items))
        for start in range(0, len(customers), BLOCK):
            block = slice(start, start + BLOCK)
            known = customers[block] @ items.T
            known[own[block].nonzero()] = -np.inf
            known[:, self.hidden] = -np.inf
            old = _best(known, self.warm[block])
            new = _best(customers[block] @ foreseen.T, self.cold[block])
            for place, length in enumerate(lengths):
                scores = np.concatenate((old[0], new[0] * np.float32(length)), axis=1)
                hits = np.concatenate((WARM_WEIGHT * old[1], new[1]), axis=1)
                first = np.argpartition(-scores, DEPTH - 1, axis=1)[:, :DEPTH]
                totals[place] += np.take_along_axis(hits, first, axis=1).sum()
        shares: list[float] = (totals / (WARM_WEIGHT * self.warm.nnz + self.cold.nnz)).tolist()
        return shares


def recall_at(depth: int, scores: Scores, targets: csr_matrix) -> float:
    """Return the mean share of each row's targets among its `depth` highest scores.

    scores, targets: (q, n), at least one target a row. Equal scores take a fixed shuffled order,
    since rows in a catalog's order are often alike.
    """
    shuffled = np.random.default_rng(0).permutation(scores.shape[1])
    total = np.float64(0.0)
    for start in range(0, scores.shape[0], BLOCK):
        wanted = targets[start : start + BLOCK][:, shuffled]
        _, hits = _best(scores[start : start + BLOCK, shuffled], wanted, depth)
        total += (hits.sum(axis=1) / np.diff(wanted.indptr)).sum()
    return float(total) / max(len(scores), 1)


def category_popularity(
    paths: Sequence[tuple[str, ...]], interests: Weighted, hidden: Rows
) -> Scores:
    """Return, for each hidden item, how many customers met an item of its category, on the mean.

    Counted over the items that are not hidden; a category with too few of them gives way to the
    one above it.
    """
    counts = np.bincount(interests.rows, minlength=len(paths))
    is_hidden = np.zeros(len(paths), dtype=np.bool_)
    is_hidden[hidden] = True
    sums: Counter[tuple[str, ...]] = Counter()
    sizes: Counter[tuple[str, ...]] = Counter()
    for row in np.flatnonzero(~is_hidden).tolist():
        for depth in range(len(paths[row]) + 1):
            sums[paths[row][:depth]] += int(counts[row])
            sizes[paths[row][:depth]] += 1
    means = []
    for row in hidden.tolist():
        path = paths[row]
        while path and sizes[path] < FEWEST_IN_CATEGORY:
            path = path[:-1]
        means.append(sums[path] / max(sizes[path], 1))
    return np.array(means, dtype=np.float32)


def _best(scores: Scores, targets: csr_matrix, depth: int = DEPTH) -> tuple[Scores, Mask]:
    """Return the `depth` highest scores of each row, and which of them are targets."""
    depth = min(depth, scores.shape[1])
    first = np.argpartition(-scores, depth - 1, axis=1)[:, :depth]
    hits: NDArray[np.bool_] = np.take_along_axis(targets.toarray() > 0, first, axis=1)
    return np.take_along_axis(scores, first, axis=1), hits


def _matrix(interests: Weighted, n_items: int) -> csr_matrix:
    shape = (len(interests), n_items)
    return csr_matrix((interests.weights, interests.rows, interests.offsets), shape=shape)


def _those(interests: Weighted, mask: Mask) -> Weighted:
    """Return the interests where the (n,) mask is true, of the same customers."""
    counts = np.bincount(interests.owners()[mask], minlength=len(interests))
    return Weighted(offsets_of(counts), interests.rows[mask], interests.weights[mask])
