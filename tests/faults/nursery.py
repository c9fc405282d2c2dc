"""A process that has loaded everything, has one thread, and forks children to be killed.

Python and its libraries take a second to load, a fork takes milliseconds; so hundreds of deaths of
a process that has just begun take half a minute. Run as a program it takes requests, one line of
JSON each, and answers each with how its children ended.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import pytest

from tests.faults.sabotage import DEFECTS

# Arrow loads pandas at its first array, where there is one.
LOADED = ("pandas", "tests.faults.children")
DEADLINE_S = 60.0  # only ever waited out when something is broken
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Work:
    """What one child does.

    function: `module:name`, called with the arguments.
    killed_after_s: how long after its fork it is killed; None: it ends by itself.
    defect: name of a deliberate defect of it (`tests.faults.sabotage`); empty: none.
    """

    function: str
    arguments: tuple[Any, ...]
    killed_after_s: float | None = None
    defect: str = ""


class Nursery:
    """The nursery as seen by a test: give it works, get the exit status of each.

    A status is negative for a child that died of a signal.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    @classmethod
    def open(cls) -> Self:
        """Return a nursery that has loaded everything."""
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.nursery"],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return cls(process)

    def run(self, *works: Work) -> list[int]:
        """Run the works side by side to the end of each; return their exit statuses."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([asdict(one) for one in works]) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the nursery has ended"
        return [int(status) for status in json.loads(answer)]

    def close(self) -> None:
        """End it."""
        self._process.communicate(timeout=DEADLINE_S)


def main() -> None:
    """Answer requests until the input ends."""
    for name in LOADED:
        importlib.import_module(name)
    gc.freeze()  # or each child's collector would touch, and so copy, all that was loaded
    for line in sys.stdin:
        works = [Work(**request) for request in json.loads(line)]
        print(json.dumps(_lived(works)), flush=True)


def _lived(works: Sequence[Work]) -> list[int]:
    """Fork a child for each work, kill it when its time has come, and return how all ended."""
    begun = time.monotonic()
    children = [_forked(work) for work in works]
    for place in sorted(range(len(works)), key=lambda one: _end(works[one])):
        time.sleep(max(0.0, begun + _end(works[place]) - time.monotonic()))
        if works[place].killed_after_s is not None:
            os.kill(children[place], signal.SIGKILL)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def _end(work: Work) -> float:
    return work.killed_after_s or 0.0


def _forked(work: Work) -> int:
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        signal.alarm(int(DEADLINE_S))
        if work.defect:
            DEFECTS[work.defect](pytest.MonkeyPatch())
        module, name = work.function.split(":")
        getattr(importlib.import_module(module), name)(*work.arguments)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


if __name__ == "__main__":
    main()
