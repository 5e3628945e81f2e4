"""For each reason a row was rejected: one example as the SELECT gave it, and what is allowed.

Only for the owner's terminal. Ids are never shown.
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from features.core.contract import Table
from features.core.settings import Settings
from features.tables.parsing import literal, quote_identifier

SHOWN_CHARACTERS = 60
# What the raw cell of a rejected row is called next to the parsed one.
RAW = "raw {}"
# Reasons over several columns: the columns whose cells explain them.
COLUMNS_OF_REASON = {
    "ends_before_it_starts": ("starts_at", "ends_at"),
    "answered_before_sent": ("occurred_at", "answered_at"),
    "resolved_before_raised": ("occurred_at", "resolved_at"),
    "score_without_answered_at": ("score", "answered_at"),
    "score_without_scale": ("kind", "score"),
    "score_off_its_scale": ("kind", "score"),
}
ALLOWED = {
    "exact_duplicate": "of rows that are equal in every column, one counts",
    "ends_before_it_starts": "ends_at later than starts_at",
    "answered_before_sent": "answered_at at or after occurred_at",
    "resolved_before_raised": "resolved_at at or after occurred_at",
    "score_without_answered_at": "a score together with its answered_at",
    "score_without_scale": "a score of a kind that has a scale under [contract.scales]",
    "score_off_its_scale": "a score within the scale of its kind under [contract.scales]",
    "referred_by_themselves": "two different customers",
}
ALLOWED_BY_ENDING = {
    "_missing": "a value in every row",
    "_not_an_instant": "a date or a time, as 2024-03-01, 2024-03-01 10:00 or 2024-03-01T10:00:00Z",
    "_outside_1970_2200": "an instant from 1970 to 2199",
    "_not_money": "a decimal number with a point, as 1234.50",
    "_finer_than_minor_units": "no finer amount than the currency has ({digits} decimals)",
    "_out_of_range": "a smaller number",
    "_not_a_number": "a number with a decimal point",
    "_not_finite": "a finite number",
    "_not_a_flag": "true or false, yes or no, 1 or 0",
}


@dataclass(frozen=True)
class RejectExample:
    """One reason: the number of rows, one example of the cells (or ''), and what is allowed.

    place: the row and the file of the example; '' where they are not known.
    """

    reason: str
    rows: int
    example: str
    allowed: str
    place: str = ""


def reject_examples(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    types: dict[str, str],
    rejected: dict[str, int],
    settings: Settings,
) -> list[RejectExample]:
    """One example for each reason in `_parsed`, in the order of `rejected`.

    types: DuckDB types by column of the SELECT. The example is of the first row with that reason.
    """
    return [
        RejectExample(
            reason,
            rows,
            _example(
                connection, [name for name in _columns_of(reason, table) if name in types], reason
            ),
            allowed_text(reason, table, settings),
            _place(connection, reason),
        )
        for reason, rows in rejected.items()
    ]


def allowed_text(reason: str, table: Table, settings: Settings) -> str:
    """What the contract allows where a row was rejected for `reason`."""
    if reason in ALLOWED:
        return ALLOWED[reason]
    for ending, text in ALLOWED_BY_ENDING.items():
        if reason.endswith(ending):
            return text.format(digits=settings.minor_digits)
    kinds = next((column.kinds for column in table.columns if column.kinds), ())
    return f"one of {', '.join(kinds)}"


def _columns_of(reason: str, table: Table) -> tuple[str, ...]:
    if reason in COLUMNS_OF_REASON:
        return COLUMNS_OF_REASON[reason]
    # The longest name, because a name may begin with another one.
    names = sorted(table.columns, key=lambda column: -len(column.name))
    column = next((each for each in names if reason.startswith(f"{each.name}_")), None)
    return (column.name,) if column and column.type != "id" else ()


def _example(connection: duckdb.DuckDBPyConnection, columns: list[str], reason: str) -> str:
    if not columns:
        return ""
    cells = ", ".join(f"CAST({quote_identifier(RAW.format(name))} AS VARCHAR)" for name in columns)
    row = connection.execute(
        f"SELECT {cells} FROM _parsed WHERE reason = {literal(reason)} ORDER BY source_row LIMIT 1"
    ).fetchone()
    shown = [repr((cell or "")[:SHOWN_CHARACTERS]) for cell in row or ()]
    if len(columns) == 1:
        return "".join(shown)
    return ", ".join(f"{name} {cell}" for name, cell in zip(columns, shown, strict=True))


def _place(connection: duckdb.DuckDBPyConnection, reason: str) -> str:
    row = connection.execute(
        "SELECT file_row, file FROM _file_rows WHERE source_row = "
        f"(SELECT min(source_row) FROM _parsed WHERE reason = {literal(reason)})"
    ).fetchone()
    return f"row {row[0]:,} of {row[1]}" if row else ""
