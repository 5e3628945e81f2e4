"""Dates and clock times that stand in two columns, and zones that only a column's name says."""

from __future__ import annotations

from dataclasses import replace

from lifecycle.init.cells import Cell
from lifecycle.init.dates import ABBREVIATIONS
from lifecycle.init.draft import Draft
from lifecycle.init.source import Source, squash
from lifecycle.init.times import zone_in_name

_CLOCK_NAMES = (
    "time", "ordertime", "transactiontime", "saletime", "paymenttime", "purchasetime", "clock",
    "hour", "timeofday", "uhrzeit", "zeit", "bestellzeit", "heure", "heurecommande", "hora",
    "horapedido", "horadopedido", "horaventa", "时间", "交易时间", "下单时间", "订单时间",
)  # fmt: skip
_PLAIN = r"regexp_matches(v, '^([01]?\d|2[0-3]):[0-5]\d(:[0-5]\d([.]\d+)?)?$')"
_TWELVE = r"regexp_matches(v, '^(0?\d|1[0-2]):[0-5]\d(:[0-5]\d)? ?[AaPp][Mm]$')"


def join_clock(source: Source, cells: dict[str, Cell], draft: Draft) -> dict[str, Cell]:
    """The cells with the clock of another column joined to a day, and with the zone of a name."""
    cells = {role: _with_zone(source, cell) for role, cell in cells.items()}
    day = cells.get("occurred_at")
    if day is None or day.clock != "days":
        return cells
    for column in source.types:
        if squash(column) not in _CLOCK_NAMES or column == day.column:
            continue
        count, plain, twelve = source.count_distinct(column, [_PLAIN, _TWELVE], limit=None)
        if not count or max(plain, twelve) < count:
            continue
        x = source.sql(column)
        clock = f"regexp_replace(trim({x}), '^(.):', '0\\1:')"
        if twelve == count:
            formats = "['%I:%M %p', '%I:%M:%S %p', '%I:%M%p', '%I:%M:%S%p']"
            clock = f"strftime(try_strptime(trim({x}), {formats}), '%H:%M:%S')"
        text = f"CAST({day.sql} AS VARCHAR)"
        date = f"coalesce(strftime(TRY_CAST({text} AS DATE), '%Y-%m-%d'), {text})"
        draft.used.add(column)
        draft.notes.append(f"{column} is the clock of {day.column}; the SELECT joins them.")
        joined = replace(
            day, sql=f"{date} || coalesce(' ' || nullif({clock}, ''), '')", clock="naive"
        )
        return cells | {"occurred_at": joined}
    return cells


def _with_zone(source: Source, cell: Cell) -> Cell:
    """Times without an offset, in the zone that the column's name says: `Created (UTC)`."""
    zone = zone_in_name(cell.column) if cell.clock == "naive" else ""
    if not zone:
        return cell
    offset = ABBREVIATIONS.get(zone, "+00:00")
    time = f"TRY_CAST({cell.sql} AS TIMESTAMP)"
    note = f"{cell.column}: the times are in {zone}, by the column's name."
    return replace(
        cell,
        sql=f"coalesce(strftime({time}, '%Y-%m-%dT%H:%M:%S') || '{offset}', "
        f"CAST({cell.sql} AS VARCHAR))",
        clock="offset",
        notes=(*cell.notes, note),
    )
