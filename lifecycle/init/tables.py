"""Which file is which contract table, and the one SELECT that reads it so."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import duckdb

from features.core.contract import CONTRACT
from features.core.errors import EmptyTable, FileMissing, QueryFailed
from features.tables.parsing import literal
from features.tables.sources import connect, view_file
from lifecycle.init.columns import Cell, Source, constant_kind, stem_words, understand, words
from lifecycle.init.orders import transactions
from lifecycle.init.words import FILE_WORDS

_NEEDS = {
    "contracts": ("customer_id", "starts_at", "ends_at"),
    "feedback": ("customer_id", "occurred_at"),
    "transactions": ("customer_id", "occurred_at"),
    "interactions": ("customer_id", "occurred_at"),
    "customers": ("customer_id",),
}
_POINTS = {"contracts": 5, "feedback": 5, "transactions": 4, "interactions": 2, "customers": 1}
_MORE_POINTS = {
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
LOOKED_AT = 100_000
_TAKEN = ("_read", "_parsed", "rejects")  # tables the reading makes for itself
_NAMED = 4  # a telling file name weighs as much as an amount


@dataclass(frozen=True)
class Rival:
    """One file, and how much speaks for its being a table."""

    points: int
    source: Source
    cells: dict[str, Cell]


@dataclass(frozen=True)
class Part:
    """One file read as one contract table: its SELECT, why, the columns left out, how its times are written."""

    source: Source
    table: str
    cells: dict[str, Cell]
    select: str
    reasons: tuple[str, ...]
    clocks: frozenset[str]


def connected() -> tuple[duckdb.DuckDBPyConnection, frozenset[str]]:
    """An engine where files appear as they will in `sources.read`, and the words that cannot name a column bare."""
    connection = connect()
    connection.execute("CREATE SCHEMA files")
    connection.execute("SET schema = 'files'")
    words_ = "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category <> 'unreserved'"
    return connection, frozenset(row[0] for row in connection.execute(words_).fetchall())


def open_file(
    connection: duckdb.DuckDBPyConnection, path: Path, *, taken: set[str], keywords: frozenset[str]
) -> Source:
    """The file as the project will read it (every CSV column text), and a table of rows to look at."""
    if not path.is_file():
        raise FileMissing(
            where=str(path),
            got="a folder" if path.is_dir() else "no such file",
            rule="init reads the files named.",
            fix="Mend the path; name each file.",
        )
    name = _name(path, taken, keywords)
    try:
        view_file(connection, name, path)
        rows = _look(connection, name)
    except (QueryFailed, duckdb.Error) as error:
        # The engine's own words may quote a cell; of them only the line's number is told.
        line = re.search(r"Line: \d+", str(error))
        raise QueryFailed(
            where=str(path),
            got=f"a file that does not read as {path.suffix or 'CSV'}{f' ({line[0]})' if line else ''}",
            rule="Files are CSV in UTF-8 or parquet.",
            fix="Open it and save it anew, as CSV in UTF-8.",
        ) from error
    return _source(connection, name, path, rows, keywords)


def _look(connection: duckdb.DuckDBPyConnection, name: str) -> int:
    """Makes the table of rows to look at, and returns how many rows there are."""
    rows = connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]
    # Every k-th row, not the first ones: files are sorted by time or by customer.
    step = -(-rows // LOOKED_AT)
    every = f"QUALIFY row_number() OVER () % {step} = 0" if step > 1 else ""
    connection.execute(f'CREATE TABLE "look at {name}" AS SELECT * FROM "{name}" {every}')
    return rows


def _name(path: Path, taken: set[str], keywords: frozenset[str]) -> str:
    """A name for [files]: the file's own in plain letters."""
    plain = re.sub(r"[^a-z0-9]+", "_", path.name.split(".")[0].lower()).strip("_")
    if not plain or plain[0].isdigit():
        plain = f"file_{plain}".rstrip("_")
    if plain in keywords or plain in _TAKEN:
        plain = f"{plain}_file"
    tries = [plain, *(f"{plain}_{number}" for number in range(2, len(taken) + 3))]
    taken.add(name := next(name for name in tries if name not in taken))
    return name


def _source(
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
            rule="A file that is named has rows.",
            fix="Leave it out, or export it again.",
        )
    if len(types) == 1:
        raise QueryFailed(
            where=str(path),
            got="one single column",
            rule="Commas, semicolons, tabs or bars part the columns, and every row has as many.",
            fix="Save it with commas; mend rows of another length.",
        )
    looked = connection.execute(f'SELECT count(*) FROM "look at {name}"').fetchone()[0]
    return Source(connection, name, path, rows, looked, types, keywords)


def assign(sources: list[Source]) -> tuple[dict[str, list[Part]], dict[str, str]]:
    """The parts of each table, and why a file was not used (by its name)."""
    rivals: dict[str, list[Rival]] = {table: [] for table in CONTRACT}
    unused = {}
    for source in sources:
        read = {table: understand(source, table) for table in _POINTS}
        points = {table: _points(source, table, cells) for table, cells in read.items()}
        table = max(_POINTS, key=points.__getitem__)
        if points[table]:
            rivals[table].append(Rival(points[table], source, read[table]))
        else:
            unused[source.name] = _lacking(read["transactions"])
    chosen = {}
    for table, files in rivals.items():
        kept = _together(table, files)
        left = f"another file reads better as {table}, and both might tell of the same"
        unused |= {file.source.name: left for file in files if file not in kept}
        chosen |= {table: [part(file.source, table, file.cells) for file in kept]} if kept else {}
    return chosen, unused


