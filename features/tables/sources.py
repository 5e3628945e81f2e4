"""Reads files by one SELECT per table into typed tables in DuckDB, and keeps the rejected rows.

Files are views there (`features.tables.reading`). Every column is text, but for Parquet files, and
the contract reads it strictly (`features.tables.parsing`).
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from features.core.contract import ALL_TABLES, EVENT_TABLES, Table
from features.core.errors import (
    EmptyTable,
    FileMissing,
    InputRefused,
    LifecycleError,
    QueryFailed,
    UsageError,
    join_errors,
)
from features.core.settings import Settings, file_path
from features.tables import clock_changes, file_rows, require_timestamps
from features.tables.attribute_columns import add_attribute_columns
from features.tables.margins import require_margin
from features.tables.money_signs import read_money_signs
from features.tables.parsing import literal, quote_identifier
from features.tables.payment_terms import build_terms
from features.tables.queries import first_value
from features.tables.reading import temporary
from features.tables.reading.read_path import exists, read_path
from features.tables.reading.reading import FileReading, FileReport, Unreadable
from features.tables.select_rules import first_line, refuse_select
from features.tables.stored_rows import (
    EMPTY_REJECTS,
    keep_parsed,
    leave_out_forgotten,
    store_rows,
)
from features.tables.typed_tables import RowCounts, check_columns, parse_rows

# A SELECT that takes longer is a mistake, such as a join without a condition.
SELECT_SECONDS = 600
# From so many rows in all files on, a plan that runs faster is worth the time that it takes.
MANY_ROWS = 500_000
# Of disk, at most, where rows stay in files.
KEPT_BYTES_A_ROW = 200


@dataclass
class SourceTables:
    """A connection with one typed table per SELECT of the settings, and the row counts by table.

    files: what was read under each name of [files].
    """

    connection: duckdb.DuckDBPyConnection
    counts: dict[str, RowCounts]
    files: dict[str, FileReport] = field(default_factory=dict)


def connect(*, memory: str = "4GB", threads: int = 2) -> duckdb.DuckDBPyConnection:
    """An embedded DuckDB in UTC that installs no extension and spills to a folder of its own."""
    connection = duckdb.connect(
        config={
            "autoinstall_known_extensions": "false",
            "memory_limit": memory,
            "threads": threads,
            "temp_directory": str(Path(tempfile.gettempdir()) / "lifecycle-spill"),
        }
    )
    # Its progress bar would be printed to standard output, between our lines. In a notebook without
    # widgets it is off, and setting it is an error.
    if connection.execute("SELECT current_setting('enable_progress_bar')").fetchone() == (True,):
        connection.execute("SET enable_progress_bar = false")
    # Not in `config`: it needs the calendar extension, which is loaded by now.
    connection.execute("SET TimeZone = 'UTC'")
    return connection


@dataclass(frozen=True)
class Reading:
    """How tables are read.

    only_counted: events may stay in temporary files, in the order in which they came: for readers
    whose results do not depend on the order, and who read a column once or twice. many_rows: from
    how many rows in all files on it is done so, and plans are made for speed. may_be_empty: tables
    whose SELECT may have no rows; they have a count and no table then. with_forgotten: also the
    rows of forgotten customers, to say where they still stand.
    """

    only_counted: bool = False
    many_rows: int = MANY_ROWS
    may_be_empty: frozenset[str] = frozenset()
    with_forgotten: bool = False

    def keeps_files(self, rows: int) -> bool:
        """Whether events stay in files, where all files together have so many rows."""
        return self.only_counted and rows >= self.many_rows


IN_ORDER = Reading()


def read_tables(
    settings: Settings, reading: Reading = IN_ORDER, *, keep_converted: bool = False
) -> SourceTables:
    """Read every table of the settings; leaves no file but those that `reading` allows.

    With `keep_converted` converted files stay as long as the connection, whose schema `files`
    can then be read too.

    Raises InputRefused or SelectRefused; SeveralRefused where more than one table has an error.
    """
    connection = connect(memory=settings.engine.memory, threads=settings.engine.threads)
    # A schema of their own, so that a file may have the name of a contract table.
    connection.execute("CREATE SCHEMA files")
    paths = {name: file_path(settings, entry) for name, entry in settings.files.items()}
    folder = temporary.folder_of(connection)
    try:
        return _read_files(connection, settings, paths, reading)
    finally:
        # The tables hold all that was read.
        if not keep_converted:
            folder.remove()


def _read_files(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    paths: dict[str, Path],
    how: Reading,
) -> SourceTables:
    errors: list[LifecycleError] = []
    files: dict[str, FileReport] = {}
    readable: list[Path] = []
    for name, path in paths.items():
        try:
            reading = view_file(connection, name, path)
        except InputRefused as error:
            errors.append(error)
        else:
            files[name] = FileReport.from_reading(path, reading)
            readable += reading.sql.paths
    # Every error at once: who corrects one does not have to come back for the next.
    if errors:
        raise join_errors(errors)
    rows = sum(file.rows for file in files.values())
    kept = _files_to_keep(connection, settings, rows) if how.keeps_files(rows) else {}
    readable += kept.values()
    # A SELECT can read the files listed in the settings and no others.
    allowed = ", ".join(literal(str(path)) for path in readable)
    connection.execute(f"SET allowed_paths = [{allowed}]")
    connection.execute("SET enable_external_access = false")
    counts: dict[str, RowCounts] = {}
    for name, select in settings.selects.items():
        try:
            counts[name] = read_table(
                connection,
                ALL_TABLES[name],
                select,
                settings=settings,
                many_rows=rows >= how.many_rows,
                file=kept.get(name),
                may_be_empty=name in how.may_be_empty,
                with_forgotten=how.with_forgotten,
            )
        except (InputRefused, UsageError) as error:
            errors.append(error)
            # An engine that was interrupted may never answer again.
            if isinstance(error.__cause__, duckdb.InterruptException):
                break
    if errors:
        raise join_errors(errors)
    if settings.built_terms and "contracts" in settings.tables:
        counts["contracts"] = build_terms(connection, settings.contract.term_days)
    connection.execute(EMPTY_REJECTS)
    return SourceTables(connection, counts, files)


def _files_to_keep(
    connection: duckdb.DuckDBPyConnection, settings: Settings, rows: int
) -> dict[str, Path]:
    """A temporary file for each table of events, removed with the connection.

    None where they are read in order, to build terms from payments, or where the disk is too full.
    """
    if settings.built_terms or not temporary.has_disk(rows * KEPT_BYTES_A_ROW):
        return {}
    folder = temporary.TemporaryFolder()
    weakref.finalize(connection, folder.remove)
    return {name: folder.new_path(".parquet") for name in settings.selects if name in EVENT_TABLES}


def view_file(connection: duckdb.DuckDBPyConnection, name: str, path: Path) -> FileReading:
    """Make the file a view `files.<name>` of columns of text; returns how it was read.

    `path` is a file, a folder of parts, or a sheet or member (`book.xlsx#Orders`). A view of a
    converted file lasts as long as the connection. Raises FileMissing or QueryFailed.
    """
    if not exists(path):
        raise FileMissing(
            where=f"[files] {name}",
            got=f"no file at {path}",
            rule="Every file under [files] must exist.",
            fix="Correct the path under [files] (relative paths start at the toml's folder), "
            "or set LIFECYCLE_DATA to the folder with the public data; "
            "docs/data.md lists their origins.",
        )
    try:
        reading = read_path(path, temporary.folder_of(connection))
        connection.execute(f"CREATE VIEW files.{quote_identifier(name)} AS {reading.sql.plain}")
        file_rows.remember_file(connection, name, reading.sql.numbered)
    except Unreadable as error:
        raise QueryFailed(
            where=f"[files] {name}",
            got=f"{error.got} ({path.name!r})",
            rule=error.rule,
            fix=error.fix,
        ) from error
    except (duckdb.Error, OSError) as error:
        raise QueryFailed(
            where=f"[files] {name}",
            got=first_line(error) if isinstance(error, duckdb.Error) else _os_words(error),
            rule="The file must be readable in its format, to its end.",
            fix="Open it and check it, or export it again.",
        ) from error
    return reading


def _os_words(error: OSError) -> str:
    return error.strerror or type(error).__name__


def read_table(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    select: str,
    *,
    settings: Settings,
    many_rows: bool = False,
    file: Path | None = None,
    may_be_empty: bool = False,
    with_forgotten: bool = False,
) -> RowCounts:
    """Run one SELECT and read its rows by the contract.

    The accepted rows become the table `table.name`, or a view of this name over `file`
    (`stored_rows`); the others go to `rejects` with their reasons.
    """
    refuse_select(connection, f"[tables] {table.name}", select)
    types = _run_select(connection, table.name, select)
    counts = RowCounts()
    with _select_errors(connection, table.name):
        # Not fetchone: Python would need a further package for the zone of an instant.
        first = connection.execute("SELECT * FROM _read LIMIT 1").to_arrow_table()
    if not first.num_rows and may_be_empty:
        return RowCounts(columns=list(types))
    if not first.num_rows:
        raise EmptyTable(
            where=f"[tables] {table.name}",
            got="0 rows",
            rule="A table under [tables] has rows.",
            fix="Correct the SELECT, or remove the table.",
        )
    counts.columns = list(types)
    require_timestamps.check_timestamps(connection, table, types)
    counts.unused_columns = check_columns(table, list(types))
    if table.name == "transactions" and settings.value.reads_margins:
        require_margin(list(types))
    if table.attributes:
        table = add_attribute_columns(table, types, settings)
        counts.attributes = [column.name for column in table.columns if column.name in types]
        counts.unused_columns = [name for name in counts.unused_columns if name not in table.names]
    with _select_errors(connection, table.name):
        query, local = parse_rows(connection, table, types, settings, many_rows=many_rows)
        rows = keep_parsed(connection, table, query, types, settings, file=file)
    if not with_forgotten:
        rows, counts.forgotten = leave_out_forgotten(connection, table, rows)
    counts.read = first_value(connection, "SELECT count(*) FROM _parsed")
    if not counts.read and may_be_empty:
        return RowCounts(columns=list(types), forgotten=counts.forgotten)
    if table.name == settings.activity.table and not settings.contractual:
        require_timestamps.check_several_instants(connection, table)
    counts.clock_changes = clock_changes.count_affected_cells(connection, local, settings.zone)
    counts.money = read_money_signs(connection, table, types, select)
    store_rows(connection, table, counts, settings, types, select, rows)
    return counts


def _run_select(connection: duckdb.DuckDBPyConnection, name: str, select: str) -> dict[str, str]:
    """Make `_read` from the rows of the SELECT; DuckDB types by column.

    A SELECT that takes rows of files one by one is a view, because a copy of a large file needs
    more memory than reading it again. The result of any other is stored.
    """
    body = select.strip().rstrip(";")
    # The engine drops a view and a table by different words, and refuses the wrong one.
    for kind in ("view", "table"):
        known = f"SELECT 1 FROM duckdb_{kind}s() WHERE {kind}_name = '_read'"
        if connection.execute(known).fetchone():
            connection.execute(f"DROP {kind} _read")
    view = file_rows.qualified_select(connection, select)
    connection.execute("SET schema = 'files'")
    with _select_errors(connection, name):
        connection.execute(
            f"CREATE TEMP VIEW _read AS {view}" if view else f"CREATE TEMP TABLE _read AS {body}"
        )
    connection.execute("SET schema = 'main'")
    return {row[0]: row[1] for row in connection.execute("DESCRIBE _read").fetchall()}


@contextlib.contextmanager
def _select_errors(connection: duckdb.DuckDBPyConnection, name: str) -> Iterator[None]:
    """Errors of the engine while it runs a SELECT, and a SELECT that takes too long."""
    expired = threading.Event()
    try:
        with time_limit(connection, expired):
            yield
    # Nothing is asked of the engine after an interrupt: it would wait for the interrupted query.
    except duckdb.Error as error:
        if expired.is_set():
            raise _too_slow(name) from error
        raise QueryFailed(
            where=f"[tables] {name}",
            got=first_line(error),
            rule="The SELECT must run over the files under [files].",
            fix="Correct the names of files and columns in the SELECT.",
        ) from error


@contextlib.contextmanager
def time_limit(connection: duckdb.DuckDBPyConnection, expired: threading.Event) -> Iterator[None]:
    """Interrupt the query of the block after SELECT_SECONDS; `expired` is then set."""

    def interrupt() -> None:
        expired.set()
        connection.interrupt()

    timer = threading.Timer(SELECT_SECONDS, interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _too_slow(name: str) -> QueryFailed:
    return QueryFailed(
        where=f"[tables] {name}",
        got=f"a SELECT that did not end in {SELECT_SECONDS:,} seconds",
        rule=f"A SELECT ends within {SELECT_SECONDS:,} seconds.",
        fix="Look for a join without a condition or a recursion without an end. If the SELECT is "
        "right, write its result to a Parquet file and list that under [files].",
    )
