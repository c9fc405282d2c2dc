"""Asker values: what filters may ask of the customer, and of the page the items are for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from recsys.arrays import Rows
from recsys.context import Contexts
from recsys.ids import UNKNOWN_ROW
from recsys.item_values import ShelfValues
from recsys.market_values import MarketValues
from recsys.predicates.values import Scope, Value
from recsys.query import Query

MOST_NAMES = 20
"""Most brands, and categories, that a customer is said to have bought of."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Whoever asks one query of a batch.

    values: of the items in the market that is asked for.
    """

    contexts: Contexts
    place: int
    values: ShelfValues

    def values_of(self, needs: Iterable[tuple[Scope, str]]) -> dict[tuple[Scope, str], Value]:
        """Return these fields of customer and context; it costs what they do, and no others.

        Raises ValueError for a field that is of neither.
        """
        return {need: self.value(*need) for need in needs}

    def value(self, scope: Scope, name: str) -> Value:
        """Return one field. Raises ValueError for one that is of neither."""
        if scope is Scope.CUSTOMER:
            return self._of_customer(name)
        if scope is Scope.CONTEXT:
            return self._of_context(name)
        raise ValueError(f"{name} is no field of a customer or a context")

    @property
    def _query(self) -> Query:
        return self.contexts.queries[self.place]

    def _of_customer(self, name: str) -> Value:
        match name:
            case "known":
                return self._known()
            case "brands":
                return self._names("brand")
            case "categories":
                return self._names("category")
            case "usual_price":
                return self._usual_price()
            case "purchases":
                return float(len(self._bought()))
            case "last_purchase":
                return self._last_purchase()
        raise ValueError(f"customers have no {name}")

    def _of_context(self, name: str) -> Value:
        root, _, field = name.partition(".")
        match root, field:
            case "seed", ("item_id" | "title" | "brand" | "category" | "price" | "list_price"):
                return self._of_seed(field)
            case "cart", "size":
                return float(len(self._query.scene.cart))
            case "cart", "total":
                return self._cart_total()
            case "market", "":
                return self._query.market
            case "query", "":
                return self._query.scene.search
            case (("channel" | "device" | "page_type" | "category"), ""):
                text: str = getattr(self._query.scene, root)
                return text
        raise ValueError(f"contexts have no {name}")

    def _known(self) -> bool:
        contexts, place = self.contexts, self.place
        lines = (contexts.history, contexts.purchases, contexts.opinions)
        return any(line.offsets[place + 1] > line.offsets[place] for line in lines)

    def _bought(self) -> Rows:
        """Return the rows of purchases, newest first."""
        line = self.contexts.purchases
        return line.rows[line.offsets[self.place] : line.offsets[self.place + 1]]

    def _names(self, field: str) -> tuple[str, ...]:
        """Return the names of what was bought, the most often first, then the newest."""
        coded = self.values.texts(field)
        codes = coded.codes[self._bought()]
        found, first, counts = np.unique(codes[codes > 0], return_index=True, return_counts=True)
        best = found[np.lexsort((first, -counts))][:MOST_NAMES]
        return tuple(coded.names[code] for code in best.tolist())

    def _usual_price(self) -> Value:
        prices = self.values.numbers("price")[self._bought()]
        known = prices[~np.isnan(prices)]
        return float(np.median(known)) if len(known) else None

    def _last_purchase(self) -> Value:
        line = self.contexts.purchases
        first = line.offsets[self.place]
        if first == line.offsets[self.place + 1]:
            return None
        return int(line.times[first].astype(np.int64))

    def _of_seed(self, field: str) -> Value:
        """Return a field of the seed itself, whichever variant is shown elsewhere."""
        seeds = self._query.seeds
        if not seeds or field == "item_id":
            return seeds[0] if seeds else None
        row = int(self.values.own.catalog.vocabulary.rows(seeds[:1])[0])
        return None if row == UNKNOWN_ROW else _field_of(self.values.own, field, row)

    def _cart_total(self) -> Value:
        own = self.values.own
        rows = own.catalog.vocabulary.rows(self._query.scene.cart)
        prices = own.numbers("price")[rows[rows != UNKNOWN_ROW]]
        unknown = len(prices) < len(rows) or bool(np.isnan(prices).any())
        return None if unknown else float(prices.sum())


def _field_of(values: MarketValues, field: str, row: int) -> Value:
    if field in ("price", "list_price"):
        number = float(values.numbers(field)[row])
        return None if np.isnan(number) else number
    coded = values.texts(field)
    return coded.names[int(coded.codes[row])]
