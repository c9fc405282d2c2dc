"""The register of items: the newest truth of each, at a position of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.errors import Unavailable
from recsys.events import Event, EventType, Position, Record
from recsys.ids import ItemId
from recsys.items import Attribute, Item, ItemChange, Offer, OfferUpdate, Removal
from serving.log.items import decode_item, encode_item, with_update
from serving.log.records import Lines
from serving.log.tail import LogTail
from serving.log.writer import Writer

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
START = Position(0)
IDS = [ItemId(name) for name in ("tea", "rye", "oil")]
TEA = Item(IDS[0], title="Tea", price=3.0, currency="EUR")


@dataclass
class Log:
    path: Path
    writer: Writer
    tail: LogTail

    def described(self) -> dict[str, Item | None]:
        return {one.item_id: one.item for one in self.tail.items_behind(START, 1_000)}


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    path = tmp_path / "log.sqlite"
    made = Log(path, Writer(path, clock=lambda: NOON), LogTail(path))
    yield made
    made.writer.close()
    made.tail.close()


def bought(event_id: str, item_id: str) -> Record:
    return Record(Event(event_id, EventType.PURCHASE, NOON, ItemId(item_id), user_id="ann"))


prices = st.none() | st.floats(0, 1e6)
texts = st.text(max_size=5)
offers = st.builds(
    Offer, st.sampled_from(["DE", "AT"]), prices, texts, st.booleans(), prices, prices
)
items = st.builds(
    Item,
    item_id=st.sampled_from(IDS),
    title=texts,
    price=prices,
    available=st.booleans(),
    description=texts,
    stock=prices,
    group_id=texts,
    hidden=st.booleans(),
    available_from=st.none() | st.just(NOON),
    expires=st.none() | st.just(NOON),
    attributes=st.lists(st.builds(Attribute, texts, texts), max_size=2).map(tuple),
    offers=st.lists(offers, max_size=2, unique_by=lambda offer: offer.market).map(tuple),
)
updates = st.builds(
    OfferUpdate,
    st.sampled_from(IDS),
    st.sampled_from(["", "DE"]),
    prices,
    st.none() | texts,
    st.none() | st.booleans(),
    prices,
    prices,
)
changes = st.lists(
    st.lists(items | updates | st.builds(Removal, st.sampled_from(IDS)), max_size=4), max_size=4
)


@given(items)
def test_item_comes_back_from_its_json_as_it_was(item: Item) -> None:
    assert decode_item(encode_item(item)) == item


@given(changes)
def test_register_holds_what_the_changes_make_one_after_the_other(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[ItemChange]]
) -> None:
    path = tmp_path_factory.mktemp("log") / "log.sqlite"
    made = Log(path, Writer(path, clock=lambda: NOON), LogTail(path))
    model: dict[str, Item | None] = {}

    for batch in batches:
        done = made.writer.change_items(batch)
        lost = _made_in(model, batch)
        assert done.changed + done.unchanged + done.lost == len(batch)
        assert (done.lost, set(done.missing)) == (len(lost), set(lost))

    assert {one: item for one, item in made.described().items() if item} == {
        one: item for one, item in model.items() if item
    }
    made.writer.close()
    made.tail.close()


def _made_in(model: dict[str, Item | None], batch: list[ItemChange]) -> list[ItemId]:
    """Make changes in a dictionary, and return the items of those that are lost."""
    lost = []
    for change in batch:
        held = model.get(change.item_id)
        if isinstance(change, Item):
            model[change.item_id] = change
        elif held is None:
            lost.append(change.item_id)
        elif isinstance(change, Removal):
            model[change.item_id] = None
        else:
            model[change.item_id] = with_update(held, change)
    return lost


def test_update_changes_what_it_gives_and_nothing_else() -> None:
    updated = with_update(TEA, OfferUpdate(TEA.item_id, stock=0.0, available=False))

    assert updated == replace(TEA, stock=0.0, available=False)


def test_new_price_ends_a_sale_that_it_does_not_speak_of() -> None:
    on_sale = replace(TEA, sale_price=2.0)

    assert with_update(on_sale, OfferUpdate(TEA.item_id, price=4.0)).sale_price is None
    assert with_update(on_sale, OfferUpdate(TEA.item_id, price=4.0, sale_price=1.0)).sale_price == 1
    assert with_update(on_sale, OfferUpdate(TEA.item_id, stock=1.0)).sale_price == 2


def test_update_of_a_market_leaves_the_others_and_makes_a_new_one() -> None:
    sold = replace(TEA, offers=(Offer("DE", 3.0, "EUR"), Offer("CH", 4.0, "CHF")))

    cheaper = with_update(sold, OfferUpdate(TEA.item_id, "CH", price=3.5))
    added = with_update(sold, OfferUpdate(TEA.item_id, "AT", price=3.0, currency="EUR"))

    assert cheaper.offers == (Offer("CH", 3.5, "CHF"), Offer("DE", 3.0, "EUR"))
    assert set(added.offers) == {*sold.offers, Offer("AT", 3.0, "EUR")}


def test_feeds_of_two_countries_add_up_whatever_comes_again(log: Log) -> None:
    german, austrian = (
        encode_item(Item(TEA.item_id, title="Tee", offers=(Offer(market, price, "EUR"),)))
        for market, price in (("DE", 3.0), ("AT", 3.5))
    )
    for market, payload in (("DE", german), ("AT", austrian)):
        log.writer.put_items(["tea"], [payload], market)

    again = log.writer.put_items(["tea"], [german], "DE")

    assert log.described() == {
        "tea": Item(
            TEA.item_id, title="Tee", offers=(Offer("AT", 3.5, "EUR"), Offer("DE", 3.0, "EUR"))
        )
    }
    assert (again.changed, again.unchanged) == (0, 1)


def test_item_described_again_as_it_was_takes_no_position(log: Log) -> None:
    first = log.writer.change_items([TEA])

    again = log.writer.change_items([TEA])
    put = log.writer.put_items([TEA.item_id], [encode_item(TEA)])

    assert (first.changed, again.changed, put.changed) == (1, 0, 0)
    assert (again.unchanged, put.unchanged) == (1, 1)
    assert log.tail.last_position() == 1


def test_items_put_as_json_are_those_described_one_by_one(log: Log) -> None:
    rye = Item(ItemId("rye"), title="Rye")
    payloads = [encode_item(one) for one in (TEA, rye, replace(TEA, title="Tee"))]

    put = log.writer.put_items(["tea", "rye", "tea"], payloads)

    assert (put.changed, put.unchanged, put.last_position) == (2, 1, 2)
    assert log.described() == {"tea": replace(TEA, title="Tee"), "rye": rye}


def test_changes_and_events_share_positions_and_rows(log: Log) -> None:
    log.writer.append(Lines.of([bought("1", "oil")]))
    log.writer.change_items([TEA])
    placed = log.writer.append(Lines.of([bought("2", "tea"), bought("3", "oil")]))

    (tea,) = log.tail.items_behind(START, 9)

    assert (tea.position, tea.row) == (2, 1)
    assert (list(placed.positions), list(placed.item_rows)) == ([3, 4], [1, 0])
    assert log.tail.last_position() == 4


def test_first_change_of_a_new_log_begins_at_position_one(log: Log) -> None:
    done = log.writer.change_items([TEA, Item(ItemId("rye"))])
    placed = log.writer.append(Lines.of([bought("1", "tea")]))

    assert (done.last_position, list(placed.positions)) == (2, [3])


def test_item_that_only_events_speak_of_is_missing(log: Log) -> None:
    log.writer.append(Lines.of([bought("1", "oil")]))

    done = log.writer.change_items([OfferUpdate(ItemId("oil"), stock=1.0), Removal(ItemId("rye"))])

    assert (done.lost, done.missing) == (2, ("oil", "rye"))
    assert log.described() == {}
    assert [item_id for _, item_id in log.tail.vocabulary(-1)] == ["oil"]


def test_item_keeps_the_time_at_which_it_was_described_first(log: Log) -> None:
    log.writer.append(Lines.of([bought("1", "tea")]))
    log.writer.change_items([TEA])
    later = Writer(log.path, clock=lambda: NOON + timedelta(days=1))
    later.change_items([Removal(TEA.item_id)])
    later.change_items([TEA, Item(ItemId("rye"))])
    later.close()

    since = {one.item_id: one.since for one in log.tail.items_described(-1, 9)}

    assert since == {"tea": NOON, "rye": NOON + timedelta(days=1)}


def test_follower_sees_each_changed_item_once_and_newest(log: Log) -> None:
    log.writer.change_items([TEA, Item(ItemId("rye"))])
    reached = log.tail.items_behind(START, 9)[-1].position
    log.writer.change_items([OfferUpdate(TEA.item_id, stock=5.0)])
    log.writer.change_items([OfferUpdate(TEA.item_id, stock=0.0)])

    (seen,) = log.tail.items_behind(reached, 9)

    assert (seen.position, seen.item) == (4, replace(TEA, stock=0.0))
    assert log.tail.items_behind(seen.position, 9) == []


def test_removed_item_is_told_to_followers_and_listed_nowhere(log: Log) -> None:
    log.writer.change_items([TEA, Item(ItemId("rye"))])

    log.writer.change_items([Removal(TEA.item_id)])

    (*_, last) = log.tail.items_behind(START, 9)
    assert (last.item_id, last.item, last.row) == ("tea", None, 0)
    assert [one.item_id for one in log.tail.items_described(-1, 9)] == ["rye"]
    assert log.tail.items_named(["tea"]) == []


def test_list_goes_on_behind_a_row(log: Log) -> None:
    log.writer.change_items([Item(ItemId(str(number))) for number in range(5)])

    page = log.tail.items_described(1, 2)

    assert [one.item_id for one in page] == ["2", "3"]


def test_failed_change_leaves_nothing_behind(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    log.writer.change_items([TEA])
    monkeypatch.setattr("serving.log.writer.take_positions", _disk_full)

    with pytest.raises(Unavailable, match="commit"):
        log.writer.change_items([Item(ItemId("rye"))])

    monkeypatch.undo()
    assert set(log.described()) == {"tea"}
    assert log.writer.change_items([Item(ItemId("rye"))]).last_position == 2


def _disk_full(*_: object) -> None:
    raise OSError("no space left on device")
