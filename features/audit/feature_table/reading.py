"""A feature table made elsewhere: customer_id, as_of, and columns of any kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.core.errors import ColumnMissing
from features.core.instants import DAY_US
from features.core.settings import Settings
from features.engine.pairs_file import read_with_columns
from features.tables.parsing import quote_identifier

# Of a text column the most frequent values are looked at, each as a column of its own.
MAX_LEVELS = 12


@dataclass(frozen=True)
class FeatureTable:
    """The rows of a file. keys: customer_id (text) and as_of (int64, µs UTC).

    numbers, instants (µs): float64 (rows,), NaN where empty; texts: object (rows,), None where
    empty. A column is in one of the three. `unchecked`: what is not looked at, in words.
    """

    keys: pa.Table
    numbers: Mapping[str, np.ndarray]
    instants: Mapping[str, np.ndarray]
    texts: Mapping[str, np.ndarray]
    unchecked: tuple[str, ...] = ()

    @property
    def as_of(self) -> np.ndarray:
        return np.asarray(self.keys["as_of"].to_numpy())

    @property
    def names(self) -> list[str]:
        """Every column that is looked at."""
        return [*self.numbers, *self.instants, *self.texts]

    def take(self, places: np.ndarray) -> FeatureTable:
        """The rows at these places, in their order."""

        def at_places(columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {name: values[places] for name, values in columns.items()}

        return FeatureTable(
            self.keys.take(pa.array(places)),
            at_places(self.numbers),
            at_places(self.instants),
            at_places(self.texts),
            self.unchecked,
        )

    def values_at(self, at: np.ndarray) -> dict[str, np.ndarray]:
        """Every column as numbers (rows,): an instant as days before `at` (µs, rows), a text as one
        column of 0 and 1 for each of its frequent values, named `column = value`.
        """
        ages = {name: (at - values) / DAY_US for name, values in self.instants.items()}
        return {**self.numbers, **ages, **self.levels()}

    def levels(self) -> dict[str, np.ndarray]:
        """Each frequent value of each text as a column of 0 and 1, NaN where empty."""
        columns = {}
        for name, values in self.texts.items():
            empty = np.array([value is None for value in values], dtype=bool)
            for level in frequent_levels(values):
                columns[f"{name} = {level}"] = np.where(empty, np.nan, values == level)
        return columns


def frequent_levels(values: np.ndarray) -> list[str]:
    """The MAX_LEVELS most frequent texts, the most frequent first."""
    counts: dict[str, int] = {}
    for value in values:
        if value is not None:
            counts[value] = counts.get(value, 0) + 1
    return sorted(counts, key=lambda level: (-counts[level], level))[:MAX_LEVELS]


def read_feature_table(path: Path, settings: Settings) -> FeatureTable:
    """Read a .csv or .parquet file of customer_id, as_of and at least one more column.

    A column of text whose values are all numbers (or all instants) is one of numbers (instants).
    Errors: those of `read_pairs`; ColumnMissing where there is no further column.
    """
    keys, others = read_with_columns(path, settings)
    if not others.num_columns:
        raise ColumnMissing(
            where=str(path),
            got="no column but customer_id and as_of",
            rule="A feature table has features.",
            fix="Write the features into the file, one row for each customer and as_of.",
        )
    numbers: dict[str, np.ndarray] = {}
    instants: dict[str, np.ndarray] = {}
    texts: dict[str, np.ndarray] = {}
    unchecked = []
    for name in others.column_names:
        kind, values = _typed(others[name], settings.zone)
        if kind is None:
            unchecked.append(f"{name}: of the type {others[name].type}, which is not read")
        else:
            {"number": numbers, "instant": instants, "text": texts}[kind][name] = values
        if kind == "text" and (count := pc.count_distinct(others[name]).as_py()) > MAX_LEVELS:
            unchecked.append(
                f"{name}: {count:,} different texts, of which the {MAX_LEVELS} most frequent are "
                "looked at"
            )
    return FeatureTable(keys, numbers, instants, texts, tuple(unchecked))


def _typed(column: pa.ChunkedArray, zone: str) -> tuple[str | None, np.ndarray]:
    """(number, instant, text, or None for a type that is not read; the values)."""
    kind = column.type
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return "number", _floats(column)
    if pa.types.is_decimal(kind) or pa.types.is_null(kind):
        return "number", _floats(column)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return "instant", _instants(column, zone)
    if pa.types.is_dictionary(kind):
        column = column.cast(pa.string())
    elif not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return None, np.empty(0)
    return _read_text(column, zone)


def _read_text(column: pa.ChunkedArray, zone: str) -> tuple[str, np.ndarray]:
    """Texts as numbers or instants where all of them are; '' is empty."""
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        connection.execute(f"SET TimeZone = {_literal(zone)}")
        given = pa.table({"text": column})  # noqa: F841 DuckDB reads it by its name
        cell = f"nullif(trim({quote_identifier('text')}), '')"
        # A number of whole days is also a date to DuckDB, so numbers come first.
        for kind, sql in (("number", "DOUBLE"), ("instant", "TIMESTAMPTZ")):
            read = f"TRY_CAST({cell} AS {sql})"
            [(bad, good)] = connection.execute(
                f"SELECT count(*) FILTER ({cell} IS NOT NULL AND {read} IS NULL), count({read}) "
                "FROM given"
            ).fetchall()
            if good and not bad:
                value = read if kind == "number" else f"epoch_us({read})::DOUBLE"
                rows = connection.execute(f"SELECT {value} AS v FROM given").to_arrow_table()
                return kind, _floats(rows["v"])
        rows = connection.execute(f"SELECT {cell} AS v FROM given").to_arrow_table()
    return "text", np.array(rows["v"].to_pylist(), dtype=object)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _floats(column: pa.ChunkedArray) -> np.ndarray:
    """Float64 (rows,), NaN where empty or infinite."""
    values: Any = column.cast(pa.float64()).to_numpy()
    return np.where(np.isfinite(values), values, np.nan)


def _instants(column: pa.ChunkedArray, zone: str) -> np.ndarray:
    """µs UTC as float64 (rows,), NaN where empty. Local time where the column has no zone."""
    stamps = column.cast(pa.timestamp("us", getattr(column.type, "tz", None)))
    if stamps.type.tz is None:
        stamps = pc.assume_timezone(stamps, zone, ambiguous="earliest", nonexistent="earliest")
    return _floats(stamps.cast(pa.int64()))
