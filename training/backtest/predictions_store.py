"""The files of a backtest: `<home>/mlruns/backtests/<id>/`, a folder per finished date.

A date's folder is complete or absent. The id is a digest of everything that decides the result, so
a backtest that was killed and is started again finds its own dates and no others. Predictions stay
here: they are of single customers and never go to the tracking store.
"""

from __future__ import annotations

import hashlib
import json
import platform
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
from features.core.staged_files import staged_file, staged_folder
from features.tables.forgotten_rows import without_forgotten
from features.tables.history import History
from training.reports import card

TABLES = ("predictions", "later_predictions")


@dataclass(frozen=True)
class DatePredictions:
    """One finished date: aggregates, its predictions, and its model's p_churn at later dates.

    The tables are None where the date was skipped; `metadata["why"]` is then the reason.
    """

    metadata: dict[str, Any]
    predictions: pa.Table = None
    later_predictions: pa.Table = None


def make_folder(name: str) -> Path:
    """The folder of one backtest, created if needed. StoreFailed where it cannot be created."""
    folder = home() / "mlruns" / "backtests" / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _store(error) from error
    return folder


def backtest_id(history: History, settings: Settings, dates: Sequence[int], *, until: int) -> str:
    """16 hex digits of a digest of everything that decides the result.

    That is: the dates, the configuration, the versions, the code, and every row recorded before
    `until` (µs).
    """
    of_places = {"files", "folder", "engine", "history", "retention"}
    config = settings.model_dump(mode="json", exclude=of_places)
    config["training"].pop("evaluate")  # each date has its own
    content = [
        list(dates),
        config,
        custom.read_source(settings) if settings.features.own else "",
        {"python": platform.python_version(), **card.package_versions()},
        _hash_code(),
        [_hash_rows(history, name, until) for name in history.names],
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _hash_rows(history: History, name: str, until: int) -> list[str]:
    """A table's name, the count of its rows recorded before `until`, and the sum of their hashes.

    The order of rows does not matter. All versions count, because earlier dates knew the older
    ones; cells count as far as they were known.
    """
    table = CONTRACT[name]
    since = (
        nw.coalesce(nw.col("valid_from"), nw.col("acquired_at"))
        if table.attributes
        else nw.col("recorded_at")
    )
    rows = history.table(name).filter(since.is_null() | (since < until))
    known = [
        nw.when(nw.col(column.known_at) < until).then(nw.col(column.name)).alias(column.name)
        for column in table.columns
        if column.known_at
    ]
    rows = rows.with_columns(*known) if known else rows
    query = "SELECT count(*), sum(hash(seen)::HUGEINT) FROM seen"
    return [name, *(str(value) for value in rows.to_native().query("seen", query).fetchone())]


def _hash_code() -> str:
    digest = hashlib.sha256()
    for package in (features, serving, training):
        root = Path(package.__path__[0])
        for path in sorted(root.rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def save(folder: Path, name: str, result: DatePredictions) -> None:
    """Write one date, complete or not at all. StoreFailed where there is no space or permission."""
    try:
        # A folder of this date that exists could not be read: it is replaced.
        with staged_folder(folder / name, replace=True) as staged:
            for table in TABLES:
                if (rows := getattr(result, table)) is not None:
                    rows = without_forgotten(rows)  # also who was forgotten meanwhile
                    pq.write_table(rows, staged / f"{table}.parquet")
            (staged / "metadata.json").write_text(to_json(result.metadata))
    except OSError as error:
        raise _store(error) from error


def load(folder: Path, name: str) -> DatePredictions | None:
    """A finished date; None where it is missing or cannot be read."""
    try:
        about = json.loads((folder / name / "metadata.json").read_text())
        if "why" in about:
            return DatePredictions(about)
        return DatePredictions(
            about, *(pq.read_table(folder / name / f"{table}.parquet") for table in TABLES)
        )
    except (OSError, ValueError):  # pyarrow's errors are of these kinds
        return None


def write_report(folder: Path, report: dict[str, Any]) -> None:
    """Write report.json, complete or not at all."""
    try:
        with staged_file(folder / "report.json") as staged:
            staged.write_text(to_json(report))
    except OSError as error:
        raise _store(error) from error


def to_json(value: Any) -> str:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def _store(error: OSError) -> StoreFailed:
    return StoreFailed(
        where="mlruns/backtests",
        got=error.strerror or "a write that failed",
        rule="mlruns/backtests under LIFECYCLE_HOME must be writable and have free space.",
        fix="Free disk space, grant write access or set LIFECYCLE_HOME, then run it again: "
        "finished dates are not computed again.",
    )
