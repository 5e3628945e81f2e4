"""Which file is which contract table, and the one SELECT that reads it so."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import duckdb

from features.core.contract import CONTRACT
from features.core.errors import EmptyTable, FileMissing, LifecycleError, QueryFailed
from features.tables.parsing import quote_identifier
from features.tables.reading.locate import size_bytes, table_stem
from features.tables.reading.read_path import exists, tables_of
from features.tables.reading.reading import Unreadable
from features.tables.sources import connect, view_file
from lifecycle.init.cells import Cell
from lifecycle.init.columns import assign_roles
from lifecycle.init.customers import MOST_REPEATED, repeated_customers
from lifecycle.init.dateless import is_labelled_snapshot
from lifecycle.init.events import is_paid_visit, purchase_cells
from lifecycle.init.misfits import event_misfits
from lifecycle.init.parts import Part, is_named, read_part
from lifecycle.init.person_columns import choose_persons, is_row_key
from lifecycle.init.questions import Answers
from lifecycle.init.source import Source, sample_name
from lifecycle.init.times import prefer_order
from lifecycle.init.united_files import Candidate, unite_files

_REQUIRED_ROLES = {
    "contracts": ("customer_id", "starts_at"),
    "feedback": ("customer_id", "occurred_at"),
    "transactions": ("customer_id", "occurred_at"),
    "interactions": ("customer_id", "occurred_at"),
    "customers": ("customer_id",),
}
# Points of a table whose required roles are there, of each further role, and of a telling file
# name, which counts as much as an amount.
_POINTS = {"contracts": 5, "feedback": 5, "transactions": 4, "interactions": 2, "customers": 1}
_ROLE_POINTS = {
    "transactions": {"transaction_id": 1, "line": 1, "kind": 1},
    "interactions": {"kind": 3},
    "feedback": {"kind": 2},
    "contracts": {"plan": 1, "auto_renew": 1, "cancelled_at": 1},
    "customers": {
        "acquired_at": 1,
        "segment": 1,
        "region": 1,
        "consent": 1,
        "acquisition_cost": 1,
        "channel": 1,
    },
}
_NAME_POINTS = 4
WHOLE_BYTES = 1_000_000_000  # of a larger file, every k-th row is looked at
SAMPLE_ROWS = 1_000_000
_ENDINGS_OF_TEXTS = (".txt", ".md", ".pdf", ".html", ".htm", ".rtf", ".doc", ".docx", ".png", "")
_RESERVED_NAMES = ("_read", "_parsed", "rejects")  # tables that reading creates for itself


def open_engine() -> tuple[duckdb.DuckDBPyConnection, frozenset[str]]:
    """An engine with files as in `sources.read_tables`, and the words that need quotes."""
    connection = connect()
    connection.execute("CREATE SCHEMA files")
    connection.execute("SET schema = 'files'")
    keywords = "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category <> 'unreserved'"
    return connection, frozenset(row[0] for row in connection.execute(keywords).fetchall())


def list_tables(path: Path) -> list[Path]:
    """The path itself, or one path for each sheet of a workbook or member of a zip archive.

    A folder is one table of all its files. Raises FileMissing or QueryFailed.
    """
    if not exists(path):
        raise FileMissing(
            where=str(path),
            got="no such file",
            rule="Every argument of init is a file with a table, or a folder with its parts.",
            fix="Correct the path, or name each file: lifecycle init a.csv b.xlsx",
        )
    try:
        return tables_of(path)
    except Unreadable as error:
        raise QueryFailed(where=str(path), got=error.got, rule=error.rule, fix=error.fix) from error


def open_files(
    connection: duckdb.DuckDBPyConnection,
    paths: list[Path],
    *,
    taken: set[str],
    keywords: frozenset[str],
) -> tuple[list[Source], dict[str, str]]:
    """The files, and why others are not used: those without rows, and texts in an archive.

    Raises as `open_file` does where the file is meant to be a table, or where no file is one.
    """
    sources: list[Source] = []
    skipped: dict[str, str] = {}
    errors: list[LifecycleError] = []
    for path in paths:
        try:
            sources.append(open_file(connection, path, taken=taken, keywords=keywords))
        except (EmptyTable, QueryFailed) as error:
            if isinstance(error, QueryFailed) and not _is_text_of_archive(path):
                raise
            errors.append(error)
            skipped[path.name] = f"it has {error.got}"
    if errors and not sources:
        raise errors[0]
    return sources, skipped


def _is_text_of_archive(path: Path) -> bool:
    """Whether the path is a member of an archive that does not look like a table, by its ending."""
    return "#" in str(path) and path.suffix.lower() in _ENDINGS_OF_TEXTS


def open_file(
    connection: duckdb.DuckDBPyConnection, path: Path, *, taken: set[str], keywords: frozenset[str]
) -> Source:
    """The file as training will read it (every column is text), and a sample of its rows.

    `path` is one of `list_tables`. Its name in [files] is added to `taken`. Raises FileMissing,
    QueryFailed or EmptyTable.
    """
    name = _file_name(path, taken, keywords)
    try:
        view_file(connection, name, path)
        rows = _create_sample(connection, name, size_bytes(path))
    except QueryFailed as error:
        raise QueryFailed(where=str(path), got=error.got, rule=error.rule, fix=error.fix) from error
    except duckdb.Error as error:
        raise _unreadable(path, error) from error
    return _checked_source(connection, name, path, rows, keywords)


def _unreadable(path: Path, error: Exception) -> QueryFailed:
    # The engine's message may quote a cell, so only its line number is shown.
    line = re.search(r"Line: \d+", str(error))
    where = f" ({line[0]})" if line else ""
    return QueryFailed(
        where=str(path),
        got=f"a file that cannot be read to its end{where}",
        rule="The file must be readable in its format, to its end.",
        fix="Open the file and save it again, or export it again.",
    )


def _count_rows(connection: duckdb.DuckDBPyConnection, name: str) -> int:
    (rows,) = connection.execute(f'SELECT count(*) FROM "{name}"').fetchall()[0]
    return int(rows)


def _create_sample(connection: duckdb.DuckDBPyConnection, name: str, size: int) -> int:
    """Create the table of the rows that are looked at; returns how many rows the file has.

    These are all rows of a file up to WHOLE_BYTES.
    """
    whole, sample = quote_identifier(name), quote_identifier(sample_name(name))
    if size <= WHOLE_BYTES:
        connection.execute(f"CREATE TABLE {sample} AS SELECT * FROM {whole}")
        # The text is parsed once: every later question is asked of the table.
        connection.execute(f"CREATE OR REPLACE VIEW {whole} AS SELECT * FROM {sample}")
        return _count_rows(connection, name)
    rows = _count_rows(connection, name)
    # Every k-th row, not the first ones: files are sorted by time or by customer.
    step = max(1, -(-rows // SAMPLE_ROWS))
    every = f"QUALIFY row_number() OVER () % {step} = 0" if step > 1 else ""
    connection.execute(f"CREATE TABLE {sample} AS SELECT * FROM {whole} {every}")
    return rows


def _file_name(path: Path, taken: set[str], keywords: frozenset[str]) -> str:
    """A name for [files]: the file's own in plain letters."""
    plain = re.sub(r"[^a-z0-9]+", "_", table_stem(path).lower()).strip("_")
    if not plain or plain[0].isdigit():
        plain = f"file_{plain}".rstrip("_")
    if plain in keywords or plain in _RESERVED_NAMES:
        plain = f"{plain}_file"
    names = [plain, *(f"{plain}_{number}" for number in range(2, len(taken) + 3))]
    taken.add(name := next(name for name in names if name not in taken))
    return name


