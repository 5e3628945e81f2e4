"""From files and one SELECT per table to typed, checked tables in DuckDB, with every rejected row and its reason.

Files appear as views; every CSV column arrives as text and the contract reads it strictly (`features.tables.parsing`).
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from features.core.contract import CONTRACT, EVENT_TABLES, SURVEYS, Table
from features.core.errors import (
    ColumnMissing,
    EmptyTable,
    FileMissing,
    QueryFailed,
    SelectRefused,
    suggestion,
)
from features.core.settings import Settings, file_path
from features.tables import clock_changes, require_timestamps
from features.tables.attribute_columns import widened
from features.tables.parsing import (
    SQL_TYPES,
    literal,
    local_day,
    local_hour,
    naive_time,
    quoted,
    reading,
)
from features.tables.versions import refuse_contradictions, refuse_duplicate_customers

_READS_FILES = re.compile(
    r"\b(read_\w+|parquet_scan|sniff_csv|glob|scan_\w+|\w+_scan)\s*\(", re.IGNORECASE
)
_FROM_PATH = re.compile(r"\b(from|join)\s+'", re.IGNORECASE)


@dataclass
class Counts:
    """What became of one table's rows: `read = kept + sum(rejected.values())`."""

    read: int = 0
    kept: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    unused_columns: list[str] = field(default_factory=list)
    attributes: list[str] = field(default_factory=list)
    clock_changes: dict[str, int] = field(default_factory=dict)


@dataclass
class Intake:
    """The connection with one typed table per contract table named in the settings, and the account of the reading."""

    connection: duckdb.DuckDBPyConnection
    counts: dict[str, Counts]


def connect(*, memory: str = "4GB", threads: int = 2) -> duckdb.DuckDBPyConnection:
    """An embedded engine that installs nothing, spills to a folder of its own, and speaks UTC."""
    connection = duckdb.connect(
        config={
            "autoinstall_known_extensions": "false",
            "memory_limit": memory,
            "threads": threads,
            "temp_directory": str(Path(tempfile.gettempdir()) / "lifecycle-spill"),
        }
    )
    # It would go to standard output, between our lines. (In a notebook without widgets it is off, and may not be named.)
    if connection.execute("SELECT current_setting('enable_progress_bar')").fetchone() == (True,):
        connection.execute("SET enable_progress_bar = false")
    connection.execute(
        "SET TimeZone = 'UTC'"
    )  # not in the config: it needs the calendar extension loaded first
    return connection


def read(settings: Settings) -> Intake:
    """Read every table the settings name. Errors: InputRefused or SelectRefused leaves; nothing is written."""
    connection = connect(memory=settings.engine.memory, threads=settings.engine.threads)
    connection.execute(
        "CREATE SCHEMA files"
    )  # apart, so that a file may be called like a table of the contract
    for name, stated in settings.files.items():
        view_file(connection, name, file_path(settings, stated))
    # Whatever a SELECT says, it reaches the named files and nothing else.
    named = ", ".join(
        literal(str(file_path(settings, stated))) for stated in settings.files.values()
    )
    connection.execute(f"SET allowed_paths = [{named}]")
    connection.execute("SET enable_external_access = false")
    counts = {}
    for name, select in settings.tables.items():
        counts[name] = read_table(connection, CONTRACT[name], select, settings=settings)
    # From here on nothing can reach a file through this connection.
    connection.execute(
        "CREATE TABLE IF NOT EXISTS rejects (table_name VARCHAR, source_row BIGINT, reason VARCHAR)"
    )
    return Intake(connection, counts)


def view_file(connection: duckdb.DuckDBPyConnection, name: str, path: Path) -> None:
    if not path.is_file():
        raise FileMissing(
            where=f"[files] {name}",
            got=f"no file at {path}",
            rule="Every file named must exist.",
            fix="Mend the path (it resolves against the toml's folder), or set LIFECYCLE_DATA to the folder with the "
            "public data; its origins are listed in docs/data.md.",
        )
    at = literal(str(path))
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        source = f"read_parquet({at})"
    elif suffix in (".csv", ".tsv", ".txt", ".gz"):
        source = f"read_csv({at}, all_varchar=true, header=true)"
    else:
        raise FileMissing(
            where=f"[files] {name}",
            got=f"a {suffix or 'nameless'} file",
            rule="Files are .parquet, .csv or .tsv.",
            fix="Convert it first.",
        )
    try:
        connection.execute(f"CREATE VIEW files.{quoted(name)} AS SELECT * FROM {source}")
    except duckdb.Error as error:
        raise QueryFailed(
            where=f"[files] {name}",
            got=_first_line(error),
            rule="The file must be readable as its kind.",
            fix="Open it, look at the header and the encoding (UTF-8).",
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300]


