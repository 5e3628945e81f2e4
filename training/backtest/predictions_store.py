"""What a backtest leaves on disk: `<home>/mlruns/backtests/<id>/`, a folder a finished date, whole or not there.

The id is a digest over all that decides the result, so a walk that was killed and is asked for again finds its own
dates and no others. Predictions stay here: they are of single customers, and never go to the tracking store.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import narwhals as nw
import pyarrow as pa
import pyarrow.parquet as pq

import features
import serving
import training
from features.catalogue import custom
from features.core.contract import CONTRACT
from features.core.errors import StoreFailed
from features.core.settings import Settings, home
from features.tables.history import History
from training.reports import card

TABLES = ("predictions", "aged")


@dataclass(frozen=True)
class Kept:
    """One finished date: `about` it (aggregates), its predictions, and its model's p at later dates (`aged`).

    The tables are None where the date was left out; `about` then says why.
    """

    about: dict[str, Any]
    predictions: pa.Table | None = None
    aged: pa.Table | None = None


def place(name: str) -> Path:
    """The folder of one backtest, made where it is not there. StoreFailed where it cannot be."""
    folder = home() / "mlruns" / "backtests" / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _store(error) from error
    return folder


def identity(history: History, settings: Settings, dates: Sequence[int], *, until: int) -> str:
    """16 hex digits over the dates, the configuration, the versions, our code, and every row recorded before `until`."""
    stated = settings.model_dump(mode="json", exclude={"files", "folder", "engine"})
    stated["training"].pop("evaluate")  # each date has its own
    mine = custom.read(settings) if settings.features.own else ""
    versions = {"python": platform.python_version(), **card.versions()}
    found = [
        list(dates),
        stated,
        mine,
        versions,
        _code(),
        [_rows(history, name, until) for name in history.names],
    ]
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:16]


def _rows(history: History, name: str, until: int) -> list[str]:
    """A table's name, its count of rows recorded before `until` and the sum of their hashes: their order says nothing.

    All versions count (earlier dates knew the older ones), and cells as far as they were known.
    """
    table = CONTRACT[name]
    since = (
        nw.coalesce(nw.col("valid_from"), nw.col("acquired_at"))
        if table.attributes
        else nw.col("recorded_at")
    )
    rows = history.table(name).filter(since.is_null() | (since < until))
    hidden = [
        nw.when(nw.col(c.known_at) < until).then(nw.col(c.name)).alias(c.name)
        for c in table.columns
        if c.known_at
    ]
    rows = rows.with_columns(*hidden) if hidden else rows
    asked = "SELECT count(*), sum(hash(seen)::HUGEINT) FROM seen"
    return [name, *(str(value) for value in rows.to_native().query("seen", asked).fetchone())]


def _code() -> str:
    hashed = hashlib.sha256()
    for room in (features, serving, training):
        root = Path(room.__file__).parent
        for path in sorted(root.rglob("*.py")):
            hashed.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return hashed.hexdigest()


def keep(folder: Path, name: str, found: Kept) -> None:
    """Write one date, staged and renamed once. StoreFailed when there is no room or right."""
    try:
        staged = Path(tempfile.mkdtemp(prefix=".staged-", dir=folder))
        try:
            for table in TABLES:
                if (rows := getattr(found, table)) is not None:
                    pq.write_table(rows, staged / f"{table}.parquet")
            (staged / "about.json").write_text(stated(found.about))
            shutil.rmtree(folder / name, ignore_errors=True)  # one that could not be read
            os.replace(staged, folder / name)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    except OSError as error:
        raise _store(error) from error


def read(folder: Path, name: str) -> Kept | None:
    """A finished date; None where it is not there, or cannot be read any more."""
    try:
        about = json.loads((folder / name / "about.json").read_text())
        if "why" in about:
            return Kept(about)
        return Kept(about, *(pq.read_table(folder / name / f"{table}.parquet") for table in TABLES))
    except (OSError, ValueError):  # pyarrow's errors are of these kinds
        return None


def write(folder: Path, account: dict[str, Any]) -> None:
    """`account.json`, replaced at once."""
    staged = folder / f".account-{os.getpid()}"
    try:
        staged.write_text(stated(account))
        os.replace(staged, folder / "account.json")
    except OSError as error:
        raise _store(error) from error
    finally:
        staged.unlink(missing_ok=True)


def stated(value: Any) -> str:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def _store(error: OSError) -> StoreFailed:
    return StoreFailed(
        where="mlruns/backtests",
        got=error.strerror or "a write that failed",
        rule="mlruns/backtests under LIFECYCLE_HOME must be writable, with room.",
        fix="Free space or rights, or set LIFECYCLE_HOME; run again, finished dates are kept.",
    )
