"""Rows of tables as events of an answer: the newest of all tables, as a request has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from features.core.contract import ALL_TABLES, OPEN_FROM_US, Column
from features.core.settings import Settings
from features.engine.prepared import table_columns
from features.recipes.attributes import Attribute
from features.tables.history import History
from features.tables.sources import connect
from features.tables.terms import TermRules
from serving.api.schemas import REQUEST_TABLES, rfc3339

NEWEST = 200
Row = dict[str, Any]


def newest_events(
    rows: Mapping[str, pa.Table], settings: Settings, attributes: Sequence[Attribute]
) -> tuple[list[Row], int]:
    """The NEWEST known rows of one customer, newest first, and how many there are in all.

    Each is `table`, `at` (when it happened; a term: when it was recorded; a row of customers: from
    when it is valid) and `row`, as a request has it. Rows without an instant are no events.
    """
    listed = [
        (at, name, number)
        for name in REQUEST_TABLES
        if name in rows
        for number, at in enumerate(_instants(name, rows[name]))
        if at is not None
    ]
    # What happened at one instant stands in the order of the tables and of their rows.
    listed.sort(key=lambda each: -each[0])
    events = [
        {
            "table": name,
            "at": rfc3339(at),
            "row": request_row(
                name, rows[name].slice(number, 1).to_pylist()[0], settings, attributes
            ),
        }
        for at, name, number in listed[:NEWEST]
    ]
    return events, len(listed)


def _instants(name: str, rows: pa.Table) -> list[int | None]:
    """When each row happened, µs UTC."""
    clock = ALL_TABLES[name].clock
    if clock is not None:
        instants: list[int | None] = rows[clock].to_pylist()
        return instants
    since = zip(rows["valid_from"].to_pylist(), rows["acquired_at"].to_pylist(), strict=True)
    return [acquired if valid is None else valid for valid, acquired in since]


def request_row(
    name: str, row: Mapping[str, Any], settings: Settings, attributes: Sequence[Attribute]
) -> Row:
    """One row of a table as a request has it: RFC 3339 instants, decimal money, no empty cell."""
    cells: Row = {}
    for column in table_columns(name, attributes):
        value = row.get(column.name)
        if column.name == "customer_id" or value is None:
            continue
        if column.open_end and value >= OPEN_FROM_US:
            continue
        written = _request_cell(column, value, settings)
        if column.name in ALL_TABLES[name].names:
            cells[column.name] = written
        else:
            # An attribute that is money is a number to a request's attributes.
            cells.setdefault("attributes", {})[column.name] = written
    return cells


def _request_cell(column: Column, value: Any, settings: Settings) -> Any:
    if column.type == "instant":
        return rfc3339(value)
    return value / 10**settings.minor_digits if column.type == "money" else value


def known_rows(
    tables: Mapping[str, pa.Table], settings: Settings, *, as_of: int
) -> dict[str, pa.Table]:
    """The rows of typed tables as known before `as_of` (µs UTC): the cut of every history."""
    with connect(memory="1GB", threads=1) as connection:
        for name, table in tables.items():
            connection.register(name, table)
        history = History(
            connection,
            settings.activity.table,
            tuple(settings.activity.kinds),
            as_of,
            tuple(tables),
            frozenset(name for name in tables if ALL_TABLES[name].version_of),
            terms=TermRules.from_settings(settings),
        )
        return {
            name: history.cut(name, as_of).collect(backend="pyarrow").to_native() for name in tables
        }