def _checked_source(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    path: Path,
    rows: int,
    keywords: frozenset[str],
) -> Source:
    types = {row[0]: row[1] for row in connection.execute(f'DESCRIBE "{name}"').fetchall()}
    if rows == 0:
        raise EmptyTable(
            where=str(path),
            got="no rows",
            rule="Every file has at least one row.",
            fix="Leave the file out, or export it again.",
        )
    if len(types) == 1:
        raise QueryFailed(
            where=str(path),
            got="one single column",
            rule="Columns are separated by commas, semicolons, tabs or bars, and every row has "
            "the same number of them.",
            fix="Save the file with commas, and correct rows with too many or too few columns.",
        )
    sampled = _count_rows(connection, sample_name(name))
    return Source(connection, name, path, rows, sampled, types, keywords, label=path.name)


def label_sources(sources: list[Source]) -> list[Source]:
    """The sources, where two files of one name are named with their folders."""
    names = Counter(source.path.name for source in sources)
    return [
        source
        if names[source.path.name] == 1
        else replace(source, label="/".join(source.path.parts[-2:]))
        for source in sources
    ]


def assign_tables(
    sources: list[Source], answers: Answers
) -> tuple[dict[str, list[Part]], dict[str, str]]:
    """The parts of each table, and why each unused file is not used (by its name)."""
    candidates: dict[str, list[Candidate]] = {table: [] for table in CONTRACT}
    persons = choose_persons(sources)
    unused, key_of_row = {}, dict[str, str]()
    for source in sources:
        person = persons.get(source.name)
        cells = {table: assign_roles(source, table, person) for table in _POINTS}
        points = {table: _points(source, table, roles) for table, roles in cells.items()}
        if is_labelled_snapshot(source, person):  # its dates are not those of what happened
            points |= {name: 0 for name in points if name != "customers"}
        elif is_row_key(source, person, cells["transactions"]) and person is not None:
            points = _points_without_person(source, points, cells)
            key_of_row[source.name] = person.column
        if is_paid_visit(source, cells["transactions"], cells["interactions"].get("kind")):
            points["interactions"] = min(points["interactions"], _POINTS["interactions"])
        table = max(_POINTS, key=points.__getitem__)
        if points[table]:
            candidates[table].append(Candidate(points[table], source, cells[table]))
            if table == "interactions":
                kind = cells[table].get("kind")
                bought = purchase_cells(source, kind, cells["transactions"])
                if bought is not None:
                    candidates["transactions"].append(Candidate(1, source, bought))
        else:
            key = key_of_row.get(source.name, "")
            unused[source.name] = _missing_roles(source, cells["transactions"], key)
    candidates = _with_known_order(candidates)
    parts: dict[str, list[Part]] = {}
    for table, files in candidates.items():
        used, reasons = unite_files(table, files)
        unused |= reasons
        if used:
            parts[table] = [read_part(file.source, table, file.cells, answers) for file in used]
    used_names = {part.source.name for files in parts.values() for part in files}
    unused = {name: reason for name, reason in unused.items() if name not in used_names}
    return parts, unused


