"""Which rows of the lake are about somebody who is erased."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys.arrays import Mask
from recsys.customers import KINDS_OF_EVENTS, IdKind
from serving.erasure.gate import Erased

Places = NDArray[np.int64]
"""(n,) the erasure that names each row, -1 for none."""

_EVENT_IDS = {f"{kind.value}_id": kind for kind in KINDS_OF_EVENTS}
_CUSTOMER = ("kind", "customer_id")
_FACT = (("kind", "identifier"), ("other_kind", "other"))
_IDS = (*_EVENT_IDS, _CUSTOMER[1], *(name for _, name in _FACT))
_BESIDE = (*_CUSTOMER[:1], *(kind for kind, _ in _FACT), "position", "time", "first_seen")
_A_SECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class Judged:
    """What becomes of rows.

    gone: (n,) those that leave. emptied: by column, (n,) those that lose what stands there.
    places: which erasure changes each row.
    """

    gone: Mask
    emptied: Mapping[str, Mask]
    places: Places


def id_columns(columns: pa.Schema) -> list[str]:
    """Return the columns that `judged` needs, of those there are; none: nobody is named there."""
    names = set(columns.names)
    wanted = dict.fromkeys((*_IDS, *_BESIDE))
    return [name for name in wanted if name in names] if names & {*_IDS} else []


def judged(rows: pa.RecordBatch, erased: Erased) -> Judged:
    """Return what becomes of rows of the events, the customers, or the facts about customers."""
    names = set(rows.schema.names)
    if set(_EVENT_IDS) <= names:
        return _events(rows, erased)
    if set(_CUSTOMER) <= names:
        return _customers(rows, erased)
    if {*_FACT[0], *_FACT[1]} <= names:
        return _facts(rows, erased)
    nobody = np.full(rows.num_rows, -1)
    return Judged(nobody >= 0, {}, nobody)


def without(rows: pa.RecordBatch, found: Judged) -> pa.RecordBatch:
    """Return the rows that stay, without the ids that do not."""
    for name, mask in found.emptied.items():
        if mask.any():
            place = rows.schema.get_field_index(name)
            emptied = pc.if_else(pa.array(mask), "", rows.column(place))
            rows = rows.set_column(place, rows.schema.field(place), emptied)
    return rows.filter(pa.array(~found.gone)) if found.gone.any() else rows


def _events(rows: pa.RecordBatch, erased: Erased) -> Judged:
    """An event is whose its first id is; another id that is gone is taken out of it."""
    seconds = _seconds(rows["time"])
    gone = np.zeros(rows.num_rows, dtype=np.bool_)
    owned = gone.copy()
    places = np.full(rows.num_rows, -1)
    emptied: dict[str, Mask] = {}
    for name, kind in _EVENT_IDS.items():
        named = pc.not_equal(rows[name], "").to_numpy(zero_copy_only=False)
        found = _places(rows[name], kind, erased)
        out = _gone(found, erased, seconds, _positions(rows))
        places[out] = found[out]
        gone |= out & ~owned
        emptied[name] = out & owned
        owned |= named
    return Judged(gone, emptied, places)


def _customers(rows: pa.RecordBatch, erased: Erased) -> Judged:
    found = _kinds_places(rows, *_CUSTOMER, erased)
    out = _gone(found, erased, _seconds(rows["first_seen"]), _positions(rows))
    places = np.where(out, found, -1)
    return Judged(places >= 0, {}, places)


def _facts(rows: pa.RecordBatch, erased: Erased) -> Judged:
    """A fact is gone by its position alone: it may have been stated at any time."""
    places = np.full(rows.num_rows, -1)
    never = np.full(rows.num_rows, np.iinfo(np.int64).max)
    for kind, name in _FACT:
        found = _kinds_places(rows, kind, name, erased)
        out = _gone(found, erased, never, _positions(rows))
        places[out] = found[out]
    return Judged(places >= 0, {}, places)


def _kinds_places(rows: pa.RecordBatch, kind: str, name: str, erased: Erased) -> Places:
    """Return the erasure that names each id, of the kind that another column gives."""
    places = np.full(rows.num_rows, -1)
    for each in IdKind:
        of_kind = pc.equal(rows[kind], each.value).to_numpy(zero_copy_only=False)
        if of_kind.any():
            places = np.where(of_kind, _places(rows[name], each, erased), places)
    return places


def _places(values: pa.Array, kind: IdKind, erased: Erased) -> Places:
    """Return the erasure that names each id of a kind; each distinct id is hashed once."""
    found = values.dictionary_encode()
    of_each = np.array([erased.place(kind, one) for one in found.dictionary.to_pylist()] or [-1])
    return _taken(of_each, found)


def _taken(of_each: Places, found: pa.DictionaryArray) -> Places:
    """Return what belongs to each row; -1 where it holds nothing."""
    codes = pc.fill_null(found.indices.cast(pa.int64()), -1).to_numpy(zero_copy_only=False)
    taken: Places = np.where(codes >= 0, of_each[codes], -1)
    return taken


def _gone(
    places: Places, erased: Erased, seconds: NDArray[np.int64], positions: NDArray[np.int64]
) -> Mask:
    last = np.array([one.second for one in erased.entries] or [0])
    through = np.array([int(one.position) for one in erased.entries] or [0])
    gone: Mask = (places >= 0) & ((seconds <= last[places]) | (positions <= through[places]))
    return gone


def _seconds(times: pa.Array) -> NDArray[np.int64]:
    microseconds: NDArray[np.int64] = times.cast(pa.int64()).to_numpy(zero_copy_only=False)
    return microseconds // _A_SECOND


def _positions(rows: pa.RecordBatch) -> NDArray[np.int64]:
    positions: NDArray[np.int64] = rows["position"].to_numpy(zero_copy_only=False)
    return positions
