"""Which worker of a server answers on which connection: the system deals them out by chance.

Linux only: a connection is found at both its ends by its two ports, in `/proc/net/tcp*`.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

import grpc

LISTS = ("/proc/net/tcp", "/proc/net/tcp6")
MOST_TRIES = 64
TIMEOUT_S = 10.0


async def channel_to_each(address: str, workers: Collection[int]) -> dict[int, grpc.aio.Channel]:
    """Return one open channel to each of these processes, by their ids.

    Opens channels until every worker has been dealt one. Raises RuntimeError when that does not
    happen.
    """
    port = int(address.rpartition(":")[2])
    found: dict[int, grpc.aio.Channel] = {}
    for _ in range(MOST_TRIES):
        before = _client_ports(port)
        channel = await _opened(address)
        (mine,) = _client_ports(port) - before
        worker = _holder(port, mine, workers)
        if worker is None or worker in found:
            await channel.close()
            continue
        found[worker] = channel
        if len(found) == len(workers):
            return found
    raise RuntimeError(f"{MOST_TRIES} connections reached only {len(found)} workers")


async def _opened(address: str) -> grpc.aio.Channel:
    channel = grpc.aio.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
    await channel.channel_ready()
    return channel


def _client_ports(server_port: int) -> set[int]:
    """Return the ports at this process's end of its connections to a port."""
    mine = _sockets(os.getpid())
    return {
        local
        for local, remote, socket in _connections()
        if remote == server_port and socket in mine
    }


def _holder(server_port: int, client_port: int, processes: Collection[int]) -> int | None:
    """Return which process holds the server's end of a connection."""
    ends = {
        socket
        for local, remote, socket in _connections()
        if (local, remote) == (server_port, client_port)
    }
    return next((pid for pid in processes if ends & _sockets(pid)), None)


def _connections() -> Iterator[tuple[int, int, str]]:
    """Yield local port, remote port and the name of the socket of every open connection."""
    for file in LISTS:
        for line in Path(file).read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            local, remote = (int(end.rpartition(":")[2], 16) for end in fields[1:3])
            yield local, remote, f"socket:[{fields[9]}]"


def _sockets(pid: int) -> set[str]:
    """Return the names of what a process has open."""
    names = set()
    for file in Path(f"/proc/{pid}/fd").iterdir():
        try:
            names.add(os.readlink(file))
        except FileNotFoundError:  # closed meanwhile
            continue
    return names
