"""A proxy before Redis that can be made to fail the way networks and busy servers do."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from threading import Thread

from serving.state.address import RedisAddress, unix_address

_PIECE = 65_536


class Trouble(StrEnum):
    """What is wrong with the way to Redis.

    DOWN: nobody listens. RESET: every connection is torn down at its next byte.
    HUNG: bytes go in, none come out. LATE: every answer comes `delay_s` late.
    SLOW: answers come in pieces of 16 bytes, each `delay_s` after the other.
    HALF: the first half of an answer comes, then the connection ends.
    """

    NONE = "none"
    DOWN = "down"
    RESET = "reset"
    HUNG = "hung"
    LATE = "late"
    SLOW = "slow"
    HALF = "half"


@dataclass
class FaultProxy:
    """A Unix socket in front of another; `trouble` may be changed at any moment.

    n_answers: pieces of answers passed on so far.
    """

    target: Path
    socket: Path
    trouble: Trouble = Trouble.NONE
    delay_s: float = 0.0
    n_answers: int = 0
    _carried: dict[asyncio.Task[None], asyncio.StreamWriter] = field(default_factory=dict)

    @property
    def address(self) -> RedisAddress:
        """Where clients find it."""
        return unix_address(self.socket)

    async def listen(self) -> asyncio.Server:
        """Begin to take connections."""
        return await asyncio.start_unix_server(self._joined, str(self.socket))

    async def end(self, server: asyncio.Server) -> None:
        """Take no more connections and let those there are go."""
        server.close()
        for task, writer in list(self._carried.items()):
            _cut(writer)
            await asyncio.wait({task})
        await asyncio.sleep(0)  # what was cut says goodbye in the loop's next round

    async def _joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until either side ends it."""
        carrying = asyncio.create_task(self._carry(reader, writer))
        self._carried[carrying] = writer
        await asyncio.wait({carrying})
        del self._carried[carrying]
        _cut(writer)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry a connection to Redis, unless it, or this way to it, is down."""
        if self.trouble is Trouble.DOWN:
            return
        try:
            there_reader, there_writer = await asyncio.open_unix_connection(str(self.target))
        except OSError:
            return
        ways = [
            asyncio.create_task(self._asked(reader, there_writer)),
            asyncio.create_task(self._answered(there_reader, writer)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        _cut(there_writer)

    async def _asked(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass questions on."""
        while piece := await reader.read(_PIECE):
            if self.trouble in (Trouble.DOWN, Trouble.RESET):
                return
            if self.trouble is not Trouble.HUNG:
                writer.write(piece)
                await writer.drain()

    async def _answered(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass answers on, as the trouble has it."""
        while piece := await reader.read(_PIECE):
            match self.trouble:
                case Trouble.DOWN | Trouble.RESET:
                    return
                case Trouble.HUNG:
                    continue
                case Trouble.LATE:
                    await asyncio.sleep(self.delay_s)
                case Trouble.SLOW:
                    await self._slowly(piece, writer)
                    continue
                case Trouble.HALF:
                    writer.write(piece[: len(piece) // 2])
                    await writer.drain()
                    return
            await self._passed(piece, writer)

    async def _slowly(self, piece: bytes, writer: asyncio.StreamWriter) -> None:
        for place in range(0, len(piece), 16):
            await self._passed(piece[place : place + 16], writer)
            await asyncio.sleep(self.delay_s)

    async def _passed(self, piece: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(piece)
        await writer.drain()
        self.n_answers += 1


@contextmanager
def proxied(target: Path, socket: Path) -> Iterator[FaultProxy]:
    """Give a proxy that runs in a thread of its own, for tests without an event loop."""
    proxy, loop = FaultProxy(target, socket), asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        server = asyncio.run_coroutine_threadsafe(proxy.listen(), loop).result()
        yield proxy
        asyncio.run_coroutine_threadsafe(proxy.end(server), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _cut(writer: asyncio.StreamWriter) -> None:
    """End a connection at once, without a word."""
    with suppress(OSError):
        found = writer.get_extra_info("socket")
        if found is not None and found.family != socket.AF_UNIX:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
