from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.customers import (
    AttributeChange,
    ConsentChange,
    Consents,
    ConsentStatement,
    CustomerChange,
    Identifier,
    IdKind,
    LinkChange,
    Purpose,
)
from recsys.events import Position
from serving.log.customer_reads import CustomerReader, nth_fact
from serving.log.customer_register import CustomerProfile
from serving.log.database import connect
from tests.serving.register import changed

START = datetime(2026, 3, 1, tzinfo=UTC)
LAST = Position(10**9)


def user(name: str) -> Identifier:
    return Identifier(IdKind.USER, name)


def link(one: str, other: str) -> LinkChange:
    return LinkChange(user(one), user(other))


def unlink(one: str, other: str) -> LinkChange:
    return LinkChange(user(one), user(other), linked=False)


def consent(
    name: str, *, granted: bool, hours: int = 0, purpose: Purpose = Purpose.PERSONALISE
) -> ConsentChange:
    time = START + timedelta(hours=hours)
    return ConsentChange(user(name), ConsentStatement(purpose, granted, time))


@pytest.fixture
def log_file(tmp_path: Path) -> Path:
    return tmp_path / "log.sqlite"


def names_of(log_file: Path, name: str) -> list[str]:
    reader = CustomerReader(log_file)
    (profile,) = reader.profiles_of([user(name)])
    reader.close()
    return [one.value for one in profile.members]


def test_each_change_takes_a_position_and_what_was_known_takes_none(log_file: Path) -> None:
    changes: list[CustomerChange] = [
        link("a", "b"),
        link("b", "a"),
        consent("a", granted=True),
        unlink("c", "d"),
    ]

    done = changed(log_file, changes)
    again = changed(log_file, changes)

    assert (done.changed, done.unchanged, done.last_position) == (2, 2, 2)
    assert (again.changed, again.unchanged, again.last_position) == (0, 4, 2)


def test_link_taken_back_divides_only_where_no_other_holds(log_file: Path) -> None:
    changed(log_file, [link("a", "b"), link("b", "c"), link("c", "a"), link("c", "d")])

    changed(log_file, [unlink("b", "a")])
    still = names_of(log_file, "a")
    changed(log_file, [unlink("b", "c")])

    assert still == ["a", "b", "c", "d"]
    assert (names_of(log_file, "a"), names_of(log_file, "b")) == (["a", "c", "d"], ["b"])


def test_customer_of_more_than_fifty_identifiers_is_refused_and_says_why(log_file: Path) -> None:
    changed(log_file, [link("kiosk", f"u{n}") for n in range(48)])
    changed(log_file, [link("x", "y"), consent("x", granted=False)])

    done = changed(log_file, [link("x", "u7"), link("z", "u7"), link("z", "q")])

    (refused, late) = done.refused
    assert (refused.index, refused.reason) == (0, "TOO_MANY_IDENTIFIERS")
    assert "shared by many" in refused.message
    assert (done.changed, late.index) == (1, 2)
    assert len(names_of(log_file, "z")) == 50
    assert names_of(log_file, "x") == ["x", "y"]


def test_attributes_of_a_customer_are_the_newest_of_all_identifiers(log_file: Path) -> None:
    a, b = user("a"), user("b")
    changed(log_file, [link("a", "b"), AttributeChange(a, "tier", "gold")])
    changed(log_file, [AttributeChange(b, "tier", "none"), AttributeChange(a, "size", "42")])
    reader = CustomerReader(log_file)

    joined = reader.customer_of(a).attributes
    changed(log_file, [AttributeChange(b, "tier", None)])
    taken = reader.customer_of(a).attributes
    changed(log_file, [unlink("a", "b")])
    apart = reader.customer_of(a).attributes

    reader.close()
    assert joined == {"size": "42", "tier": "none"}
    assert taken == {"size": "42"}
    assert apart == {"size": "42", "tier": "gold"}


def test_fifty_first_attribute_is_refused_until_another_goes(log_file: Path) -> None:
    a = user("a")
    changed(log_file, [AttributeChange(a, f"n{n}", "x") for n in range(50)])

    full = changed(log_file, [AttributeChange(a, "more", "x"), AttributeChange(a, "n1", "y")])
    changed(log_file, [AttributeChange(a, "n0", None)])
    room = changed(log_file, [AttributeChange(a, "more", "x")])

    assert ([one.reason for one in full.refused], full.changed) == (["TOO_MANY_ATTRIBUTES"], 1)
    assert room.changed == 1


def test_all_statements_are_kept_and_the_newest_holds(log_file: Path) -> None:
    said = [consent("a", granted=True, hours=2), consent("b", granted=False, hours=1)]
    changed(log_file, [*said, link("a", "b")])
    reader = CustomerReader(log_file)

    found = reader.customer_of(user("b"))

    reader.close()
    assert [one.granted for one in found.statements] == [True, False]
    assert found.consents.allow(Purpose.PERSONALISE)


def test_what_holds_is_known_however_much_was_said_since_about_other_purposes(
    log_file: Path,
) -> None:
    changed(log_file, [consent("a", granted=False)])
    changed(
        log_file,
        [consent("a", granted=True, hours=n, purpose=Purpose.EMAIL) for n in range(1, 1_002)],
    )
    reader = CustomerReader(log_file)

    found = reader.customer_of(user("a"))

    reader.close()
    assert len(found.statements) == 1_000
    assert not found.consents.allow(Purpose.PERSONALISE)


