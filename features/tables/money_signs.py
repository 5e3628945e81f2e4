"""Signs in the raw cells that amounts are not what they look like.

Amounts are added up, so several currencies in one column give a sum of nothing. An amount such as
1.500 may be one and a half, or fifteen hundred with a point between the thousands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import duckdb

from features.core.contract import Table
from features.tables.parsing import literal, quote_identifier
from features.tables.queries import first_value
from features.tables.reject_examples import RAW

_CURRENCY = re.compile(r"(^|_|\b)(currency|curr|ccy|waehrung|währung|devise|moneda)(_|\b|$)")
_AMOUNT = re.compile(r"amount|total|price|value|sum|fee|paid|revenue|betrag|preis|montant|importe")
_THREE_DECIMALS = r"^[+-]?\d{1,3}[.]\d{3}$"
_SURELY_DECIMAL = r"^[+-]?(\d{4,}[.]\d{3}|0[.]\d{3})$"


@dataclass
class MoneySigns:
    """What the raw cells of a table say about its amounts.

    currencies: rows by value of a column of currencies that the SELECT does not handle; empty where
    it has one value alone. every_currency: the same, also of one value.
    three_decimals: of the amounts that are text, how many have exactly three decimals.
    """

    currencies: dict[str, int] = field(default_factory=dict)
    three_decimals: int = 0
    every_currency: dict[str, int] = field(default_factory=dict)


def read_money_signs(
    connection: duckdb.DuckDBPyConnection, table: Table, types: dict[str, str], select: str
) -> MoneySigns:
    """The signs in `_parsed` (types: DuckDB types of the SELECT) and in the files of the SELECT."""
    money = [column.name for column in table.columns if column.type == "money"]
    if not any(name in types for name in money):
        return MoneySigns()
    texts = [name for name in money if types.get(name) == "VARCHAR"]
    columns = [("_parsed", RAW.format(name)) for name in texts] or _amount_columns(
        connection, select
    )
    three = sum(_count_three_decimals(connection, source, name) for source, name in columns)
    every = _currencies(connection, list(types), select)
    return MoneySigns(every if len(every) > 1 else {}, three, every)


def may_have_three_decimals(raw: str) -> str:
    """SQL that is true for every cell that `read_money_signs` counts, and for few others."""
    return f"{raw} LIKE '%.___%'"


def _amount_columns(connection: duckdb.DuckDBPyConnection, select: str) -> list[tuple[str, str]]:
    """(view, column) of the amounts in text that a SELECT turns into numbers, as TRY_CAST does."""
    if "replace(" in select.lower():  # it handles points and commas itself
        return []
    words = {word.lower() for word in re.findall(r"\w+", select)}
    return [
        (f"files.{quote_identifier(view)}", column)
        for view, column, kind in _file_columns(connection)
        if kind == "VARCHAR"
        and view.lower() in words
        and _AMOUNT.search(column.lower())
        and set(re.findall(r"\w+", column.lower())) <= words
    ]


def _count_three_decimals(connection: duckdb.DuckDBPyConnection, source: str, name: str) -> int:
    """Cells as 1.500; 0 where a cell as 1500.000 shows that the point is the decimal one."""
    text = f"trim({quote_identifier(name)})"
    count, decimal = (
        f"count(*) FILTER (regexp_matches({text}, {literal(pattern)}))"
        for pattern in (_THREE_DECIMALS, _SURELY_DECIMAL)
    )
    return first_value(
        connection, f"SELECT CASE WHEN {decimal} = 0 THEN {count} ELSE 0 END FROM {source}"
    )


def _file_columns(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str, str]]:
    return connection.execute(
        "SELECT table_name, column_name, data_type FROM duckdb_columns() "
        "WHERE schema_name = 'files' ORDER BY ALL"
    ).fetchall()


def _currencies(
    connection: duckdb.DuckDBPyConnection, columns: list[str], select: str
) -> dict[str, int]:
    own = [name for name in columns if _is_currency(name)]
    if own:
        return _count_values(connection, "_read", own[0])
    # A SELECT that names the column has chosen or converted a currency.
    words = {word.lower() for word in re.findall(r"\w+", select)}
    alone: dict[str, int] = {}
    for view, column, _ in _file_columns(connection):
        if view.lower() in words and _is_currency(column) and column.lower() not in words:
            counted = _count_values(connection, f"files.{quote_identifier(view)}", column)
            if len(counted) > 1:
                return counted
            alone = alone or counted
    return alone


def _is_currency(name: str) -> bool:
    return bool(_CURRENCY.search(name.lower().replace(" ", "_")))


def _count_values(
    connection: duckdb.DuckDBPyConnection, source: str, column: str
) -> dict[str, int]:
    """Rows by value, the most frequent first; at most twenty of them."""
    value = f"upper(trim(CAST({quote_identifier(column)} AS VARCHAR)))"
    rows = connection.execute(
        f"SELECT {value}, count(*) AS n FROM {source} WHERE {value} <> '' "
        "GROUP BY 1 ORDER BY n DESC, 1 LIMIT 20"
    ).fetchall()
    return dict(rows)
