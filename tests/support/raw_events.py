"""The rows of a history as a caller would send them: JSON with offsets and decimal money, only what
was known.
"""

from __future__ import annotations

from collections import defaultdict

from features.core.contract import CONTRACT
from serving.api.schemas import REQUEST_TABLES, rfc3339
from tests.support import worlds


def request(history, settings, customers, *, as_of, order=1):
    """A body for POST /v1/score; `order` -1 sends every list backwards."""
    events = known_events(history, settings, as_of=as_of)
    sent = [
        {"customer_id": one, **{name: rows[::order] for name, rows in events[one].items()}}
        for one in customers
    ]
    return {"as_of": rfc3339(as_of), "customers": sent}


def known_events(history, settings, *, as_of):
    """customer_id -> table -> rows; every table is there, empty where nothing happened."""
    tables = worlds.truncate_history(worlds.read_tables(history), as_of)
    out = defaultdict(lambda: {name: [] for name in REQUEST_TABLES if name in tables})
    for name in REQUEST_TABLES:
        for row in tables[name].to_pylist() if name in tables else []:
            said = _cells(name, row, settings)
            out[said.pop("customer_id")].setdefault(name, []).append(said)
    return out


def _cells(name, row, settings):
    out = {}
    for column in CONTRACT[name].columns:
        value = row[column.name]
        if value is None:
            continue
        if column.type == "instant":
            value = rfc3339(value)
        elif column.type == "money":
            value = value / 10**settings.minor_digits
        out[column.name] = value
    return out
