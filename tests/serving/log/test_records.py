"""Lines that do not belong together are refused in few words."""

from __future__ import annotations

import pytest

from serving.log.records import Lines


def test_lines_with_digests_of_other_events_are_refused_in_few_words() -> None:
    n_lines = 20_000

    with pytest.raises(ValueError, match="0 bytes of digests for 20000 events") as caught:
        Lines(["tea"] * n_lines, b"", b"\n" * (n_lines - 1))

    assert len(str(caught.value)) < 200
