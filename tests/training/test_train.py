import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from recsys.bundle import ModelBundle
from recsys.eligibility import Eligibility
from recsys.erasures import MARK_FILE, ErasureMark
from recsys.errors import NotReady, Unavailable
from recsys.pipeline.placement import DEFAULT_PLACEMENTS, read_placements
from recsys.releases import read_pointer, versions
from tests.training.small_lake import (
    N_ITEMS,
    START,
    Line,
    shop_lines,
    small_settings,
    write_lake,
)
from training.record import TrainingJob
from training.releases import rollback, stored_report
from training.settings import TrainingSettings
from training.train import Outcome, train

# MLflow calls what its own dependencies have deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
PLACEMENTS = {
    name: config
    for name, config in read_placements(DEFAULT_PLACEMENTS).items()
    if name in ("home", "cart")
}


CRAWLED = [Line("crawler", row, START, type="detail_view", robot=True) for row in range(2)]
LINES = [*shop_lines(), *CRAWLED]


@dataclass(frozen=True, slots=True)
class Steps:
    """Lets a run break at the step of this name, and keeps what it was told."""

    broken: str = ""
    error: type[BaseException] = RuntimeError
    told: list[str] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        if name == self.broken:
            raise self.error("here")
        yield

    def tell(self, words: str) -> None:
        self.told.append(words)


@dataclass(frozen=True, slots=True)
class ErasingSteps:
    """Has customers erased while the step of this name is under way."""

    lake: Path
    meanwhile: str
    mark: ErasureMark

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        if name == self.meanwhile:
            self.mark.write(self.lake)
        yield

    def tell(self, words: str) -> None:
        pass


