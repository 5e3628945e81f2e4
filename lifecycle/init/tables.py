"""Which file is which contract table, and the one SELECT that reads it so."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import duckdb

from features.core.contract import CONTRACT
from features.core.errors import EmptyTable, FileMissing, QueryFailed
from features.tables.parsing import literal
from features.tables.reading.locate import table_stem
from features.tables.reading.read_path import exists, tables_of
from features.tables.reading.reading import Unreadable
from features.tables.sources import connect, view_file
from lifecycle.init.cells import Cell
from lifecycle.init.columns import assign_roles
from lifecycle.init.orders import Draft, complete_transactions
from lifecycle.init.source import (
    Source,
    constant_kind,
    sample_name,
    split_words,
    stem_words,
)
from lifecycle.init.words import FILE_WORDS

_REQUIRED_ROLES = {
    "contracts": ("customer_id", "starts_at", "ends_at"),
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
SAMPLE_ROWS = 100_000
_RESERVED_NAMES = ("_read", "_parsed", "rejects")  # tables that reading creates for itself


@dataclass(frozen=True)
class Candidate:
    """One file as one table, with the points that decide which table it becomes."""

    points: int
    source: Source
    cells: dict[str, Cell]


@dataclass(frozen=True)
class Part:
    """One file read as one contract table.

    Its SELECT, the reasons for the user, and how its times are written (days, naive, offset).
    """

    source: Source
    table: str
    cells: dict[str, Cell]
    select: str
    reasons: tuple[str, ...]
    clocks: frozenset[str]


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
        rows = _create_sample(connection, name)
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


def _create_sample(connection: duckdb.DuckDBPyConnection, name: str) -> int:
    """Create the table of sampled rows; returns how many rows the file has."""
    rows = _count_rows(connection, name)
    # Every k-th row, not the first ones: files are sorted by time or by customer.
    step = -(-rows // SAMPLE_ROWS)
    every = f"QUALIFY row_number() OVER () % {step} = 0" if step > 1 else ""
    connection.execute(f'CREATE TABLE "{sample_name(name)}" AS SELECT * FROM "{name}" {every}')
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
    return Source(connection, name, path, rows, sampled, types, keywords)


def assign_tables(sources: list[Source]) -> tuple[dict[str, list[Part]], dict[str, str]]:
    """The parts of each table, and why each unused file is not used (by its name)."""
    candidates: dict[str, list[Candidate]] = {table: [] for table in CONTRACT}
    unused = {}
    for source in sources:
        cells = {table: assign_roles(source, table) for table in _POINTS}
        points = {table: _points(source, table, roles) for table, roles in cells.items()}
        table = max(_POINTS, key=points.__getitem__)
        if points[table]:
            candidates[table].append(Candidate(points[table], source, cells[table]))
        else:
            unused[source.name] = _missing_roles(cells["transactions"])
    parts: dict[str, list[Part]] = {}
    for table, files in candidates.items():
        used = _complementary(table, files)
        reason = f"another file fits {table} better, and both could hold the same events"
        unused |= {file.source.name: reason for file in files if file not in used}
        if used:
            parts[table] = [read_part(file.source, table, file.cells) for file in used]
    return parts, unused


def _complementary(table: str, files: list[Candidate]) -> list[Candidate]:
    """The best file, and those that hold other events than the best one does."""
    if not files:
        return []
    best = max(files, key=lambda file: (file.points, file.source.rows))
    return [file for file in files if file is best or _adds_events(table, file.source, best.source)]


def _points(source: Source, table: str, cells: dict[str, Cell]) -> int:
    """How well the file fits the table; 0 if the file cannot be it."""
    named = _NAME_POINTS if _is_named(source, table) else 0
    possible = {
        "transactions": "amount" in cells or "price" in cells,
        "feedback": bool(named) or bool({"score", "kind", "resolved_at"} & set(cells)),
    }
    if any(role not in cells for role in _REQUIRED_ROLES[table]) or not possible.get(table, True):
        return 0
    if table == "customers" and count_repeated_ids(source, cells["customer_id"]):
        return 0
    roles = sum(points for role, points in _ROLE_POINTS[table].items() if role in cells)
    return _POINTS[table] + named + roles


def _is_named(source: Source, table: str) -> bool:
    """Whether the file's name speaks of the table or of one of its kinds."""
    named = bool(set(FILE_WORDS[table].split()) & stem_words(source))
    return named or constant_kind(source, table) is not None


def count_repeated_ids(source: Source, cell: Cell) -> int:
    """How many rows repeat an id of an earlier row."""
    ids = f"SELECT trim({cell.sql}::VARCHAR) AS x FROM {source.whole}"
    return source.query_count(f"SELECT count(x) - count(DISTINCT x) FROM ({ids})")


