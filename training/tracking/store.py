"""The tracking store, opened for one writer at a time and made before anybody uses it. One of the few MLflow files.

SQLite under `mlruns/`, or MLFLOW_TRACKING_URI: another SQLite file, a PostgreSQL database, an MLflow server. Nothing
here waits long: who cannot reach the store keeps the record for later (`training.tracking.pending`).
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.core.settings import home, tracking_address

EXPERIMENT = "lifecycle"
# Eight jobs that end together wait for each other; one that waits longer records later.
LONGEST_WAIT_S, PROBE_S = 120.0, 5
ADVISORY_KEY = 7_309_941_286
_QUIET = ("mlflow", "mlflow.store.db.utils", "alembic", "urllib3.connectionpool", "git")


@dataclass(frozen=True)
class Store:
    """A client of the open store, its address and the experiment's id."""

    client: Any
    address: str
    experiment: str


class Busy(Exception):
    """Somebody else wrote into the store for longer than LONGEST_WAIT_S."""


def address() -> str:
    """The tracking address: stated in the environment, else SQLite under the home folder."""
    return tracking_address() or f"sqlite:///{home() / 'mlruns' / 'mlflow.db'}"


def exists() -> bool:
    """False only for SQLite that nobody has made yet."""
    path = _sqlite_path(address())
    return path is None or path.exists()


@contextlib.contextmanager
def opened() -> Iterator[Store]:
    """The store, alone and ready. Whatever MLflow, the database or the network raise when it cannot be used."""
    where = address()
    with _environment(where), _locked(_lock_file(where)), _reached(where):
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=where, registry_uri=where)
        yield Store(client, where, _experiment(client, where))


@contextlib.contextmanager
def _environment(where: str) -> Iterator[None]:
    """MLflow's switches while the store is open; what the environment states itself stays."""
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
    # A uv.lock in the working folder would be copied into every model, with the addresses it holds.
    os.environ.update(
        {**bounds, **before, "MLFLOW_TRACKING_URI": where, "MLFLOW_UV_AUTO_DETECT": "false"}
    )
    try:
        with _quiet(), warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # theirs, about their own parts; nobody here can act on them
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
    """Hold an exclusive lock on a file. The system lets go of it when its holder dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b") as file:
        _wait_for(lambda: _try_lock(file))
        yield  # closing the file lets go


def _try_lock(file: Any) -> bool:
    try:
        try:
            import fcntl
        except ImportError:  # Windows
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _wait_for(taken: Callable[[], bool]) -> None:
    until = time.monotonic() + LONGEST_WAIT_S
    while not taken():
        if time.monotonic() > until:
            raise Busy
        time.sleep(0.05)


@contextlib.contextmanager
def _reached(where: str) -> Iterator[None]:
    """Fail fast where MLflow would try again for minutes; make an SQLite store that is not there yet, whole."""
    path = _sqlite_path(where)
    if path is not None:
        if not path.exists():
            make(path)
        yield
    elif where.startswith(("http://", "https://")):
        import requests

        # Any answer will do: whether it is a good one, the client finds out.
        with contextlib.suppress(requests.exceptions.SSLError):
            requests.get(where, timeout=PROBE_S)
        yield
    else:
        with _alone_in_database(where):
            yield


@contextlib.contextmanager
def _alone_in_database(where: str) -> Iterator[None]:
    """One writer at a time, whichever machine it is on: two that make the tables together would break them."""
    import sqlalchemy

    options = {"connect_timeout": PROBE_S} if where.startswith("postgresql") else {}
    engine = sqlalchemy.create_engine(
        where, connect_args=options, poolclass=sqlalchemy.pool.NullPool
    )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if where.startswith("postgresql"):
            ask = sqlalchemy.text(f"SELECT pg_try_advisory_lock({ADVISORY_KEY})")
            _wait_for(lambda: bool(connection.execute(ask).scalar()))
        yield  # ending the session lets go


def make(path: Path) -> None:
    """A new SQLite store: all tables in a file beside, then its name, so a job killed meanwhile leaves no half of one."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with tempfile.TemporaryDirectory(prefix=".making-", dir=path.parent) as place:
        made = SqlAlchemyStore(
            f"sqlite:///{Path(place) / path.name}", (path.parent / "artifacts").as_uri()
        )
        made.engine.dispose()
        os.replace(Path(place) / path.name, path)


def _experiment(client: Any, where: str) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(EXPERIMENT)
    if found is None:
        # A server has a place for artifacts; a database has none of its own.
        place = None if where.startswith("http") else (home() / "mlruns" / "artifacts").as_uri()
        with contextlib.suppress(MlflowException):  # somebody else was faster
            client.create_experiment(EXPERIMENT, artifact_location=place)
        found = client.get_experiment_by_name(EXPERIMENT)
    return found.experiment_id
