"""The checks of `lifecycle doctor` on the tracking store; it creates and changes none."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from features.core.settings import home
from serving.doctor.findings import Finding, run_check
from serving.release.release import releases_folder
from training.tracking import pending, tracking

PATIENCE_S = 3
TABLE = "experiments"


class _Unusable(Exception):
    """Why the store cannot be used, without its user or password."""


def examine() -> list[Finding]:
    """Whether the store answers, which records it lacks, whether it moved, and what is champion.

    The last two only where there is a store. A store that does not answer costs PATIENCE_S seconds.
    """
    findings: list[Finding] = []
    exists = False
    try:
        exists = _has_tables(tracking.store_address())
        state = "answers" if exists else "does not exist yet; the first training creates it"
        findings.append(Finding("tracking", "ok", f"{_public_address()} {state}"))
    except _Unusable as error:
        observed = f"{_public_address()} cannot be used: {error}"
        findings.append(Finding("tracking", "failed", observed, _store_fix()))
    findings += run_check("tracking records", _check_pending)
    if exists:
        findings += run_check("tracking place", _check_place)
        findings += run_check("registry", _check_champion)
    return findings


def _public_address() -> str:
    """The address without user, password and options, which only its owner should know."""
    return re.sub(r"//[^/@]*@", "//", tracking.store_address()).split("?")[0]


def _store_fix() -> str:
    file = _file(tracking.store_address())
    if file:
        return (
            f"Restore {file} from a backup, or move it away: the next training creates a new one."
        )
    return (
        "Start the store, or correct MLFLOW_TRACKING_URI. Training works meanwhile; its record "
        "follows."
    )


def _file(address: str) -> Path | None:
    return (
        Path(address.removeprefix("sqlite:///").split("?")[0])
        if address.startswith("sqlite:///")
        else None
    )


def _has_tables(address: str) -> bool:
    """Whether MLflow's tables exist. _Unusable within seconds; MLflow would retry for minutes."""
    if _file(address):
        return tracking.store_exists() and bool(_read(address, f"SELECT count(*) FROM {TABLE}"))
    return _server(address) if address.startswith(("http://", "https://")) else _database(address)


def _read(address: str, query: str) -> list[tuple[Any, ...]]:
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
            # This request has no password: a server that refuses it still answers.
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
        # The error's own text names the user.
        raise _Unusable(type(error).__name__) from error


def _check_pending() -> list[Finding]:
    waiting = len(pending.list_pending())
    if not waiting:
        return [Finding("tracking records", "ok", "none is pending")]
    observed = f"{waiting} pending in {pending.pending_folder()}"
    fix = "Type `lifecycle runs` once the store answers: it writes them."
    return [Finding("tracking records", "warning", observed, fix)]


def _check_place() -> list[Finding]:
    """MLflow stores absolute paths: a store that was moved does not find its plots and models."""
    address, here = tracking.store_address(), (home() / "mlruns" / "artifacts").as_uri()
    if not _file(address):
        return []
    query = (
        f"SELECT artifact_location FROM {TABLE} WHERE name = '{tracking.EXPERIMENT}' OR "
        "experiment_id IN (SELECT experiment_id FROM experiment_tags "
        f"WHERE key = '{tracking.BUSINESS}')"
    )
    rows = [row for row in _read(address, query) if row[0].rstrip("/") != here]
    if not rows:
        return [Finding("tracking place", "ok", "where it was created")]
    fix = (
        "Move mlruns/ back where it was, or move mlruns/mlflow.db away; releases and scores do not "
        "need it."
    )
    observed = f"MLflow looks for plots and models under {rows[0][0]}"
    return [Finding("tracking place", "warning", observed, fix)]


def _check_champion() -> list[Finding]:
    if not (releases_folder() / "CURRENT").is_file():
        return []
    lagging = tracking.lagging_models()
    if not lagging:
        return [Finding("registry", "ok", "champion is the served release")]
    observed = f"champion is not the served release: {', '.join(lagging)}"
    return [Finding("registry", "warning", observed, "Type `lifecycle runs`: it moves champion.")]
