from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.customers import (
    PURPOSES,
    AttributeChange,
    ConsentChange,
    Consents,
    ConsentStatement,
    CustomerChange,
    Identifier,
    IdKind,
    LinkChange,
    Purpose,
    identifiers_of,
)
from recsys.errors import InvalidInput

START = datetime(2026, 3, 1, tzinfo=UTC)
ANNA = Identifier(IdKind.USER, "anna")
PHONE = Identifier(IdKind.DEVICE, "phone")

statements = st.builds(
    ConsentStatement,
    st.sampled_from(Purpose),
    st.booleans(),
    st.integers(0, 3).map(lambda hours: START + timedelta(hours=hours)),
    st.sampled_from(["", "form"]),
)


def said(hours: int, *, granted: bool, purpose: Purpose = Purpose.TRAIN) -> ConsentStatement:
    return ConsentStatement(purpose, granted, START + timedelta(hours=hours))


@given(st.lists(statements, max_size=8))
def test_newest_statement_holds_and_of_the_same_instant_the_refusal(
    some: list[ConsentStatement],
) -> None:
    consents = Consents.of(some)

    for purpose in Purpose:
        mine = [one for one in some if one.purpose is purpose]
        newest = [one for one in mine if one.time == max(other.time for other in mine)]
        held = consents.about(purpose)
        assert (held is None) == (not mine)
        if held is not None:
            assert held.time == newest[0].time
            assert held.granted == all(one.granted for one in newest)


@given(st.lists(statements, max_size=8), st.integers(0, 8), st.randoms())
def test_consents_joined_in_any_way_are_the_consents_of_all_statements(
    some: list[ConsentStatement], cut: int, chance: object
) -> None:
    first, second = Consents.of(some[:cut]), Consents.of(some[cut:])

    whole = Consents.of(reversed(some))

    assert first.joined(second) == second.joined(first) == whole
    assert whole.joined(whole) == whole.joined(first) == whole


def test_nobody_who_said_nothing_gets_emails_and_everybody_else_may_be_learned_from() -> None:
    allowed = [Consents().allow(purpose) for purpose in PURPOSES]

    assert dict(zip(PURPOSES, allowed, strict=True)) == {
        Purpose.PERSONALISE: True,
        Purpose.TRAIN: True,
        Purpose.EMAIL: False,
    }


def test_configured_default_gives_way_to_what_was_said() -> None:
    consents = Consents.of([said(1, granted=True), said(2, granted=False, purpose=Purpose.EMAIL)])

    allowed = [consents.allow(purpose, {Purpose.EMAIL}) for purpose in PURPOSES]

    assert allowed == [False, True, False]


def test_addresses_that_differ_in_case_and_outer_spaces_are_one_identifier() -> None:
    one, other = Identifier.of_email(" Anna@Example.ORG\n"), Identifier.of_email("anna@example.org")

    one.check()
    assert one == other
    assert one.value.startswith("a3bf8623")


@pytest.mark.parametrize("value", ["anna@example.org", "A" * 64, "a" * 63, ""])
def test_address_itself_or_what_is_no_hash_is_refused_and_not_repeated(value: str) -> None:
    with pytest.raises(InvalidInput, match=r"one\.value.*SHA-256") as raised:
        Identifier(IdKind.EMAIL, value).check("one")

    assert not value or value not in str(raised.value)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (LinkChange(ANNA, ANNA), "other"),
        (LinkChange(ANNA, Identifier(IdKind.CARD, "")), "other.value"),
        (AttributeChange(ANNA, "", "gold"), "name"),
        (AttributeChange(ANNA, "tier", "x" * 257), "value"),
        (ConsentChange(ANNA, ConsentStatement(Purpose.TRAIN, True, START, "x" * 513)), "basis"),
        (ConsentChange(ANNA, ConsentStatement(Purpose.TRAIN, True, datetime(1969, 1, 1))), "time"),  # noqa: DTZ001
    ],
)
def test_change_that_holds_what_it_may_not_names_the_field(
    change: LinkChange | AttributeChange | ConsentChange, field: str
) -> None:
    with pytest.raises(InvalidInput) as raised:
        change.check()

    assert raised.value.field == field


def test_identifiers_of_changes_are_named_once_each() -> None:
    changes: list[CustomerChange] = [
        LinkChange(ANNA, PHONE),
        ConsentChange(ANNA, said(1, granted=True)),
        AttributeChange(PHONE, "tier", None),
    ]

    assert identifiers_of(changes) == [ANNA, PHONE]
