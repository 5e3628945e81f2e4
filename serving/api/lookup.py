"""The latest run as the service reads it: verified by its hashes, searched by customer id."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from features.core import latest_run
from features.core.errors import RunRefused
from features.core.file_hashes import hash_file
from features.core.settings import home
from features.engine.consent import consents
from features.recipes.population_stats import PopulationStats
from features.tables.forgotten_rows import without_forgotten
from serving.api.answers import entry_structs, further_columns

HISTORY = "history/"
FILES = ("scores.parquet", "population.parquet", "features.parquet")


@dataclass(frozen=True)
class Lookup:
    """One run's scores, sorted by customer_id; `as_of` in µs UTC, `release` the id of its release.

    `entries` are the rows as structs, `ids` the customer ids as plain text for the search (some 60
    bytes each), `population` the statistics of the run. `history`: the sizes of the tables that it
    wrote to history/, by their names; `history_hashes`: their sha256. `without`: the
    tables that were stale on its day.
    """

    folder: Path
    run: str
    as_of: int
    release: str
    entries: pa.StructArray
    ids: list[str]
    population: PopulationStats
    history: Mapping[str, int] = field(default_factory=dict)
    history_hashes: Mapping[str, str] = field(default_factory=dict)
    without: tuple[str, ...] = ()

    @property
    def further_columns(self) -> tuple[str, ...]:
        """The columns of the entries with the curve and the targets of the business."""
        return further_columns(field.name for field in self.entries.type)

    def row_of(self, customer: str) -> int | None:
        """The row of a customer, or None."""
        # Runs are written sorted by customer_id.
        row = bisect_left(self.ids, customer)
        return row if row < len(self.ids) and self.ids[row] == customer else None

    def refusing_customers(self) -> set[str]:
        """Who does not consent, by the run's customers; nobody where the business says nothing.

        An empty flag is no consent, where anybody has one.
        """
        if "customers" not in self.history:
            return set()
        try:
            rows = pq.read_table(self.folder / "history" / "customers.parquet")
            flags = consents(rows)
        except (OSError, ValueError, LookupError, pa.ArrowException) as error:
            raise refuse_file("history/customers.parquet", "a file that cannot be read") from error
        if all(flag is None for flag in flags.values()):
            return set()
        return {name for name, flag in flags.items() if not flag}

    def features_of(self, customer: str) -> dict[str, Any]:
        """The customer's feature row, read from the run's file; empty without activity."""
        # Not kept in memory: single customers are requested seldom, and the file is large.
        try:
            rows = pq.read_table(
                self.folder / "features.parquet", filters=[("customer_id", "==", customer)]
            )
        except (OSError, ValueError, pa.ArrowException) as error:
            raise refuse_file("features.parquet", "a file that cannot be read") from error
        return rows.to_pylist()[0] if rows.num_rows else {}


def latest_run_folder() -> Path | None:
    """The run folder that LATEST names, or None where nothing was scored yet."""
    root = home() / "scores"
    if not (root / latest_run.FILE).is_file():
        return None
    try:
        return latest_run.read_latest(root)[1]
    except (OSError, ValueError) as error:
        raise refuse_file("LATEST", "a pointer that cannot be read") from error


def run_mark(folder: Path) -> str:
    """A text that changes when the run is written anew in its place, without who was forgotten."""
    try:
        about = (folder / "manifest.json").stat()
    except OSError:  # `load_lookup` says so
        return ""
    # Not the time of its content, which stays where customers are taken out.
    return f"{about.st_ctime_ns}:{about.st_size}"


def load_lookup(folder: Path) -> Lookup:
    """Verify the files against the run's manifest, then read them; RunRefused otherwise."""
    try:
        if not (folder / "manifest.json").is_file():  # to open a pipe would wait for a writer
            raise FileNotFoundError(folder)
        manifest = json.loads((folder / "manifest.json").read_bytes())
        # Only our own names are opened: those of the manifest may lead anywhere.
        altered = [name for name in FILES if manifest["files"][name] != hash_file(folder / name)]
        run, as_of, release = manifest["run"], manifest["as_of"], manifest["release"]
        without = tuple(str(name) for name in manifest.get("without", ()))
        written = {
            name.removeprefix(HISTORY).removesuffix(".parquet"): about
            for name, about in manifest["files"].items()
            if name.startswith(HISTORY)
        }
        history = {name: int(about["size"]) for name, about in written.items()}
        hashes = {name: str(about["sha256"]) for name, about in written.items()}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise refuse_file("manifest.json", "no readable manifest, or a missing file") from error
    if altered:
        raise refuse_file(altered[0], "a file that is not as it was written")
    if not (isinstance(run, str) and type(as_of) is int and isinstance(release, str)):
        raise refuse_file("manifest.json", "a manifest that is not one of a run")
    read = _read_files(folder, run, as_of, release)
    return replace(read, history=history, history_hashes=hashes, without=without)


def _read_files(folder: Path, run: str, as_of: int, release: str) -> Lookup:
    try:
        # One chunk: a row is then found without searching the chunks.
        scores = without_forgotten(pq.read_table(folder / "scores.parquet")).combine_chunks()
        return Lookup(
            folder,
            run,
            as_of,
            release,
            entry_structs(scores),
            scores["customer_id"].to_pylist(),
            PopulationStats.read(folder / "population.parquet"),
        )
    except (OSError, ValueError, TypeError, LookupError, pa.ArrowException) as error:
        raise refuse_file("scores.parquet", "files that are not those of a run") from error


def refuse_file(name: str, got: str) -> RunRefused:
    """The error for a file of the latest run that is not as it was written."""
    return RunRefused(
        where=f"the latest run, {name}",
        got=got,
        rule="A run is used only if its files have the hashes of its manifest.",
        fix="Run `lifecycle score -c …` again.",
    )
