"""The port of a server: probed before workers share it, and held while they come and go."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from recsys.errors import Unavailable


@contextmanager
def held_port(host: str, port: int, setting: str = "RECSYS_PORT") -> Iterator[int]:
    """Give the port's number while it is kept for this server; port 0 takes a free one.

    The probe asks without port sharing, since two servers that share would both seem to work.
    setting: what sets it, for whoever is told that it is taken. Raises Unavailable, PORT_TAKEN.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _bind(probe, host, port, setting)
        found = int(probe.getsockname()[1])
    with socket.socket(family) as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        _bind(holder, host, found, setting)  # bound, not listening: it is given no connection
        yield found


def _bind(probe: socket.socket, host: str, port: int, setting: str) -> None:
    try:
        probe.bind((host, port))
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise Unavailable(f"{host} cannot be bound: {error}", reason="HOST_UNUSABLE") from error
        why = "taken by another process" if error.errno == errno.EADDRINUSE else "not allowed"
        flag = "--port or " if setting == "RECSYS_PORT" else ""
        raise Unavailable(
            f"port {port} on {host} is {why}; stop the other server, or choose another port with "
            f"{flag}{setting}",
            reason="PORT_TAKEN",
            metadata={"port": str(port)},
        ) from error
