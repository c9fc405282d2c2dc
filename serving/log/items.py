"""The register of items: of each the newest description, in the same file and commits as the log.

What happened to a customer stays as it was said; of an item only what is true now counts. So a
change of an item is no record: it takes a position like one, and replaces what is in the item's
row. Whoever follows the catalog reads the rows behind the position it has come to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from typing import Any, Protocol, Self

import orjson

from recsys.events import Position
from recsys.ids import ItemId
from recsys.items import Attribute, Item, ItemChange, Offer, OfferUpdate, Removal
from serving.log.records import instant, microseconds

TABLE = """
CREATE TABLE items(
    row INTEGER PRIMARY KEY,
    item_id TEXT NOT NULL UNIQUE,
    position INTEGER NOT NULL DEFAULT 0,
    since INTEGER,
    payload BLOB);
CREATE INDEX changed_items ON items(position) WHERE position > 0;
"""
"""position: of the item's newest change; 0 for one only events speak of. since: when it was first
described, microseconds since 1970. payload: JSON of the item without its defaults; null while it is
not described."""

_DEFAULTS = {field.name: field.default for field in fields(Item) if field.name != "item_id"}
_TIMES = ("available_from", "expires")


class Connection(Protocol):
    """What answers SQL."""

    def execute(self, sql: str, values: Any = ()) -> Iterable[tuple[Any, ...]]:
        """Return the rows of a statement."""
        ...

    def executemany(self, sql: str, values: Iterable[tuple[Any, ...]]) -> object:
        """Return the rows of a statement for each of the values."""
        ...


@dataclass(frozen=True, slots=True)
class RegisteredItem:
    """One row of the register.

    item: the newest description; None where the item was removed.
    since: when it was described first.
    """

    row: int
    item_id: ItemId
    position: Position
    item: Item | None
    since: datetime


class ItemRegister(Protocol):
    """Holds what is true of every item now. Every method raises Unavailable."""

    async def change_items(self, changes: Sequence[ItemChange]) -> ItemsChanged:
        """Make the changes, in their order; they are durable on return."""
        ...

    async def items_named(self, item_ids: Sequence[str]) -> Sequence[RegisteredItem]:
        """Return those of these items that are described, in the order of the ids."""
        ...

    async def items_described(self, after_row: int, limit: int) -> Sequence[RegisteredItem]:
        """Return at most `limit` described items with rows above `after_row`, in order."""
        ...


def encode_item(item: Item) -> bytes:
    """Return an item as JSON, defaults left out, instants as microseconds since 1970."""
    document: dict[str, Any] = {"item_id": item.item_id}
    for name, default in _DEFAULTS.items():
        value = getattr(item, name)
        if value != default:
            document[name] = microseconds(value) if isinstance(value, datetime) else value
    return orjson.dumps(document)


def decode_item(payload: bytes) -> Item:
    """Return the item behind its JSON; a null means the field's default."""
    document = {name: value for name, value in orjson.loads(payload).items() if value is not None}
    for name in _TIMES:
        if name in document:
            document[name] = instant(document[name])
    if "attributes" in document:
        document["attributes"] = tuple(Attribute(**one) for one in document["attributes"])
    if "offers" in document:
        document["offers"] = tuple(Offer(**one) for one in document["offers"])
    return Item(**document)


