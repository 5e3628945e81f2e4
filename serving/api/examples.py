"""A request that the served release accepts, for the reference."""

from __future__ import annotations

from typing import Any

from features.core.instants import DAY_US
from features.tables.freshness import needed_tables
from serving.api.schemas import rfc3339
from serving.api.served import ServedRelease

CUSTOMER = "00042"
# One row of each table as days before as_of and further cells.
_ROWS: dict[str, tuple[str, int, dict[str, Any]]] = {
    "transactions": ("occurred_at", 29, {"amount": 19.9}),
    "interactions": ("occurred_at", 3, {"kind": "visit"}),
    "contracts": ("starts_at", 29, {"plan": "monthly", "price": 9.9}),
}


def example_request(served: ServedRelease) -> dict[str, Any]:
    """A body of POST /v1/score with raw events of one customer, at an instant that is accepted.

    The instant is that of the latest run, or the earliest that the release can be asked about.
    """
    seen = served.release.seen
    earliest = max(seen.earliest_as_of, *(each.population.as_of for each in served.prepared))
    as_of = max(earliest, served.run.as_of) if served.run is not None else earliest
    settings, tables = served.settings, {}
    needed = needed_tables(settings)
    for name, (clock, days, cells) in _ROWS.items():
        if name in settings.tables and name in needed:
            kind = {"kind": settings.activity.kinds[0]} if name == settings.activity.table else {}
            tables[name] = [{clock: rfc3339(as_of - days * DAY_US), **cells, **kind}]
    # A table that every score needs, and of which nothing is known.
    nothing: dict[str, list[Any]] = {name: [] for name in sorted(needed - set(tables))}
    return {"as_of": rfc3339(as_of), "customers": [{"customer_id": CUSTOMER, **tables, **nothing}]}
