"""Tracking: each run, its numbers, pictures and bundle in MLflow, and the alias `champion`.

The only module that knows MLflow, which is imported when a tracker is opened: it takes seconds.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from recsys.errors import Unavailable

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "recsys"
MODEL = "recsys"
CHAMPION = "champion"
RELEASE_TAG = "release"
MOST_PARAM_CHARACTERS = 6_000
LONGEST_KNOCK_S = 5.0
MOST_RETRIES = "2"
ASIDE = "(raised as a result of"  # SQLAlchemy says so before what is wrong
NOTHING_TRAINED = "Nothing was trained and what is served stays"
NOTHING_PUBLISHED = "Nothing was published and what is served stays"


@dataclass(frozen=True, slots=True)
class Tracker:
    """One MLflow store."""

    client: MlflowClient
    experiment_id: str

    @classmethod
    def open(cls, data_folder: Path, uri: str = "", *, consequence: str = NOTHING_TRAINED) -> Self:
        """Return the tracker of a data folder's own store, or of the store at `uri`.

        Makes store and experiment where they are not there. Raises Unavailable, which says the
        consequence.
        """
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # read when mlflow is imported
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", MOST_RETRIES)  # 7 take minutes
        own = not uri
        uri = uri or f"sqlite:///{(data_folder / 'mlflow.db').resolve()}"
        try:
            data_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _knock(uri)
            _quiet()
            from mlflow import MlflowClient

            client = MlflowClient(tracking_uri=uri, registry_uri=uri)
            found = client.get_experiment_by_name(EXPERIMENT)
            if found is not None:
                return cls(client, found.experiment_id)
            place = (data_folder / "mlartifacts").resolve().as_uri() if own else None
            return cls(client, client.create_experiment(EXPERIMENT, artifact_location=place))
        except Exception as error:  # OSError, MLflow's and SQLAlchemy's have no common parent
            raise _unavailable(uri, error, consequence) from error

    def run(self, name: str, params: Mapping[str, object], tags: Mapping[str, str]) -> Run:
        """Start a run; use it in a `with`, which closes it as finished, failed or killed.

        Raises Unavailable, as does every method of the run.
        """
        with _said_as_mlflow_unavailable(self.client, NOTHING_TRAINED):
            started = self.client.create_run(self.experiment_id, run_name=name, tags=dict(tags))
            for key, value in params.items():
                self.client.log_param(started.info.run_id, key, str(value)[:MOST_PARAM_CHARACTERS])
        return Run(self.client, started.info.run_id, started.info.artifact_uri)

    def crown(self, release: str) -> bool:
        """Point the alias `champion` at the registered version of a release; False if none is."""
        with _said_as_mlflow_unavailable(self.client, "What is served is as said above"):
            versions: Any = self.client.search_model_versions(f"name = '{MODEL}'")
            for version in versions:
                if version.tags.get(RELEASE_TAG) == release:
                    self.client.set_registered_model_alias(MODEL, CHAMPION, version.version)
                    return True
            return False


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a tracker, open until its `with` ends."""

    client: MlflowClient
    run_id: str
    artifact_uri: str

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            with _said_as_mlflow_unavailable(self.client, "The run itself went through"):
                self.client.set_terminated(self.run_id, "FINISHED")
            return
        killed = issubclass(kind, (KeyboardInterrupt, SystemExit))
        with suppress(Exception):  # what stopped the run is what the user must see
            self.client.set_tag(self.run_id, "stopped_by", f"{kind.__name__}: {error}"[:500])
            self.client.set_terminated(self.run_id, "KILLED" if killed else "FAILED")

    def params(self, values: Mapping[str, object]) -> None:
        """Add parameters."""
        from mlflow.entities import Param

        params = [Param(name, str(value)) for name, value in values.items()]
        with _said_as_mlflow_unavailable(self.client, NOTHING_PUBLISHED):
            self.client.log_batch(self.run_id, params=params)

    def metrics(self, values: Mapping[str, float], now_ms: int) -> None:
        """Add numbers; `@` may not stand in their names."""
        from mlflow.entities import Metric

        numbers = [Metric(name, float(value), now_ms, 0) for name, value in values.items()]
        with _said_as_mlflow_unavailable(self.client, NOTHING_PUBLISHED):
            self.client.log_batch(self.run_id, metrics=numbers)

    def tags(self, values: Mapping[str, str]) -> None:
        """Add tags."""
        with _said_as_mlflow_unavailable(self.client, NOTHING_PUBLISHED):
            for name, value in values.items():
                self.client.set_tag(self.run_id, name, value[:5_000])

    def files(self, folder: Path, place: str) -> None:
        """Copy a folder's files to a place among the run's artifacts."""
        with _said_as_mlflow_unavailable(self.client, NOTHING_PUBLISHED):
            self.client.log_artifacts(self.run_id, str(folder), place)

    def register(self, release: str, place: str, tags: Mapping[str, str]) -> str:
        """Register the artifact at `place` as a new model version, and return its number."""
        with _said_as_mlflow_unavailable(self.client, NOTHING_PUBLISHED):
            if not self.client.search_registered_models(f"name = '{MODEL}'"):
                self.client.create_registered_model(MODEL)
            registered = self.client.create_model_version(
                MODEL,
                f"{self.artifact_uri}/{place}",
                self.run_id,
                tags={RELEASE_TAG: release, **tags},
            )
        return str(registered.version)

    def crown(self, version: str) -> None:
        """Point the alias `champion` at a registered version."""
        with _said_as_mlflow_unavailable(
            self.client, "The new release is served; its alias is missing"
        ):
            self.client.set_registered_model_alias(MODEL, CHAMPION, version)


def _quiet() -> None:
    """Silence the migration messages of a store that is made new, and errors we raise ourselves."""
    import logging

    for name in ("alembic", "mlflow.store.db.utils", "mlflow"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _knock(uri: str) -> None:
    """Raise OSError at once where no server listens; MLflow itself would try for minutes."""
    parts = urlsplit(uri)
    if parts.scheme in ("http", "https") and parts.hostname:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname, port), timeout=LONGEST_KNOCK_S).close()


@contextmanager
def _said_as_mlflow_unavailable(client: MlflowClient, consequence: str) -> Iterator[None]:
    """Raise Unavailable for what the store cannot do inside the block; a disk speaks itself."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise _unavailable(client.tracking_uri, error, consequence) from error


def _unavailable(uri: str, error: Exception, consequence: str) -> Unavailable:
    lines = [line for line in str(error).splitlines() if line and not line.startswith(ASIDE)]
    first = lines[0] if lines else type(error).__name__
    return Unavailable(
        f"MLflow cannot be used at {uri}: {first}. {consequence}. Start the server or mend the "
        "store, make room on its disk (or move mlflow.db aside: only the record of past runs is "
        "in it), then try again",
        reason="TRACKING_UNAVAILABLE",
    )
