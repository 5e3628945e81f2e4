"""Days that programs write where they know none, such as 1970-01-01, the zero of their clocks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from features.core.contract import ALL_TABLES
from features.core.instants import DAY_US
from features.plausibility.finding import Finding
from features.tables.history import History
from features.tables.queries import first_value

# The zeros of clocks: of Unix, of spreadsheets and of databases.
_DAYS = ("1970-01-01", "1900-01-01", "1899-12-30", "1899-12-31", "1904-01-01", "1753-01-01")


def find_placeholder_days(history: History) -> Iterator[Finding]:
    """Rows of such a day in a table whose other rows are years later."""
    for name in (*history.names, *history.further):
        for column in ALL_TABLES[name].columns:
            if column.type == "instant":
                yield from _of_column(history, name, column.name)


def _of_column(history: History, name: str, column: str) -> Iterator[Finding]:
    for day in _DAYS:
        start = (date.fromisoformat(day) - date(1970, 1, 1)).days * DAY_US
        # The local midnight of any zone lies in the day before or in the day itself.
        on_day = f"{column} >= {start - DAY_US // 2} AND {column} < {start + DAY_US}"
        near = f"abs({column} - {start}) < {3 * 365 * DAY_US} AND NOT ({on_day})"
        rows = first_value(history.connection, f"SELECT count(*) FROM {name} WHERE {on_day}")
        if not rows or first_value(history.connection, f"SELECT count(*) FROM {name} WHERE {near}"):
            continue
        yield Finding(
            "placeholder_day",
            name,
            f"{rows:,} rows have {day} as {column}: programs write that day where they know none.",
            f"Leave these rows out in the SELECT of {name}, or write NULL there where {column} may "
            "be empty.",
            counts={"rows": rows},
            values=(day,),
        )