def _together(table: str, files: list[Rival]) -> list[Rival]:
    """The best file, and those that tell of other events than it does."""
    best = max(files, key=lambda file: (file.points, file.source.rows), default=None)
    return [file for file in files if file is best or _adds(table, file.source, best.source)]


def _points(source: Source, table: str, cells: dict[str, Cell]) -> int:
    """How much speaks for the table; 0 if the file cannot be it."""
    named = _NAMED if _named(source, table) else 0
    possible = {
        "transactions": "amount" in cells or "price" in cells,
        "feedback": bool(named) or bool({"score", "kind", "resolved_at"} & set(cells)),
    }
    if any(role not in cells for role in _NEEDS[table]) or not possible.get(table, True):
        return 0
    if table == "customers" and repeats(source, cells["customer_id"]):
        return 0
    return (
        _POINTS[table]
        + named
        + sum(points for role, points in _MORE_POINTS[table].items() if role in cells)
    )


def _named(source: Source, table: str) -> bool:
    return (
        bool(set(FILE_WORDS[table].split()) & stem_words(source))
        or constant_kind(source, table) is not None
    )


def repeats(source: Source, cell: Cell) -> int:
    """How many rows repeat an id that stands elsewhere already."""
    return source.ask(
        f"SELECT count(x) - count(DISTINCT x) FROM (SELECT trim({cell.sql}::VARCHAR) AS x FROM {source.whole})"
    )[0][0]


def _lacking(cells: dict[str, Cell]) -> str:
    if "customer_id" not in cells:
        return "no column reads as the customer"
    if "occurred_at" not in cells:
        return "a customer, but no time, and its customers repeat"
    return "a customer and a time, but nothing that says what happened"


def _adds(table: str, source: Source, best: Source) -> bool:
    """Whether a second file tells of other events; a second file of orders might tell of the same."""
    if table in ("feedback", "interactions"):
        return True
    if table == "transactions" and constant_kind(source, table) in ("refund", "payment_failed"):
        return True
    return table != "customers" and set(source.types) == set(best.types)


def strangers(connection: duckdb.DuckDBPyConnection, people: str, events: str) -> str:
    """How many customers of one SELECT are in the other: ids that lost their zeros in one file meet nobody."""
    ids = "SELECT DISTINCT trim(CAST(customer_id AS VARCHAR)) AS who FROM ({}) WHERE customer_id IS NOT NULL"
    found = f"SELECT count(*), count(known.who) FROM ({ids.format(events)}) AS seen LEFT JOIN ({ids.format(people)}) AS known USING (who)"
    seen, known = connection.execute(found).fetchone()
    told = f"{known:,} of the {seen:,} customers with activity are in it"
    return (
        f"{told}."
        if known >= seen / 2
        else f"CHECK: {told}: are their ids written alike in all files?"
    )


def part(source: Source, table: str, cells: dict[str, Cell]) -> Part:
    """The SELECT of one file as one table, with its reasons."""
    given = {
        column.name: cells[column.name].sql
        for column in CONTRACT[table].columns
        if column.name in cells
    }
    notes: list[str] = []
    grouped, used = "", {cells[role].column for role in given}
    if table == "transactions":
        grouped, used = transactions(source, cells, given, notes)
    elif table in ("feedback", "interactions"):
        _kinds(source, table, cells, given, notes)
    ordered = [(given[name], name) for name in CONTRACT[table].names if name in given]
    listed = ", ".join(sql if sql == name else f"{sql} AS {name}" for sql, name in ordered)
    said = [note for cell in cells.values() if cell.column in used for note in cell.notes]
    reasons = (_why(source, table, cells, given), *said, *notes, *_left_out(source, used))
    clocks = frozenset(cell.clock for cell in cells.values() if cell.column in used and cell.clock)
    return Part(
        source, table, cells, f"SELECT {listed} FROM {source.name}{grouped}", reasons, clocks
    )


def _why(source: Source, table: str, cells: dict[str, Cell], given: dict[str, str]) -> str:
    read = [
        f"{cells[role].column} → {role}"
        for role in given
        if role in cells and cells[role].column != role
    ]
    looked = "" if source.looked == source.rows else f", looked at {source.looked:,} of them"
    named = "its name and " if _named(source, table) else ""
    renamed = f": {', '.join(read)}" if read else ", under the contract's own names"
    return f"{table} is {source.path.name} ({source.rows:,} rows{looked}), by {named}its columns{renamed}."


def _left_out(source: Source, used: set[str]) -> list[str]:
    left = [column for column in source.types if column not in used]
    return [f"left out: {', '.join(left)}."] if left else []


def _kinds(
    source: Source, table: str, cells: dict[str, Cell], given: dict[str, str], notes: list[str]
) -> None:
    """What every row of feedback and interactions must say: its kind, and when a score was given."""
    if "kind" not in given:
        named = constant_kind(source, table)
        kind = named or (_feedback_kind(cells) if table == "feedback" else source.name)
        given["kind"] = literal(kind)
        by = (
            "by the file's name" if named or table == "interactions" else "a guess from the columns"
        )
        notes.append(
            f"{'' if named else 'CHECK: '}no column says the kind; every row is taken for '{kind}', {by}."
        )
    if "score" in given and "answered_at" not in given:
        given["answered_at"] = given["occurred_at"]
        notes.append("no column says when the answer came; it is taken to come at once.")


def _feedback_kind(cells: dict[str, Cell]) -> str:
    if "score" not in cells:
        return "complaint"
    said = words(cells["score"].column)
    return (
        "nps"
        if "nps" in said
        else "review"
        if {"review", "rating", "stars"} & set(said)
        else "csat"
    )
