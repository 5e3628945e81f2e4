"""Whether rows repeat in some columns, without grouping all of them.

A group for every row costs more memory than the rows. Nearly always no row repeats, which sorted
digests of 64 bits show: 8 bytes a row. Equal digests are looked at again.
"""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa

from features.tables.queries import first_value

REPEATED = "_repeated_digests"
_SHOWN = 1_000_000


def may_repeat(
    connection: duckdb.DuckDBPyConnection, table: str, columns: str, *, where: str
) -> bool:
    """Whether two rows of `table` may be equal in `columns` (SQL, separated by commas).

    False is certain. Otherwise REPEATED has the digests `hash(columns)` that occur twice: equal
    rows have one of them, and nearly all rows with one of them are equal to another.
    """
    digests = _sorted_digests(connection, table, columns, where)
    repeated = np.unique(digests[1:][digests[1:] == digests[:-1]])
    if not repeated.size:
        return False
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {REPEATED} (digest UBIGINT)")
    for start in range(0, repeated.size, _SHOWN):
        part = pa.table({"digest": repeated[start : start + _SHOWN]})
        connection.register("_repeated_part", part)
        connection.execute(f"INSERT INTO {REPEATED} SELECT digest FROM _repeated_part")
        connection.unregister("_repeated_part")
    return True


def _sorted_digests(
    connection: duckdb.DuckDBPyConnection, table: str, columns: str, where: str
) -> np.ndarray:
    rows = first_value(connection, f"SELECT count(*) FROM {table} WHERE {where}")
    digests = np.empty(rows, np.uint64)
    reader = connection.execute(
        f"SELECT hash({columns}) AS digest FROM {table} WHERE {where}"
    ).to_arrow_reader(1_000_000)
    filled = 0
    for batch in reader:
        digests[filled : filled + batch.num_rows] = batch.column(0).to_numpy()
        filled += batch.num_rows
    digests.sort()
    return digests