def test_touched_names_every_change_of_a_link_or_a_consent_in_steps(log_file: Path) -> None:
    changed(log_file, [link("a", "b"), AttributeChange(user("a"), "tier", "x")])
    changed(log_file, [consent("c", granted=True), link("d", "c"), unlink("a", "b")])
    reader = CustomerReader(log_file)

    found, after = [], Position(0)
    while step := reader.touched(after, LAST, 1):
        found += step
        after = step[-1].position

    whole = reader.touched(Position(0), LAST, 10)
    behind = reader.touched(Position(2), Position(3), 10)
    reader.close()
    told = [(one.position, [each.value for each in one.identifiers]) for one in found]
    assert told == [(3, ["c"]), (4, ["c", "d"]), (5, ["a", "b"])]
    assert whole == found
    assert [one.position for one in behind] == [3]


def test_facts_for_the_lake_are_the_newest_of_each_and_all_consents(log_file: Path) -> None:
    changed(log_file, [link("b", "a"), AttributeChange(user("a"), "tier", "x")])
    changed(log_file, [consent("a", granted=True), unlink("a", "b")], received=7)
    reader = CustomerReader(log_file)

    facts = reader.facts_between(Position(0), LAST)

    reader.close()
    told = [(one.position, one.fact, one.name, one.value, one.granted) for one in facts]
    assert told == [
        (2, "attribute", "tier", "x", True),
        (3, "consent", "personalise", "", True),
        (4, "link", "", None, False),
    ]
    assert (facts[2].identifier, facts[2].other) == (user("a"), user("b"))
    assert (facts[1].time, facts[1].received, facts[2].received) == (1_772_323_200_000_000, 7, 7)


def test_nth_fact_counts_each_change_once(log_file: Path) -> None:
    changed(
        log_file, [link("a", "b"), consent("a", granted=True), AttributeChange(user("a"), "t", "x")]
    )
    connection = connect(log_file)

    found = [nth_fact(connection, Position(0), n) for n in (1, 2, 3, 4)]

    connection.close()
    assert found == [1, 2, 3, None]


NAMES = "abcde"
names = st.sampled_from(NAMES)
changes = st.one_of(
    st.builds(LinkChange, names.map(user), names.map(user), st.booleans()).filter(
        lambda change: change.one != change.other
    ),
    st.builds(
        lambda name, granted, hours, purpose: consent(
            name, granted=granted, hours=hours, purpose=purpose
        ),
        names, st.booleans(), st.integers(0, 2), st.sampled_from(Purpose),
    ),
)  # fmt: skip


class Model:
    """Links and statements, as simply as it can be said."""

    def __init__(self) -> None:
        self.edges: set[frozenset[Identifier]] = set()
        self.said: dict[Identifier, list[ConsentStatement]] = {}

    def add(self, change: CustomerChange) -> None:
        match change:
            case LinkChange(one, other, True):
                self.edges.add(frozenset((one, other)))
            case LinkChange(one, other, False):
                self.edges.discard(frozenset((one, other)))
            case ConsentChange(identifier, statement):
                self.said.setdefault(identifier, []).append(statement)

    def members(self, identifier: Identifier) -> set[Identifier]:
        reached, grown = {identifier}, True
        while grown:
            more = {one for edge in self.edges if edge & reached for one in edge}
            grown = not more <= reached
            reached |= more
        return reached

    def consents(self, identifier: Identifier) -> Consents:
        return Consents.of(
            said for member in self.members(identifier) for said in self.said.get(member, ())
        )


@settings(max_examples=60)
@given(some=st.lists(changes, max_size=25), cuts=st.sets(st.integers(1, 24), max_size=4))
def test_changes_in_any_order_end_as_the_reference_says(
    tmp_path_factory: pytest.TempPathFactory, some: list[CustomerChange], cuts: set[int]
) -> None:
    log_file = tmp_path_factory.mktemp("model") / "log.sqlite"
    model, versions = Model(), dict.fromkeys(map(user, NAMES), 0)
    reader = CustomerReader(log_file)
    bounds = [0, *sorted(cut for cut in cuts if cut < len(some)), len(some)]
    for start, end in pairwise(bounds):
        changed(log_file, some[start:end])
        for change in some[start:end]:
            model.add(change)

        for identifier, version in versions.items():
            (profile,) = reader.profiles_of([identifier])

            assert set(profile.members) == model.members(identifier)
            assert profile.consents == model.consents(identifier)
            assert profile.version >= version
            versions[identifier] = profile.version
    reader.close()


def test_two_instants_of_the_register_never_have_one_version_for_two_contents(
    log_file: Path,
) -> None:
    steps: list[CustomerChange] = [
        link("a", "b"),
        link("b", "c"),
        unlink("a", "b"),
        consent("c", granted=False),
    ]
    reader = CustomerReader(log_file)
    seen: dict[tuple[Identifier, Position], set[CustomerProfile]] = {}
    for step in steps:
        changed(log_file, [step])
        for profile in reader.profiles_of(map(user, "abc")):
            for member in profile.members:
                seen.setdefault((member, profile.version), set()).add(profile)

    reader.close()
    assert all(len(contents) == 1 for contents in seen.values())
