"""Mixpanel events: json lines with properties, or the same flattened into columns."""

from __future__ import annotations

from lifecycle.init.cells import Cell
from lifecycle.init.formats.file_columns import FileColumns
from lifecycle.init.formats.format import Format, FormatTable, PersonColumn
from lifecycle.init.questions import Answers

_NOTE = "times are read as UTC: projects created before 2023 export in their own zone (write it)."


def _read_columns(columns: FileColumns, answers: Answers) -> tuple[FormatTable, ...]:
    who = columns.identifier("distinct_id")
    people = [PersonColumn(columns.name("distinct_id"), who, "distinct id")]
    if column := columns.find("$user_id"):
        people.append(PersonColumn(column, columns.identifier("$user_id"), "user id"))
    at = columns.instant("time", utc=True)
    return (_events(columns, tuple(people), at),)


def _read_properties(columns: FileColumns, answers: Answers) -> tuple[FormatTable, ...]:
    column = columns.name("properties")
    x = columns.source.sql(column)
    x = x if columns.source.types[column] == "VARCHAR" else f"to_json({x})"

    def property_sql(name: str) -> str:
        return f"nullif(json_extract_string({x}, '$.\"{name}\"'), '')"

    seconds = f"TRY_CAST({property_sql('time')} AS DOUBLE)"
    instant = f"to_timestamp(CASE WHEN {seconds} > 1e11 THEN {seconds} / 1000 ELSE {seconds} END)"
    people = (
        PersonColumn(column, property_sql("distinct_id"), "distinct id"),
        PersonColumn(column, property_sql("$user_id"), "user id"),
    )
    return (_events(columns, people, Cell(column, instant, "offset")),)


def _events(columns: FileColumns, people: tuple[PersonColumn, ...], at: Cell) -> FormatTable:
    return FormatTable(
        table="interactions",
        people=people,
        columns={"occurred_at": at, "kind": columns.cell("event")},
        notes=(_NOTE, "two equal events of a person at one instant count once."),
    )


COLUMNS = Format(
    name="Mixpanel events",
    source="docs.mixpanel.com, Import events and event deduplication (event, distinct_id, time, "
    "$insert_id); seen 2026-11",
    headers=frozenset({"event", "distinct_id", "time", "$insert_id|mp_lib|$os|$city"}),
    read=_read_columns,
    reads="One interaction an event; its name is the kind.",
    leaves="All other properties.",
    export="The raw export API, or a warehouse export with its properties as columns.",
)
PROPERTIES = Format(
    name="Mixpanel raw export",
    source="mixpanel.com/help/reference/exporting-raw-data (json lines with event and properties); "
    "seen 2026-11",
    headers=frozenset({"event", "properties"}),
    read=_read_properties,
    reads="One interaction an event; its name is the kind.",
    leaves="All other properties.",
    export="GET /export, json lines as they come.",
)
