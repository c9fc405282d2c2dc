from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog
from redis import Redis
from typer.testing import CliRunner

from recsys.customers import IdKind
from recsys.events import Event, EventType, Position, Record
from recsys.ids import ItemId
from recsys.state import UserState
from serving.catch_up import CatchUp
from serving.lake import by_customer
from serving.lake.drain import Drain
from serving.lake.lake import Lake
from serving.lake.spill import PREFIX
from serving.lock import DataFolderLock
from serving.log.records import Lines
from serving.log.tail import LogTail
from serving.log.writer import Writer
from serving.rebuild import Findings, Rebuild, rebuild_state
from serving.settings import ServingSettings, read_settings
from serving.standing_in import JobState
from serving.state.embedded import EmbeddedValkey
from serving.state.keys import ProfileKey, Secret, StateKey, StateKeys
from serving.state.redis_store import RedisSettings, RedisStateStore
from serving.state_commands import state_app

START = datetime(2026, 3, 1, tzinfo=UTC)
SOON = START + timedelta(days=30)
N_CUSTOMERS = 11
_KINDS = (EventType.CLICK, EventType.PURCHASE, EventType.LIKE, EventType.CART_VIEW)


def event(number: int) -> Event:
    """Return the event of a number, of one of eleven users; every fourth leaves no trace."""
    return Event(
        f"e{number}",
        _KINDS[number % 4],
        START + timedelta(minutes=number),
        ItemId(f"i{number % 7}"),
        user_id=f"c{number % N_CUSTOMERS}",
    )


@dataclass
class House:
    """A data folder with its own Valkey, and a server's way of bringing events into both."""

    settings: ServingSettings
    valkey: EmbeddedValkey
    store: RedisStateStore
    keys: StateKeys

    def append(self, first: int, last: int) -> list[Record]:
        """Put the events of the numbers from first to last into the log."""
        events = [event(number) for number in range(first, last + 1)]
        writer = Writer(self.settings.log_file, clock=lambda: START)
        placed = writer.append(Lines.of([Record(one) for one in events]))
        writer.close()
        columns = zip(events, placed.positions, placed.item_rows, strict=True)
        return [Record(one, position, row) for one, position, row in columns]

    def drain(self, *, trim_through: int = 0, limit: int = 1_000_000) -> None:
        lake = Lake(self.settings.lake_folder)
        lake.open()
        tail = LogTail(self.settings.log_file)
        drain = Drain(tail, lake)
        drain.run_once(limit)
        drain.trim(Position(trim_through))
        tail.close()

    async def apply(self) -> None:
        async with CatchUp(
            self.settings.log_file, self.settings.lake_folder, self.store
        ) as catch_up:
            await catch_up.run(lambda done, of: None)

    async def rebuild(self, *, only_look: bool = False, now: datetime = SOON) -> Findings:
        return await rebuild_state(
            self.settings, now, lambda doing, done, of: None, only_look=only_look
        )

    async def beside_a_server(self, store: RedisStateStore, *, only_look: bool) -> Findings:
        """Rebuild as beside a server, without waiting for it."""
        catch_up = CatchUp(self.settings.log_file, self.settings.lake_folder, store)
        state = JobState(store, self.keys, catch_up, alone=False)
        async with catch_up, Rebuild(self.settings, state, SOON, only_look=only_look) as rebuild:
            return await rebuild.run(lambda doing, done, of: None)

    def redis(self) -> Redis:
        return Redis(unix_socket_path=str(self.valkey.socket))

    def everything(self) -> dict[bytes, bytes]:
        """Return all that Redis holds."""
        with self.redis() as client:
            return {key: client.dump(key) for key in client.scan_iter(count=1_000)}

    def key(self, customer: int) -> StateKey:
        return self.keys.customer(IdKind.USER, f"c{customer}")

    async def state(self, customer: int) -> UserState:
        return (await self.store.read([[self.key(customer)]]))[0]


