"""The process that makes one export for a worker, and ends.

It reads one line of JSON from standard input: who is meant, and the settings. The document goes to
standard output. A failure is the last line of standard error, with the exit status 1.
"""

from __future__ import annotations

import asyncio
import os
import sys
from threading import Thread
from typing import Any

import orjson

from recsys.customers import Identifier, IdKind
from recsys.errors import RecsysError
from serving.clock import utc_now
from serving.erasure.export import held_of, write_document
from serving.erasure.places import Places
from serving.erasure.running import PATIENT
from serving.erasure.secret import keys_of
from serving.settings import ServingSettings
from serving.state.address import parse_redis_url
from serving.state.redis_store import RedisStateStore
from serving.telemetry import described, start_logging

FAILED = 1
_NICE = 10
"""Answers come first."""


async def write(settings: ServingSettings, identifier: Identifier) -> None:
    """Write the document to standard output. Raises Unavailable, and OSError."""
    places = Places.of(settings)
    keys = keys_of(settings)
    store = RedisStateStore(parse_redis_url(settings.redis_url), keys, PATIENT)
    try:
        held = await held_of(places, identifier, store=store, keys=keys)
    finally:
        await store.close()
    write_document(sys.stdout.buffer, places, held, now=utc_now())
    sys.stdout.buffer.flush()


def main() -> None:
    """Make the export that standard input asks for."""
    asked: dict[str, Any] = orjson.loads(sys.stdin.buffer.readline())
    Thread(target=_end_with_who_asked, daemon=True).start()
    start_logging("error")
    os.nice(_NICE)
    try:
        settings = ServingSettings.model_validate(asked["settings"])
        asyncio.run(write(settings, Identifier(IdKind(asked["kind"]), asked["value"])))
    except RecsysError as error:
        _fail(reason=error.reason, message=str(error))
    except OSError as error:
        message = f"the disk refuses the export or a file behind it: {error.strerror}"
        _fail(reason="DISK_UNAVAILABLE", message=f"{message}. Check its room and its owner")
    except Exception as error:
        _fail(**described(error))


def _fail(**told: str) -> None:
    sys.stderr.buffer.write(orjson.dumps(told) + b"\n")
    sys.exit(FAILED)


def _end_with_who_asked() -> None:
    """End this process when its input closes: nobody waits for the document any more."""
    while os.read(sys.stdin.fileno(), 1):
        continue
    os._exit(FAILED)


if __name__ == "__main__":
    main()
