from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from recsys.customers import Purpose
from tests.training.small_lake import START, Line, write_facts, write_lake
from training.datasets.lake import Dataset, read_dataset

NOBODY_ASKED = frozenset[Purpose]()
LINES = [
    Line("", 0, START, visitor="v1"),
    Line("ann", 1, START + timedelta(hours=1)),
    Line("bob", 2, START + timedelta(hours=2)),
    Line("", 3, START + timedelta(hours=3), session="s1"),
]


def link(one: str, other: str, *, stands: bool = True) -> dict[str, object]:
    (kind, identifier), (other_kind, name) = one.split(":"), other.split(":")
    ends = {"kind": kind, "identifier": identifier, "other_kind": other_kind, "other": name}
    return {"fact": "link", "granted": stands, **ends}


def consent(who: str, granted: bool, **more: object) -> dict[str, object]:
    kind, identifier = who.split(":")
    said = {"fact": "consent", "kind": kind, "identifier": identifier, "name": "train"}
    return {**said, "granted": granted, **more}


def learned_from(folder: Path, *facts: dict[str, object]) -> dict[str, list[int]]:
    """Return the items of each customer in the data set of a lake with these facts."""
    write_lake(folder, LINES)
    write_facts(folder, list(facts))
    return items_of(read_dataset(folder / "lake"))


def items_of(read: Dataset) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    rows = zip(read.interactions.users.tolist(), read.interactions.items.tolist(), strict=True)
    for user, item in rows:
        found.setdefault(read.user_ids[user], []).append(item)
    return found


def test_linked_identifiers_are_one_customer_under_the_most_durable_name(tmp_path: Path) -> None:
    learned = learned_from(
        tmp_path, link("session:s1", "visitor:v1"), link("visitor:v1", "user:ann")
    )

    assert learned == {"ann": [0, 1, 3], "bob": [2]}


def test_link_that_was_taken_back_ties_nothing(tmp_path: Path) -> None:
    learned = learned_from(
        tmp_path, link("user:ann", "visitor:v1"), link("user:ann", "visitor:v1", stands=False)
    )

    assert learned == {"visitor:v1": [0], "ann": [1], "bob": [2], "session:s1": [3]}


def test_who_refuses_is_not_learned_from_whatever_is_linked(tmp_path: Path) -> None:
    learned = learned_from(
        tmp_path, link("user:ann", "visitor:v1"), consent("visitor:v1", granted=False)
    )

    assert learned == {"bob": [2], "session:s1": [3]}


@pytest.mark.parametrize(("last", "learned"), [(True, [1]), (False, None)])
def test_latest_statement_counts_whatever_came_last(
    tmp_path: Path, last: bool, learned: list[int] | None
) -> None:
    early, late = START, START + timedelta(days=5)
    found = learned_from(
        tmp_path,
        consent("user:ann", granted=last, time=late),
        consent("user:ann", granted=not last, time=early),
    )

    assert found.get("ann") == learned


def test_of_two_statements_of_one_instant_the_refusal_counts(tmp_path: Path) -> None:
    learned = learned_from(
        tmp_path,
        consent("user:ann", granted=False, time=START),
        consent("user:ann", granted=True, time=START),
    )

    assert "ann" not in learned


def test_where_training_must_be_granted_first_only_who_did_is_learned_from(
    tmp_path: Path,
) -> None:
    write_lake(tmp_path, LINES)
    write_facts(tmp_path, [consent("user:bob", granted=True)])

    read = read_dataset(tmp_path / "lake", unless_stated=NOBODY_ASKED)

    assert items_of(read) == {"bob": [2]}
