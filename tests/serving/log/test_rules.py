"""The register of rules, in the file of the log."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from recsys.rules.rule import Rule, RuleKind
from serving.clock import utc_now
from serving.log.rule_reads import RuleReader
from serving.log.rules import RuleRemoval, Signature
from serving.log.tail import LogTail
from serving.log.writer import Writer
from tests import shop

PIN = Rule("tea-first", RuleKind.PIN, item="tea", position=1)
OTHER = Rule("no-soap", RuleKind.EXCLUDE, items='title = "Soap"')
IDA, BO = Signature("ida", "the tea fair"), Signature("bo", "it is over")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.sqlite"


def spoil(path: Path, name: str) -> None:
    """Make a stored rule one of a kind that there is not, as of another version of the program."""
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE rules SET payload = ? WHERE name = ?", (b'{"kind": "nail"}', name))
    connection.close()


def writer(path: Path) -> Writer:
    return Writer(path, clock=lambda: shop.NOW)


def test_versions_are_kept_with_author_and_reason(path: Path) -> None:
    log = writer(path)
    moved = replace(PIN, position=2)

    log.change_rules([PIN], IDA)
    log.change_rules([moved], BO)
    log.change_rules([RuleRemoval(PIN.name)], IDA)
    log.change_rules([PIN], BO)

    found = RuleReader(path).rule_history(PIN.name)
    assert [(one.version, one.rule, one.by) for one in found] == [
        (4, PIN, BO),
        (3, None, IDA),
        (2, moved, BO),
        (1, PIN, IDA),
    ]
    assert {one.time for one in found} == {shop.NOW}
    assert [one.rule for one in RuleReader(path).rules_now()] == [PIN]


def test_each_change_takes_a_position_and_what_is_known_takes_none(path: Path) -> None:
    log = writer(path)
    log.change_items(shop.items()[:2])

    first = log.change_rules([PIN, OTHER], IDA)
    again = log.change_rules([OTHER, PIN], BO)

    assert (first.changed, first.unchanged, first.last_position) == (
        ("tea-first", "no-soap"),
        0,
        4,
    )
    assert (again.changed, again.unchanged, again.last_position) == ((), 2, 4)
    assert LogTail(path).last_position() == 4
    assert RuleReader(path).position() == 4
    assert log.change_items([replace(shop.items()[0], title="Rye")]).last_position == 5


def test_removing_what_is_not_there_is_told(path: Path) -> None:
    done = writer(path).change_rules([RuleRemoval("gone")], IDA)

    assert done.missing == ("gone",)
    assert RuleReader(path).rule_history("gone") == []


def test_rules_survive_whoever_wrote_them(path: Path) -> None:
    log = writer(path)
    log.change_rules([PIN, OTHER], IDA)
    log.close()

    book = RuleReader(path).book()

    assert book.rules == (OTHER, PIN)
    assert book.position == 2


def test_rule_that_cannot_be_read_is_set_aside_and_can_be_removed(path: Path) -> None:
    log = writer(path)
    log.change_rules([PIN, OTHER], IDA)
    spoil(path, PIN.name)

    book, there = RuleReader(path).book(), RuleReader(path).rules_now()
    removed = log.change_rules([RuleRemoval(PIN.name)], BO)

    assert book.rules == (OTHER,)
    assert [one.rule for one in book.set_aside] == [PIN.name]
    assert "rules.tea-first.kind" in book.set_aside[0].why
    assert [one.name for one in there] == [OTHER.name, PIN.name]
    assert (removed.changed, removed.missing) == ((PIN.name,), ())
    assert RuleReader(path).book().set_aside == ()


def test_rule_that_cannot_be_read_is_in_force_again_once_it_is_applied(path: Path) -> None:
    log = writer(path)
    log.change_rules([PIN], IDA)
    spoil(path, PIN.name)

    log.change_rules([PIN], BO)

    assert RuleReader(path).book().rules == (PIN,)
    assert [one.version for one in RuleReader(path).rule_history(PIN.name)] == [2, 1]


def test_log_from_before_there_were_rules_gets_a_register(path: Path) -> None:
    writer(path).change_items(shop.items())
    old = apsw.Connection(str(path))
    old.execute("DROP TABLE rules")
    old.close()

    assert RuleReader(path).book().rules == ()
    assert Writer(path, clock=utc_now).change_rules([PIN], IDA).changed == ("tea-first",)
    assert len(LogTail(path).items_described(-1, 100)) == len(shop.ITEMS)
