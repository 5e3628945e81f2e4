"""What is asked about: a simulated shop with a promoted release, a finished run and registered models in a home of its own.

`python -m benchmarks.serving.business HOME` makes it, in a process that ends: the one that measures stays small.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.serving import hosts
from features.core.contract import CONTRACT
from features.core.instants import midnight_before
from features.core.settings import MINOR_DIGITS
from serving.api.schemas import rfc3339

CUSTOMERS, TRIALS, SEED, CURRENCY = 3000, 3, 7, "EUR"


@dataclass(frozen=True)
class Business:
    """The latest run of a home, as its files tell it."""

    home: Path
    run: Path

    @cached_property
    def scores(self) -> pa.Table:
        return pq.read_table(self.run / "scores.parquet")

    @cached_property
    def rows(self) -> pa.Table:
        """Feature rows, of everybody with activity."""
        return pq.read_table(self.run / "features.parquet")

    @cached_property
    def features(self) -> tuple[str, ...]:
        """The scorer's columns."""
        releases = self.home / "mlruns" / "releases"
        return tuple(
            json.loads(
                (releases / (releases / "CURRENT").read_text().strip() / "models.json").read_text()
            )["columns"]
        )

    @cached_property
    def ids(self) -> list[str]:
        """Customers with activity, in an order that is none and is always the same."""
        return (
            np.random.default_rng(SEED).permutation(self.rows["customer_id"].to_pylist()).tolist()
        )

    @cached_property
    def events(self) -> dict[str, dict[str, list[dict[str, Any]]]]:
        """Per customer every raw event the run knew of, as a request says it."""
        found: dict[str, dict[str, list[dict[str, Any]]]] = {}
        for file in sorted((self.run / "history").glob("*.parquet")):
            if file.stem == "customers":
                continue
            for row in pq.read_table(file).to_pylist():
                cells = {
                    column.name: _said(column.type, row[column.name])
                    for column in CONTRACT[file.stem].columns
                    if row[column.name] is not None and column.name != "customer_id"
                }
                found.setdefault(row["customer_id"], {}).setdefault(file.stem, []).append(cells)
        return found

    def size(self, customer: str) -> int:
        """How many raw events a customer has."""
        return sum(len(rows) for rows in self.events[customer].values())

    def by_events(self, customers: list[str]) -> bytes:
        """A request with these customers' raw events, at the run's instant."""
        as_of = rfc3339(self.scores["as_of"][0].as_py())
        return _json(
            {
                "as_of": as_of,
                "customers": [{"customer_id": one, **self.events[one]} for one in customers],
            }
        )


def by_id(customers: list[str]) -> bytes:
    return _json({"customer_ids": customers})


def _said(kind: str, value: Any) -> Any:
    if kind == "instant":
        return rfc3339(value)
    return value / 10 ** MINOR_DIGITS.get(CURRENCY, 2) if kind == "money" else value


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def made(home: Path) -> Business:
    """Make the business in a child, then read where its latest run lies."""
    environment = {
        **os.environ,
        "LIFECYCLE_HOME": str(home),
        "MLFLOW_TRACKING_URI": hosts.store(home),
        "OPENBLAS_NUM_THREADS": "1",
    }
    subprocess.run(
        [sys.executable, "-m", "benchmarks.serving.business", str(home)],
        check=True,
        cwd=hosts.ROOT,
        env=environment,
    )
    return Business(
        home, home / "scores" / json.loads((home / "scores" / "LATEST").read_text())["folder"]
    )


def _make(home: Path) -> None:
    from features.core import settings
    from features.tables import history
    from lifecycle import simulation
    from serving.batch import run_folders
    from training import job
    from training.promote import promote

    simulation.write(simulation.simulate(customers=CUSTOMERS), folder=home / "shop")
    stated = settings.load(home / "shop" / "lifecycle.toml")
    stated = stated.model_copy(
        update={"training": stated.training.model_copy(update={"trials": TRIALS})}
    )
    found, _ = history.load(stated)
    release = promote(job.train(found, stated).folder.name)
    run_folders.score(found, stated, release, as_of=midnight_before(found.data_until, stated.zone))


if __name__ == "__main__":
    _make(Path(sys.argv[1]))
