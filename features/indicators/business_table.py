"""The shape of a table for the business: its own columns, and seven that every table has.

as_of (µs UTC), population (whom the row is about, in words), n (how many of them), low and high
(95 % interval of the row's rate; null where it is a count or a sum), definition (what the numbers
mean) and missing (what is not in the data, in a row without numbers; null in all others).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

LEADING = {"as_of": pa.int64(), "population": pa.string()}
TRAILING = {
    "n": pa.int64(),
    "low": pa.float64(),
    "high": pa.float64(),
    "definition": pa.string(),
    "missing": pa.string(),
}
TEXT, COUNT, NUMBER = pa.string(), pa.int64(), pa.float64()


@dataclass(frozen=True)
class TableShape:
    """The name of a table, its own columns with their types, and what its numbers mean."""

    name: str
    definition: str
    population: str
    columns: Mapping[str, pa.DataType] = field(default_factory=dict)

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([*LEADING.items(), *self.columns.items(), *TRAILING.items()])

    def fill(self, rows: pa.Table, *, as_of: int) -> pa.Table:
        """The rows in the table's schema; what they lack is the shape's own text, or null."""
        constants = {
            "as_of": as_of,
            "population": self.population,
            "definition": self.definition,
        }
        columns = []
        for each in self.schema:
            if each.name in rows.column_names:
                columns.append(rows[each.name].cast(each.type))
            else:
                value = pa.scalar(constants.get(each.name), each.type)
                columns.append(pa.chunked_array([pa.repeat(value, rows.num_rows)], each.type))
        return pa.table(columns, schema=self.schema)

    def fill_rows(self, rows: Sequence[Mapping[str, Any]], *, as_of: int) -> pa.Table:
        """The same from rows as mappings; all have the same keys, or there is no row."""
        names = list(rows[0]) if rows else []
        columns = {
            name: pa.array([row[name] for row in rows], self.schema.field(name).type)
            for name in names
        }
        return self.fill(pa.table(columns), as_of=as_of) if rows else self.schema.empty_table()

    def say_missing(self, sentence: str, *, as_of: int, **cells: str) -> pa.Table:
        """One row without numbers that says what is not in the data. `cells`: of its own columns.

        n is 0 there.
        """
        return self.fill_rows([{"n": 0, "missing": sentence, **cells}], as_of=as_of)
