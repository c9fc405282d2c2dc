"""Exports for callers of a worker: whole or not at all, and nothing of them stays."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import orjson
import pytest

from recsys.customers import Identifier, IdKind
from recsys.errors import Unavailable
from serving.erasure.exporting import CHUNK_BYTES, Exports
from serving.settings import ServingSettings, read_settings
from serving.state.embedded import EmbeddedValkey
from tests.e2e.running import alive
from tests.serving.erasure.shops import ANNA, BERT, NOON, Shop, of_anna


def settings_of(folder: Path) -> ServingSettings:
    """Return what a worker is given: the address of the store is always in it."""
    server = EmbeddedValkey.running(folder)
    assert server is not None
    return read_settings(data_folder=folder, redis_url=server.address.url)


async def parts(exports: Exports, identifier: Identifier) -> list[bytes]:
    return [chunk async for chunk in exports.chunks(identifier)]


async def exported(folder: Path, identifier: Identifier) -> Any:
    return orjson.loads(b"".join(await parts(Exports(settings_of(folder)), identifier)))


def children(of: int | None = None) -> dict[int, str]:
    """Return the processes that make exports for another, with all that `ps` shows of them."""
    found = {}
    for listed in Path(f"/proc/{of or os.getpid()}/task").glob("*/children"):
        for pid in listed.read_text().split():
            shown = [Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ")]
            found[int(pid)] = b"".join(shown).decode()
    return {pid: shown for pid, shown in found.items() if "export_child" in shown}


def files_in(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


@asynccontextmanager
async def silent_store(folder: Path) -> AsyncIterator[tuple[ServingSettings, asyncio.Event]]:
    """Give settings with a store that never answers, and what is set once it is asked."""
    waits, held = asyncio.Event(), list[asyncio.StreamWriter]()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)
        waits.set()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = f"redis://127.0.0.1:{port}/0"
    yield read_settings(data_folder=folder, redis_url=url), waits
    server.close()
    for one in held:
        one.close()
        with suppress(ConnectionError):
            await one.wait_closed()


async def test_export_holds_what_the_command_writes(data_folder: Path) -> None:
    found = await exported(data_folder, ANNA)

    assert {one["event_id"] for one in found["events"]} == {*(f"a{n}" for n in range(23)), "v1"}
    assert found["attributes"] == {"tier": "gold"}
    assert [len(one["purchases"]) for one in found["states"]] == [2]
    assert len(found["campaigns"]) == 2
    assert BERT.value not in orjson.dumps(found).decode()


async def test_nobody_gets_an_empty_document(data_folder: Path) -> None:
    found = await exported(data_folder, Identifier(IdKind.USER, "nobody"))

    assert found["identifiers"] == [{"kind": "user", "value": "nobody"}]
    assert (found["events"], found["states"], found["attributes"]) == ([], [], {})


async def test_large_document_comes_in_parts_of_a_bounded_size(data_folder: Path) -> None:
    settings = settings_of(data_folder)
    shop = Shop(data_folder, EmbeddedValkey.start_or_adopt(data_folder).address, "recsys:")
    shop.open()
    shop.take_in(*(of_anna(f"more{n}", NOON) for n in range(500)))
    await shop.close()

    found = await parts(Exports(settings), ANNA)

    assert [len(one) for one in found[:-1]] == [CHUNK_BYTES] * (len(found) - 1)
    assert len(found) > 1
    assert len(orjson.loads(b"".join(found))["events"]) == 524


async def test_no_list_of_processes_tells_whose_export_it_is(data_folder: Path) -> None:
    async with silent_store(data_folder) as (settings, waits):
        export = asyncio.create_task(parts(Exports(settings), ANNA))
        await waits.wait()

        shown = children()

        export.cancel()
        await asyncio.gather(export, return_exceptions=True)
    assert len(shown) == 1
    assert ANNA.value not in str(shown)


async def test_cancelled_export_leaves_no_process_and_no_file(data_folder: Path) -> None:
    before = files_in(data_folder)
    async with silent_store(data_folder) as (settings, waits):
        export = asyncio.create_task(parts(Exports(settings), ANNA))
        await waits.wait()
        running = children()
        (data_folder / ".spill-of-it").mkdir()

        export.cancel()
        await asyncio.gather(export, return_exceptions=True)

        assert len(running) == 1
        assert children() == {}
    assert files_in(data_folder) == before


async def test_export_whose_reader_stops_early_leaves_no_open_file(data_folder: Path) -> None:
    before = opened_below(data_folder)
    chunks = Exports(settings_of(data_folder)).chunks(ANNA)

    await anext(chunks)
    held = opened_below(data_folder)
    await chunks.aclose()

    assert (before, len(held)) == ([], 1)
    assert opened_below(data_folder) == []


def opened_below(folder: Path) -> list[str]:
    """Return what this process has open below a folder, with or without a name."""
    descriptors = (f"/proc/self/fd/{one}" for one in os.listdir("/proc/self/fd"))
    targets = [os.readlink(one) for one in descriptors if os.path.lexists(one)]
    return [target for target in targets if target.startswith(str(folder))]


async def test_export_whose_process_is_killed_says_so_and_leaves_nothing(
    data_folder: Path,
) -> None:
    before = files_in(data_folder)
    async with silent_store(data_folder) as (settings, waits):
        export = asyncio.create_task(parts(Exports(settings), ANNA))
        await waits.wait()
        (pid,) = children()

        (data_folder / ".spill-of-it").mkdir()

        os.kill(pid, signal.SIGKILL)

        with pytest.raises(Unavailable) as caught:
            await export
    assert caught.value.reason == "EXPORT_FAILED"
    assert files_in(data_folder) == before


async def test_export_without_the_store_is_refused_with_the_reason(data_folder: Path) -> None:
    settings = settings_of(data_folder).model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})

    with pytest.raises(Unavailable) as caught:
        await parts(Exports(settings), ANNA)

    assert caught.value.reason == "STATE_UNAVAILABLE"
    assert ANNA.value not in str(caught.value)


async def test_second_export_waits_for_its_turn(data_folder: Path) -> None:
    async with silent_store(data_folder) as (settings, waits):
        exports = Exports(settings)
        first = asyncio.create_task(parts(exports, ANNA))
        await waits.wait()
        second = asyncio.create_task(parts(exports, BERT))
        await asyncio.sleep(0)

        at_once = len(children())
        waits.clear()
        first.cancel()
        await waits.wait()
        then = len(children())

        second.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
    assert (at_once, then) == (1, 1)


WORKER = """
import asyncio, sys
from recsys.customers import Identifier, IdKind
from serving.erasure.exporting import Exports
from serving.settings import ServingSettings

async def export():
    exports = Exports(ServingSettings.model_validate_json(sys.argv[1]))
    return [one async for one in exports.chunks(Identifier(IdKind.USER, "anna"))]

asyncio.run(export())
"""


async def test_process_ends_with_the_worker_that_is_killed_and_no_other_does(
    data_folder: Path,
) -> None:
    async with silent_store(data_folder) as (settings, waits):
        older = await exporting_worker(settings, waits)
        killed = await exporting_worker(settings, waits)
        (kept,), (orphan,) = children(older.pid), children(killed.pid)

        killed.kill()
        await killed.wait()

        while alive(orphan):  # noqa: ASYNC110  # nobody tells when another's child ends
            await asyncio.sleep(0.01)
        assert alive(kept)  # the older one would give up first
        older.kill()
        await older.wait()


async def exporting_worker(settings: ServingSettings, waits: asyncio.Event) -> Process:
    """Return a process whose export waits for the store."""
    waits.clear()
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WORKER, settings.model_dump_json())
    )
    await waits.wait()
    return started
