"""Rows of a file as statements about consent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from recsys.arrays import Mask
from recsys.customers import (
    MOST_BASIS_BYTES,
    ConsentChange,
    ConsentStatement,
    Identifier,
    IdKind,
    Purpose,
)
from serving.importing.checks import (
    Check,
    Fault,
    faults_of,
    id_check,
    source,
    text_check,
    time_check,
    word_check,
)
from serving.importing.mapping import CONSENT_COLUMNS, FieldMapping
from serving.importing.normal import as_mask, flags, texts, times
from serving.importing.tables import Batch
from serving.intake import LIKELY_AHEAD
from serving.log.records import instant

_HASH = r"^[0-9a-f]{64}$"
_EMAIL_WANTED = "an e-mail address, or its SHA-256 as 64 hexadecimal digits"
_GRANTED_WANTED = "granted or refused, or true or false"
_AHEAD_WANTED = "a time at most five minutes ahead of the clock"
_WORDS = {"granted": "true", "refused": "false"}

Columns = dict[str, pa.Array]
"""Columns of rows, by the field they hold."""


@dataclass(frozen=True, slots=True)
class ConsentLines:
    """Statements, ready for the register, in the order of the file."""

    changes: Sequence[ConsentChange]

    def __len__(self) -> int:
        return len(self.changes)


def consents_of(
    batch: Batch, mapping: FieldMapping, now: datetime
) -> tuple[ConsentLines, list[Fault]]:
    """Return the statements of the good rows, and the first fault of each other row.

    now: when what says no time was said, and what no statement may lie ahead of.
    """
    came = {
        name: texts(found) if pa.types.is_null(found.type) else found
        for name in CONSENT_COLUMNS
        if (found := source(mapping, name, batch.rows)) is not None
    }
    n_rows = batch.rows.num_rows
    columns = _columns(came, n_rows, mapping.zone)
    good, faults = faults_of(_checks(columns, came, now), n_rows)
    kept = pa.array(good)
    rows = [columns[name].filter(kept).to_pylist() for name in columns]
    return ConsentLines([_change(*row, now=now) for row in zip(*rows, strict=True)]), faults


def _columns(came: Columns, n_rows: int, zone: str) -> Columns:
    """Return what a change is made of, in the order in which `_change` takes it."""
    nothing = pa.nulls(n_rows, pa.string())
    user = texts(came.get("user_id", nothing))
    kind = pc.utf8_lower(texts(came.get("kind", nothing))).fill_null(IdKind.USER.value)
    time = times(came["time"], zone).cast(pa.int64()) if "time" in came else nothing
    return {
        "kind": pc.if_else(pc.is_valid(user), IdKind.USER.value, kind),
        "identifier": pc.coalesce(user, texts(came.get("identifier", nothing))),
        "purpose": pc.utf8_lower(texts(came["purpose"])),
        "granted": flags(_answers(came["granted"]))[0],
        "time": time,
        "basis": texts(came.get("basis", nothing)),
    }


def _answers(granted: pa.Array) -> pa.Array:
    """Return answers with the words that commands have for them as those that flags have."""
    text = pc.utf8_lower(texts(granted))
    for word, flag in _WORDS.items():
        text = pc.if_else(pc.equal(text, word), flag, text)
    return text


def _checks(columns: Columns, came: Columns, now: datetime) -> list[Check]:
    who = "identifier" if "identifier" in came else "user_id"
    identifier, granted = columns["identifier"], columns["granted"]
    checks = [
        word_check("kind", columns["kind"], came.get("kind", columns["kind"]), tuple(IdKind)),
        id_check(who, identifier, required=True),
        Check(who, _unfit_emails(columns), identifier, _EMAIL_WANTED),
        word_check("purpose", columns["purpose"], came["purpose"], tuple(Purpose), required=True),
        Check("granted", ~as_mask(pc.is_valid(granted)), came["granted"], _GRANTED_WANTED),
        text_check("basis", columns["basis"], MOST_BASIS_BYTES),
    ]
    return checks + (_checks_of_time(columns["time"], came["time"], now) if "time" in came else [])


def _unfit_emails(columns: Columns) -> Mask:
    """Return (n,) which identifiers are e-mails and neither an address nor a hash."""
    text = columns["identifier"]
    fit = pc.or_(pc.match_substring(text, "@"), pc.match_substring_regex(text, _HASH))
    return as_mask(pc.equal(columns["kind"], IdKind.EMAIL.value)) & ~as_mask(fit)


def _checks_of_time(time: pa.Array, came: pa.Array, now: datetime) -> list[Check]:
    stamps = time.cast(pa.timestamp("us", tz="UTC"))
    ahead = as_mask(pc.greater(stamps, pa.scalar(now + LIKELY_AHEAD, stamps.type)))
    return [time_check("time", stamps, came), Check("time", ahead, came, _AHEAD_WANTED)]


def _change(
    kind: str,
    value: str,
    purpose: str,
    granted: bool,
    time: int | None,
    basis: str | None,
    *,
    now: datetime,
) -> ConsentChange:
    """Return the change of one good row. time: microseconds since 1970."""
    of_address = kind == IdKind.EMAIL and "@" in value
    identifier = Identifier.of_email(value) if of_address else Identifier(IdKind(kind), value)
    said = now if time is None else min(instant(time), now)
    return ConsentChange(identifier, ConsentStatement(Purpose(purpose), granted, said, basis or ""))
