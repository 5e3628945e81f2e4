"""The rules of a SELECT: it is one, it reads what it may by name, and it is reproducible.

DuckDB itself parses the text and knows which of its functions give another value at another run, so
a column or a text with such a name is no function here.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache

import duckdb

from features.core.errors import QueryFailed, SelectRefused
from features.tables.queries import first_value

_READS_FILES = re.compile(
    r"\b(read_\w+|parquet_scan|sniff_csv|glob|scan_\w+|\w+_scan)\s*\(", re.IGNORECASE
)
_FROM_PATH = re.compile(r"\b(from|join)\s+'", re.IGNORECASE)

# Words that are a function without brackets, unless a column has that name.
CLOCK_WORDS = ("current_date", "current_time", "current_timestamp", "localtime", "localtimestamp")
# Functions that run a text as SQL: what they call is not seen here.
RUN_A_TEXT = ("query", "json_execute_serialized_sql", "from_substrait", "from_substrait_json")
# DuckDB calls these stable, but they read the clock or draw; `age` does with one argument.
ALSO_UNSTABLE = (
    "ago",
    "current_setting",
    "current_localtime",
    "current_localtimestamp",
    "pg_conf_load_time",
    "pg_postmaster_start_time",
    "reservoir_quantile",
)
# DuckDB calls these unstable; here they are the same at every run.
STABLE = (
    "current_database",
    "current_schema",
    "current_schemas",
    "error",
    "in_search_path",
)
OF_THE_ENGINE = ("duckdb_", "pragma_")
_CLOCK = re.compile(r"now|today|age|ago|date|time")
UNSTABLE_QUERY = """
    SELECT DISTINCT lower(function_name) FROM duckdb_functions()
    WHERE stability IN ('VOLATILE', 'CONSISTENT_WITHIN_QUERY')
"""
# Every function, column reference and sample anywhere in a statement, as lists.
_PARTS = """
    SELECT json_extract_string(tree, '$..function_name'), json_extract(tree, '$..column_names'),
      json_extract_string(tree, '$..sample')
    FROM (SELECT json_serialize_sql($1) AS tree)
"""
_ARGUMENTS_OF_AGE = """
    WITH node AS (
      FROM json_tree(json_serialize_sql($select)) WHERE key IN ('function_name', 'children')
    )
    SELECT min(json_array_length(other.value))
    FROM node AS one JOIN node AS other ON other.parent = one.parent AND other.key = 'children'
    WHERE one.key = 'function_name' AND lower(one.value) = '"age"'
"""


@dataclass(frozen=True)
class Sources:
    """What a SELECT may read, for messages: the rule, and what to write instead of a file."""

    rule: str
    fix: str


FILES = Sources(
    "A SELECT reads only the files under [files], by their names there.",
    "List the file under [files] and select from its name.",
)


def refuse_select(
    connection: duckdb.DuckDBPyConnection, where: str, select: str, *, sources: Sources = FILES
) -> None:
    """SelectRefused or QueryFailed for a text that breaks a rule; `where` is its place.

    The files of the settings are views in the schema `files` of the connection.
    """
    if _READS_FILES.search(select) or _FROM_PATH.search(select):
        raise SelectRefused(
            where=where,
            got="a SELECT that reads a file directly",
            rule=sources.rule,
            fix=sources.fix,
        )
    try:
        statements = duckdb.extract_statements(select)
    except duckdb.Error as error:
        raise QueryFailed(
            where=where,
            got=first_line(error),
            rule="It is one SQL SELECT.",
            fix="Correct the SQL (DuckDB's dialect).",
        ) from error
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise SelectRefused(
            where=where,
            got=f"{len(statements)} statements, or one that is not a SELECT",
            rule="It is exactly one SQL SELECT.",
            fix="Remove everything but the SELECT.",
        )
    _refuse_unstable(connection, where, select)


def first_line(error: Exception) -> str:
    """The first line of an error of DuckDB, at most 300 characters."""
    return str(error).strip().splitlines()[0][:300]


def _refuse_unstable(connection: duckdb.DuckDBPyConnection, where: str, select: str) -> None:
    """SelectRefused where the same files could give other rows at another run."""
    for unstable in _unstable_parts(connection, select):
        if unstable in RUN_A_TEXT:
            fix = f"Write the SELECT that is in the text of {unstable}(…) itself, as a subquery."
        elif _CLOCK.search(unstable):
            fix = "Write the instant down, as in TIMESTAMP '2024-01-31'."
            if unstable in CLOCK_WORDS:
                fix += f' If it is a column, write its table too, as in t."{unstable}".'
        elif unstable.startswith((*OF_THE_ENGINE, "current_setting")):
            fix = "Write the value down that you need of it."
        else:
            fix = "Use a value of the row instead, as in hash(customer_id) % 10 = 0 for a sample."
        raise SelectRefused(
            where=where,
            got=f"a SELECT with {unstable}, which can give other rows at another run",
            rule="The same files always give the same rows.",
            fix=fix,
        )


@cache
def _unstable_functions() -> frozenset[str]:
    """The functions that a SELECT may not call: this DuckDB's, which are the same all day long."""
    with duckdb.connect() as connection:
        listed = {name for (name,) in connection.execute(UNSTABLE_QUERY).fetchall()}
    return frozenset((listed - set(STABLE)) | set(ALSO_UNSTABLE) | set(RUN_A_TEXT))


def _unstable_parts(connection: duckdb.DuckDBPyConnection, select: str) -> list[str]:
    """The names of what depends on the clock, on chance, or on what ran before; sorted."""
    row = connection.execute(_PARTS, [select]).fetchone()
    functions, references, samples = row if row else ((), (), ())
    unstable = _unstable_functions()
    called = {function.lower() for function in functions}
    # What the engine tells of itself (its settings, memory, threads) is not in the files.
    result = {name for name in called if name in unstable or name.startswith(OF_THE_ENGINE)}
    result |= {_clock_word(connection, json.loads(names)) for names in references}
    if any(sample is not None for sample in samples):
        result.add("a sample of rows")
    if "age" in called and first_value(connection, _ARGUMENTS_OF_AGE, select=select) == 1:
        result.add("age")
    return sorted(result - {""})


def _clock_word(connection: duckdb.DuckDBPyConnection, names: list[str]) -> str:
    """The word for the clock that a column reference is; '' where it is a column."""
    word = names[0].lower() if len(names) == 1 else ""
    if word not in CLOCK_WORDS:
        return ""
    query = "SELECT 1 FROM duckdb_columns() WHERE schema_name = 'files' AND lower(column_name) = $1"
    return "" if connection.execute(query, [word]).fetchone() else word
