"""A copy of the tables that ends at an instant: what was recorded later does not exist in it.

`history.as_of(t)` already hides later rows from every reader. The copy is for work that must not
depend on them in any way, such as the release of an earlier day.
"""

from __future__ import annotations

import uuid
from dataclasses import replace

from features.core.contract import ALL_TABLES
from features.core.instants import midnight_after
from features.core.settings import Settings
from features.tables.history import History, history_from_connection


def cut_history(history: History, settings: Settings, at: int) -> History:
    """The history as it was at `at` (µs UTC), in a database of its own.

    Rows recorded at or after `at` are left out, and so are versions of customers that begin then.
    The data end at `at`, or earlier where they end before: `at` may be the local midnight right
    after their last day, which counts as complete then. A table may end up empty.
    """
    name = f"past_{uuid.uuid4().hex}"
    cursor = history.connection.cursor()
    cursor.execute(f"ATTACH ':memory:' AS {name}")
    for table in (*history.names, *history.further):
        # Rows without any instant of their own are known from the customer's first event on.
        clock = (
            "coalesce(valid_from, acquired_at)" if ALL_TABLES[table].attributes else "recorded_at"
        )
        cursor.execute(
            f"CREATE TABLE {name}.{table} AS SELECT * FROM main.{table} "
            f"WHERE {clock} IS NULL OR {clock} < {int(at)}"
        )
    cursor.execute(f"USE {name}")
    until = history.data_until
    if at <= midnight_after(until, settings.zone):
        until = at
    past = history_from_connection(cursor, settings, data_until=until)
    return replace(past, columns=history.columns, forgotten=history.forgotten)
