"""The content of a run: what was known, and the features and scores of everybody, as files.

`WholeContent` has all of it in memory. `serving.batch.shared_content` makes the same files of a
kept history that is read share by share.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from features.core.errors import EmptyTable
from features.core.instants import day_text
from features.core.settings import Settings
from features.engine.build import build, prospects
from features.recipes.population_stats import PopulationStats, population_stats
from features.tables.history import Known
from serving.batch.known_rows import Columns, known_ids, sort_known_tables, table_columns
from serving.batch.writers import with_datetimes
from serving.release.release import Release
from serving.release.score_table import score_table

# Rows of the history that are read together: few, so that one customer is read quickly.
GROUP_ROWS = 16_384
# Of features and scores: so many are in memory while a large run is written.
OUTPUT_GROUP_ROWS = 65_536


@dataclass(frozen=True)
class Scoring:
    """How a run scores: `as_of` in µs UTC; stale: it lies after the data; missing: stale tables."""

    settings: Settings
    release: Release
    as_of: int
    stale: bool
    missing: tuple[str, ...]


class Content(Protocol):
    """What a run folder is made of."""

    @property
    def tables(self) -> Mapping[str, Columns]:
        """The known tables by name, for the hash that names the run."""

    @property
    def ids(self) -> Columns:
        """The ids of everybody known, for the same hash."""

    def scores(self) -> pa.Table:
        """At least the columns of the scores by which runs are compared; computed at first use."""

    def write(self, folder: Path) -> None:
        """Write features, scores, population and history/ into the folder, once."""


class WholeContent:
    """The content where all customers are in memory."""

    def __init__(self, known: Known, scoring: Scoring) -> None:
        self._known, self._scoring = known, scoring
        self._tables = sort_known_tables(known, scoring.settings)

    @property
    def tables(self) -> Mapping[str, Columns]:
        return {name: table_columns(table) for name, table in self._tables.items()}

    @property
    def ids(self) -> Columns:
        return table_columns(known_ids(self._known))

    def scores(self) -> pa.Table:
        return self._outputs["scores"]

    @cached_property
    def _outputs(self) -> dict[str, pa.Table]:
        definitions = self._scoring.release.scorer.definitions
        population = population_stats(self._known, definitions)
        features, scores = score_known(self._known, population, self._scoring)
        refuse_nobody(scores.num_rows, self._scoring)
        return {
            "scores": with_datetimes(scores),
            "features": with_datetimes(features),
            "population": population_table(population),
        }

    def write(self, folder: Path) -> None:
        for name, table in self._outputs.items():
            pq.write_table(table, folder / f"{name}.parquet", row_group_size=OUTPUT_GROUP_ROWS)
        (folder / "history").mkdir()
        for name, table in self._tables.items():
            path = folder / "history" / f"{name}.parquet"
            pq.write_table(table, path, row_group_size=GROUP_ROWS)


def score_known(
    known: Known, population: PopulationStats, scoring: Scoring
) -> tuple[pa.Table, pa.Table]:
    """The feature rows and the scores of the customers of `known`, each sorted by customer_id."""
    release = scoring.release
    definitions = release.scorer.definitions
    rows = build(known, population=population, definitions=definitions, columns=release.columns)
    scores = score_table(
        rows,
        release,
        prospects=prospects(known, contractual=definitions.contractual),
        as_of=scoring.as_of,
        stale=scoring.stale,
        missing=scoring.missing,
    )
    return rows, scores


def population_table(population: PopulationStats) -> pa.Table:
    """The population statistics as the one row of `population.parquet`."""
    return pa.Table.from_pylist([asdict(population)])


def refuse_nobody(rows: int, scoring: Scoring) -> None:
    """EmptyTable where a run would score nobody."""
    if not rows:
        raise EmptyTable(
            where="--as-of",
            got="no customer known before " + day_text(scoring.as_of, zone=scoring.settings.zone),
            rule="A run scores at least one customer.",
            fix="Give a later --as-of.",
        )
