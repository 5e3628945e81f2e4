"""Counts of the month before an instant, from the rows that a run knew: preferences and feeds.

The months before the training dates are counted from the same rows, each with what was recorded by
its own end. So later rows change nothing, and the release needs no name of a category.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.core.instants import DAY_US, HOUR_US
from training.drift.bins import VALUE_BINS, column_values, place_values, quantile_edges
from training.drift.statistic import count_apart, fit_calm
from training.monitor.kinds import KindResult, judge_kind

WINDOW_US = 30 * DAY_US
PREFERENCES = (
    ("transactions", "category"),
    ("transactions", "channel"),
    ("interactions", "channel"),
)
VALUES = (("transactions", "amount"), ("interactions", "quantity"), ("feedback", "score"))
EVERYONE = "everyone"
# A value that fewer customers use tells nothing; columns with more values are no preference.
LEAST_CUSTOMERS, MOST_VALUES, MOST_SEGMENTS = 10, 100, 8
# Upper bounds of the bins of an arrival's delay.
DELAYS_US = tuple(int(hours * HOUR_US) for hours in (1 / 60, 1, 6, 24, 48, 72, 120, 168, 336, 720))


@dataclass(frozen=True)
class Windows:
    """Counts (series, bins) of the month before now and before each training date.

    `named`: what each series is. `past`: (dates, series, bins) at `dates` (µs).
    """

    named: tuple[str, ...]
    now: np.ndarray
    past: np.ndarray
    dates: np.ndarray


def judge_preferences(
    tables: Mapping[str, pa.Table], dates: Sequence[int], as_of: int
) -> KindResult:
    """Which categories and channels more or fewer customers use than before, by segment.

    `tables`: as known at `as_of` (µs), by name. A customer counts once a month, however often they
    bought: of those with a row of the table.
    """
    segments = _segments(tables)
    parts = [
        part
        for table, column in PREFERENCES
        if table in tables and column in tables[table].column_names
        for part in [_count_values(tables[table], f"{table}.{column}", segments, dates, as_of)]
        if part is not None
    ]
    return _judge("preferences", parts, as_of, lambda name: name.endswith(f" ({EVERYONE})"))


def judge_values(tables: Mapping[str, pa.Table], dates: Sequence[int], as_of: int) -> KindResult:
    """Whether the numbers of a table are larger or smaller than before: each customer's mean.

    Money is in minor units. A price or a unit that changed shows here in the first month; features
    of longer windows are mostly of the months before.
    """
    parts = [
        part
        for table, column in VALUES
        if table in tables and column in tables[table].column_names
        for part in [_count_means(tables[table], f"{table}.{column}", dates, as_of)]
        if part is not None
    ]
    return _judge("values", parts, as_of, lambda name: name == "transactions.amount")


def judge_feeds(tables: Mapping[str, pa.Table], dates: Sequence[int], as_of: int) -> KindResult:
    """Whether the rows of a table arrive later after their event than before."""
    parts = [
        part
        for name, rows in sorted(tables.items())
        if {"occurred_at", "recorded_at"} <= set(rows.column_names)
        for part in [_count_delays(rows, name, dates, as_of)]
        if part is not None
    ]
    return _judge("feeds", parts, as_of, lambda name: True)


def _judge(
    kind: str, parts: Sequence[Windows], as_of: int, is_headline: Callable[[str], bool]
) -> KindResult:
    """One result over parts that may have begun at different dates."""
    if not parts:
        return judge_kind(
            kind,
            (),
            np.zeros((1, 0, 2)),
            np.zeros((1, 0, 2)),
            calm=np.zeros(0),
            trend=np.zeros(0),
            dates=np.zeros(0, np.int64),
            as_of=as_of,
        )
    # The dates of the youngest table, so that all series have the same.
    dates = min((part.dates for part in parts), key=len)
    named = [name for part in parts for name in part.named]
    now = np.concatenate([part.now for part in parts])
    past = np.concatenate([part.past[-len(dates) :] for part in parts], axis=1)
    enough = np.maximum(now[..., 0], past[..., 0].mean(0) if len(dates) else 0) >= LEAST_CUSTOMERS
    enough |= kind != "preferences"
    named = [name for name, is_enough in zip(named, enough, strict=True) if is_enough]
    now, past = now[None, enough], past[:, None, enough]
    calm, trend = fit_calm(past, dates, apart=True) if len(named) else (np.zeros(0), np.zeros(0))
    headline = np.array([is_headline(name) for name in named], dtype=bool)
    return judge_kind(
        kind,
        named,
        now,
        past.sum(0) if len(dates) else np.zeros_like(now),
        calm=calm,
        trend=trend,
        dates=dates,
        as_of=as_of,
        headline=headline if headline.any() else None,
    )


def _usable_dates(rows: pa.Table, dates: Sequence[int]) -> np.ndarray:
    """The dates with a whole month of the table before them."""
    first = pc.min(rows["occurred_at"]).as_py()
    usable = [at for at in dates if first is not None and at - WINDOW_US >= first]
    return np.array(usable, dtype=np.int64)


def _segments(tables: Mapping[str, pa.Table]) -> dict[str, str]:
    """The segment of each customer as it was known; {} without any, or with too many."""
    rows = tables.get("customers")
    if rows is None or "segment" not in rows.column_names:
        return {}
    if "valid_from" in rows.column_names:
        rows = rows.sort_by([("valid_from", "ascending")])  # the newest is written last; null first
    pairs = zip(rows["customer_id"].to_pylist(), rows["segment"].to_pylist(), strict=True)
    result = {who: segment for who, segment in pairs if segment is not None}
    return result if len(set(result.values())) <= MOST_SEGMENTS else {}


def _count_values(
    rows: pa.Table, column: str, segments: dict[str, str], dates: Sequence[int], as_of: int
) -> Windows | None:
    """Customers who used each value, and who did not, by segment; None for no such preference."""
    usable = _usable_dates(rows, dates)
    values = rows[column.partition(".")[2]].combine_chunks().dictionary_encode()
    names = values.dictionary.to_pylist()
    if not names or len(names) > MOST_VALUES or count_apart(usable) == 0:
        return None
    who = rows["customer_id"].combine_chunks().dictionary_encode()
    of_customer = [segments.get(each) for each in who.dictionary.to_pylist()]
    levels = sorted({each for each in of_customer if each is not None})
    groups = [np.ones(len(of_customer), bool)]
    groups += [np.array([each == level for each in of_customer], bool) for level in levels]
    places = pc.fill_null(values.indices, -1).to_numpy(zero_copy_only=False)
    customers = who.indices.to_numpy(zero_copy_only=False)

    def count(at: int) -> np.ndarray:
        here = _in_window(rows, at) & (places >= 0)
        pairs = np.unique(customers[here].astype(np.int64) * len(names) + places[here])
        people, value = pairs // len(names), pairs % len(names)
        active = np.unique(people)
        used = [np.bincount(value[group[people]], minlength=len(names)) for group in groups]
        return np.concatenate(
            [
                np.stack([each, group[active].sum() - each], axis=1)
                for each, group in zip(used, groups, strict=True)
            ]
        ).astype(float)

    named = tuple(f"{column} {name} ({level})" for level in (EVERYONE, *levels) for name in names)
    return Windows(named, count(as_of), np.array([count(at) for at in usable.tolist()]), usable)


def _in_window(rows: pa.Table, at: int) -> np.ndarray:
    """Whether a row happened in the month before `at` and was recorded by then, bool (rows,)."""
    occurred = rows["occurred_at"].to_numpy()
    recorded = pc.fill_null(rows["recorded_at"], rows["occurred_at"]).to_numpy()
    return (occurred >= at - WINDOW_US) & (occurred < at) & (recorded < at)


def _count_means(rows: pa.Table, name: str, dates: Sequence[int], as_of: int) -> Windows | None:
    """Customers by the mean of their rows' value in the month, by fifths of all training months."""
    rows = rows.filter(pc.is_valid(rows[name.partition(".")[2]]))
    usable = _usable_dates(rows, dates)
    if count_apart(usable) == 0:
        return None
    value = column_values(rows, name.partition(".")[2])
    who = rows["customer_id"].combine_chunks().dictionary_encode()
    customers = who.indices.to_numpy(zero_copy_only=False)

    def means(at: int) -> np.ndarray:
        here = _in_window(rows, at)
        total = np.bincount(customers[here], value[here], minlength=len(who.dictionary))
        number = np.bincount(customers[here], minlength=len(who.dictionary))
        return total[number > 0] / number[number > 0]

    past = [means(at) for at in usable.tolist()]
    edges = quantile_edges(np.concatenate(past), VALUE_BINS)

    def count(month: np.ndarray) -> np.ndarray:
        places = place_values(month, edges, VALUE_BINS + 1)
        return np.bincount(places, minlength=VALUE_BINS + 1)[None].astype(float)

    return Windows((name,), count(means(as_of)), np.array([count(each) for each in past]), usable)


def _count_delays(rows: pa.Table, name: str, dates: Sequence[int], as_of: int) -> Windows | None:
    """Rows by the time from event to record, of those that were recorded in the month."""
    rows = rows.filter(pc.is_valid(rows["recorded_at"]))
    usable = _usable_dates(rows, dates)
    if count_apart(usable) == 0:
        return None
    recorded = rows["recorded_at"].to_numpy()
    places = np.searchsorted(np.asarray(DELAYS_US), recorded - rows["occurred_at"].to_numpy())

    def count(at: int) -> np.ndarray:
        here = (recorded >= at - WINDOW_US) & (recorded < at)
        return np.bincount(places[here], minlength=len(DELAYS_US) + 1)[None].astype(float)

    return Windows((name,), count(as_of), np.array([count(at) for at in usable.tolist()]), usable)
