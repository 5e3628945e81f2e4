"""A file of customers and the instants to ask about them, read as strictly as any table of the contract."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from features.core.contract import Column
from features.core.errors import ColumnMissing, EmptyTable, WrongType
from features.core.instants import DAY_US
from features.core.settings import Settings
from features.engine.business_columns import columns_for
from features.engine.pairs import Paired, build_pairs
from features.recipes.definitions import learn_definitions
from features.recipes.population_stats import population_stats
from features.tables.history import History
from features.tables.parsing import naive_time, quoted, reading
from features.tables.sources import connect, view_file

COLUMNS = (
    Column("customer_id", "id", "whom to ask about", True),
    Column("as_of", "instant", "as of when", True),
)
FEW = 31  # distinct instants that each get a base of their own
STEP_DAYS = 30


def read(path: Path, settings: Settings) -> pa.Table:
    """customer_id (text) and as_of (µs UTC) of every row of a .csv or .parquet; a row that does not fit refuses the file.

    A date means local midnight in the business's zone. Errors: InputRefused leaves, with counts.
    """
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
            fix="Name the columns so.",
        )
    values = []
    for column in COLUMNS:
        found = reading(
            column,
            raw=quoted(column.name),
            raw_type=types[column.name],
            table="pairs",
            zone=settings.zone,
            digits=settings.minor_digits,
        )
        values.append(f"{found.value} AS {column.name}")
        for reason, test in found.broken:
            count = connection.execute(f"SELECT count(*) FROM files.pairs WHERE {test}").fetchone()[
                0
            ]
            if count and reason == "naive":
                raise naive_time(f"{path.name}.{column.name}", count)
            if count:
                raise WrongType(
                    where=f"{path.name}.{column.name}",
                    got=f"{count:,} rows that are {reason}",
                    rule="customer_id is text, as_of a date or an instant, and neither is empty.",
                    fix="Mend or leave out those rows.",
                )
    pairs = connection.execute(f"SELECT {', '.join(values)} FROM files.pairs").to_arrow_table()
    if not pairs.num_rows:
        raise EmptyTable(
            where=str(path),
            got="0 rows",
            rule="A file of pairs has rows.",
            fix="Name another file.",
        )
    return pairs


def rows_for(history: History, settings: Settings, pairs: pa.Table) -> tuple[Paired, int]:
    """The pairs' rows, and how many bases they rest on. Definitions are learned at the earliest as_of.

    Up to 31 distinct instants get a base each; more share one every 30 days, each pair the newest before its as_of.
    """
    instants = np.unique(pairs["as_of"].to_numpy())
    if len(instants) > FEW:
        instants = np.arange(instants[0], instants[-1] + 1, STEP_DAYS * DAY_US)
    definitions = learn_definitions(history.as_of(int(instants[0])), settings)
    bases = [population_stats(history.as_of(int(at)), definitions) for at in instants]
    chosen = columns_for(history, definitions, settings)
    return build_pairs(history, pairs, definitions=definitions, bases=bases, columns=chosen), len(
        bases
    )
