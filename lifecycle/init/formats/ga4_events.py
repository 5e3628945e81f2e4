"""Google Analytics 4 in a warehouse: one row an event, its time in microseconds."""

from __future__ import annotations

from lifecycle.init.cells import Cell
from lifecycle.init.formats.file_columns import FileColumns
from lifecycle.init.formats.format import Format, FormatTable, PersonColumn
from lifecycle.init.questions import Answers

_REVENUE = "ecommerce.purchase_revenue|purchase_revenue"
_ORDER = "ecommerce.transaction_id|transaction_id"


def _read(columns: FileColumns, answers: Answers) -> tuple[FormatTable, ...]:
    people = tuple(
        PersonColumn(columns.name(name), columns.identifier(name), what)
        for name, what in (("user_id", "user id"), ("user_pseudo_id", "device"))
        if columns.find(name)
    )
    column = columns.name("event_timestamp")
    at = Cell(column, f"make_timestamptz(TRY_CAST({columns.text(column)} AS BIGINT))", "offset")
    event = columns.text("event_name")
    events = FormatTable(
        table="interactions",
        people=people,
        columns={
            "occurred_at": at,
            "kind": Cell(
                columns.name("event_name"),
                f"CASE {event} WHEN 'session_start' THEN 'visit' ELSE {event} END",
            ),
            **columns.optional(channel="platform"),
        },
        notes=(
            "event_timestamp has the clock, so event_date is left out; session_start is a visit.",
        ),
    )
    if not (columns.find(_REVENUE) and columns.find(_ORDER)):
        return (events,)
    purchases = FormatTable(
        table="transactions",
        people=people,
        columns={
            "transaction_id": columns.cell(_ORDER),
            "occurred_at": at,
            "kind": Cell("", "'purchase'"),
            "amount": columns.money(_REVENUE),
        },
        only=f"{event} = 'purchase' AND NOT ({columns.is_blank(_REVENUE)})",
        notes=("purchases are the events purchase with their revenue.",),
    )
    return events, purchases


FORMAT = Format(
    name="Google Analytics 4 events",
    source="support.google.com/analytics/answer/7029846, BigQuery Export schema; seen 2026-11",
    headers=frozenset({"event_date", "event_timestamp", "event_name", "user_pseudo_id"}),
    read=_read,
    payments=True,
    reads="One interaction an event, with its clock; session_start is a visit; purchases with "
    "revenue where the columns are there.",
    leaves="Parameters, devices, places, traffic sources, items.",
    export="The tables events_YYYYMMDD as Parquet or CSV, with user_id where people sign in.",
)
