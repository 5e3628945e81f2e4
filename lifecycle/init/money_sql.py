"""SQL for the money of a row: a column, or the product of two, without losing what is no number."""

from __future__ import annotations

from features.core.config_schema import MINOR_DIGITS
from lifecycle.init.cell import Cell
from lifecycle.init.source import Source


def decimals_of(code: str) -> int:
    """The decimals that amounts are rounded to: three for the dinars, else two.

    A sign such as ¥ has two currencies, so amounts are never rounded to whole ones.
    """
    return max(2, MINOR_DIGITS.get(code, 2))


def product_sql(source: Source, money: list[Cell], cast: str = "TRY_CAST") -> str:
    """SQL for the product of the money columns; text is cast to exact decimals."""
    return " * ".join(
        f"{cast}({cell.sql} AS DECIMAL(18, 4))"
        if source.types[cell.column] == "VARCHAR"
        else cell.sql
        for cell in money
    )


def or_text(source: Source, number: str, money: list[Cell], *, of_group: bool = False) -> str:
    """SQL for the number, or for the text of cells that are none, so that the contract names it.

    A row with a blank cell has no amount. of_group: the number is an aggregate.
    """
    if all(source.types[cell.column] != "VARCHAR" for cell in money):
        return number
    texts = [f"nullif(trim({text_sql(source, cell.column)}), '')" for cell in money]
    text = "'not read: ' || " + " || ' × ' || ".join(texts)
    lost = product_sql(source, money) if of_group else number
    rows = f"SELECT count(*) FROM {source.sample} WHERE ({lost}) IS NULL AND ({text}) IS NOT NULL"
    if not source.query_count(rows):
        return number
    if of_group:
        text = f"min(CASE WHEN {lost} IS NULL THEN {text} END)"
    return f"coalesce(CAST({number} AS VARCHAR), {text})"


def text_sql(source: Source, column: str) -> str:
    """SQL for the column as text."""
    x = source.sql(column)
    return x if source.types[column] == "VARCHAR" else f"CAST({x} AS VARCHAR)"