@pytest.fixture
async def house(short_folder: Path) -> AsyncIterator[House]:
    settings = read_settings(data_folder=short_folder, redis_url="")
    valkey = EmbeddedValkey.start_or_adopt(short_folder)
    keys = StateKeys(Secret.load_or_create(settings.secret_file))
    store = RedisStateStore(valkey.address, keys, RedisSettings(read_timeout_ms=10_000))
    yield House(settings, valkey, store, keys)
    await store.close()
    valkey.stop()


@pytest.fixture
async def filled(house: House) -> House:
    """Give a house whose states hold 100 events, 60 of them only in the lake, 20 only in the log.

    Those of all customers but c0 are older than the lake's newest.
    """
    house.append(1, 60)
    await house.apply()
    house.drain(trim_through=60)
    house.append(61, 80)
    house.drain()
    house.append(81, 100)
    await house.apply()
    return house


async def test_rebuild_removes_what_a_killed_one_left_on_the_disk(filled: House) -> None:
    left = filled.settings.data_folder / f"{PREFIX}of-a-killed-one"
    left.mkdir()
    (left / "duckdb_temp_storage").write_bytes(b"much")

    await filled.rebuild()

    assert list(filled.settings.data_folder.glob(f"{PREFIX}*")) == []


def plant(house: House, values: dict[str, bytes | None]) -> None:
    """Put these bytes behind these keys; None removes."""
    with house.redis() as client:
        for key, value in values.items():
            client.delete(key) if value is None else client.set(key, value)


def spoiled(states: Sequence[bytes]) -> list[bytes]:
    """Return the first state without its newest click, the second with a click of another's."""
    one, other = (UserState.from_bytes(state) for state in states)
    return [
        UserState(one.history[1:], *one.facets[1:]).to_bytes(),
        other.joined(UserState(one.history[:1], *UserState.unknown().facets[1:])).to_bytes(),
    ]


async def test_states_that_are_right_are_left_alone(filled: House) -> None:
    before = filled.everything()

    found = await filled.rebuild()

    assert found == Findings(customers=N_CUSTOMERS, right=N_CUSTOMERS)
    assert filled.everything() == before


async def test_store_that_was_emptied_is_whole_again(filled: House) -> None:
    before = filled.everything()
    with filled.redis() as client:
        client.flushall()

    await filled.rebuild()

    assert filled.everything() == before


async def test_customers_that_are_gone_come_back_with_all_their_entries(filled: House) -> None:
    before = filled.everything()
    n_entries = sum(len(entries) for entries in (await filled.state(3)).facets)
    plant(filled, {filled.key(3): None})

    found = await filled.rebuild()

    wanted = Findings(N_CUSTOMERS, N_CUSTOMERS - 1, repaired=1, missing=n_entries)
    assert found == wanted
    assert filled.everything() == before


async def test_damage_of_every_kind_is_counted_and_repaired(filled: House) -> None:
    before = filled.everything()
    keys = [filled.key(customer) for customer in (1, 2)]
    stored = [value or b"" for value in await filled.store.values(keys)]
    n_entries = sum(len(entries) for entries in (await filled.state(3)).facets)
    stranger = filled.keys.customer(IdKind.USER, "nobody")
    older = filled.key(4).replace("recsys:3:", "recsys:")
    plant(filled, dict(zip(keys, spoiled(stored), strict=True)))
    plant(filled, {filled.key(3): b"torn", stranger: stored[0], older: b"x"})

    found = await filled.rebuild()

    assert found == Findings(
        customers=N_CUSTOMERS,
        right=N_CUSTOMERS - 3,
        repaired=3,
        missing=1 + n_entries,
        wrong=1,
        removed=2,
    )
    assert filled.everything() == before


async def test_customer_known_to_the_log_alone_is_no_stranger_and_is_repaired(
    filled: House,
) -> None:
    event = Event("new", EventType.CLICK, START, ItemId("i1"), visitor_id="new")
    writer = Writer(filled.settings.log_file, clock=lambda: START)
    writer.append(Lines.of([Record(event)]))
    writer.close()
    await filled.apply()
    right = await filled.rebuild()
    plant(filled, {filled.keys.customer(IdKind.VISITOR, "new"): None})

    found = await filled.rebuild()

    assert right == Findings(N_CUSTOMERS + 1, N_CUSTOMERS + 1)
    assert found == Findings(N_CUSTOMERS + 1, N_CUSTOMERS, repaired=1, missing=1)


