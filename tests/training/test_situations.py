"""Sessions and things due, through training: replayed with what was known, and told in words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recsys.context import RelatesTo
from recsys.evaluation.metrics import Interval
from recsys.evaluation.replay import cases_for, cases_of
from recsys.evaluation.splits import Split
from recsys.events import EVENT_CODES, EventType
from recsys.interactions import Interactions
from recsys.pipeline.placement import PlacementConfig, Situation, SourceConfig, SourceKind
from tests import shop
from training.evaluate import replay
from training.measures import Line, Report, Table
from training.report import lines_of

NOON = np.datetime64("2026-01-11T12:00:00", "s")
LOOKED_ALIKE = PlacementConfig(
    4, (SourceConfig(SourceKind.SIMILAR_TO_HISTORY, 10),), Situation.SESSION
)


def looked_at(*names: str) -> Interactions:
    """Return how one visitor looks at these items, a minute apart."""
    n = len(names)
    return Interactions(
        np.zeros(n, dtype=np.int32),
        np.array([shop.ROW[name] for name in names], dtype=np.int32),
        np.full(n, EVENT_CODES[EventType.DETAIL_VIEW], dtype=np.uint8),
        np.ones(n, dtype=np.float32),
        NOON + np.arange(n).astype("timedelta64[m]"),
        np.arange(n, dtype=np.uint32),
        np.zeros(n, dtype=np.int32),
        1,
        len(shop.ITEMS),
    )


def table_in(situation: str) -> Table:
    """Return a table of one case, of a placement in this situation."""
    middling = Interval(0.5, 0.4, 0.6)
    lines = tuple(
        Line(name, middling, middling, 0.1, 1.0, {"10": 0.5}, {"10": 0.5})
        for name in ("popular", "blend")
    )
    return Table(
        "replenish", "all", 1, lines, "popular", middling, middling, {"popular": 1.0}, situation
    )


def test_a_replayed_session_of_a_newcomer_rests_on_its_earlier_steps() -> None:
    split = Split.at(looked_at("bread", "soap", "tea"), NOON, 28.0)
    asked = next(
        one
        for seed in range(20)
        if (one := cases_of("next", Situation.SESSION, split, np.random.default_rng(seed)))
        and one.seeds.rows.tolist() == [shop.ROW["soap"]]
    )

    found = replay(shop.bundle(), split, LOOKED_ALIKE, asked).candidates()

    assert sorted(shop.names(found.rows)) == ["butter", "jam", "sponge"]


def test_a_list_about_what_was_viewed_last_is_asked_for_away_from_that_page() -> None:
    split = Split.at(looked_at("bread", "soap"), NOON, 28.0)
    about_last = replace(LOOKED_ALIKE, relates_to=RelatesTo.LAST_VIEWED)

    asked = cases_for("next", about_last, split, np.random.default_rng(0))
    unjudged = [
        cases_for("next", replace(about_last, situation=other), split, np.random.default_rng(0))
        for other in (None, Situation.DUE)
    ]

    assert asked is not None
    assert len(asked.seeds.rows) == 0
    assert asked.targets.rows.tolist() == [shop.ROW["soap"]]
    assert unjudged == [None, None]


def test_a_report_says_what_was_asked_and_one_from_before_says_nothing() -> None:
    report = Report(("2026-01-01",), 28.0, (table_in("due"),))
    content = report.to_json().replace(',\n   "situation": "due"', "")

    now, before = "\n".join(lines_of(report)), "\n".join(lines_of(Report.of_json(content)))

    assert "what is bought again within 7 days?" in now
    assert Report.of_json(content).tables == (replace(report.tables[0], situation=""),)
    assert "?" not in before
