"""`lifecycle score --to`: the rows of a run, with its id, to the place that a text names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from features.core.errors import BadSetting
from features.core.language import number, say
from features.core.progress import print_status
from serving.batch.destinations.duckdb_file import write_duckdb
from serving.batch.destinations.postgresql import write_postgresql
from serving.batch.writers import write_table

TABLE = "lifecycle_scores"
POSTGRESQL = ("postgresql://", "postgres://")
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}(\.[a-z_][a-z0-9_]{0,62})?", re.ASCII)


@dataclass(frozen=True)
class Sent:
    """kind: csv, parquet, duckdb or postgresql. rows: of the run. replaced: of the same as_of."""

    kind: str
    rows: int
    replaced: int


@dataclass(frozen=True)
class Destination:
    """A checked destination. table: in a database; may have a schema before a point."""

    kind: str
    place: str
    table: str

    def send(self, run: Path) -> Sent:
        """Write the scores of a run folder; StoreFailed, and nothing is changed then."""
        scores = pq.read_table(run / "scores.parquet")
        ids = pa.array([run.name.removeprefix("run=")] * scores.num_rows, pa.string())
        rows = scores.add_column(0, "run_id", ids)
        print_status(say("writing {n} rows", n=number(rows.num_rows)))
        if self.kind == "postgresql":
            return Sent(self.kind, rows.num_rows, write_postgresql(rows, self.place, self.table))
        if self.kind == "duckdb":
            return Sent(self.kind, rows.num_rows, write_duckdb(rows, Path(self.place), self.table))
        write_table(rows, Path(self.place))
        return Sent(self.kind, rows.num_rows, 0)


def parse_destination(text: str, table: str = TABLE) -> Destination:
    """The destination of a text; BadSetting for one that is none, and for a bad name of a table.

    >>> parse_destination("scores.csv").kind
    'csv'
    """
    if _NAME.fullmatch(table) is None:
        raise BadSetting(
            where="--table",
            got="a name with other signs, or too long",
            rule="A table has small letters, digits and _, and may have a schema before a point.",
            fix=f"For example: --table {TABLE}",
            values=[table],
        )
    if text.startswith(POSTGRESQL):
        return Destination("postgresql", text, table)
    kind = Path(text).suffix.removeprefix(".")
    if kind in ("csv", "parquet", "duckdb"):
        return Destination(kind, text, table)
    raise BadSetting(
        where="--to",
        got="neither a file of a known kind nor an address of PostgreSQL",
        rule="Scores go to a .csv, .parquet or .duckdb file, or to postgresql://….",
        fix="For example: --to scores.parquet, or --to postgresql://name@host/database "
        "(the password in PGPASSWORD or ~/.pgpass).",
    )
