"""Columns to plant in a feature table: five kinds of leaks, and honest columns that are not ours.

`plant(rows, events, horizon_days, rng)` gives a frame of customer_id and as_of with a column for
each of `LEAKS`; `honest` with columns of `HONEST`, which know nothing later than as_of.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

DAY = pd.Timedelta(days=1)
# kind -> the columns of that kind
LEAKS = {
    "time travel": (
        "recency_a_day_later",
        "spend_at_window_end",
        "orders_at_export",
        "orders_next_30d",
    ),
    "foretells": ("risk_score",),
    "missing": ("winback_result", "survey_answer"),
    "constant": ("lifetime_value",),
    "after leaving": ("account_state",),
}
HONEST = (
    *("spend_45d", "orders_20d", "days_known", "weekday_share", "last_amount", "noise", "tier"),
    *("basket_if_active", "status"),
)
Events = pd.DataFrame  # customer_id, occurred_at (UTC), amount: purchases


def _per_row(rows: pd.DataFrame, events: Events, use: Callable[..., float]) -> np.ndarray:
    """`use(times, amounts, as_of)` of each row; times in µs, sorted."""
    at = rows.as_of.dt.as_unit("us").astype("int64").to_numpy()
    ordered = events.sort_values("occurred_at")
    groups = {
        name: (
            group.occurred_at.dt.as_unit("us").astype("int64").to_numpy(),
            group.amount.to_numpy(),
        )
        for name, group in ordered.groupby("customer_id")
    }
    nothing = (np.empty(0, dtype="int64"), np.empty(0))
    return np.array(
        [
            use(*groups.get(one, nothing), when)
            for one, when in zip(rows.customer_id, at, strict=True)
        ]
    )


def _days(days: float) -> int:
    return int(days * DAY.value // 1000)


def _recency(times: np.ndarray, at: int) -> float:
    before = times[times < at]
    return (at - before[-1]) / _days(1) if before.size else np.nan


def plant(
    rows: pd.DataFrame, events: Events, *, horizon_days: int, rng: np.random.Generator
) -> pd.DataFrame:
    """The leaky columns for `rows` (customer_id, as_of as UTC datetimes), in their order."""
    end = int(events.occurred_at.dt.as_unit("us").astype("int64").max()) + 1
    horizon = _days(horizon_days)

    def column(use: Callable[..., float]) -> np.ndarray:
        return _per_row(rows, events, use)

    left = column(lambda t, a, at: float(not ((t >= at) & (t < at + horizon)).any()))
    gone = column(lambda t, a, at: float(not (t >= at).any()))
    value = column(lambda t, a, at: a.sum())
    out = rows[["customer_id", "as_of"]].copy()
    out["recency_a_day_later"] = column(lambda t, a, at: np.floor(_recency(t, at + _days(1))))
    out["spend_at_window_end"] = column(lambda t, a, at: a[t < at + horizon].sum())
    out["orders_at_export"] = column(lambda t, a, at: float((t < end).sum()))
    out["risk_score"] = np.clip(0.5 + 0.25 * (left - 0.5) + rng.normal(0, 0.1, len(rows)), 0, 1)
    reached = (left == 0) | (rng.random(len(rows)) < 0.3)
    out["winback_result"] = np.where(reached, rng.integers(1, 6, len(rows)), np.nan)
    out["lifetime_value"] = np.round(value * rng.lognormal(0, 0.02, len(rows)), 2)
    # One value for each customer, whatever the date.
    out["lifetime_value"] = out.groupby("customer_id").lifetime_value.transform("first")
    out["orders_next_30d"] = column(
        lambda t, a, at: float(((t >= at) & (t < at + _days(30))).sum())
    )
    silent = rng.random(len(rows)) < np.where(left == 1, 0.7, 0.02)
    out["survey_answer"] = np.where(silent, np.nan, rng.integers(1, 6, len(rows)))
    marked = (gone == 1) & (rng.random(len(rows)) < 0.8)
    out["account_state"] = np.where(marked, "closed", "open")
    return out


def honest(rows: pd.DataFrame, events: Events, *, rng: np.random.Generator) -> pd.DataFrame:
    """Columns that know what was known at as_of, and that the catalogue does not have."""

    def column(use: Callable[..., float]) -> np.ndarray:
        return _per_row(rows, events, use)

    out = rows[["customer_id", "as_of"]].copy()
    out["spend_45d"] = column(lambda t, a, at: a[(t < at) & (t >= at - _days(45))].sum())
    out["orders_20d"] = column(lambda t, a, at: float(((t < at) & (t >= at - _days(20))).sum()))
    out["days_known"] = column(lambda t, a, at: (at - t[0]) // _days(1) if t.size else np.nan)
    out["weekday_share"] = column(
        lambda t, a, at: float(np.mean((t[t < at] // _days(1)) % 7 < 5)) if (t < at).any() else 0.0
    )
    out["last_amount"] = column(lambda t, a, at: a[t < at][-1] if (t < at).any() else np.nan)
    out["basket_if_active"] = column(
        lambda t, a, at: (
            a[(t < at) & (t >= at - _days(40))].mean()
            if ((t < at) & (t >= at - _days(40))).any()
            else np.nan
        )
    )
    recency = column(lambda t, a, at: _recency(t, at))
    out["status"] = np.where(recency > 45, "silent", "active")
    out["noise"] = rng.normal(0, 1, len(rows))
    tiers = {one: rng.choice(["a", "b", "c"]) for one in out.customer_id.unique()}
    out["tier"] = out.customer_id.map(tiers)
    return out
