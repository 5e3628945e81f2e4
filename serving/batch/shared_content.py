"""The content of a run over a kept history that is read share by share.

Two passes over the shares, one after another here or on Spark: the first writes what was known and
gathers the population facts, the second writes features and scores. So the memory is that of one
share, whatever the number of customers; the sorted parts become the files of the run at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from features.core.contract import CONTRACT
from features.core.language import say
from features.engine.consent import ConsentCount, limit_to_consent, report_consent
from features.engine.run_shares import run_shares
from features.engine.share_features import ShareReading
from features.recipes.definitions import Definitions
from features.recipes.population_facts import join_facts, population_facts
from features.recipes.population_stats import PopulationStats, fit_population
from features.tables.history import History, Known
from features.tables.history_store.shares import Share, share_limit
from features.tables.outline import memory_bytes
from features.tables.sources import connect
from serving.batch.known_rows import Columns, file_columns, known_ids, sort_known_table
from serving.batch.merged_parts import merge_parts
from serving.batch.run_content import (
    GROUP_ROWS,
    OUTPUT_GROUP_ROWS,
    Scoring,
    population_table,
    refuse_nobody,
    score_known,
)
from serving.batch.shift import COMPARED_COLUMNS
from serving.batch.writers import with_datetimes
from serving.release.release import Release, load_release

HISTORY, FACTS, IDS, CONSENT = "history ", "facts ", "ids", "consent"
BY_ID = ("customer_id",)


@dataclass(frozen=True)
class KnownReading:
    """How a task reads what was known of a share: with consent only of those who consented."""

    reading: ShareReading
    as_of: int
    needs_consent: bool

    def known(self, share: Share) -> tuple[Known, ConsentCount]:
        """What was known of the customers of a share."""
        history, count = self.reading.history(share), ConsentCount()
        if self.needs_consent:
            history, count = limit_to_consent(history, self.reading.settings, at=self.as_of)
        return history.as_of(self.as_of), count


@dataclass(frozen=True)
class KnownTask:
    """Of a share: its known tables, the ids of its customers, and their population facts."""

    source: KnownReading
    definitions: Definitions

    def __call__(self, share: Share) -> dict[str, pa.Table]:
        known, count = self.source.known(share)
        facts = population_facts(known, self.definitions)
        return {
            **{HISTORY + name: sort_known_table(known, name) for name in known.tables},
            **{FACTS + name: table for name, table in facts.items()},
            IDS: known_ids(known),
            CONSENT: pa.Table.from_pylist([vars(count)]),
        }


@dataclass(frozen=True)
class ServedRelease:
    """A release that a task of another process reads again, and verifies there."""

    folder: Path
    release: Release | None = field(default=None, compare=False)

    def read(self) -> Release:
        return self.release or _read_once(self.folder)

    def __reduce__(self) -> tuple[Any, ...]:
        return ServedRelease, (self.folder,)


@lru_cache(maxsize=1)
def _read_once(folder: Path) -> Release:
    return load_release(folder)


@dataclass(frozen=True)
class ScoresTask:
    """Of a share: its features and scores."""

    source: KnownReading
    release: ServedRelease
    population: PopulationStats
    stale: bool
    missing: tuple[str, ...]

    def __call__(self, share: Share) -> dict[str, pa.Table]:
        known, _ = self.source.known(share)
        settings = self.source.reading.settings
        release = self.release.read()
        scoring = Scoring(settings, release, self.source.as_of, self.stale, self.missing)
        features, scores = score_known(known, self.population, scoring)
        return {"features": features, "scores": scores}


class SharedContent:
    """`run_content.Content` in files of the folder `place`, which is the caller's to remove."""

    def __init__(self, outline: History, scoring: Scoring, place: Path) -> None:
        self._outline, self._scoring, self._place = outline, scoring, place
        settings = scoring.settings
        reading = ShareReading.of_outline(outline, settings)
        self._source = KnownReading(reading, scoring.as_of, settings.consent.score)
        self._schemas: dict[str, pa.Schema] = {}
        self._population = self._gather()

    def _gather(self) -> PopulationStats:
        """Write the known tables, and fit the population statistics."""
        definitions = self._scoring.release.scorer.definitions
        task, label = (
            KnownTask(self._source, definitions),
            say("what was known, parts of customers"),
        )
        facts, consents = [], []
        for number, tables in enumerate(self._run(task, label)):
            facts.append(_named(tables, FACTS))
            consents += tables[CONSENT].to_pylist()
            self._store(number, {**_named(tables, HISTORY), IDS: tables[IDS]})
        if self._source.needs_consent:
            report_consent(ConsentCount.join(ConsentCount(**each) for each in consents), "score")
        for name in self._outline.names:
            self._merge(name, CONTRACT[name].names, GROUP_ROWS)
        self._merge(IDS, BY_ID, GROUP_ROWS)
        return fit_population(join_facts(facts), as_of=self._scoring.as_of)

    @property
    def tables(self) -> Mapping[str, Columns]:
        return {name: file_columns(self._file(name)) for name in self._outline.names}

    @property
    def ids(self) -> Columns:
        return file_columns(self._file(IDS))

    def scores(self) -> pa.Table:
        return pq.read_table(self._scored, columns=list(COMPARED_COLUMNS))

    @cached_property
    def _scored(self) -> Path:
        """The file of the scores; it and that of the features are written at first use."""
        scoring = self._scoring
        release = ServedRelease(scoring.release.folder, scoring.release)
        task = ScoresTask(
            self._source, release, self._population, scoring.stale, tuple(scoring.missing)
        )
        label = say("features and scores, parts of customers")
        for number, tables in enumerate(self._run(task, label)):
            self._store(number, tables)
        for name in ("features", "scores"):
            rows = self._merge(name, BY_ID, OUTPUT_GROUP_ROWS, dated=True)
        refuse_nobody(rows, scoring)
        return self._file("scores")

    def write(self, folder: Path) -> None:
        self._scored.rename(folder / "scores.parquet")
        self._file("features").rename(folder / "features.parquet")
        pq.write_table(population_table(self._population), folder / "population.parquet")
        (folder / "history").mkdir()
        for name in self._outline.names:
            self._file(name).rename(folder / "history" / f"{name}.parquet")

    def _run(self, task: Any, label: str) -> Iterable[Mapping[str, pa.Table]]:
        return run_shares(task, self._outline.shares, self._scoring.settings, label=label)

    def _file(self, name: str) -> Path:
        return self._place / f"{name}.parquet"

    def _store(self, number: int, tables: Mapping[str, pa.Table]) -> None:
        for name, table in tables.items():
            (self._place / name).mkdir(exist_ok=True)
            self._schemas[name] = table.schema
            pq.write_table(table, self._place / name / f"{number}.parquet")

    def _merge(
        self, name: str, order: Iterable[str], group_rows: int, *, dated: bool = False
    ) -> int:
        """The parts of one table as its sorted file; the parts are removed."""
        engine = self._scoring.settings.engine
        # As much as a share: the engine takes what it may, though a sort can do with less.
        memory = share_limit(memory_bytes(engine.memory)) // 10**6
        parts = sorted((self._place / name).iterdir(), key=lambda path: int(path.stem))
        connection = connect(memory=f"{memory}MB", threads=engine.threads)
        try:
            rows = merge_parts(
                connection,
                parts,
                self._file(name),
                schema=self._schemas[name],
                order=tuple(order),
                group_rows=group_rows,
                change=with_datetimes if dated else lambda table: table,
            )
        finally:
            connection.close()
        for part in parts:
            part.unlink()
        return rows


def _named(tables: Mapping[str, pa.Table], prefix: str) -> dict[str, pa.Table]:
    return {
        name.removeprefix(prefix): table
        for name, table in tables.items()
        if name.startswith(prefix)
    }
