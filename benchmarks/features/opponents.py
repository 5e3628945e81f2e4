"""The opponents of the catalogue: RFM, the own past rate, and deep feature synthesis (DFS).

DFS is featuretools' algorithm. It gets the contract's tables (local clock times, money in currency
units, no voids) and computes each row's customer at as_of less one microsecond, because its cutoff
includes the instant. Depth 2, its own transforms, one process. It runs twice: with its default
aggregations, which contain no recency, and with three aggregations of time added. Its columns of
text, and those that are constant over the training rows, are not used.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.features import environment
from benchmarks.features.retailers import Retailer
from features.core.contract import CONTRACT
from features.core.progress import print_status
from features.tables.history import History

RFM = ("recency", "purchases_all", "amount_all", "tenure")
OWN_PAST_RATE = "past_retention_rate"
DEFAULT_AGGREGATIONS = [
    "sum",
    "std",
    "max",
    "skew",
    "min",
    "mean",
    "count",
    "percent_true",
    "num_unique",
    "mode",
]
TIME_AGGREGATIONS = ["time_since_last_days", "time_since_first_days", "avg_time_between"]
DFS = {
    "DFS as it comes": DEFAULT_AGGREGATIONS,
    "DFS with times": [*DEFAULT_AGGREGATIONS, *TIME_AGGREGATIONS],
}


@dataclass(frozen=True)
class Synthesis:
    """DFS of one retailer: `matrix` (rows, numeric columns) in the order of the retailer's rows.

    `all_columns` counts the text columns too.
    """

    matrix: np.ndarray
    names: tuple[str, ...]
    all_columns: int
    seconds: float


def synthesise(shops: list[Retailer], home: Path) -> dict[tuple[str, str], Synthesis]:
    """DFS by (retailer, kind of DFS), two children at a time; `home` holds finished results."""
    jobs = [_Job(shop, kind, home / "quality") for kind in DFS for shop in shops]
    waiting, running = [job for job in jobs if not job.finished], []
    while waiting or running:
        while waiting and len(running) < 2:
            job = waiting.pop(0)
            print_status(f"quality: {job.kind}, {job.shop.name}")
            running.append((job, job.start(home)))
        job, child = running.pop(0)
        job.finish(environment.answer(child))
    return {(job.shop.name, job.kind): job.read() for job in jobs}


class _Job:
    def __init__(self, shop: Retailer, kind: str, home: Path) -> None:
        self.shop, self.kind = shop, kind
        self.tables = _tables(shop)
        call = {
            "prefix": "",
            "window": None,
            "aggregations": DFS[kind],
            "transforms": None,
            "depth": 2,
        }
        self.request = {
            "events": [name for name in shop.history.names if name != "customers"],
            "calls": [call],
        }
        self.folder = home / f"{shop.name}-{_digest(self.request, self.tables)}"

    @property
    def finished(self) -> bool:
        return (self.folder / "details.json").is_file()

    def start(self, home: Path) -> Any:
        return environment.start(self.folder, self.request, self.tables, home)

    def finish(self, details: dict[str, Any]) -> None:
        (self.folder / "details.json").write_text(json.dumps(details))

    def read(self) -> Synthesis:
        details = json.loads((self.folder / "details.json").read_text())
        answer = pq.read_table(self.folder / "answer.parquet").sort_by(
            [("time", "ascending"), ("customer_id", "ascending")]
        )
        if answer["customer_id"].to_pylist() != self.shop.rows["customer_id"].to_pylist():
            raise SystemExit("featuretools answered other rows than were requested")
        names = [name for name in answer.column_names if name not in ("customer_id", "time")]
        matrix = np.stack([answer[name].to_numpy().astype(float) for name in names], axis=1)
        matrix[~np.isfinite(matrix)] = np.nan
        return Synthesis(matrix, tuple(names), details["columns"], sum(details["seconds"]))


def _digest(request: dict[str, Any], tables: dict[str, pa.Table]) -> str:
    digest = hashlib.sha256(json.dumps([request, environment.PACKAGES]).encode())
    digest.update(environment.SIDE.read_bytes())
    for name in sorted(tables):
        digest.update(repr((name, tables[name].schema.names, tables[name].to_pydict())).encode())
    return digest.hexdigest()[:16]


def _tables(shop: Retailer) -> dict[str, pa.Table]:
    run, zone = shop.history.connection.cursor(), shop.settings.zone
    run.register("requested", shop.rows.select(["customer_id", "as_of"]))
    time = _local("as_of - 1", zone)
    requested = f"SELECT customer_id, {time} AS time FROM requested ORDER BY as_of, customer_id"
    out = {
        name: run.sql(_contract_select(shop.history, name, shop)).to_arrow_table()
        for name in shop.history.names
    }
    if "customers" not in out:
        out["customers"] = run.sql(
            "SELECT DISTINCT customer_id FROM transactions ORDER BY ALL"
        ).to_arrow_table()
    return out | {"requested": run.sql(requested).to_arrow_table()}


def _local(instant: str, zone: str) -> str:
    return f"make_timestamptz({instant})::TIMESTAMPTZ AT TIME ZONE '{zone}'"


def _contract_select(history: History, name: str, shop: Retailer) -> str:
    """SELECT of one table: its columns that hold values, in the form that a user would pass on."""
    minor, selected = shop.example_set.definitions.minor_units, []
    for column in CONTRACT[name].columns:
        if column.name in ("recorded_at", "valid_from", "transaction_id") or not _filled(
            history, name, column.name
        ):
            continue
        expressions = {
            "instant": _local(column.name, shop.settings.zone),
            "money": f"{column.name} / {minor}",
        }
        selected.append(f"{expressions.get(column.type, column.name)} AS {column.name}")
    real = "WHERE kind <> 'void'" if name == "transactions" else ""
    return f"SELECT {', '.join(selected)} FROM {name} {real} ORDER BY ALL"


def _filled(history: History, table: str, column: str) -> bool:
    return history.connection.execute(f"SELECT count({column}) > 0 FROM {table}").fetchone()[0]
