"""Where a row of a SELECT stands in its file, so that a person can find a rejected row again.

Rows are counted as a spreadsheet shows them: the header is row 1; blank rows and rows that were
left out count too. JSON lines have the number of their line. A SELECT has such rows if it takes
rows of single files one by one: with conditions, a limit and UNION ALL, but without joins, groups,
DISTINCT or an order. For others only the number within the SELECT is known.
"""

from __future__ import annotations

import json
from typing import Any

import duckdb

from features.tables.parsing import quote_identifier
from features.tables.queries import first_value

SCHEMA = "numbered"
# Names that no export has for a column of its own.
ROW, FILE = "__lifecycle_file_row", "__lifecycle_file"
_FILES = (
    "CREATE TEMP TABLE IF NOT EXISTS _numbered_files (name VARCHAR, numbered VARCHAR, made BOOLEAN)"
)
_EMPTY = (
    "CREATE OR REPLACE TEMP TABLE _file_rows (source_row BIGINT, file VARCHAR, file_row BIGINT)"
)


def remember_file(connection: duckdb.DuckDBPyConnection, name: str, numbered: str) -> None:
    """Keep what `numbered.<name>` will be: the rows of the SELECT `numbered`, with FILE and ROW.

    The view is made when somebody looks for a row: to make it, the engine reads the file's first
    rows.
    """
    connection.execute(_FILES)
    connection.execute("INSERT INTO _numbered_files VALUES ($1, $2, false)", [name, numbered])


def _view_numbered(connection: duckdb.DuckDBPyConnection, names: set[str]) -> None:
    """Make the views of these files (names in small letters), unless they are there."""
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    files = connection.execute(
        "UPDATE _numbered_files SET made = true WHERE NOT made AND list_contains($1, lower(name)) "
        "RETURNING name, numbered",
        [sorted(names)],
    ).fetchall()
    for name, numbered in files:
        connection.execute(f"CREATE VIEW {SCHEMA}.{quote_identifier(name)} AS {numbered}")


def number_file_rows(
    connection: duckdb.DuckDBPyConnection, select: str, rows: int, *, of: str
) -> None:
    """Fill `_file_rows` (source_row, file, file_row) for a SELECT that gave `rows` rows.

    of: a query of the rows of the SELECT that are wanted, from 1 on. The table is empty where a row
    of the SELECT is not one row of one file.
    """
    connection.execute(_EMPTY)
    numbered = _numbered_select(connection, select)
    if numbered is None:
        return
    try:
        connection.execute(
            f"INSERT INTO _file_rows SELECT * FROM (SELECT row_number() OVER () AS source_row, "
            f"{FILE}, {ROW} FROM ({numbered})) WHERE source_row IN ({of})"
        )
        counted = first_value(connection, f"SELECT count(*) FROM ({numbered})")
    except duckdb.Error:
        # A condition on a name that the SELECT gives itself, for example.
        connection.execute(_EMPTY)
        return
    if counted != rows:  # an aggregate or an unnest: its rows are not those of the file
        connection.execute(_EMPTY)


def qualified_select(connection: duckdb.DuckDBPyConnection, select: str) -> str | None:
    """The SELECT with the schema of its files; None where a row of it is not a row of one file."""
    return _rewritten(connection, select, schema="files")


def _numbered_select(connection: duckdb.DuckDBPyConnection, select: str) -> str | None:
    """The SELECT with file and row as its only columns; None where it has other rows."""
    return _rewritten(connection, select, schema=SCHEMA, columns=[_column(FILE), _column(ROW)])


def _rewritten(
    connection: duckdb.DuckDBPyConnection,
    select: str,
    *,
    schema: str,
    columns: list[dict[str, Any]] | None = None,
) -> str | None:
    """The SELECT over the views of a schema, with other columns where they are given."""
    connection.execute(_FILES)
    files = connection.execute("SELECT lower(name) FROM _numbered_files").fetchall()
    views = {name for (name,) in files}
    row = connection.execute("SELECT json_serialize_sql($1)", [select]).fetchone()
    tree: dict[str, Any] = json.loads(row[0]) if row else {"error": True}
    if tree["error"] or not _rewrite(tree["statements"][0]["node"], views, schema, columns):
        return None
    _qualify_subqueries(tree, views)
    if schema == SCHEMA:
        _view_numbered(connection, views & _tables_of(tree))
    text = connection.execute("SELECT json_deserialize_sql($1)", [json.dumps(tree)]).fetchone()
    return str(text[0]) if text else None


def _tables_of(node: Any) -> set[str]:
    """The names of the tables anywhere in a tree, in small letters."""
    if isinstance(node, list):
        return set().union(*map(_tables_of, node))
    if not isinstance(node, dict):
        return set()
    own = {node["table_name"].lower()} if node.get("type") == "BASE_TABLE" else set()
    return own.union(*map(_tables_of, node.values()))


def _qualify_subqueries(node: Any, views: set[str]) -> None:
    """Files that a SELECT within an expression reads get their schema too."""
    if isinstance(node, list):
        for each in node:
            _qualify_subqueries(each, views)
    elif isinstance(node, dict):
        is_file = node.get("type") == "BASE_TABLE" and node["table_name"].lower() in views
        if is_file and not node["schema_name"]:
            node["alias"] = node["alias"] or node["table_name"]
            node["schema_name"] = "files"
        for each in node.values():
            _qualify_subqueries(each, views)


def _rewrite(
    node: dict[str, Any], views: set[str], schema: str, columns: list[dict[str, Any]] | None
) -> bool:
    """Let the node read its one file in the schema; False where its rows are not a file's."""
    if any(each["type"] != "LIMIT_MODIFIER" for each in node["modifiers"]):
        return False
    if node["type"] == "SET_OPERATION_NODE":
        plain = node["setop_type"].startswith("UNION") and node["setop_all"]
        sides = (node["left"], node["right"])
        return plain and all(_rewrite(side, views, schema, columns) for side in sides)
    if node["type"] != "SELECT_NODE" or node["cte_map"]["map"]:
        return False
    source = node["from_table"]
    grouped = node["group_expressions"] or node["aggregate_handling"] != "STANDARD_HANDLING"
    if grouped or source["type"] != "BASE_TABLE" or source["table_name"].lower() not in views:
        return False
    # Names such as orders.amount must still mean the file.
    source["alias"] = source["alias"] or source["table_name"]
    source["schema_name"] = schema
    if columns is not None:
        node["select_list"] = columns
    return True


def _column(name: str) -> dict[str, Any]:
    return {
        "class": "COLUMN_REF",
        "type": "COLUMN_REF",
        "alias": "",
        "query_location": 0,
        "column_names": [name],
    }