def _refuse_select(name: str, select: str) -> None:
    fix = "Name the file under [files] and select from that name; CSV then arrives as text and is read strictly."
    if _READS_FILES.search(select) or _FROM_PATH.search(select):
        raise SelectRefused(
            where=f"[tables] {name}",
            got="a SELECT that reads a file by itself",
            rule="A SELECT reads only the names under [files].",
            fix=fix,
        )
    try:
        statements = duckdb.extract_statements(select)
    except duckdb.Error as error:
        raise QueryFailed(
            where=f"[tables] {name}",
            got=_first_line(error),
            rule="Each table has one SQL SELECT.",
            fix="Mend the SQL (DuckDB's dialect).",
        ) from error
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise SelectRefused(
            where=f"[tables] {name}",
            got=f"{len(statements)} statements, or one that is no SELECT",
            rule="Each table has exactly one SQL SELECT.",
            fix="Keep the SELECT only.",
        )


def read_table(
    connection: duckdb.DuckDBPyConnection, table: Table, select: str, *, settings: Settings
) -> Counts:
    """Run one SELECT, read it by the contract, keep what fits as table `table.name`, the rest in `rejects`."""
    _refuse_select(table.name, select)
    where = f"[tables] {table.name}"
    try:
        body = select.strip().rstrip(";")
        connection.execute("SET schema = 'files'")
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE _read AS SELECT row_number() OVER () AS source_row, * FROM ({body})"
        )
    except duckdb.Error as error:
        raise QueryFailed(
            where=where,
            got=_first_line(error),
            rule="The SELECT must run over the named files.",
            fix="Try it with the duckdb command line, or mend the names.",
        ) from error
    finally:
        connection.execute("SET schema = 'main'")
    types = {
        row[0]: row[1]
        for row in connection.execute("DESCRIBE _read").fetchall()
        if row[0] != "source_row"
    }
    counts = Counts(read=connection.execute("SELECT count(*) FROM _read").fetchone()[0])
    if counts.read == 0:
        raise EmptyTable(
            where=where,
            got="0 rows",
            rule="A table that is named has rows.",
            fix="Mend the SELECT, or leave the table out.",
        )
    require_timestamps.refuse(connection, table, types)
    counts.unused_columns = _check_columns(table, list(types))
    if table.attributes:
        table = widened(table, types, settings)
        counts.attributes = [column.name for column in table.columns if column.name in types]
        counts.unused_columns = [name for name in counts.unused_columns if name not in table.names]
    local = _parse(connection, table, types, settings)
    counts.clock_changes = clock_changes.counted(connection, local, settings.zone)
    _keep(connection, table, counts, settings)
    return counts


def _check_columns(table: Table, got: list[str]) -> list[str]:
    missing = [
        column.name for column in table.columns if column.required and column.name not in got
    ]
    extra = [name for name in got if name not in table.names]
    if missing:
        hint = suggestion(missing[0], extra)
        raise ColumnMissing(
            where=f"[tables] {table.name}",
            got=f"no column {', '.join(missing)}; it has {', '.join(got)}",
            rule=f"{table.name} needs {', '.join(c.name for c in table.columns if c.required)}.",
            fix=(hint + " " if hint else "")
            + "Rename in the SELECT: SELECT x AS "
            + missing[0]
            + ".",
        )
    absent = [name for name in table.names if name not in got]
    for name in extra:
        near = suggestion(name.lower(), absent, cutoff=0.85) if not table.attributes else ""
        if near:
            raise ColumnMissing(
                where=f"[tables] {table.name}.{name}",
                got="a column the contract does not know",
                rule="A column close to a contract's name is taken for a slip.",
                fix=f"{near} Rename it, or leave it out of the SELECT.",
            )
    return extra


def _parse(
    connection: duckdb.DuckDBPyConnection, table: Table, types: dict[str, str], settings: Settings
) -> dict[str, str]:
    """`_parsed`: source_row, reason (null if the row fits), the contract's columns. Gives SQL of naive local times."""
    values, rules, local = [], [], {}
    for column in table.columns:
        if column.name not in types:
            values.append(f"CAST(NULL AS {SQL_TYPES[column.type]}) AS {column.name}")
            continue
        read = reading(
            column,
            raw=quoted(column.name),
            raw_type=types[column.name],
            table=table.name,
            zone=settings.business.zone,
            digits=settings.minor_digits,
        )
        values.append(f"{read.value} AS {quoted(column.name)}")
        if read.local:
            local[column.name] = read.local
        for reason, test in read.broken:
            if reason == "naive":
                count = connection.execute(f"SELECT count(*) FROM _read WHERE {test}").fetchone()[0]
                if count:
                    raise naive_time(f"[tables] {table.name}.{column.name}", count)
            else:
                rules.append(f"WHEN {test} THEN {literal(reason)}")
    reason = f"CASE {' '.join(rules)} END" if rules else "NULL"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE _parsed AS SELECT source_row, CAST({reason} AS VARCHAR) AS reason, "
        f"{', '.join(values)} FROM _read"
    )
    _derive(connection, table, types, settings)
    return local


