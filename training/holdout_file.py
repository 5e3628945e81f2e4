"""The predictions that a training made of dates it had not learned from, and what they cost.

They lie in `<home>/mlruns/holdout/<run or release>/predictions.parquet`, for their owner only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.core.errors import UsageError
from features.core.settings import home
from features.core.staged_files import staged_file
from features.recipes.stages import STAGES
from features.tables.forgotten_rows import without_forgotten
from serving.release.release_store import releases_folder

FILE, RELEASE, NAME, SECONDS = "predictions.parquet", "release", "name", "seconds"
KEYS = ("customer_id", "as_of", "eligible", "churned", "outcome_stage")


@dataclass(frozen=True)
class Cost:
    """Seconds of the training, bytes of its release, features of its churn model; None: unknown.

    The seconds are those of both models where they were trained together.
    """

    training_seconds: float | None = None
    release_bytes: int | None = None
    features: int | None = None


UNKNOWN_COST = Cost()


def save_holdout(
    name: str,
    rows: pa.Table,
    p: np.ndarray,
    p_next: np.ndarray,
    *,
    of: Mapping[str, str],
    seconds: float,
) -> None:
    """Write p (rows,) and p_next (rows, 7). `of`: the release, the run of each job, its NAME."""
    predicted = rows.select(list(KEYS)).append_column("p_churn", pa.array(p))
    for k, stage in enumerate(STAGES):
        predicted = predicted.append_column(f"p_next_{stage}", pa.array(p_next[:, k]))
    folder = _holdout_folder() / name
    folder.mkdir(parents=True, exist_ok=True)
    # A training takes long: who was forgotten meanwhile must not come back.
    predicted = without_forgotten(predicted)
    metadata = {**of, SECONDS: f"{seconds:.1f}"}
    # Of single customers: for their owner only.
    with staged_file(folder / FILE, private=True) as staged:
        pq.write_table(predicted.replace_schema_metadata(metadata), staged)


def find_holdout(text: str) -> tuple[pa.Table, Cost] | None:
    """The predictions and the cost of a release or run by its id, or by the name of its training.

    None where there are none. BadArgument where several trainings have the name.
    """
    named = []
    for file in sorted(_holdout_folder().glob(f"*/{FILE}")):
        metadata = pq.read_schema(file).metadata or {}
        of = {key.decode(): value.decode() for key, value in metadata.items()}
        seconds, name = of.pop(SECONDS, None), of.pop(NAME, None)
        if text in (file.parent.name, *of.values()):
            return pq.read_table(file), _cost(of.get(RELEASE), seconds)
        if text == name:
            named.append((file, of.get(RELEASE), seconds))
    if len(named) > 1:
        releases = sorted({release or file.parent.name for file, release, _ in named})
        raise UsageError(
            where=text,
            got=f"{len(named)} trainings of this name",
            rule="A name stands for one training.",
            fix=f"Give the id of one: {', '.join(releases)}.",
        )
    return (pq.read_table(named[0][0]), _cost(*named[0][1:])) if named else None


def _holdout_folder() -> Path:
    return home() / "mlruns" / "holdout"


def _cost(release: str | None, seconds: str | None) -> Cost:
    """Of files that an earlier version wrote the seconds are unknown; so is a deleted release."""
    spent = None if seconds is None else float(seconds)
    folder = releases_folder() / str(release)
    if release is None or not folder.is_dir():
        return Cost(spent)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    columns = json.loads((folder / "models.json").read_text())["columns"]
    return Cost(spent, size, len(columns))
