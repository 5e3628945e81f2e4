"""The business of the serving benchmark: a simulated shop with a promoted release, in its own home.

It has a finished run and registered models. `python -m benchmarks.serving.business HOME` makes it,
in a process that ends: the process that measures stays small.
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
from features.core.instants import DAY_US, midnight_before
from features.core.settings import MINOR_DIGITS
from serving.api.schemas import rfc3339
from serving.batch.writers import with_microseconds

TRIALS, SEED, CURRENCY = 1, 7, "EUR"


@dataclass(frozen=True)
class Business:
    """The latest run of a home, read from its files."""

    home: Path
    run: Path

    @cached_property
    def scores(self) -> pa.Table:
        return with_microseconds(pq.read_table(self.run / "scores.parquet"))

    @cached_property
    def rows(self) -> pa.Table:
        """Feature rows of all customers with activity."""
        return with_microseconds(pq.read_table(self.run / "features.parquet"))

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
        """Customers with activity, shuffled always the same way."""
        return (
            np.random.default_rng(SEED).permutation(self.rows["customer_id"].to_pylist()).tolist()
        )

    @property
    def hundreds(self) -> range:
        """Where each whole hundred of `ids` begins."""
        return range(0, len(self.ids) - 99, 100)

    @cached_property
    def older_runs(self) -> list[dict[str, Any]]:
        """The runs before the latest, each as LATEST would name it."""
        root = self.home / "scores"
        folders = [path.parent for path in root.glob("as_of=*/run=*/manifest.json")]
        return [
            {
                "as_of": json.loads((folder / "manifest.json").read_text())["as_of"],
                "folder": folder.relative_to(root).as_posix(),
            }
            for folder in folders
            if folder != self.run
        ]

    @cached_property
    def events(self) -> dict[str, dict[str, list[dict[str, Any]]]]:
        """All raw events that the run knew, by customer, in the form of a request.

        Every table is sent: one that is left out would not be empty but unknown.
        """
        files = sorted((self.run / "history").glob("*.parquet"))
        events: dict[str, dict[str, list[dict[str, Any]]]] = {}
        for file in files:
            for row in pq.read_table(file).to_pylist():
                sent = events.setdefault(row["customer_id"], {each.stem: [] for each in files})
                sent[file.stem].append(_cells(file.stem, row))
        return events

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


def _cells(table: str, row: dict[str, Any]) -> dict[str, Any]:
    """A row of the run's history as a request states it."""
    return {
        column.name: _json_value(column.type, row[column.name])
        for column in CONTRACT[table].columns
        if row[column.name] is not None and column.name != "customer_id"
    }


def by_id(customers: list[str]) -> bytes:
    return _json({"customer_ids": customers})


def _json_value(kind: str, value: Any) -> Any:
    if kind == "instant":
        return rfc3339(value)
    return value / 10 ** MINOR_DIGITS.get(CURRENCY, 2) if kind == "money" else value


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def make_business(home: Path, customers: int) -> Business:
    """Make the business in a child process, then find its latest run."""
    environment = {
        **os.environ,
        "LIFECYCLE_HOME": str(home),
        "MLFLOW_TRACKING_URI": hosts.store(home),
        "OPENBLAS_NUM_THREADS": "1",
    }
    subprocess.run(
        [sys.executable, "-m", "benchmarks.serving.business", str(home), str(customers)],
        check=True,
        cwd=hosts.ROOT,
        env=environment,
    )
    return Business(
        home, home / "scores" / json.loads((home / "scores" / "LATEST").read_text())["folder"]
    )


def _train_and_score(home: Path, customers: int) -> None:
    from features.core.settings import load_settings
    from features.tables.history import load_history
    from lifecycle import simulation
    from serving.batch import run_folders
    from training import job
    from training.promote import promote

    simulation.write(simulation.simulate(customers=customers), folder=home / "shop")
    settings = load_settings(home / "shop" / "lifecycle.toml")
    settings = settings.model_copy(
        update={"training": settings.training.model_copy(update={"trials": TRIALS})}
    )
    history, _ = load_history(settings)
    release = promote(job.train(history, settings).folder.name)
    newest = midnight_before(history.data_until, settings.zone)
    # Both days lie after the outcomes that the release has learned.
    for as_of in (newest - DAY_US, newest):
        run_folders.score_batch(history, settings, release, as_of=as_of)


if __name__ == "__main__":
    _train_and_score(Path(sys.argv[1]), int(sys.argv[2]))