def _with_known_order(candidates: dict[str, list[Candidate]]) -> dict[str, list[Candidate]]:
    """The candidates, with the order of day and month that other columns show as the default."""
    cells = [
        cell for files in candidates.values() for file in files for cell in file.cells.values()
    ]
    orders = {cell.day_order for cell in cells} - {""}
    if len(orders) != 1:
        return candidates
    order = orders.pop()
    return {
        table: [
            replace(
                file, cells={role: prefer_order(cell, order) for role, cell in file.cells.items()}
            )
            for file in files
        ]
        for table, files in candidates.items()
    }


def _points(source: Source, table: str, cells: dict[str, Cell]) -> int:
    """How well the file fits the table; 0 if the file cannot be it."""
    named = _NAME_POINTS if is_named(source, table) else 0
    possible = {
        "transactions": "amount" in cells or "price" in cells,
        "feedback": bool(named) or bool({"score", "kind", "resolved_at"} & set(cells)),
        # Lists of subscriptions often have no column of the end, only the cancellation.
        "contracts": "ends_at" in cells
        or ("cancelled_at" in cells and bool({"plan", "price"} & set(cells))),
    }
    if any(role not in cells for role in _REQUIRED_ROLES[table]) or not possible.get(table, True):
        return 0
    if table == "customers" and "valid_from" not in cells:
        repeated = repeated_customers(source, cells["customer_id"])
        if repeated > MOST_REPEATED * source.sampled:
            return 0
    roles = sum(points for role, points in _ROLE_POINTS[table].items() if role in cells)
    return _POINTS[table] + named + roles


def _points_without_person(
    source: Source, points: dict[str, int], cells: dict[str, dict[str, Cell]]
) -> dict[str, int]:
    """The points where the column of the person is the key of the row: it may be of customers."""
    further = set(cells["customers"]) - {"customer_id", "acquired_at"}
    of_orders = {"discount", "method", "line", "quantity", "refunded"} & set(cells["transactions"])
    is_customers = bool(further and not of_orders) or is_named(source, "customers")
    others = ("contracts", "feedback", *(["customers"] if is_customers else []))
    return {table: count if table in others else 0 for table, count in points.items()}


def _missing_roles(source: Source, cells: dict[str, Cell], key: str) -> str:
    if key:
        return f"no column names the customer ({key} is different in every row: the key of a row)"
    if "customer_id" not in cells:
        return "no column names the customer"
    nearest = "".join(f"; {misfit.sentence}" for misfit in event_misfits(source, cells)[:1])
    if "occurred_at" not in cells:
        return f"it has a customer but no time, and customer ids repeat{nearest}"
    return f"it has a customer and a time, but no column says what happened{nearest}"