async def test_dry_run_reports_the_same_and_changes_nothing(filled: House) -> None:
    keys = [filled.key(customer) for customer in (1, 2)]
    stored = [value or b"" for value in await filled.store.values(keys)]
    plant(filled, dict(zip(keys, spoiled(stored), strict=True)))
    plant(filled, {filled.keys.customer(IdKind.USER, "nobody"): stored[0]})
    before = filled.everything()

    looked = await filled.rebuild(only_look=True)

    assert filled.everything() == before
    assert looked == await filled.rebuild()
    assert (looked.repaired, looked.missing, looked.wrong, looked.removed) == (2, 1, 1, 1)


async def test_customer_cut_by_the_end_of_a_batch_is_compared_as_a_whole(
    filled: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_customer, "_ROWS_A_BATCH", 2)

    found = await filled.rebuild()

    assert found == Findings(customers=N_CUSTOMERS, right=N_CUSTOMERS)


async def test_customer_whose_last_event_is_older_than_the_expiry_may_be_gone(
    filled: House,
) -> None:
    plant(filled, {filled.key(3): None})

    found = await filled.rebuild(now=START + timedelta(days=500))

    assert found == Findings(customers=N_CUSTOMERS, right=N_CUSTOMERS)


async def test_repaired_customers_expire(filled: House) -> None:
    plant(filled, {filled.key(3): None})

    await filled.rebuild()

    with filled.redis() as client:
        assert int(client.ttl(filled.key(3))) > 399 * 86_400


async def test_empty_data_folder_has_nothing_to_rebuild(house: House) -> None:
    assert await house.rebuild() == Findings()


async def test_events_that_the_server_has_yet_to_apply_are_no_fault(filled: House) -> None:
    before = filled.everything()
    filled.append(101, 130)

    found = await filled.beside_a_server(filled.store, only_look=False)

    assert found == Findings(customers=N_CUSTOMERS, right=N_CUSTOMERS)
    assert filled.everything() == before


async def test_events_applied_before_the_server_noted_it_are_no_fault(filled: House) -> None:
    late = filled.append(101, 130)
    await filled.store.apply(late[:15])
    before = filled.everything()

    found = await filled.beside_a_server(filled.store, only_look=False)

    assert found == Findings(customers=N_CUSTOMERS, right=N_CUSTOMERS)
    assert filled.everything() == before


async def test_damage_is_found_beside_events_that_are_yet_to_apply(filled: House) -> None:
    plant(filled, {filled.key(3): None})
    filled.append(101, 130)

    found = await filled.beside_a_server(filled.store, only_look=False)

    assert (found.right, found.repaired) == (N_CUSTOMERS - 1, 1)
    await filled.apply()
    assert (await filled.rebuild()).clean


async def test_events_that_nobody_is_there_to_apply_are_missing(filled: House) -> None:
    filled.append(101, 140)

    found = await filled.rebuild(only_look=True)

    assert (found.customers, found.missing, found.wrong) == (N_CUSTOMERS, 30, 0)


class LateCustomerStore(RedisStateStore):
    """A store that gets a customer nobody knew, right before it is searched for strangers."""

    house: House

    async def stored_keys(self) -> AsyncIterator[list[StateKey]]:
        event = Event("late", EventType.CLICK, START, ItemId("i1"), user_id="late")
        writer = Writer(self.house.settings.log_file, clock=lambda: START)
        placed = writer.append(Lines.of([Record(event)]))
        writer.close()
        await self.apply([Record(event, placed.positions[0], placed.item_rows[0])])
        async for keys in super().stored_keys():
            yield keys


async def test_customer_who_comes_while_strangers_are_removed_stays(filled: House) -> None:
    store = LateCustomerStore(filled.valkey.address, filled.keys)
    store.house = filled

    found = await filled.beside_a_server(store, only_look=False)

    await store.close()
    assert found.removed == 0
    (late,) = await filled.store.read([[filled.keys.customer(IdKind.USER, "late")]])
    assert len(late.history) == 1


