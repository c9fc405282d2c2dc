import socket
import time
from pathlib import Path

import pytest

from recsys.errors import Unavailable
from training.tracking import Tracker

# MLflow calls what its own dependencies have deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


def test_a_server_that_is_away_is_named_at_once(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{closed.getsockname()[1]}"
        start = time.monotonic()

        with pytest.raises(Unavailable, match=f"{uri}.*Nothing was trained"):
            Tracker.open(tmp_path, uri)

        assert time.monotonic() - start < 5


def test_a_store_that_breaks_after_a_run_began_says_what_it_means(tmp_path: Path) -> None:
    tracker = Tracker.open(tmp_path)
    run = tracker.run("v1", {}, {})
    tracker.client.delete_run(run.run_id)

    with pytest.raises(Unavailable, match="Nothing was published and what is served stays"):
        run.params({"seed": 7})