@dataclass(frozen=True, slots=True)
class ItemsChanged:
    """What became of changes of items; `changed`, `unchanged` and `lost` add up to them.

    changed: items that are others than before. unchanged: changes that left no trace, since they
    said what was known, or something later in the same batch overtook them.
    lost: changes of items that are not described: those in `missing`, each once.
    """

    changed: int
    unchanged: int
    lost: int
    missing: tuple[ItemId, ...]
    last_position: Position

    @classmethod
    def nothing(cls) -> Self:
        """Return what becomes of no changes."""
        return cls(0, 0, 0, (), Position(0))

    def joined(self, other: Self) -> Self:
        """Return what became of these changes and of later ones."""
        return type(self)(
            self.changed + other.changed,
            self.unchanged + other.unchanged,
            self.lost + other.lost,
            tuple(dict.fromkeys(self.missing + other.missing)),
            max(self.last_position, other.last_position),
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What changes come to, before it is written.

    items: those that become others; None for one that is removed.
    missing: the item of each change that is lost.
    """

    items: Mapping[ItemId, Item | None]
    missing: tuple[ItemId, ...]


def outcome(connection: Connection, changes: Sequence[ItemChange]) -> Outcome:
    """Return what the changes, in their order, make of the items that are described now."""
    ids = dict.fromkeys(change.item_id for change in changes)
    before = {found.item_id: found.item for found in named(connection, ids)}
    after, missing = dict[ItemId, Item | None](before), list[ItemId]()
    for change in changes:
        held = after.get(change.item_id)
        if isinstance(change, Item):
            after[change.item_id] = change
        elif held is None:
            missing.append(change.item_id)
        else:
            after[held.item_id] = None if isinstance(change, Removal) else with_update(held, change)
    differing = {one: item for one, item in after.items() if item != before.get(one)}
    return Outcome(differing, tuple(missing))


def with_update(item: Item, update: OfferUpdate) -> Item:
    """Return the item on new terms; what they leave open stays as it was."""
    if not update.market:
        return replace(item, **_given(update))
    old = next((one for one in item.offers if one.market == update.market), Offer(update.market))
    return replace(item, offers=_with_offer(item.offers, replace(old, **_given(update))))


def over_other_markets(payload: bytes, held: bytes | None, market: str) -> bytes:
    """Return the JSON of an item of one market, with the offers it is held to have in others."""
    offers = () if held is None else decode_item(held).offers
    item = decode_item(payload)
    (own,) = (offer for offer in item.offers if offer.market == market)
    return encode_item(replace(item, offers=_with_offer(offers, own)))


def _with_offer(offers: Iterable[Offer], new: Offer) -> tuple[Offer, ...]:
    """Return the offers with one more, or another in its place, in order of their markets."""
    by_market = {offer.market: offer for offer in offers} | {new.market: new}
    return tuple(by_market[market] for market in sorted(by_market))


def store(
    connection: Connection,
    numbered: Iterable[tuple[int, bytes | None]],
    before: Position,
    received: int,
) -> Position:
    """Write items' JSON, None for one removed, behind a position; return the last one taken.

    received: when the changes came, microseconds since 1970.
    """
    rows = [
        (position, payload, received, row)
        for position, (row, payload) in enumerate(numbered, start=before + 1)
    ]
    connection.executemany(
        "UPDATE items SET position = ?, payload = ?, since = coalesce(since, ?) WHERE row = ?", rows
    )
    return Position(before + len(rows))


def payloads_of(connection: Connection, rows: Iterable[int]) -> dict[int, bytes]:
    """Return the JSON of those of these rows that are described."""
    found: Any = connection.executemany(
        "SELECT row, payload FROM items WHERE row = ? AND payload IS NOT NULL",
        [(row,) for row in rows],
    )
    return dict(found)


def between(
    connection: Connection, after: Position, through: Position
) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield row, position, `since` and JSON of the items that changed last in (after, through]."""
    found = connection.execute(
        "SELECT row, item_id, position, since, payload FROM items "
        "WHERE position > ? AND position > 0 AND position <= ? ORDER BY position",
        (after, through),
    )
    for row, item_id, position, since, payload in found:
        removed = payload or orjson.dumps({"item_id": item_id, "removed": True})
        yield row, position, since, removed


def behind(connection: Connection, after: Position, limit: int) -> list[RegisteredItem]:
    """Return at most `limit` items that changed behind a position, by ascending position."""
    found = connection.execute(
        "SELECT row, item_id, position, since, payload FROM items "
        "WHERE position > ? AND position > 0 ORDER BY position LIMIT ?",
        (after, limit),
    )
    return [_registered(row) for row in found]


def described(connection: Connection, after_row: int, limit: int) -> list[RegisteredItem]:
    """Return at most `limit` described items with rows above `after_row`, in order."""
    found = connection.execute(
        "SELECT row, item_id, position, since, payload FROM items "
        "WHERE row > ? AND payload IS NOT NULL ORDER BY row LIMIT ?",
        (after_row, limit),
    )
    return [_registered(row) for row in found]


def named(connection: Connection, item_ids: Iterable[str]) -> list[RegisteredItem]:
    """Return those of these items that are described."""
    return [
        _registered(row)
        for item_id in item_ids
        for row in connection.execute(
            "SELECT row, item_id, position, since, payload FROM items "
            "WHERE item_id = ? AND payload IS NOT NULL",
            (item_id,),
        )
    ]


def _registered(found: tuple[Any, ...]) -> RegisteredItem:
    row, item_id, position, since, payload = found
    item = None if payload is None else decode_item(payload)
    return RegisteredItem(row, ItemId(item_id), Position(position), item, instant(since))


def _given(update: OfferUpdate) -> dict[str, Any]:
    """Return the fields that the terms set: a new price ends a sale that they do not speak of."""
    given = {
        name: value
        for name, value in asdict(update).items()
        if name not in ("item_id", "market") and value is not None
    }
    return {"sale_price": None, **given} if "price" in given else given
