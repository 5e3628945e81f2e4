"""The sets of the models' figures: a data set, a population, three evaluation dates, and the rows of each date.

Rows are built once, and kept: every model of a date learns from the same table and answers for the same rows. A model
learns from everyone with activity; where a set's population is the eligible, it is judged on their rows alone.
"""

from __future__ import annotations

import json
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
from benchmarks.models import kept
from features.core.progress import say
from features.core.settings import Settings, Training, file_path, from_mapping, load
from features.engine.business_columns import columns_for
from features.engine.columns import ColumnOf
from features.recipes.definitions import Definitions
from features.tables import history as histories
from features.tables.history import History
from lifecycle import simulation
from serving.scoring.parts import design
from training import examples, plan
from training.examples import Examples

DATES = {
    "online_retail": (date(2011, 7, 10), date(2011, 8, 10), date(2011, 9, 10)),
    "cdnow": (date(1998, 1, 31), date(1998, 2, 28), date(1998, 3, 31)),
    "complete_journey": (date(2017, 8, 1), date(2017, 9, 1), date(2017, 10, 1)),
    "simulation": (date(2024, 8, 1), date(2024, 9, 1), date(2024, 10, 1)),
}
# What is pooled, each alike: (data, population).
SETS = {
    "online_retail": ("online_retail", "everyone"),
    "cdnow": ("cdnow", "everyone"),
    "cdnow active in 90 days": ("cdnow", "eligible"),
    "complete_journey": ("complete_journey", "everyone"),
    "simulation": ("simulation", "everyone"),
}
CUSTOMERS = 3000  # of the simulated shop


@dataclass(frozen=True)
class Case:
    """A data set as if one evaluation date were today: what is learned from lies before it, embargo kept."""

    data: str
    day: date
    customers: int = CUSTOMERS

    @property
    def name(self) -> str:
        size = (
            f" of {self.customers:,}"
            if self.data == "simulation" and self.customers != CUSTOMERS
            else ""
        )
        return f"{self.data}{size} {self.day}"

    @cached_property
    def settings(self) -> Settings:
        """The data's configuration with the product's own training settings, and this one date."""
        stated = _stated(self.data, self.customers)
        return stated.model_copy(update={"training": Training(evaluate=[self.day])})

    @cached_property
    def history(self) -> History:
        return histories.load(self.settings)[0]

    @cached_property
    def plan(self) -> plan.Plan:
        found = plan.make_plan(self.history, self.settings)
        plan.refuse_without_dates(found, self.settings)
        return found

    @cached_property
    def made(self) -> Examples:
        """Every row of the plan; read where an earlier run built the same."""
        folder = kept.FOLDER / f"rows-{kept.digest([self._of(), self._source()])}"
        if not folder.is_dir():
            say(f"rows of {self.name}")
            built = examples.make_examples(self.history, self.settings, self.plan)
            kept.place(folder, lambda staged: _write(staged, built))
        said = json.loads((folder / "said.json").read_text())
        definitions = Definitions.from_mapping(said["definitions"])
        columns: tuple[ColumnOf, ...] = tuple(columns_for(self.history, definitions, self.settings))
        rows = pq.read_table(folder / "rows.parquet").combine_chunks()
        return Examples(rows, columns, definitions, (), said["late"], tuple(said["modelled"]))

    @cached_property
    def early(self) -> pa.Table:
        return self.made.at(self.plan.train)

    @cached_property
    def late(self) -> pa.Table:
        return self.made.at(self.plan.evaluate)

    @cached_property
    def matrices(self) -> tuple[np.ndarray, np.ndarray]:
        """What every opponent gets: the design matrices of the training rows and of the evaluated ones."""
        return design(self.early, self.made.modelled), design(self.late, self.made.modelled)

    @cached_property
    def digest(self) -> str:
        """Over what a model of churn may look at: the matrices, whose rows they are, from when, and the outcomes."""
        told = [
            np.array(part[name].to_pylist())
            for part in (self.early, self.late)
            for name in ("customer_id", "as_of", "churned")
        ]
        return kept.digest_of_arrays([*self.matrices, *told])

    def _of(self) -> list[Any]:
        stated = self.settings.model_dump(mode="json", exclude={"folder", "engine", "files"})
        stated["training"] = {
            key: value
            for key, value in stated["training"].items()
            if key not in ("seconds", "trials", "seed")
        }
        files = [
            kept.digest_of_arrays([np.fromfile(file_path(self.settings, path), np.uint8)])
            for path in self.settings.files.values()
        ]
        return [stated, files]

    @staticmethod
    def _source() -> list[str]:
        return [
            kept.digest_of_files("features/**/*.py", "training/plan.py", "training/examples.py"),
            *kept.versions("duckdb"),
        ]


def cases(names: list[str], *, customers: int = CUSTOMERS) -> list[Case]:
    """Every date of the data the named sets need, each once."""
    return [
        Case(data, day, customers)
        for data in dict.fromkeys(SETS[name][0] for name in names)
        for day in DATES[data]
    ]


def population(rows: pa.Table, who: str) -> np.ndarray:
    return np.ones(rows.num_rows, bool) if who == "everyone" else rows["eligible"].to_numpy()


def simulated(customers: int) -> Path:
    """The folder of the simulated shop, as `lifecycle demo` writes one."""
    folder = kept.FOLDER / f"shop-{customers}-{kept.digest_of_files('lifecycle/simulation/*.py')}"
    if not folder.is_dir():
        say(f"simulating {customers:,} customers")
        kept.place(
            folder,
            lambda staged: simulation.write(
                simulation.simulate(customers=customers), folder=staged
            ),
        )
    return folder


def _stated(data: str, customers: int) -> Settings:
    if data == "simulation":
        return load(simulated(customers) / "lifecycle.toml")
    if data == "complete_journey":
        return from_mapping(COMPLETE_JOURNEY, folder=ROOT, where=data)
    return load(ROOT / "examples" / f"{data}.toml")


def _write(folder: Path, made: Examples) -> None:
    pq.write_table(made.rows, folder / "rows.parquet", compression="zstd")
    said = {
        "definitions": asdict(made.definitions),
        "late": made.late,
        "modelled": list(made.modelled),
    }
    (folder / "said.json").write_text(json.dumps(said))
