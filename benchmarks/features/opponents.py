"""What the catalogue is measured against: RFM, the own past rate, and featuretools' deep feature synthesis (DFS).

DFS sees the contract's tables (instants as local clock times, money in currency units; voids out) and is asked for
each row's customer at its as_of less one microsecond, since its cutoff counts what happens at it. Depth 2, its own
transforms, one process. Twice: with the aggregations it takes by itself, which know no recency, and with the three
that tell time added to them. Of its columns those that are text or constant over the training rows stay out.
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
from features.core.progress import say
from features.tables.history import History

RFM = ("recency", "purchases_all", "amount_all", "tenure")
OWN_PAST_RATE = "past_stay_rate"
AS_IT_COMES = [
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
TOLD_TIME = ["time_since_last_days", "time_since_first_days", "avg_time_between"]
DFS = {"DFS as it comes": AS_IT_COMES, "DFS with times": [*AS_IT_COMES, *TOLD_TIME]}


@dataclass(frozen=True)
class Synthesis:
    """DFS of one retailer: `matrix` (rows, numeric columns) in the order of its rows; `all_columns` with the text ones."""

    matrix: np.ndarray
    names: tuple[str, ...]
    all_columns: int
    seconds: float


def synthesised(shops: list[Retailer], home: Path) -> dict[tuple[str, str], Synthesis]:
    """By (retailer, kind of DFS), two children at a time; what an earlier run finished is read from `home`."""
    jobs = [_Job(shop, kind, home / "quality") for kind in DFS for shop in shops]
    waiting, running = [job for job in jobs if not job.finished], []
    while waiting or running:
        while waiting and len(running) < 2:
            job = waiting.pop(0)
            say(f"quality: {job.kind}, {job.shop.name}")
            running.append((job, job.started(home)))
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
        return (self.folder / "said.json").is_file()

    def started(self, home: Path) -> Any:
        return environment.start(self.folder, self.request, self.tables, home)

    def finish(self, said: dict[str, Any]) -> None:
        (self.folder / "said.json").write_text(json.dumps(said))

    def read(self) -> Synthesis:
        said = json.loads((self.folder / "said.json").read_text())
        found = pq.read_table(self.folder / "found.parquet").sort_by(
            [("time", "ascending"), ("customer_id", "ascending")]
        )
        if found["customer_id"].to_pylist() != self.shop.rows["customer_id"].to_pylist():
            raise SystemExit("featuretools answered other rows than were asked")
        names = [name for name in found.column_names if name not in ("customer_id", "time")]
        matrix = np.stack([found[name].to_numpy().astype(float) for name in names], axis=1)
        matrix[~np.isfinite(matrix)] = np.nan
        return Synthesis(matrix, tuple(names), said["columns"], sum(said["seconds"]))


def _digest(request: dict[str, Any], tables: dict[str, pa.Table]) -> str:
    digest = hashlib.sha256(json.dumps([request, environment.PACKAGES]).encode())
    digest.update(environment.SIDE.read_bytes())
    for name in sorted(tables):
        digest.update(repr((name, tables[name].schema.names, tables[name].to_pydict())).encode())
    return digest.hexdigest()[:16]


def _tables(shop: Retailer) -> dict[str, pa.Table]:
    run, zone = shop.history.connection.cursor(), shop.settings.zone
    run.register("asked", shop.rows.select(["customer_id", "as_of"]))
    asked = f"SELECT customer_id, {_local('as_of - 1', zone)} AS time FROM asked ORDER BY as_of, customer_id"
    out = {
        name: run.sql(_said(shop.history, name, shop)).to_arrow_table()
        for name in shop.history.names
    }
    if "customers" not in out:
        out["customers"] = run.sql(
            "SELECT DISTINCT customer_id FROM transactions ORDER BY ALL"
        ).to_arrow_table()
    return out | {"asked": run.sql(asked).to_arrow_table()}


def _local(instant: str, zone: str) -> str:
    return f"make_timestamptz({instant})::TIMESTAMPTZ AT TIME ZONE '{zone}'"


def _said(history: History, name: str, shop: Retailer) -> str:
    """The contract's columns of one table that say something, as a user would hand them over."""
    minor, selected = shop.made.definitions.minor_units, []
    for column in CONTRACT[name].columns:
        if column.name in ("recorded_at", "valid_from", "transaction_id") or not _filled(
            history, name, column.name
        ):
            continue
        said = {
            "instant": _local(column.name, shop.settings.zone),
            "money": f"{column.name} / {minor}",
        }
        selected.append(f"{said.get(column.type, column.name)} AS {column.name}")
    real = "WHERE kind <> 'void'" if name == "transactions" else ""
    return f"SELECT {', '.join(selected)} FROM {name} {real} ORDER BY ALL"


def _filled(history: History, table: str, column: str) -> bool:
    return history.connection.execute(f"SELECT count({column}) > 0 FROM {table}").fetchone()[0]
