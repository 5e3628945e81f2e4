"""Whether the next event came within each of several horizons: the labels of the curve.

The event is what churn is about. Without contracts it is the next activity. With contracts it is
the loss of cover for who has cover at as_of, and a new term for the others. Each horizon follows
the rules of `features.labels.outcomes` with its own window, so the label at the configured horizon
is that of churn.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.core.instants import DAY_US
from features.core.settings import Settings
from features.labels.outcome_window import OutcomeWindow
from features.labels.outcomes import is_mature, stays
from features.recipes.cover import current_cover
from features.tables.history import History, Known

NOT_KNOWN, NO, YES = -1, 0, 1


def with_horizon(settings: Settings, horizon_days: int) -> Settings:
    """The settings with another length of the outcome window."""
    churn = settings.churn.model_copy(update={"horizon_days": horizon_days})
    return settings.model_copy(update={"churn": churn})


def outcomes_until(instants: Iterable[int], history: History, settings: Settings) -> int:
    """The end (µs) of the last outcome window of these instants that decides a label.

    Those of churn, and those of the curve that lie within the data; label latency included.
    """
    instants = tuple(instants)
    windows = [with_horizon(settings, days).outcome_window_us for days in settings.curve_horizons]
    ends = [at + window for at in instants for window in windows]
    last = max(instants) + settings.outcome_window_us
    return max([last, *(end for end in ends if end <= history.data_until)])


def event_column(days: int) -> str:
    """The column of examples that says whether the event came within so many days."""
    return f"event_within_{days}d"


def observe_events(
    history: History, known: Known, customers: pa.ChunkedArray, settings: Settings
) -> np.ndarray:
    """Whether the event came within each horizon of the curve: int8 (customers, horizons).

    YES or NO, and NOT_KNOWN where the window (label latency included) is longer than the data.
    `known`: what was known at one instant; `customers`: the ids with a row there.
    """
    horizons = settings.curve_horizons
    events = np.full((len(customers), len(horizons)), NOT_KNOWN, dtype=np.int8)
    covered = _is_in(customers, _covered(known)) if settings.contractual else None
    for position, days in enumerate(horizons):
        part = with_horizon(settings, days)
        if not is_mature(known.instant, history=history, settings=part):
            continue
        if covered is None:
            window = OutcomeWindow.after(known.instant, part)
            events[:, position] = _is_in(customers, _active(history, known, window))
        else:
            end = known.instant + days * DAY_US
            stay = _is_in(customers, stays(history, known, end, part))
            # Who has cover and does not stay has lost it; who has none and stays has a new term.
            events[:, position] = stay != covered
    return events


def with_event_columns(rows: pa.Table, events: np.ndarray, horizons: Sequence[int]) -> pa.Table:
    """The rows with one column for each horizon: bool, null where it is not known yet."""
    for position, days in enumerate(horizons):
        column = pa.array(events[:, position] == YES, mask=events[:, position] == NOT_KNOWN)
        rows = rows.append_column(event_column(days), column)
    return rows


def event_matrix(rows: pa.Table, horizons: Sequence[int]) -> np.ndarray:
    """The inverse of `with_event_columns`: int8 (rows, horizons)."""
    columns = [
        pc.fill_null(rows[event_column(days)].cast(pa.int8()), NOT_KNOWN).to_numpy()
        for days in horizons
    ]
    return np.column_stack(columns)


def _is_in(customers: pa.ChunkedArray, people: nw.LazyFrame) -> np.ndarray:
    ids = people.select("customer_id").collect(backend="pyarrow").to_native()["customer_id"]
    return pc.is_in(customers, value_set=ids.combine_chunks()).to_numpy()


def _covered(known: Known) -> nw.LazyFrame:
    """Who has cover at the instant."""
    return current_cover(known).filter(nw.col("cover_until") > known.instant)


def _active(history: History, known: Known, window: OutcomeWindow) -> nw.LazyFrame:
    """customer_id of everybody with activity in the window, on a local day without any before."""
    events = history.qualifying(history.cut(history.activity_table, window.known_until))
    days = events.filter(window.contains("occurred_at")).select("customer_id", "local_day")
    before = known.activity.select("customer_id", "local_day")
    return days.join(before, on=["customer_id", "local_day"], how="anti").select("customer_id")
