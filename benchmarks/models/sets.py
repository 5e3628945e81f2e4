"""The sets of the models' figures: a data set, a population, three dates, and their rows.

The gym is a folder of exports, as `benchmarks.gym` reads it, named by the environment variable
LIFECYCLE_GYM; without it the set is left out.

Rows are built once and stored: all models of a date learn from the same table and answer for the
same rows. A model learns from all customers with activity; where a set's population is the
eligible, it is evaluated on their rows alone.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.features.environment import ROOT
from benchmarks.features.retailers import COMPLETE_JOURNEY
from benchmarks.gym import configure
from benchmarks.models import cache
from features.core.progress import print_status
from features.core.settings import (
    Settings,
    Training,
    data_folder,
    file_path,
    load_settings,
    settings_from_mapping,
)
from features.engine.business_columns import columns_for
from features.engine.columns import FeatureColumn
from features.recipes.definitions import Definitions
from features.tables import history as histories
from features.tables.history import History
from lifecycle import simulation
from serving.scoring.parts import design_matrix
from training import examples, plan
from training.examples import Examples

DATES = {
    "online_retail": (date(2011, 7, 10), date(2011, 8, 10), date(2011, 9, 10)),
    "cdnow": (date(1998, 1, 31), date(1998, 2, 28), date(1998, 3, 31)),
    "complete_journey": (date(2017, 8, 1), date(2017, 9, 1), date(2017, 10, 1)),
    "simulation": (date(2024, 8, 1), date(2024, 9, 1), date(2024, 10, 1)),
    "subscription": (date(2024, 8, 1), date(2024, 9, 1), date(2024, 10, 1)),
    "gym": (date(2024, 8, 1), date(2024, 9, 1), date(2024, 10, 1)),
}
# Earlier dates, so that longer horizons are known by now. What lies before the first date on which
# a model can be trained is left out by itself, and said.
EARLIER = {
    "online_retail": (date(2011, 6, 10), date(2011, 6, 12)),
    "cdnow": (date(1997, 11, 1), date(1997, 12, 1), date(1998, 1, 1)),
    "complete_journey": (date(2017, 7, 1), date(2017, 7, 4)),
    "simulation": (date(2023, 11, 1), date(2023, 12, 1), date(2024, 7, 1)),
    "subscription": (date(2023, 11, 1), date(2023, 12, 1), date(2024, 7, 1)),
    "gym": (date(2023, 11, 1), date(2023, 12, 1), date(2024, 7, 1)),
}
SIMULATED = {"simulation": "retail", "subscription": "subscription"}
# What is pooled, with equal weights: (data, population).
SETS = {
    "online_retail": ("online_retail", "everyone"),
    "cdnow": ("cdnow", "everyone"),
    "cdnow active in 90 days": ("cdnow", "eligible"),
    "complete_journey": ("complete_journey", "everyone"),
    "simulation": ("simulation", "everyone"),
    "subscription": ("subscription", "everyone"),
    "gym": ("gym", "everyone"),
}
GYM = "LIFECYCLE_GYM"
CUSTOMERS = 3000  # of the simulated shop


@dataclass(frozen=True)
class Case:
    """A data set as of one evaluation date: training rows lie before it, with the embargo."""

    data: str
    day: date
    customers: int = CUSTOMERS

    @property
    def name(self) -> str:
        size = (
            f" of {self.customers:,}"
            if self.data in SIMULATED and self.customers != CUSTOMERS
            else ""
        )
        return f"{self.data}{size} {self.day}"

    @cached_property
    def settings(self) -> Settings:
        """The data's configuration with default training settings and this one date."""
        settings = _load_set(self.data, self.customers)
        return settings.model_copy(update={"training": Training(evaluate=[self.day])})

    @cached_property
    def history(self) -> History:
        return histories.load_history(self.settings)[0]

    @cached_property
    def plan(self) -> plan.Plan:
        plan_ = plan.make_plan(self.history, self.settings)
        plan.refuse_without_dates(plan_, self.settings)
        return plan_

    @cached_property
    def examples(self) -> Examples:
        """All rows of the plan; read from disk if an earlier run built the same."""
        folder = cache.FOLDER / f"rows-{cache.digest([self._of(), self._source()])}"
        if not folder.is_dir():
            print_status(f"rows of {self.name}")
            built = examples.make_examples(self.history, self.settings, self.plan)
            cache.place_folder(folder, lambda staged: _write(staged, built))
        details = json.loads((folder / "details.json").read_text())
        definitions = Definitions.from_mapping(details["definitions"])
        columns: tuple[FeatureColumn, ...] = tuple(
            columns_for(self.history, definitions, self.settings)
        )
        rows = pq.read_table(folder / "rows.parquet").combine_chunks()
        return Examples(
            rows, columns, definitions, (), details["late_activity"], tuple(details["modelled"])
        )

    @cached_property
    def early(self) -> pa.Table:
        return self.examples.rows_at(self.plan.train)

    @cached_property
    def late(self) -> pa.Table:
        return self.examples.rows_at(self.plan.evaluate)

    @cached_property
    def matrices(self) -> tuple[np.ndarray, np.ndarray]:
        """The design matrices of the training rows and of the evaluated rows, for all opponents."""
        return design_matrix(self.early, self.examples.modelled), design_matrix(
            self.late, self.examples.modelled
        )

    @cached_property
    def digest(self) -> str:
        """Digest over all that a churn model may use: matrices, customers, dates and outcomes."""
        parts = [
            np.array(part[name].to_pylist())
            for part in (self.early, self.late)
            for name in ("customer_id", "as_of", "churned")
        ]
        return cache.digest_of_arrays([*self.matrices, *parts])

    def _of(self) -> list[Any]:
        settings = self.settings.model_dump(mode="json", exclude={"folder", "engine", "files"})
        settings["training"] = {
            key: value
            for key, value in settings["training"].items()
            if key not in ("seconds", "trials", "seed")
        }
        files = [
            cache.digest_of_arrays([np.fromfile(file_path(self.settings, path), np.uint8)])
            for path in self.settings.files.values()
        ]
        return [settings, files]

    @staticmethod
    def _source() -> list[str]:
        return [
            cache.digest_of_files("features/**/*.py", "training/plan.py", "training/examples.py"),
            *cache.versions("duckdb"),
        ]