def remembered_of(record: Record, user_id: str) -> bool:
    one = record.fact
    assert isinstance(one, Event)
    return one.user_id == user_id and one.type is not EventType.CART_VIEW


class LateStore(RedisStateStore):
    """A store in which events are applied right after each look, so often."""

    late: Sequence[Record] = ()

    async def values(self, keys: Sequence[StateKey | ProfileKey]) -> list[bytes | None]:
        found = await super().values(keys)
        if self.late:
            record, *self.late = self.late
            await self.apply([record])
        return found


async def test_state_that_changes_between_look_and_repair_loses_nothing(filled: House) -> None:
    plant(filled, {filled.key(3): b"torn"})
    late = [one for one in filled.append(101, 200) if remembered_of(one, "c3")]
    store = LateStore(filled.valkey.address, filled.keys, RedisSettings(read_timeout_ms=10_000))
    store.late = late

    found = await filled.beside_a_server(store, only_look=False)

    await store.close()
    assert (found.customers, found.repaired) == (N_CUSTOMERS, 1)
    assert not store.late
    await filled.apply()
    assert (await filled.rebuild(only_look=True)).clean


async def test_nothing_acknowledged_is_missing_after_a_rebuild_while_events_stream_in(
    filled: House,
) -> None:
    ended = asyncio.Event()
    plant(filled, {filled.key(n): b"torn" if n % 2 else None for n in range(N_CUSTOMERS)})

    async def take_in() -> int:
        number = 100
        while not ended.is_set():
            records = await asyncio.to_thread(filled.append, number + 1, number + 7)
            await filled.store.apply(records)
            number += 7
        return number

    async def keep_applying() -> None:
        while not ended.is_set():
            await filled.apply()

    async def keep_draining() -> None:
        while not ended.is_set():
            await asyncio.to_thread(filled.drain, trim_through=10**9, limit=1_000)

    with DataFolderLock(filled.settings.data_folder):
        server = asyncio.gather(take_in(), keep_applying(), keep_draining())
        found = [await filled.rebuild() for _ in range(4)]
        ended.set()
        last, *_ = await server
        await filled.apply()

    assert found[0].repaired == N_CUSTOMERS
    assert last > 200
    assert all(one.clean for one in found[1:])
    assert (await filled.rebuild(only_look=True)).clean


@pytest.fixture
def same_logging_afterwards() -> Iterator[None]:
    """Undo what a command tells the process about its log."""
    yield
    structlog.reset_defaults()


@pytest.mark.usefixtures("same_logging_afterwards")
def test_verify_ends_with_status_1_where_something_differs(
    command_house: tuple[Path, StateKeys],
) -> None:
    data, keys = command_house
    arguments = ["--data-folder", str(data)]

    right = CliRunner().invoke(state_app, ["verify", *arguments])
    with Redis(unix_socket_path=str(data / "valkey" / "valkey.sock")) as client:
        client.set(keys.customer(IdKind.USER, "nobody"), b"torn")
    differs = CliRunner().invoke(state_app, ["verify", *arguments])
    looked = CliRunner().invoke(state_app, ["rebuild", "--dry-run", *arguments])
    repaired = CliRunner().invoke(state_app, ["rebuild", *arguments])
    again = CliRunner().invoke(state_app, ["verify", *arguments])

    assert [one.exit_code for one in (right, differs, looked, repaired, again)] == [0, 1, 0, 0, 0]
    assert "1 states of nobody would be removed" in differs.stdout
    assert "1 states of nobody would be removed" in looked.stdout
    assert "1 states of nobody removed" in repaired.stdout


@pytest.fixture
def command_house(short_folder: Path) -> Iterator[tuple[Path, StateKeys]]:
    """Give a data folder with nothing in it and a running Valkey, and its keys."""
    settings = read_settings(data_folder=short_folder)
    keys = StateKeys(Secret.load_or_create(settings.secret_file))
    valkey = EmbeddedValkey.start_or_adopt(short_folder)
    yield short_folder, keys
    valkey.stop()
