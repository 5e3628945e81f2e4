"""What `lifecycle doctor` examines where training is installed: the tracking store. It makes none, and changes none."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import urllib.error
import urllib.request
from pathlib import Path

from features.core.settings import home
from serving.doctor.findings import Finding, guarded
from serving.release.release import releases
from training.tracking import pending, tracking

PATIENCE_S = 3
TABLE = "experiments"


class _Unusable(Exception):
    """Why the store cannot be used, in words without its user or password."""


def examine() -> list[Finding]:
    """The store, what waits to be recorded; where there is a store: whether it was moved, and whether `champion` lags.

    A store that is away costs PATIENCE_S seconds.
    """
    found, made = [], False
    try:
        made = _made(tracking.address())
        found.append(
            Finding(
                "tracking", "ok", _told() + (" answers" if made else ", made by the first training")
            )
        )
    except _Unusable as trouble:
        found.append(Finding("tracking", "failed", f"{_told()} cannot be used: {trouble}", _mend()))
    found += guarded("tracking records", _waiting)
    if made:
        found += [*guarded("tracking place", _place), *guarded("registry", _champion)]
    return found


def _told() -> str:
    """The address without what only its owner should know: user, password and options."""
    return re.sub(r"//[^/@]*@", "//", tracking.address()).split("?")[0]


def _mend() -> str:
    file = _file(tracking.address())
    if file:
        return f"Bring {file} back from a copy, or move it away: the next training makes a new one."
    return "Start the store, or set MLFLOW_TRACKING_URI right. Training goes on meanwhile, and records later."


def _file(address: str) -> Path | None:
    return (
        Path(address.removeprefix("sqlite:///").split("?")[0])
        if address.startswith("sqlite:///")
        else None
    )


def _made(address: str) -> bool:
    """Whether MLflow's tables are there; _Unusable within seconds, where MLflow itself would try again for minutes."""
    if _file(address):
        return tracking.exists() and bool(_read(address, f"SELECT count(*) FROM {TABLE}"))
    return _server(address) if address.startswith(("http://", "https://")) else _database(address)


def _read(address: str, query: str) -> list[tuple]:
    where = f"file:{urllib.request.pathname2url(str(_file(address)))}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(where, uri=True, timeout=PATIENCE_S)) as connection:
            return connection.execute(query).fetchall()
    except sqlite3.Error as error:
        raise _Unusable(str(error)) from error


def _server(address: str) -> bool:
    where = re.sub(r"//[^/@]*@", "//", address).split("?")[0].rstrip("/")
    try:
        with urllib.request.urlopen(f"{where}/health", timeout=PATIENCE_S):
            return True
    except urllib.error.HTTPError as error:
        with error:
            # Without its password the server may say no, but it is there.
            if error.code in (401, 403) and "@" in address:
                return True
            raise _Unusable(f"it answers {error.code}") from error
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise _Unusable(getattr(reason, "strerror", None) or type(reason).__name__) from error


def _database(address: str) -> bool:
    import sqlalchemy

    options = {"connect_timeout": PATIENCE_S} if address.startswith("postgresql") else {}
    try:
        engine = sqlalchemy.create_engine(
            address, connect_args=options, poolclass=sqlalchemy.pool.NullPool
        )
        return sqlalchemy.inspect(engine).has_table(TABLE)
    except (sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
        raise _Unusable(type(error).__name__) from error  # its own words name the user


def _waiting() -> list[Finding]:
    count = len(pending.waiting())
    if not count:
        return [Finding("tracking records", "ok", "none waits")]
    fix = "`lifecycle runs` writes them, once the store answers."
    return [Finding("tracking records", "warning", f"{count} wait in {pending.folder()}", fix)]


def _place() -> list[Finding]:
    """MLflow keeps whole paths, so a store that was moved has lost its pictures and models."""
    address, here = tracking.address(), (home() / "mlruns" / "artifacts").as_uri()
    if not _file(address):
        return []
    rows = _read(
        address, f"SELECT artifact_location FROM {TABLE} WHERE name = '{tracking.EXPERIMENT}'"
    )
    if not rows or rows[0][0].rstrip("/") == here:
        return [Finding("tracking place", "ok", "where it was made")]
    fix = "Move mlruns/ back where it was, or put mlruns/mlflow.db away; releases and scores do not need it."
    return [
        Finding(
            "tracking place", "warning", f"pictures and models are sought under {rows[0][0]}", fix
        )
    ]


def _champion() -> list[Finding]:
    if not (releases() / "CURRENT").is_file():
        return []
    lagging = tracking.lagging()
    if not lagging:
        return [Finding("registry", "ok", "champion is what is served")]
    found = f"champion is not what is served: {', '.join(lagging)}"
    return [Finding("registry", "warning", found, "`lifecycle runs` moves it.")]