def _missing_roles(cells: dict[str, Cell]) -> str:
    if "customer_id" not in cells:
        return "no column names the customer"
    if "occurred_at" not in cells:
        return "it has a customer but no time, and customer ids repeat"
    return "it has a customer and a time, but no column says what happened"


def _adds_events(table: str, source: Source, best: Source) -> bool:
    """Whether a second file holds other events; a second file of orders could repeat the first."""
    if table in ("feedback", "interactions"):
        return True
    if table == "transactions" and constant_kind(source, table) in ("refund", "payment_failed"):
        return True
    return table != "customers" and set(source.types) == set(best.types)


def overlap_note(connection: duckdb.DuckDBPyConnection, people: str, events: str) -> str:
    """How many customers of the SELECT `events` are in the SELECT `people`.

    Ids that lost their leading zeros in one file match nobody in the other.
    """
    ids = (
        "SELECT DISTINCT trim(CAST(customer_id AS VARCHAR)) AS who FROM ({}) "
        "WHERE customer_id IS NOT NULL"
    )
    counts = (
        f"SELECT count(*), count(known.who) FROM ({ids.format(events)}) AS active "
        f"LEFT JOIN ({ids.format(people)}) AS known USING (who)"
    )
    active, known = connection.execute(counts).fetchall()[0]
    share = f"{known:,} of the {active:,} customers with activity are in it"
    if known >= active / 2:
        return f"{share}."
    return f"CHECK: {share}: are their ids written alike in all files?"


def read_part(source: Source, table: str, cells: dict[str, Cell]) -> Part:
    """The SELECT of one file as one table, with its reasons."""
    names = [name for name in CONTRACT[table].names if name in cells]
    draft = Draft({name: cells[name].sql for name in names})
    group_by, used = "", {cells[name].column for name in names}
    if table == "transactions":
        group_by, used = complete_transactions(source, cells, draft)
    elif table in ("feedback", "interactions"):
        _complete_kinds(source, table, cells, draft)
    columns = [(draft.selected[n], n) for n in CONTRACT[table].names if n in draft.selected]
    listed = ", ".join(sql if sql == name else f"{sql} AS {name}" for sql, name in columns)
    cells_used = [cell for cell in cells.values() if cell.column in used]
    reasons = (
        _table_note(source, table, cells, draft.selected),
        *(note for cell in cells_used for note in cell.notes),
        *draft.notes,
        *_left_out_notes(source, used),
    )
    clocks = frozenset(cell.clock for cell in cells_used if cell.clock)
    select = f"SELECT {listed} FROM {source.name}{group_by}"
    return Part(source, table, cells, select, reasons, clocks)


def _table_note(
    source: Source, table: str, cells: dict[str, Cell], selected: dict[str, str]
) -> str:
    renamed = [
        f"{cells[role].column} → {role}"
        for role in selected
        if role in cells and cells[role].column != role
    ]
    is_sampled = source.sampled != source.rows
    sampled = f", {source.sampled:,} of them sampled" if is_sampled else ""
    named = "its name and " if _is_named(source, table) else ""
    columns = f": {', '.join(renamed)}" if renamed else ", which have the contract's own names"
    return (
        f"{table} is {source.path.name} ({source.rows:,} rows{sampled}), "
        f"by {named}its columns{columns}."
    )


def _left_out_notes(source: Source, used: set[str]) -> list[str]:
    unused = [column for column in source.types if column not in used]
    return [f"left out: {', '.join(unused)}."] if unused else []


def _complete_kinds(source: Source, table: str, cells: dict[str, Cell], draft: Draft) -> None:
    """What every row of feedback and interactions needs: its kind, and when a score was given."""
    selected = draft.selected
    if "kind" not in selected:
        named = constant_kind(source, table)
        kind = named or (_feedback_kind(cells) if table == "feedback" else source.name)
        selected["kind"] = literal(kind)
        by_name = named or table == "interactions"
        reason = "by the file's name" if by_name else "a guess from the columns"
        draft.notes.append(
            f"{'' if named else 'CHECK: '}no column gives the kind; "
            f"every row is read as '{kind}', {reason}."
        )
    if "score" in selected and "answered_at" not in selected:
        selected["answered_at"] = selected["occurred_at"]
        draft.notes.append("no column gives the time of the answer; occurred_at is used.")


def _feedback_kind(cells: dict[str, Cell]) -> str:
    if "score" not in cells:
        return "complaint"
    words = split_words(cells["score"].column)
    if "nps" in words:
        return "nps"
    return "review" if {"review", "rating", "stars"} & set(words) else "csat"
