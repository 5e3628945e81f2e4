"""A file of customers: one row each, though a few rows may be double."""

from __future__ import annotations

from lifecycle.init.cells import Cell
from lifecycle.init.consent_words import complete_consent
from lifecycle.init.draft import Draft
from lifecycle.init.source import Source

MOST_REPEATED = 0.05  # share of rows that may repeat a customer in a file of customers


def repeated_customers(source: Source, cell: Cell) -> int:
    """How many rows repeat a customer of an earlier row."""
    key = ("repeated", cell.sql)
    if key not in source.cache:
        ids = f"SELECT trim({cell.sql}::VARCHAR) AS x FROM {source.sample}"
        source.cache[key] = source.query_count(
            f"SELECT count(nullif(x, '')) - count(DISTINCT nullif(x, '')) FROM ({ids})"
        )
    return int(source.cache[key])


def first_of_each(who: str, order: str) -> str:
    """SQL behind a SELECT: of the rows of one customer the first in the order of their values.

    Never the first of the file: equal rows in another order give the same customers. order: SQL;
    '' where the rows of a customer are all equal.
    """
    by = f" ORDER BY {order}" if order else ""
    return f"QUALIFY row_number() OVER (PARTITION BY {who}{by}) = 1"


def complete_customers(source: Source, cells: dict[str, Cell], draft: Draft) -> None:
    """Let every customer have one row: of several, the first in the order of their values."""
    complete_consent(source, draft)
    if "valid_from" in cells:
        return
    repeated = repeated_customers(source, cells["customer_id"])
    if not repeated:
        return
    differing = repeated - (
        source.sampled
        - source.query_count(f"SELECT count(*) FROM (SELECT DISTINCT * FROM {source.sample})")
    )
    columns = ", ".join(source.sql(column) for column in source.types)
    id_ = cells["customer_id"].sql
    draft.from_ = f"(SELECT * FROM {source.name} {first_of_each(id_, columns)})"
    what = f", {differing:,} of them with other values" if differing > 0 else ""
    draft.notes.append(
        f"CHECK: {repeated:,} rows repeat a customer{what}; one row of each customer is read."
        if differing > 0
        else f"{repeated:,} rows repeat a customer and are read once."
    )
