"""The run that is monitored: its files as they were written, and nothing that came later."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from features.core.errors import NotEnoughData, RunRefused
from features.core.instants import day_text
from features.core.settings import Settings, home
from serving.batch import run_manifest, shift
from serving.batch.writers import with_microseconds

AFTER_ALL = 2**62  # µs, later than every as_of


@dataclass(frozen=True)
class ScoredRun:
    """A published run folder: its id, as_of (µs UTC), release, and the tables it went without."""

    folder: Path
    id: str
    as_of: int
    release: str
    without: tuple[str, ...]

    def read(self, name: str) -> pa.Table:
        """One file of the run, instants as µs; RunRefused where it is not as it was written."""
        path, about = self.folder / name, run_manifest.read_about(self.folder) or {}
        try:
            if run_manifest.hash_file(path) != about.get("files", {}).get(name):
                raise ValueError("another hash")
            return with_microseconds(pq.read_table(path, partitioning=None))
        except (OSError, ValueError, AttributeError, pa.ArrowException) as error:
            raise RunRefused(
                where=f"run {self.id}",
                got=f"{name} that is missing or not as it was written",
                rule="A run is read as it was written.",
                fix="Score the day again; a damaged run is replaced: lifecycle score --as-of "
                f"{self.folder.parent.name.removeprefix('as_of=')}",
            ) from error

    def tables(self) -> tuple[str, ...]:
        """The names of the tables under history/."""
        return tuple(sorted(path.stem for path in (self.folder / "history").glob("*.parquet")))


def open_run(settings: Settings, as_of: int | None) -> ScoredRun:
    """The newest published run of this configuration, or that of `as_of` (µs UTC).

    NotEnoughData where there is none.
    """
    for run in published_runs(settings):
        if as_of is None or run.as_of == as_of:
            return run
    day = "" if as_of is None else f" of {day_text(as_of, zone=settings.zone)}"
    raise NotEnoughData(
        where="monitor",
        got=f"no published run{day} of this configuration",
        rule="What was scored is monitored; runs in sample and of a backfill are not.",
        fix="Score first: lifecycle score",
    )


def published_runs(settings: Settings) -> list[ScoredRun]:
    """The published runs of this configuration, newest first."""
    former: Any = shift.published_runs(
        home() / "scores", configuration=shift.configuration_digest(settings), before=AFTER_ALL
    )
    return [
        ScoredRun(each.folder, each.id, each.as_of, each.release, each.without) for each in former
    ]
