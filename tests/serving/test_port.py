from __future__ import annotations

import socket

import pytest

from recsys.errors import Unavailable
from serving.port import held_port


def test_free_port_is_held_and_still_open_to_workers_that_share_it() -> None:
    with held_port("127.0.0.1", 0) as port, socket.socket() as worker:
        worker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        worker.bind(("127.0.0.1", port))
        worker.listen()

        with socket.create_connection(("127.0.0.1", port), timeout=5) as caller:
            assert caller.getpeername()[1] == port


def test_port_of_a_listener_is_taken_even_if_it_would_share() -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        with (
            pytest.raises(Unavailable, match=f"port {port}") as caught,
            held_port("127.0.0.1", port),
        ):
            pass

    assert caught.value.reason == "PORT_TAKEN"


def test_port_held_by_another_server_is_taken() -> None:
    with (
        held_port("127.0.0.1", 0) as port,
        pytest.raises(Unavailable, match="--port"),
        held_port("127.0.0.1", port),
    ):
        pass
