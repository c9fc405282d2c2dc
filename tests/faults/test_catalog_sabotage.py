"""Each deliberate defect of a worker is found by the test of the catalog, at its usual length."""

from __future__ import annotations

import pytest

from tests.faults.crooked import DEFECTS, PROGRAM, environment
from tests.faults.scale import FULL, SEED
from tests.faults.test_catalog_truth import lived, new_folder

LIVES = 3
"""Of a server with a defect: the moments in which one shows are matters of chance."""
ALWAYS = ("port opened before the catalog is followed", "not followed after a swap")
"""Looked for in the usual number of runs, too; each takes the life of a server, or most of it."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("defect", DEFECTS if FULL else ALWAYS)
def test_catalog_that_changes_finds(defect: str) -> None:
    with pytest.raises(AssertionError, match=r"was not allowed|is not in its place"):
        _lives(defect)


def _lives(defect: str) -> None:
    for number in range(LIVES):
        with new_folder(PROGRAM) as folder:
            lived(folder, SEED + number, more=environment(defect))
