"""Exports for callers of a worker: made by a process of its own, handed on in chunks.

A worker may not load the engines of the lake, and an export may not hold up answers.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager, suppress
from subprocess import PIPE, Popen
from tempfile import TemporaryFile
from typing import IO, Any

import orjson
import structlog

from recsys.customers import Identifier
from recsys.errors import Unavailable
from serving.lake.spill import spill_folder
from serving.settings import ServingSettings

log = structlog.get_logger("serving.erasure")

MOST_AT_ONCE = 1
CHUNK_BYTES = 64 << 10
CHILD = "serving.erasure.export_child"


class Exports:
    """Makes exports, at most so many at a time; others wait for their turn.

    The document is in a file that has no name and that its owner alone can open: the system frees
    it however this process ends. Whose export it is goes through a pipe, so no list of processes
    and no log tells it.
    """

    def __init__(self, settings: ServingSettings, *, at_once: int = MOST_AT_ONCE) -> None:
        self._settings = settings
        self._turns = asyncio.Semaphore(at_once)

    async def chunks(self, identifier: Identifier) -> AsyncGenerator[bytes, None]:
        """Yield the document of a customer, in parts of at most 64 KiB, once it is whole.

        Whoever stops early has to close the iterator, which ends the process. Raises Unavailable.
        """
        async with self._turns:
            with self._unnamed_file() as file:
                await self._make(identifier, file)
                file.seek(0)
                while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
                    yield chunk

    async def _make(self, identifier: Identifier, file: IO[bytes]) -> None:
        process = _started(file)
        try:
            said = await asyncio.to_thread(_heard, process, self._asked(identifier))
        finally:
            if process.poll() is None:
                process.kill()
                await asyncio.to_thread(process.wait)
            if process.returncode:
                await asyncio.to_thread(self._sweep)
        if process.returncode:
            raise _failure(process.returncode, said)

    def _asked(self, identifier: Identifier) -> bytes:
        """Return the line that tells the process what to do."""
        return orjson.dumps(
            {
                "kind": identifier.kind,
                "value": identifier.value,
                "settings": self._settings.model_dump(mode="json"),
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )

    def _sweep(self) -> None:
        """Remove what a process that died has spilled; where that fails, the next job does it."""
        with suppress(Unavailable), spill_folder(self._settings.data_folder):
            pass

    @contextmanager
    def _unnamed_file(self) -> Iterator[IO[bytes]]:
        """Give a file beside the data, as it may be large. Raises Unavailable."""
        try:
            with TemporaryFile(dir=self._settings.data_folder) as file:
                yield file
        except OSError as error:
            raise Unavailable(
                f"an export cannot be kept while it is made: {error}; make room on the disk of "
                "the data folder",
                reason="DISK_UNAVAILABLE",
            ) from error


def _started(file: IO[bytes]) -> Popen[bytes]:
    """Return the process, whose document goes into a file.

    Not by asyncio: uvloop forks the whole process, and beside gRPC now and then loses a pipe.
    """
    return Popen([sys.executable, "-m", CHILD], stdin=PIPE, stdout=file, stderr=PIPE)


def _heard(process: Popen[bytes], asked: bytes) -> bytes:
    """Tell the process what to do, and return what it said of a failure once it has ended.

    Its input stays open all the time: where that closes, whoever asked is gone.
    """
    if process.stdin is None or process.stderr is None:
        raise ValueError("a process without pipes")
    with process.stdin as told, process.stderr as said:
        with suppress(BrokenPipeError):  # it has ended already, and says why
            told.write(asked)
            told.flush()
        heard = said.read()
        process.wait()
        return heard


def _failure(status: int, said: bytes) -> Unavailable:
    """Return the error of a process that failed; of a fault of our own the log tells where."""
    told = _last_document(said)
    if "reason" in told:
        return Unavailable(told["message"], reason=told["reason"])
    log.error("an export failed", exit_status=status, **told)
    return Unavailable(
        f"the export ended with status {status} before it was whole; the server's log says more. "
        "Ask again, or use `recsys customers export`",
        reason="EXPORT_FAILED",
    )


def _last_document(said: bytes) -> dict[str, Any]:
    """Return the JSON of the last line, nothing where it is none, as of a process that was killed.

    Lines before may name somebody, so they are dropped.
    """
    try:
        found = orjson.loads(said.splitlines()[-1])
    except (IndexError, orjson.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) else {}
