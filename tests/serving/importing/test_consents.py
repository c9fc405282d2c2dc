"""Files of consents into the register, and unsubscriptions of event files as refusals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from recsys.customers import ConsentStatement, Identifier, IdKind, Purpose
from recsys.errors import InvalidInput
from recsys.events import Position
from serving.customers import UNSUBSCRIBED
from serving.importing import job as jobs
from serving.importing.command import import_app
from serving.importing.job import Imported, import_file
from serving.importing.mapping import FieldMapping
from serving.importing.prepared import ImportJob, Subject
from serving.log.customer_reads import CustomerReader
from serving.log.tail import LogTail
from serving.log.writer import Writer
from tests.serving.importing.importer import NOON, Importer, rejected

ANNA = Identifier(IdKind.USER, "anna")
MAY = datetime(2024, 5, 1, tzinfo=UTC)


@dataclass
class ConsentImporter:
    """Imports files of consents into one folder."""

    folder: Path
    now: datetime = NOON
    writer: Writer = field(init=False)

    def __post_init__(self) -> None:
        self.writer = Writer(self.log_file, clock=lambda: self.now)

    def __call__(self, file: Path, **constants: str) -> Imported:
        mapping = FieldMapping(automatic=True, constants=constants)
        job = ImportJob(Subject.CONSENTS, mapping, self.folder / "rejects", lambda: self.now)
        return import_file(file, job, writer=self.writer, progress=lambda counts, n_rows: None)

    def text(self, text: str, **constants: str) -> Imported:
        file = self.folder / "consents.csv"
        file.write_text(text)
        return self(file, **constants)

    def said(self, identifier: Identifier = ANNA) -> list[ConsentStatement]:
        return said(self.log_file, identifier)

    @property
    def log_file(self) -> Path:
        return self.folder / "log" / "log.sqlite"


def said(log_file: Path, identifier: Identifier) -> list[ConsentStatement]:
    reader = CustomerReader(log_file)
    found = reader.customer_of(identifier).statements
    reader.close()
    return list(found)


@pytest.fixture
def consents(tmp_path: Path) -> Iterator[ConsentImporter]:
    one = ConsentImporter(tmp_path)
    yield one
    one.writer.close()


def statement(purpose: Purpose, granted: bool, time: datetime, basis: str = "") -> ConsentStatement:
    return ConsentStatement(purpose, granted, time, basis)


def test_rows_become_statements_with_their_times_and_bases(consents: ConsentImporter) -> None:
    done = consents.text(
        "user_id,purpose,granted,time,basis\n"
        "anna,email,true,2024-05-01,form of May\n"
        "anna,Train,no,2024-05-01T06:00:00+02:00,\n"
    )

    assert (done.counts.accepted, done.last_position) == (2, 2)
    assert consents.said() == [
        statement(Purpose.TRAIN, False, MAY + timedelta(hours=4)),
        statement(Purpose.EMAIL, True, MAY, "form of May"),
    ]


def test_same_file_again_adds_nothing(consents: ConsentImporter) -> None:
    text = "user_id,purpose,granted,time\nanna,email,1,2024-05-01\nbert,email,0,2024-05-01\n"
    consents.text(text)

    again = consents.text(text)

    assert (again.counts.accepted, again.counts.duplicates) == (0, 2)
    assert len(consents.said()) == 1


@pytest.mark.parametrize(
    ("word", "granted"), [("granted", True), ("Refused", False), ("yes", True), ("0", False)]
)
def test_answers_are_read_in_the_words_that_people_use(
    consents: ConsentImporter, word: str, granted: bool
) -> None:
    consents.text(f"user_id,granted\nanna,{word}\n", purpose="train")

    assert [one.granted for one in consents.said()] == [granted]


def test_row_without_a_time_counts_as_said_now(consents: ConsentImporter) -> None:
    consents.text("user_id,granted,time\nanna,true,\n", purpose="email")

    assert [one.time for one in consents.said()] == [NOON]


def test_time_a_little_ahead_counts_as_now(consents: ConsentImporter) -> None:
    consents.text("user_id,granted,time\nanna,true,2024-05-01T12:04:00Z\n", purpose="email")

    assert [one.time for one in consents.said()] == [NOON]


def test_newest_statement_holds_whatever_comes_last(consents: ConsentImporter) -> None:
    consents.text(
        "user_id,granted,time\nanna,false,2024-04-02\nanna,true,2024-04-01\n", purpose="email"
    )

    assert [one.granted for one in consents.said()] == [False, True]


def test_identifiers_of_any_kind_are_taken_and_of_an_address_its_hash_alone(
    consents: ConsentImporter,
) -> None:
    hashed = Identifier.of_email("bert@example.org")
    consents.text(
        "user_id,kind,identifier,granted\n"
        "anna,card,9,true\n"
        ",card,4711,true\n"
        ",email,Bert@Example.org,true\n"
        f",EMAIL,{hashed.value},false\n"
        ",,carl,true\n",
        purpose="email",
    )

    carl = Identifier(IdKind.USER, "carl")
    found = [consents.said(one) for one in (ANNA, Identifier(IdKind.CARD, "4711"), hashed, carl)]
    assert [len(one) for one in found] == [1, 1, 2, 1]
    assert not consents.said(Identifier(IdKind.CARD, "9"))
    kept = b"".join(file.read_bytes() for file in consents.log_file.parent.iterdir())
    assert b"4711" in kept
    assert b"example.org" not in kept.lower()


@pytest.mark.parametrize(
    ("row", "name", "came"),
    [
        (",user,email,true,,", "identifier", None),
        ("x" * 200 + ",user,email,true,,", "identifier", "x" * 64),
        ("anna,person,email,true,,", "kind", "person"),
        ("nohash,email,email,true,,", "identifier", "nohash"),
        ("anna,user,mail,true,,", "purpose", "mail"),
        ("anna,user,,true,,", "purpose", None),
        ("anna,user,email,perhaps,,", "granted", "perhaps"),
        ("anna,user,email,,,", "granted", None),
        ("anna,user,email,true,soon,", "time", "soon"),
        ("anna,user,email,true,2024-05-01T12:06:00Z,", "time", "2024-05-01T12:06:00Z"),
        ("anna,user,email,true,1960-01-01,", "time", "1960-01-01"),
        ("anna,user,email,true,," + "b" * 600, "basis", "b" * 64),
    ],
)
def test_row_that_cannot_be_used_is_named_and_the_others_count(
    consents: ConsentImporter, row: str, name: str, came: str | None
) -> None:
    head = "identifier,kind,purpose,granted,time,basis"

    done = consents.text(f"{head}\n{row}\nbert,user,email,true,2024-05-01,\n")

    assert (done.counts.accepted, done.counts.rejected) == (1, 1)
    assert [(one["line"], one["field"], one["came"]) for one in rejected(done)] == [(2, name, came)]


def test_parquet_and_json_say_the_same_as_csv(consents: ConsentImporter) -> None:
    row: dict[str, Any] = {"user_id": "anna", "purpose": "email", "granted": True, "time": MAY}
    table = consents.folder / "consents.parquet"
    pq.write_table(pa.table({name: [value, value] for name, value in row.items()}), table)
    lines = consents.folder / "consents.jsonl"
    lines.write_bytes(orjson.dumps(row))

    done = [consents(table), consents(lines)]

    assert [one.counts.accepted for one in done] == [1, 0]
    assert consents.said() == [statement(Purpose.EMAIL, True, MAY)]


def test_id_of_json_that_is_no_text_is_rejected(consents: ConsentImporter) -> None:
    file = consents.folder / "consents.jsonl"
    file.write_text('{"identifier": ["anna"], "granted": true}\n{"identifier": 7, "granted": true}')

    done = consents(file, purpose="email")

    assert [one["field"] for one in rejected(done)] == ["identifier"]
    assert len(consents.said(Identifier(IdKind.USER, "7"))) == 1


@pytest.mark.parametrize("missing", ["user_id", "purpose", "granted"])
def test_file_without_a_column_it_must_have_is_refused(
    consents: ConsentImporter, missing: str
) -> None:
    names = [name for name in ("user_id", "purpose", "granted") if name != missing]

    with pytest.raises(InvalidInput, match=f"nothing for {missing}"):
        consents.text(",".join(names) + "\n")


def test_many_statements_go_in_several_commits(
    consents: ConsentImporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_STATEMENTS_A_COMMIT", 2)

    done = consents.text(
        "user_id,granted,time\n" + "".join(f"u{n},true,2024-05-01\n" for n in range(5)),
        purpose="email",
    )

    assert (done.counts.accepted, done.last_position) == (5, 5)


def unsubscribed(importer: Importer) -> Imported:
    file = importer.folder / "events.csv"
    file.write_text(
        "event_id,type,time,user_id,query\n"
        "e1,unsubscribe,2024-05-01T10:00:00Z,anna,\n"
        "e2,search,2024-05-01T10:00:00Z,bert,unsubscribe\n"
    )
    return importer(file)


def test_unsubscription_of_an_event_file_is_a_refusal_of_e_mail(importer: Importer) -> None:
    done = unsubscribed(importer)

    log_file = importer.folder / "log" / "log.sqlite"
    refused = statement(Purpose.EMAIL, False, MAY + timedelta(hours=10), UNSUBSCRIBED)
    assert said(log_file, ANNA) == [refused]
    assert said(log_file, Identifier(IdKind.USER, "bert")) == []
    assert (done.counts.accepted, done.last_position) == (2, 3)


def test_refusal_lost_between_two_commits_is_there_after_the_import_is_run_again(
    importer: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(jobs, "refusals_in", lambda events: [])
        unsubscribed(importer)

    again = unsubscribed(importer)

    assert (again.counts.accepted, again.counts.duplicates) == (0, 2)
    assert len(said(importer.folder / "log" / "log.sqlite", ANNA)) == 1


def test_command_brings_consents_to_register_and_lake(tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text("customer,opted_in,since\nanna,yes,2024-05-01\nbert,perhaps,2024-05-01\n")
    columns = [
        word
        for pair in ("user_id=customer", "granted=opted_in", "time=since")
        for word in ("--column", pair)
    ]
    words = ["consents", str(file), *columns, "--constant", "purpose=email"]

    shown = CliRunner().invoke(import_app, [*words, "--data-folder", str(tmp_path / "data")])

    tail = LogTail(tmp_path / "data" / "log" / "log.sqlite")
    drained, last = tail.drained_through, tail.last_position()
    tail.close()
    assert shown.exit_code == 0, shown.output
    assert "2 rows read = 1 accepted + 0 already there + 1 rejected" in shown.output
    assert drained == last == Position(1)
    assert len(said(tmp_path / "data" / "log" / "log.sqlite", ANNA)) == 1


def test_help_shows_how_to_import_consents() -> None:
    shown = CliRunner().invoke(import_app, ["consents", "--help"])

    assert "Examples: recsys import consents" in shown.output
