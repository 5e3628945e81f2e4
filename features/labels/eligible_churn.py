"""Who of the eligible customers churned, without their stages: what `outcomes` says, for less.

The stages of a window need every day with activity before it; whether somebody left needs the
customers' last days alone.
"""

from __future__ import annotations

from datetime import date

import narwhals as nw
import numpy as np
import pyarrow as pa

from features.core.contract import EARLIEST_US
from features.core.instants import DAY_US, local_date
from features.core.settings import Settings
from features.labels.outcome_window import OutcomeWindow
from features.labels.outcomes import refuse_immature, stays
from features.recipes.cover import current_cover
from features.recipes.definitions import Definitions
from features.tables.history import History, Known


def eligible_churned(
    history: History, known: Known, *, definitions: Definitions, settings: Settings
) -> np.ndarray:
    """(eligible customers,) bool: `eligible_outcomes` without the ids, in any order."""
    rows = eligible_outcomes(history, known, definitions=definitions, settings=settings)
    return np.asarray(rows["churned"])


def eligible_outcomes(
    history: History, known: Known, *, definitions: Definitions, settings: Settings
) -> pa.Table:
    """customer_id, churned: whether each eligible customer churned in the window from
    `known.instant` on.

    It equals `churned` of `observe_outcomes` for the customers that are `eligible` in the engine's
    `current_state`, in any order. Raises ImmatureWindow where the window is not complete.
    """
    refuse_immature(known.instant, history, settings)
    at, window = known.instant, OutcomeWindow.after(known.instant, settings)
    if definitions.contractual:
        covered = current_cover(known).filter(nw.col("cover_until") > at).select("customer_id")
        staying = stays(history, known, window.end, settings).with_columns(stayed=nw.lit(True))
    else:
        rows = history.qualifying(known.tables[definitions.activity_table])
        since = at - definitions.eligible_days * DAY_US
        covered = _recently_active(rows, since, settings.zone)
        staying = _active_again(history, rows, window, definitions, settings)
    joined = covered.join(staying, on="customer_id", how="left")
    left = joined.select("customer_id", churned=nw.col("stayed").is_null())
    return left.collect(backend="pyarrow").to_native()


def _recently_active(rows: nw.LazyFrame, since: int, zone: str) -> nw.LazyFrame:
    """customer_id of everybody whose last day with activity began at `since` (µs) or later."""
    rows = rows.filter(nw.col("local_day") >= _earliest_day(since, zone))
    days = rows.group_by("customer_id", "local_day").agg(nw.col("occurred_at").min())
    last = days.group_by("customer_id").agg(last_at=nw.col("occurred_at").max())
    return last.filter(nw.col("last_at") >= since).select("customer_id")


def _active_again(
    history: History,
    rows: nw.LazyFrame,
    future: OutcomeWindow,
    definitions: Definitions,
    settings: Settings,
) -> nw.LazyFrame:
    """customer_id, stayed (True) of those with activity in the window, on a day that is new."""
    events = history.qualifying(history.cut(definitions.activity_table, future.known_until))
    keys = ["customer_id", "local_day"]
    window = events.filter(future.contains("occurred_at")).select(*keys).unique()
    # A day of the window that was known before can only be the one on which the window begins.
    before = rows.filter(nw.col("local_day") >= _earliest_day(future.begin, settings.zone)).select(
        *keys
    )
    window = window.join(before, on=keys, how="anti")
    return window.select("customer_id").unique().with_columns(stayed=nw.lit(True))


def _earliest_day(at: int, zone: str) -> int:
    """No row at `at` or later has an earlier local day than this one (days since 1970-01-01).

    It is the day before, for clocks that go back over midnight.
    """
    # No row is earlier than EARLIEST_US, and Python has no day before year 1.
    return (local_date(max(at, EARLIEST_US), zone) - date(1970, 1, 1)).days - 1
