"""The commands, on a data folder of their own with its own Valkey."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from threading import Event as Flag
from threading import Thread

import orjson
import pytest
from typer.testing import CliRunner, Result

from serving.clock import utc_now
from serving.erasure.commands import customers_app
from serving.erasure.job import Eraser
from serving.erasure.running import eraser_alone, home_of
from serving.lock import DataFolderLock
from serving.settings import read_settings
from serving.state.keys import Secret
from tests.serving.erasure.shops import ANNA, ANNAS_BROWSER, BERT, SECRET


def run(folder: Path, *words: str, typed: str = "") -> Result:
    return CliRunner().invoke(customers_app, [*words, "--data-folder", str(folder)], input=typed)


def test_erased_customer_is_found_before_and_not_after(data_folder: Path) -> None:
    before = run(data_folder, "verify-erasure", ANNA.value)
    assert before.exit_code == 1, before.output
    assert "live store" in before.output

    erased = run(data_folder, "erase", ANNA.value, "--yes")

    assert erased.exit_code == 0, erased.output
    assert "finished" in erased.output
    for kind, one in (("user", ANNA), ("visitor", ANNAS_BROWSER)):
        after = run(data_folder, "verify-erasure", one.value, "--kind", kind)
        assert after.exit_code == 0, after.output
    assert run(data_folder, "verify-erasure", BERT.value).exit_code == 1


def test_erase_asks_and_names_all_ids_that_go(data_folder: Path) -> None:
    asked = run(data_folder, "erase", ANNA.value, typed="n\n")

    assert asked.exit_code == 1
    assert ANNA.value in asked.output
    assert ANNAS_BROWSER.value in asked.output
    assert run(data_folder, "verify-erasure", ANNA.value).exit_code == 1
    assert not (data_folder / "erasures" / "ledger.jsonl").exists()


def test_export_writes_the_file_it_says(data_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "anna.json"

    done = run(data_folder, "export", ANNA.value, "--out", str(out))

    assert done.exit_code == 0, done.output
    assert "24 events" in done.output
    assert orjson.loads(out.read_bytes())["attributes"] == {"tier": "gold"}


def test_erasures_are_listed_without_naming_anybody(data_folder: Path) -> None:
    erased = run(data_folder, "erase", ANNA.value, "--yes")
    (erasure_id,) = re.findall(r"erasure ([0-9a-f]{32})", erased.output)

    listed = run(data_folder, "erasures", "--json")

    (receipt,) = orjson.loads(listed.output)
    assert receipt["erasure_id"] == erasure_id
    assert receipt["finished"]
    assert ANNA.value not in run(data_folder, "erasures").output + listed.output


def test_beside_a_server_the_server_erases(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, failed = Flag(), list[BaseException]()

    async def served() -> None:
        settings = read_settings(data_folder=data_folder)
        async with home_of(settings) as home, eraser_alone(home, utc_now) as eraser:
            await until_stopped(eraser)

    async def until_stopped(eraser: Eraser) -> None:
        ready.set()
        while not stop.is_set():
            await eraser.run()
            await asyncio.sleep(0.05)

    def server() -> None:
        try:
            asyncio.run(served())
        except BaseException as error:
            failed.append(error)
            ready.set()

    ready, thread = Flag(), Thread(target=server)
    thread.start()
    ready.wait(20)
    assert not failed
    try:
        erased = run(data_folder, "erase", ANNA.value, "--yes")
    finally:
        stop.set()
        thread.join()

    assert erased.exit_code == 0, erased.output
    assert "finished" in erased.output
    assert run(data_folder, "verify-erasure", ANNA.value).exit_code == 0


def test_erasures_are_reapplied_to_files_that_came_back(data_folder: Path) -> None:
    none = run(data_folder, "reapply-erasures")
    run(data_folder, "erase", ANNA.value, "--yes")
    back = data_folder / "rejects" / "back.csv.rejects.jsonl"
    back.write_text(f'{{"row": {{"customer": "{ANNA.value}"}}}}\n')

    done = run(data_folder, "reapply-erasures")

    assert "0 erasures are done again, 0 of them open" in none.output
    assert done.exit_code == 0, done.output
    assert "1 erasures are done again, 0 of them open" in done.output
    assert run(data_folder, "verify-erasure", ANNA.value).exit_code == 0


def test_bad_id_is_refused(data_folder: Path) -> None:
    assert run(data_folder, "verify-erasure", "").exit_code != 0
    with DataFolderLock(data_folder):
        assert Secret.load_or_create(data_folder / "secret") == SECRET
