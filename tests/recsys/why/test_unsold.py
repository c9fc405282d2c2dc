from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from recsys.assortment import Assortment
from recsys.catalog import Catalog
from recsys.ids import Vocabulary
from recsys.why.explanation import FindingCode
from recsys.why.unsold import unsold
from tests.catalogs import IDS, MARKETS, NOW, Items, drawn, seconds, sold

hours = st.integers(-4, 4).map(lambda hours: NOW + timedelta(hours=hours))


@given(drawn(), st.sampled_from(MARKETS), hours)
def test_something_is_named_exactly_where_an_item_may_not_be_sold(
    items: Items, market: str, instant: datetime
) -> None:
    assortment = Assortment.of(Catalog.of(Vocabulary.of(IDS), items))
    described = dict(items)

    for row in range(len(IDS)):
        found = unsold(assortment, row, market, seconds(instant))

        if not items:  # a shop that sent events only sells everything
            assert found == ()
        else:
            assert (found == ()) == sold(described, row, market, instant)
        if described.get(row) is None and items:
            assert found == (FindingCode.NOT_DESCRIBED,)