def job_of(folder: Path, settings: TrainingSettings | None = None, minute: int = 0) -> TrainingJob:
    now = NOON + timedelta(minutes=minute)
    return TrainingJob(folder, settings or small_settings(), PLACEMENTS, lambda: now)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a data folder with one release."""
    folder = tmp_path_factory.mktemp("shop")
    write_lake(folder, LINES)
    train(job_of(folder), Steps())
    return folder


def mlflow_of(folder: Path) -> MlflowClient:
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def last_run(folder: Path) -> Run:
    client = mlflow_of(folder)
    experiment = client.get_experiment_by_name("recsys")
    assert experiment is not None
    return client.search_runs([experiment.experiment_id], order_by=["start_time DESC"])[0]


def test_a_run_publishes_a_release_that_loads(shop: Path) -> None:
    version = versions(shop / "releases")[0]

    bundle = ModelBundle.load(shop / "releases" / version)

    assert version == "20260601-120000"
    assert len(bundle.catalog) == 40
    assert bundle.manifest.log_position == len(LINES) + 40
    assert bundle.manifest.counts["n_events"] == len(shop_lines())
    assert set(bundle.blends) == {"home", "cart"}
    assert stored_report(shop, version).placements == ("home", "cart")


def test_a_run_is_recorded_with_numbers_pictures_bundle_and_lake_versions(shop: Path) -> None:
    client = mlflow_of(shop)

    champion = client.get_model_version_by_alias("recsys", "champion")
    run = client.get_run(str(champion.run_id))
    found = {file.path for file in client.list_artifacts(run.info.run_id, "report")}

    assert run.info.status == "FINISHED"
    assert run.data.metrics["home_ndcg_at_10"] > run.data.metrics["home_popular_ndcg_at_10"]
    assert run.data.params["lake_version_events"] == "0"
    assert run.data.params["n_robots"] == "1"
    assert run.data.params["n_robot_events"] == "2"
    assert {"report/report.json", "report/coverage.png", "report/curves_home.png"} <= found
    assert client.list_artifacts(run.info.run_id, "bundle")


def test_the_same_lake_settings_and_seed_give_the_same_digest(shop: Path) -> None:
    first = ModelBundle.load(shop / "releases" / versions(shop / "releases")[0])

    outcome = train(job_of(shop, minute=1), Steps())

    assert outcome.digest == first.manifest.digest
    assert "the same recipe" in "\n".join(outcome.verdict.lines())
    assert read_pointer(shop / "releases") == outcome.version


def mlflow_champion(folder: Path) -> str:
    client = mlflow_of(folder)
    champion = client.get_model_version_by_alias("recsys", "champion")
    return str(client.get_run(str(champion.run_id)).info.run_name)


def served_and_all(folder: Path) -> tuple[str | None, list[str]]:
    releases = folder / "releases"
    return read_pointer(releases), sorted(path.name for path in releases.iterdir())


def test_another_recipe_is_refitted_and_a_failing_gate_keeps_the_champion(shop: Path) -> None:
    before = served_and_all(shop)
    worse = small_settings("index.recall_floor=1.0", "factors.dim=1", "gate.tolerance=0.0")
    unlearned = replace(worse, repurchase=replace(worse.repurchase, half_life_days=(0.05,)))

    outcome = train(job_of(shop, unlearned, minute=2), Steps())

    assert not outcome.verdict.passed
    assert any("against the recipe of champion" in words for words in outcome.verdict.failures)
    assert served_and_all(shop) == before
    assert last_run(shop).data.tags["gate"] == "failed"


@pytest.mark.parametrize(
    ("broken", "error", "status"),
    [
        ("weigh the sources of each placement", RuntimeError, "FAILED"),
        ("save and judge", KeyboardInterrupt, "KILLED"),
        ("publish", RuntimeError, "FAILED"),
    ],
)
def test_a_run_that_breaks_leaves_nothing_and_the_champion_served(
    shop: Path, broken: str, error: type[BaseException], status: str
) -> None:
    before = served_and_all(shop)

    with pytest.raises(error):
        train(job_of(shop, minute=3), Steps(broken, error))

    assert served_and_all(shop) == before
    assert last_run(shop).info.status == status


@pytest.fixture
def unmarked(shop: Path) -> Iterator[Path]:
    """Give the shop, whose lake knows of no erasure before and after."""
    yield shop
    (shop / "lake" / MARK_FILE).unlink()


@pytest.mark.parametrize("meanwhile", ["learn from everything", "record the run", "publish"])
@pytest.mark.parametrize("mark", [ErasureMark(7, 0), ErasureMark(7, 7)], ids=["begun", "done"])
def test_a_run_during_which_somebody_is_erased_is_not_published(
    unmarked: Path, meanwhile: str, mark: ErasureMark
) -> None:
    before = served_and_all(unmarked)
    steps = ErasingSteps(unmarked / "lake", meanwhile, mark)

    with pytest.raises(Unavailable, match="run `recsys train` again") as refused:
        train(job_of(unmarked, minute=6), steps)

    assert refused.value.reason == "ERASED_MEANWHILE"
    assert served_and_all(unmarked) == before
    assert mlflow_champion(unmarked) == before[0]
    assert last_run(unmarked).info.status == "FAILED"


def test_a_run_that_reads_the_lake_after_an_erasure_is_published(unmarked: Path) -> None:
    ErasureMark(7, 7).write(unmarked / "lake")

    outcome = train(job_of(unmarked, minute=6), Steps())

    manifest = ModelBundle.load(unmarked / "releases" / outcome.version).manifest
    assert (read_pointer(unmarked / "releases"), manifest.erased_through) == (outcome.version, 7)


def test_a_full_disk_says_so_and_that_the_champion_stays(shop: Path) -> None:
    class NoSpaceError(OSError):
        pass

    with pytest.raises(Unavailable, match="Make room"):
        train(job_of(shop, minute=4), Steps("save and judge", NoSpaceError))


def test_a_rollback_serves_what_was_served_before(shop: Path) -> None:
    outcome: Outcome = train(job_of(shop, minute=5), Steps())
    before = json.loads((shop / "releases" / "history.jsonl").read_text().splitlines()[-1])

    move = rollback(shop / "releases", now=NOON)

    assert before["version"] == outcome.version
    assert move.version == before["previous"] == read_pointer(shop / "releases")


def test_mlflow_that_cannot_be_used_stops_the_run_before_it_starts(tmp_path: Path) -> None:
    write_lake(tmp_path, shop_lines(n_users=30, days=60))
    (tmp_path / "mlflow.db").write_bytes(b"this is no database at all" * 100)

    with pytest.raises(Unavailable, match=r"MLflow cannot be used.*Nothing was trained"):
        train(job_of(tmp_path), Steps())

    assert not (tmp_path / "releases").exists()


def test_too_little_data_makes_no_run_and_no_release(tmp_path: Path) -> None:
    write_lake(tmp_path, [Line("u1", 0, START)])

    with pytest.raises(NotReady, match="too little to train on"):
        train(job_of(tmp_path), Steps())

    assert not (tmp_path / "releases").exists()


def test_who_is_left_out_as_a_robot_is_said_and_with_robots_in_nobody_is(tmp_path: Path) -> None:
    write_lake(tmp_path, [*CRAWLED, Line("u1", 0, START)])
    steps, unasked = Steps(), Steps()

    with pytest.raises(NotReady):
        train(job_of(tmp_path), steps)
    with pytest.raises(NotReady):
        train(job_of(tmp_path, small_settings("robots.left_out=false")), unasked)

    assert steps.told == ["robots left out: 1, with 2 events"]
    assert unasked.told == []


def test_items_nobody_bought_are_found_by_their_description_right_after_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.cold.FEWEST_HIDDEN", 2)
    monkeypatch.setattr("training.cold.DEPTH", 2)
    write_lake(tmp_path, LINES, N_ITEMS + 1)

    outcome = train(job_of(tmp_path), Steps())

    bundle = ModelBundle.load(tmp_path / "releases" / outcome.version)
    assert np.flatnonzero(bundle.factors.foreseen).tolist() == [N_ITEMS]
    assert bundle.content is not None
    like_it = bundle.factors.items[N_ITEMS:]
    everything = Eligibility.everything(N_ITEMS + 1, 1)
    assert N_ITEMS in bundle.index.search(like_it, N_ITEMS + 1, everything).rows
    kept = bundle.manifest.metrics
    assert 0 <= kept["cold_recall_at_50"] <= 1
    metrics = mlflow_of(tmp_path).get_run(outcome.run_id).data.metrics
    assert metrics["cold_recall_at_50"] == kept["cold_recall_at_50"]
