"""A file of pairs (customers and instants), read as strictly as a table of the contract."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from features.core.contract import Column
from features.core.errors import ColumnMissing, EmptyTable, FileMissing, WrongType
from features.core.instants import DAY_US
from features.core.settings import Settings
from features.engine.business_columns import columns_for
from features.engine.pairs import PairRows, build_pairs
from features.recipes.definitions import Definitions, learn_definitions
from features.recipes.population_stats import population_stats
from features.tables.currencies import refuse_several_currencies
from features.tables.history import History, refuse_too_late
from features.tables.parsing import column_sql, naive_time_error, quote_identifier
from features.tables.sources import connect, view_file

COLUMNS = (
    Column("customer_id", "id", "the customer", True),
    Column("as_of", "instant", "the instant of the features", True),
)
MAX_EXACT = 31  # distinct instants that each get population statistics of their own
STEP_DAYS = 30


def read_pairs(path: Path, settings: Settings) -> pa.Table:
    """Read customer_id (text) and as_of (int64, µs UTC) from every row of a .csv or .parquet file.

    A date means local midnight in the business's zone. One row that breaks a rule refuses the
    file. Errors: ColumnMissing, WrongType, NaiveTime, EmptyTable and FileMissing, with counts.
    """
    return read_for_pairs(path, settings, ())


def read_for_pairs(path: Path, settings: Settings, values: Sequence[str]) -> pa.Table:
    """`read_pairs` with numbers for each pair: of the columns `values` those that the file has.

    Float64; null where a cell is empty. The same rules and errors.
    """
    return _read(path, settings, values, others=False)[0]


def read_with_columns(path: Path, settings: Settings) -> tuple[pa.Table, pa.Table]:
    """(the pairs as `read_pairs` gives them, every other column of the file as it is).

    The same rules and errors for the pairs; the rows of both are in one order.
    """
    return _read(path, settings, (), others=True)


def _read(
    path: Path, settings: Settings, values: Sequence[str], *, others: bool
) -> tuple[pa.Table, pa.Table]:
    if not path.is_file():
        raise FileMissing(
            where=str(path),
            got="no such file",
            rule="It is a .csv or .parquet file with the columns customer_id and as_of.",
            fix=f"Correct the path of {path.name}.",
        )
    connection = connect(memory="1GB", threads=1)
    connection.execute("CREATE SCHEMA files")
    view_file(connection, "pairs", path)
    types = {row[0]: row[1] for row in connection.execute("DESCRIBE files.pairs").fetchall()}
    missing = [column.name for column in COLUMNS if column.name not in types]
    if missing:
        raise ColumnMissing(
            where=str(path),
            got=f"no column {', '.join(missing)}; it has {', '.join(types)}",
            rule="Pairs have the columns customer_id and as_of.",
            fix=f"Name the columns {' and '.join(column.name for column in COLUMNS)}.",
        )
    numbers = [Column(name, "number", "a number of the pair") for name in values if name in types]
    read = [
        _value_sql(connection, column, types[column.name], path, settings)
        for column in (*COLUMNS, *numbers)
    ]
    taken = {column.name for column in (*COLUMNS, *numbers)}
    rest = [quote_identifier(name) for name in types if name not in taken] if others else []
    rows = connection.execute(
        f"SELECT {', '.join([*read, *rest])} FROM files.pairs"
    ).to_arrow_table()
    pairs, columns = rows.select(range(len(read))), rows.select(range(len(read), rows.num_columns))
    if not pairs.num_rows:
        raise EmptyTable(
            where=str(path),
            got="0 rows",
            rule="A file of pairs has rows.",
            fix="Name a file with at least one pair.",
        )
    return pairs, columns


def _value_sql(
    connection: duckdb.DuckDBPyConnection,
    column: Column,
    raw_type: str,
    path: Path,
    settings: Settings,
) -> str:
    """SQL that reads one column, after a check that every row keeps its rules."""
    read = column_sql(
        column,
        raw=quote_identifier(column.name),
        raw_type=raw_type,
        table="pairs",
        zone=settings.zone,
        digits=settings.minor_digits,
    )
    where = f"{path.name}.{column.name}"
    for reason, test in read.violations:
        # An aggregate without groups always gives one row.
        [(count,)] = connection.execute(f"SELECT count(*) FROM files.pairs WHERE {test}").fetchall()
        if count and reason == "naive":
            raise naive_time_error(where, count)
        if count:
            raise WrongType(
                where=where,
                got=f"{count:,} rows that are {reason}",
                rule="customer_id is text, as_of a date or an instant, and neither is empty; any "
                "other column is a number.",
                fix="Correct or remove those rows.",
            )
    return f"{read.value} AS {column.name}"


def population_instants(instants: np.ndarray) -> np.ndarray:
    """The instants (µs) of the population statistics for pairs at these sorted instants."""
    if len(instants) <= MAX_EXACT:
        return instants
    return np.arange(instants[0], instants[-1] + 1, STEP_DAYS * DAY_US)


def build_for_pairs(
    history: History,
    settings: Settings,
    pairs: pa.Table,
    *,
    definitions: Definitions | None = None,
) -> tuple[PairRows, int]:
    """Build the rows of pairs (`read_pairs`); also return how many populations they use.

    `definitions`: those of a release; learned at the earliest as_of where left out. Up to
    MAX_EXACT distinct instants get population statistics of their own. More instants share those of
    every STEP_DAYS: each pair uses the newest at or before its as_of. Errors: AsOfTooLate for an
    instant beyond the data; those of `build_pairs` and `columns_for`.
    """
    instants = np.unique(pairs["as_of"].to_numpy())
    refuse_several_currencies(history)
    refuse_too_late(history, settings, int(instants[-1]))
    instants = population_instants(instants)
    definitions = definitions or learn_definitions(history.as_of(int(instants[0])), settings)
    populations = [population_stats(history.as_of(int(at)), definitions) for at in instants]
    rows = build_pairs(
        history,
        pairs,
        definitions=definitions,
        populations=populations,
        columns=columns_for(history, definitions, settings),
    )
    return rows, len(populations)
