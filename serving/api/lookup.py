"""The latest run as the service reads it: whole by its hashes, found by binary search, its base beside it."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from features.core.errors import ReleaseRefused
from features.core.settings import home
from features.recipes.population_stats import PopulationStats
from serving.api.answers import structs

READ = ("scores.parquet", "base.parquet", "features.parquet")


@dataclass(frozen=True)
class Lookup:
    """One run's scores, sorted by customer_id; `as_of` in µs, `release` the id that made them.

    `said` are the rows as entries say them, `ids` the same rows' ids as plain text for the search (some 60 bytes each).
    """

    folder: Path
    run: str
    as_of: int
    release: str
    said: pa.StructArray
    ids: list[str]
    base: PopulationStats

    def row_of(self, customer: str) -> int | None:
        """The row of a customer, or None."""
        at = bisect_left(self.ids, customer)
        return at if at < len(self.ids) and self.ids[at] == customer else None

    def features_of(self, customer: str) -> dict[str, Any]:
        """The customer's feature values, read from the run's file: null where a feature knows nothing yet."""
        rows = pq.read_table(
            self.folder / "features.parquet", filters=[("customer_id", "==", customer)]
        )
        return rows.to_pylist()[0] if rows.num_rows else {}


def pointed() -> Path | None:
    """The run folder LATEST names, or None where nothing was scored yet."""
    pointer = home() / "scores" / "LATEST"
    if not pointer.is_file():
        return None
    try:
        return home() / "scores" / json.loads(pointer.read_text())["folder"]
    except (ValueError, KeyError, TypeError) as error:
        raise _refused("LATEST", "a pointer that cannot be read") from error


def load(folder: Path) -> Lookup:
    """Verify the files that are read against the run's manifest, then read them; ReleaseRefused otherwise."""
    try:
        about = json.loads((folder / "manifest.json").read_text())
        changed = [
            name for name in READ if about["files"][name]["sha256"] != _sha256(folder / name)
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _refused("manifest.json", "no readable manifest, or a file that is gone") from error
    if changed:
        raise _refused(changed[0], "a file that is not as it was written")
    scores = pq.read_table(folder / "scores.parquet").combine_chunks()
    said, ids = structs(scores), scores["customer_id"].to_pylist()
    base = PopulationStats.stored(folder / "base.parquet")
    return Lookup(folder, about["run"], about["as_of"], about["release"], said, ids, base)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refused(name: str, got: str) -> ReleaseRefused:
    return ReleaseRefused(
        where=f"the latest run, {name}",
        got=got,
        rule="A run is read whole, with the hashes of its manifest.",
        fix="Run `lifecycle score -c …` again.",
    )
