"""What the page was made from: until when each table is known, and what became of every row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from features.core.instants import end_text
from features.indicators.business_table import COUNT, NUMBER, TEXT, TableShape
from features.tables.freshness import Freshness
from features.tables.typed_tables import RowCounts

STALE, FRESH, NOT_KNOWN = "has stopped", "up to date", "cannot be told"
DATELESS = "has no dates"
FRESHNESS = TableShape(
    "freshness",
    "until: the end of the last day on which rows were recorded; silent_days: whole days from then "
    "to as_of; state: has stopped where it is longer than this table has ever been by habit",
    "rows of the table",
    {"table": TEXT, "until": TEXT, "silent_days": NUMBER, "state": TEXT},
)
READING = TableShape(
    "reading",
    "rows read = rows used + rows left out; rows left out: by the rule that they break; of the "
    "whole files, whatever as_of is",
    "rows of the table",
    {"table": TEXT, "rule": TEXT, "rows": COUNT},
)
READ, USED = "rows read", "rows used"
SHAPES = {each.name: each for each in (FRESHNESS, READING)}


def input_tables(
    freshness: Mapping[str, Freshness], counts: Mapping[str, RowCounts], *, as_of: int, zone: str
) -> dict[str, pa.Table]:
    """`freshness` and `reading`, a row each for each table and for each reason of a rejection."""
    states = [_state(name, one, zone) for name, one in sorted(freshness.items())]
    rows = [
        {"table": name, "rule": rule, "rows": number}
        for name, count in counts.items()
        for rule, number in ((READ, count.read), (USED, count.kept), *count.rejected.items())
    ]
    contents = {"freshness": (FRESHNESS, states), "reading": (READING, rows)}
    return {
        name: shape.fill_rows(each, as_of=as_of)
        if each
        else shape.say_missing("a table", as_of=as_of)
        for name, (shape, each) in contents.items()
    }


def _state(name: str, one: Freshness, zone: str) -> dict[str, Any]:
    until = None if one.complete_until is None else end_text(one.complete_until, zone=zone)
    state = STALE if one.is_stale else NOT_KNOWN if one.allowed_days is None else FRESH
    return {
        "table": name,
        "until": until,
        "silent_days": None if until is None else one.quiet_days,
        "state": DATELESS if until is None else state,
    }
