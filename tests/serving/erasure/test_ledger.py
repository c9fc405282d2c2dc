from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from recsys.customers import Identifier, IdKind
from recsys.erasures import ErasureMark
from recsys.errors import Unavailable
from recsys.events import Position
from serving.erasure.ledger import Entry, Ledger
from serving.erasure.secret import keys_of
from serving.settings import ServingSettings, read_settings
from serving.state.keys import Secret, StateKeys
from tests.serving.erasure.shops import ANNA, BERT, NOON, SECRET

KEYS = StateKeys(SECRET, "ledger:")


def added(ledger: Ledger, *identifiers: Identifier) -> Entry:
    return ledger.add(identifiers or [ANNA], KEYS, now=NOON, position=Position(7))


def test_entry_is_read_back_by_another_process(tmp_path: Path) -> None:
    entry = added(Ledger(tmp_path / "ledger.jsonl"), ANNA, BERT)

    assert Ledger(tmp_path / "ledger.jsonl").entries() == (entry,)


def test_ledger_names_nobody(tmp_path: Path) -> None:
    added(Ledger(tmp_path / "ledger.jsonl"))

    assert ANNA.value not in (tmp_path / "ledger.jsonl").read_text()


def test_torn_last_line_is_passed_over_and_the_next_entry_stands_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    first = added(Ledger(path))
    with path.open("ab") as file:
        file.write(b'{"number": 17, "eras')

    ledger = Ledger(path)
    assert ledger.entries() == (first,)
    second = added(ledger)

    assert ledger.entries() == (first, second)


def test_numbers_grow_though_the_clock_stands_or_goes_back(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    times = [NOON, NOON, NOON - timedelta(days=1)]

    numbers = [ledger.add([ANNA], KEYS, now=time, position=Position(0)).number for time in times]

    assert numbers == sorted(set(numbers))


def test_entries_of_many_at_once_are_all_kept_with_numbers_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"

    with ThreadPoolExecutor(8) as pool:
        entries = list(pool.map(lambda _: added(Ledger(path)), range(40)))

    assert len({one.number for one in entries}) == 40
    assert len(Ledger(path).entries()) == 40


def test_ledger_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(Unavailable, match="ledger"):
        added(Ledger(tmp_path / "file" / "ledger.jsonl"))


def test_same_id_of_another_kind_is_somebody_else(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")

    one, other = added(ledger, ANNA), added(ledger, Identifier(IdKind.VISITOR, ANNA.value))

    assert one.hashes != other.hashes


def settings_of(folder: Path, secret: Secret = SECRET) -> ServingSettings:
    """Return the settings of a shop with this secret, whose ledger lies elsewhere."""
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data" / "secret").write_bytes(secret.value)
    ledger = str(folder / "elsewhere" / "ledger.jsonl")
    return read_settings(data_folder=folder / "data", erasure_ledger=ledger)


def without_check(path: Path) -> None:
    """Leave a ledger as earlier versions wrote it."""
    check, entries = path.read_bytes().split(b"\n", 1)
    assert check.startswith(b'{"check"')
    path.write_bytes(entries)


def test_secret_that_the_ledger_was_not_written_with_is_refused(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    added(Ledger(settings.erasure_ledger_file))
    assert keys_of(settings).secret == SECRET
    settings_of(tmp_path, Secret(bytes(32)))

    with pytest.raises(Unavailable, match="from a backup") as refused:
        keys_of(settings)

    assert refused.value.reason == "SECRET_LOST"
    assert str(settings.secret_file) in str(refused.value)
    assert str(settings.erasure_ledger_file) in str(refused.value)


@pytest.mark.parametrize("earlier", [False, True])
def test_secret_that_is_gone_is_not_made_anew_beside_a_ledger(
    earlier: bool, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path)
    added(Ledger(settings.erasure_ledger_file))
    if earlier:
        without_check(settings.erasure_ledger_file)
    settings.secret_file.unlink()

    with pytest.raises(Unavailable, match="is gone") as refused:
        keys_of(settings)

    assert refused.value.reason == "SECRET_LOST"
    assert not settings.secret_file.exists()


def test_secret_of_a_shop_that_erased_nobody_is_made_at_the_first_start(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    settings.secret_file.unlink()

    keys = keys_of(settings)

    assert keys.secret.value == settings.secret_file.read_bytes()
    assert not settings.erasure_ledger_file.exists()


def test_ledger_of_an_earlier_version_is_read_and_gets_its_check_once(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    entries = [added(Ledger(path))]
    without_check(path)
    ledger = Ledger(path)
    before = ledger.entries()

    entries.append(added(ledger))
    ledger.note_check(KEYS)
    entries.append(added(ledger))

    assert before == tuple(entries[:1])
    assert ledger.entries() == tuple(entries)
    assert path.read_bytes().count(b'"check"') == 1
    assert not ledger.is_of(StateKeys(Secret(bytes(32))))


def test_check_that_was_torn_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(b'{"check":"00112233')

    entry = added(Ledger(path))

    assert Ledger(path).entries() == (entry,)
    assert not Ledger(path).is_of(StateKeys(Secret(bytes(32))))


def test_ledger_takes_no_entry_of_another_secret(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    entry = added(Ledger(path))

    with pytest.raises(ValueError, match="another secret"):
        Ledger(path).add([BERT], StateKeys(Secret(bytes(32))), now=NOON, position=Position(0))

    assert Ledger(path).entries() == (entry,)


@pytest.mark.parametrize(
    ("read", "now", "covered"),
    [
        (ErasureMark(0, 0), ErasureMark(0, 0), True),
        (ErasureMark(0, 0), ErasureMark(5, 0), False),  # began while it was read
        (ErasureMark(5, 0), ErasureMark(5, 5), False),  # was under way while it was read
        (ErasureMark(5, 5), ErasureMark(5, 5), True),
        (ErasureMark(5, 5), ErasureMark(9, 9), False),
    ],
)
def test_mark_covers_what_was_through_before_it_was_read(
    read: ErasureMark, now: ErasureMark, covered: bool
) -> None:
    assert read.covers(now) is covered


def test_mark_is_read_back(tmp_path: Path) -> None:
    ErasureMark(9, 7).write(tmp_path)

    assert ErasureMark.read(tmp_path) == ErasureMark(9, 7)