def cases(names: list[str], *, customers: int = CUSTOMERS) -> list[Case]:
    """All dates of the data that the sets need, each once."""
    return [
        Case(data, day, customers)
        for data in dict.fromkeys(SETS[name][0] for name in names)
        for day in DATES[data]
    ]


def population(rows: pa.Table, who: str) -> np.ndarray:
    return np.ones(rows.num_rows, bool) if who == "everyone" else rows["eligible"].to_numpy()


def present(names: list[str]) -> list[str]:
    """The sets without the gym where its variable names no folder, which is said.

    SystemExit where public data are absent. Simulated businesses are made when they are needed.
    """
    if "gym" in names and not Path(os.environ.get(GYM) or "no folder is named").is_dir():
        print(f"the gym is left out: {GYM} names no folder of its exports", file=sys.stderr)
        names = [name for name in names if name != "gym"]
    wanted = dict.fromkeys(SETS[name][0] for name in names)
    unpublished = (*SIMULATED, "gym")
    absent = [
        data for data in wanted if data not in unpublished and not (data_folder() / data).is_dir()
    ]
    if absent:
        raise SystemExit(
            f"{', '.join(absent)} wanted under LIFECYCLE_DATA; docs/data.md lists their origin"
        )
    return names


def simulated_folder(customers: int, mode: str = "retail") -> Path:
    """The folder of a simulated business, as `lifecycle demo` writes one."""
    source = cache.digest_of_files("lifecycle/simulation/*.py")
    folder = cache.FOLDER / f"{mode}-{customers}-{source}"
    if not folder.is_dir():
        print_status(f"simulating {customers:,} customers")
        cache.place_folder(
            folder,
            lambda staged: simulation.write(
                simulation.simulate(customers=customers, mode=mode), folder=staged
            ),
        )
    return folder


def _gym_config() -> Path:
    """The configuration that `lifecycle init` writes for the gym, without an edit."""
    exports = Path(os.environ[GYM]).resolve()
    files = sorted(exports.iterdir())
    digest = cache.digest_of_arrays([np.fromfile(path, np.uint8) for path in files])
    source = cache.digest_of_files("lifecycle/init/**/*.py", "features/**/*.py")
    folder = cache.FOLDER / f"gym-{cache.digest([str(exports), digest, source])}"
    if not folder.is_dir():
        cache.place_folder(folder, lambda staged: configure(exports, staged / "lifecycle.toml"))
    return folder / "lifecycle.toml"


def _load_set(data: str, customers: int) -> Settings:
    if data == "gym":
        return load_settings(_gym_config())
    if data in SIMULATED:
        return load_settings(simulated_folder(customers, SIMULATED[data]) / "lifecycle.toml")
    if data == "complete_journey":
        return settings_from_mapping(COMPLETE_JOURNEY, folder=ROOT, where=data)
    return load_settings(ROOT / "examples" / f"{data}.toml")


def _write(folder: Path, example_set: Examples) -> None:
    pq.write_table(example_set.rows, folder / "rows.parquet", compression="zstd")
    details = {
        "definitions": asdict(example_set.definitions),
        "late_activity": example_set.late_activity,
        "modelled": list(example_set.modelled),
    }
    (folder / "details.json").write_text(json.dumps(details))