def _derive(
    connection: duckdb.DuckDBPyConnection, table: Table, types: dict[str, str], settings: Settings
) -> None:
    """Defaults the contract states, and rules over several columns."""
    run = connection.execute
    if table.clock:
        delay = settings.arrives_after_us(table.name)
        clock = "starts_at" if table.name == "contracts" else "occurred_at"
        run(f"UPDATE _parsed SET recorded_at = {clock} + {delay} WHERE recorded_at IS NULL")
    if table.name == "transactions":
        run(
            "UPDATE _parsed SET kind = CASE WHEN amount < 0 THEN 'refund' ELSE 'purchase' END WHERE kind IS NULL"
        )
    if table.name == "contracts":
        run(
            "UPDATE _parsed SET reason = 'ends_before_it_starts' WHERE reason IS NULL AND ends_at <= starts_at"
        )
    if table.name == "feedback":
        run(
            "UPDATE _parsed SET reason = 'answered_before_sent' WHERE reason IS NULL AND answered_at < occurred_at"
        )
        run(
            "UPDATE _parsed SET reason = 'resolved_before_raised' WHERE reason IS NULL AND resolved_at < occurred_at"
        )
        if "answered_at" not in types:
            run("UPDATE _parsed SET answered_at = recorded_at WHERE score IS NOT NULL")
        run(
            "UPDATE _parsed SET reason = 'score_without_answered_at' "
            "WHERE reason IS NULL AND score IS NOT NULL AND answered_at IS NULL"
        )
        unscaled = [kind for kind in SURVEYS if kind not in settings.contract.scales]
        if unscaled:
            kinds = ", ".join(literal(kind) for kind in unscaled)
            run(
                "UPDATE _parsed SET reason = 'score_without_scale' "
                f"WHERE reason IS NULL AND score IS NOT NULL AND kind IN ({kinds})"
            )
        for kind, (low, high) in settings.contract.scales.items():
            run(
                f"UPDATE _parsed SET reason = 'score_off_its_scale' WHERE reason IS NULL AND kind = {literal(kind)} "
                f"AND NOT (score BETWEEN {low} AND {high})"
            )


def _keep(
    connection: duckdb.DuckDBPyConnection, table: Table, counts: Counts, settings: Settings
) -> None:
    run = connection.execute
    columns = ", ".join(quoted(name) for name in table.names)
    if table.attributes:
        refuse_duplicate_customers(connection)
    elif settings.contract.exact_duplicates == "drop" or table.version_of:
        # Equal in every column counts once: a replayed file changes nothing. Which of the equals stays cannot matter.
        run(
            f"UPDATE _parsed SET reason = 'exact_duplicate' WHERE reason IS NULL AND source_row NOT IN "
            f"(SELECT min(source_row) FROM _parsed WHERE reason IS NULL {_unversioned(table, settings)} GROUP BY {columns})"
            f" {_unversioned(table, settings)}"
        )
    if table.version_of and not table.attributes:
        refuse_contradictions(connection, table)
    run(
        "CREATE TABLE IF NOT EXISTS rejects (table_name VARCHAR, source_row BIGINT, reason VARCHAR)"
    )
    run(
        f"INSERT INTO rejects SELECT {literal(table.name)}, source_row, reason FROM _parsed WHERE reason IS NOT NULL"
    )
    day = ""
    if table.name in EVENT_TABLES:
        day = (
            f", {local_day(settings.zone)} AS local_day, {local_hour(settings.zone)} AS local_hour"
        )
    # The canonical order: what follows never depends on the order rows came in.
    run(
        f"CREATE OR REPLACE TABLE {table.name} AS SELECT {columns}{day} FROM _parsed WHERE reason IS NULL ORDER BY {columns}"
    )
    rejected = run(
        "SELECT reason, count(*) FROM _parsed WHERE reason IS NOT NULL GROUP BY reason ORDER BY reason"
    ).fetchall()
    counts.rejected = dict(rejected)
    counts.kept = run(f"SELECT count(*) FROM {table.name}").fetchone()[0]
    if counts.kept == 0:
        raise EmptyTable(
            where=f"[tables] {table.name}",
            got=f"{counts.read:,} rows read, all rejected: {counts.rejected}",
            rule="A table that is named has rows that fit the contract.",
            fix="See docs/contract.md for the rule, and mend the SELECT.",
        )


def _unversioned(table: Table, settings: Settings) -> str:
    """With `exact_duplicates = "keep"` only rows that carry an id are folded: for them equality is a replay."""
    if settings.contract.exact_duplicates == "drop" or table.name != "transactions":
        return ""
    return "AND transaction_id IS NOT NULL"
