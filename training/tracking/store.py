"""The tracking store, opened for one writer at a time and created before its first use.

SQLite under `mlruns/`, or MLFLOW_TRACKING_URI: another SQLite file, a PostgreSQL database, an
MLflow server. Nothing here waits long: a record that cannot be written stays pending
(`training.tracking.pending`).
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from features.core.settings import home, tracking_address
from features.core.staged_files import put_in_place, staging_folder

if TYPE_CHECKING:
    from mlflow import MlflowClient

# The experiment of runs without a business: every run was there once.
EXPERIMENT = "lifecycle"
BUSINESS = "lifecycle.business"  # the tag of a business's experiment
LONGEST_NAME = 500  # of an experiment, by MLflow
# Without this tag MLflow's page opens on traces of language models, which there are none of.
KIND = ("mlflow.experimentKind", "custom_model_development")
# Enough for eight jobs that end together; a job that waits longer leaves its record pending.
LONGEST_WAIT_S, PROBE_S = 120.0, 5
ADVISORY_KEY = 7_309_941_286
_QUIET = ("mlflow", "mlflow.store.db.utils", "alembic", "urllib3.connectionpool", "git")


@dataclass(frozen=True)
class Store:
    """A client of the open store, and its address."""

    client: MlflowClient
    store_address: str

    def experiment_of(self, business: str) -> str:
        """The id of the experiment of a business, which is created where there is none."""
        return _experiment(self, business.strip()[:LONGEST_NAME] or EXPERIMENT)

    def experiments(self) -> dict[str, str]:
        """The name of every experiment of ours by its id, also of the one before businesses."""
        from mlflow.entities import ViewType

        named: dict[str, str] = {}
        token: str | None = None
        while True:
            page = self.client.search_experiments(
                ViewType.ACTIVE_ONLY, filter_string=f"tags.`{BUSINESS}` LIKE '%'", page_token=token
            )
            named |= {each.experiment_id: each.name for each in page}
            token = page.token
            if not token:
                break
        former = self.client.get_experiment_by_name(EXPERIMENT)
        if former is not None and former.lifecycle_stage == "active":
            named[former.experiment_id] = former.name
        return named


class StoreBusy(Exception):
    """Another process wrote to the store for longer than LONGEST_WAIT_S."""


def store_address() -> str:
    """The store's address: from the environment, else SQLite under the home folder."""
    return tracking_address() or f"sqlite:///{home() / 'mlruns' / 'mlflow.db'}"


def store_exists() -> bool:
    """False only for an SQLite file that was not created yet."""
    path = _sqlite_path(store_address())
    return path is None or path.exists()


@contextlib.contextmanager
def open_store() -> Iterator[Store]:
    """The store, ready and for this process alone.

    Raises whatever MLflow, the database or the network raise where it cannot be used.
    """
    where = store_address()
    with _environment(where), _locked(_lock_file(where)), _reached(where):
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=where, registry_uri=where)
        yield Store(client, where)


@contextlib.contextmanager
def _environment(where: str) -> Iterator[None]:
    """MLflow's switches while the store is open; variables set by the user stay."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # read when mlflow is imported
    before = dict(os.environ)
    bounds = {
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_RECORD_ENV_VARS_IN_MODEL_LOGGING": "false",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    }
    # MLflow would copy a uv.lock of the working folder into every model, with the addresses in it.
    os.environ.update(
        {**bounds, **before, "MLFLOW_TRACKING_URI": where, "MLFLOW_UV_AUTO_DETECT": "false"}
    )
    try:
        with _quiet(), warnings.catch_warnings():
            # MLflow's warnings are about its own parts; nobody here can act on them.
            warnings.simplefilter("ignore")
            yield
    finally:
        for name in {*os.environ, *before}:
            if name.startswith("MLFLOW_"):
                os.environ.pop(name, None)
                os.environ.update({name: before[name]} if name in before else {})


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    import logging

    import mlflow.store.db.utils  # noqa: F401 its import sets the levels that are lowered here

    loggers = [logging.getLogger(name) for name in _QUIET]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _sqlite_path(where: str) -> Path | None:
    return (
        Path(where.removeprefix("sqlite:///").split("?")[0]).absolute()
        if where.startswith("sqlite:///")
        else None
    )


def _lock_file(where: str) -> Path:
    path = _sqlite_path(where)
    return path.with_name(f".{path.name}.lock") if path else home() / "mlruns" / ".recording.lock"


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file. The system frees it when the process ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b") as file:
        _wait_for(lambda: _try_lock(file))
        yield  # closing the file frees the lock


def _try_lock(file: IO[bytes]) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _wait_for(acquire: Callable[[], bool]) -> None:
    until = time.monotonic() + LONGEST_WAIT_S
    while not acquire():
        if time.monotonic() > until:
            raise StoreBusy
        time.sleep(0.05)


@contextlib.contextmanager
def _reached(where: str) -> Iterator[None]:
    """Fail within seconds, where MLflow would retry for minutes; create a missing SQLite store."""
    path = _sqlite_path(where)
    if path is not None:
        if not path.exists():
            create_sqlite_store(path)
        yield
    elif where.startswith(("http://", "https://")):
        import requests

        # Any answer will do here; the client checks whether it is a good one.
        with contextlib.suppress(requests.exceptions.SSLError):
            requests.get(where, timeout=PROBE_S)
        yield
    else:
        with _alone_in_database(where):
            yield


@contextlib.contextmanager
def _alone_in_database(where: str) -> Iterator[None]:
    """One writer at a time on all machines: two that create the tables together break them."""
    import sqlalchemy

    options = {"connect_timeout": PROBE_S} if where.startswith("postgresql") else {}
    engine = sqlalchemy.create_engine(
        where, connect_args=options, poolclass=sqlalchemy.pool.NullPool
    )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if where.startswith("postgresql"):
            query = sqlalchemy.text(f"SELECT pg_try_advisory_lock({ADVISORY_KEY})")
            _wait_for(lambda: bool(connection.execute(query).scalar()))
        yield  # the end of the session frees the lock


def create_sqlite_store(path: Path) -> None:
    """Create a SQLite store under another name and rename it: a killed job leaves no half store."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with staging_folder(path.parent, prefix=".making-") as place:
        artifacts = (path.parent / "artifacts").as_uri()
        store = SqlAlchemyStore(f"sqlite:///{place / path.name}", artifacts)
        store.engine.dispose()
        put_in_place(place / path.name, path)


def _experiment(store: Store, name: str) -> str:
    from mlflow.exceptions import MlflowException

    client = store.client
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        # A server has a place for artifacts; a database has none.
        on_server = store.store_address.startswith("http")
        place = None if on_server else (home() / "mlruns" / "artifacts").as_uri()
        with contextlib.suppress(MlflowException):  # another process created it meanwhile
            client.create_experiment(name, artifact_location=place)
        experiment = client.get_experiment_by_name(name)
    elif experiment.lifecycle_stage != "active":
        client.restore_experiment(experiment.experiment_id)  # somebody deleted it: it is used again
    if experiment.tags.get(BUSINESS) != name:  # type: ignore[union-attr]  # it exists by now
        for tag, value in ((BUSINESS, name), KIND):
            client.set_experiment_tag(experiment.experiment_id, tag, value)  # type: ignore[union-attr]
    return experiment.experiment_id  # type: ignore[union-attr]
