"""Reactivation: who becomes active again after a silence, by rule and by horizon.

A wait begins with an activity and lasts until the next one, or is still open. A rule calls a
customer gone after some silence; the customer is reactivated who is active within a number of days
after that. Waits that are too young for that number of days are left out, ended or not: their quick
returns would be seen, their slow ones not. Their number is reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa

from features.core.errors import ImmatureWindow
from features.core.instants import DAY_US, day_text
from features.core.settings import Settings
from features.labels.outcomes import is_mature, observe_outcomes
from features.recipes.definitions import Definitions, learn_definitions
from features.recipes.stages import usual_gap
from features.tables.history import History, Known

DAYS = (30, 60, 90, 120, 180)
WITHIN_DAYS = 180
FEWEST = 30  # waits; where fewer are still observed, no share is given


@dataclass(frozen=True)
class Waits:
    """Every wait known at `as_of` (µs): arrays (waits,), in the order of customers and time.

    began: µs. days: its length, until as_of where it is open. usual: the customer's usual gap in
    days, as known when the wait began. ended: whether an activity ended it.
    """

    as_of: int
    began: np.ndarray
    days: np.ndarray
    usual: np.ndarray
    ended: np.ndarray


def waits(known: Known, definitions: Definitions) -> Waits:
    """Every wait of all customers known at `known.as_of`; empty arrays where nobody was active."""
    rows = known.activity.select("customer_id", "occurred_at", "position", "from_end")
    table = rows.sort("customer_id", "occurred_at").collect(backend="pyarrow").to_native()
    at, position = table["occurred_at"].to_numpy(), table["position"].to_numpy()
    ended = table["from_end"].to_numpy() > 1
    starts = np.flatnonzero(position == 1)
    first = np.repeat(at[starts], np.diff(np.append(starts, at.size)))
    usual = usual_gap(
        first=first,
        last=at,
        count=position,
        population_mean_gap_us=definitions.population_mean_gap_us,
    )
    now = known.instant
    until = np.where(ended, np.append(at[1:], now)[: at.size], now)
    return Waits(now, at, (until - at) / DAY_US, usual / DAY_US, ended)


def survival_curve(observed: Waits) -> tuple[np.ndarray, np.ndarray]:
    """(days, share): the share of waits that last longer than a number of days; begins with (0, 1).

    Kaplan & Meier 1958: an open wait counts for as long as it was observed. The curve ends where
    fewer than FEWEST waits are observed.
    """
    lengths, where = np.unique(observed.days, return_inverse=True)
    ends = np.bincount(where, weights=observed.ended, minlength=lengths.size)
    shorter = np.append(0, np.bincount(where, minlength=lengths.size)[:-1])
    at_risk = observed.days.size - np.cumsum(shorter)
    steps = (at_risk >= FEWEST) & (ends > 0)
    share = np.cumprod(1 - ends[steps] / at_risk[steps])
    return np.append(0.0, lengths[steps]), np.append(1.0, share)


def find_elbow(days: np.ndarray, share: np.ndarray) -> float | None:
    """The days at which a falling curve lies deepest below the straight line between its ends.

    Satopää et al. 2011; None where there are fewer than three points or no fall. It depends on the
    length of the history, so it is a hint and no rule.
    """
    if days.size < 3 or share[0] == share[-1]:
        return None
    along = (days - days[0]) / (days[-1] - days[0])
    down = (share[0] - share) / (share[0] - share[-1])
    return float(days[np.argmax(down - along)])


def compare_rules(
    observed: Waits,
    *,
    multiples: Sequence[float],
    days: Sequence[int] = DAYS,
    within_days: int = WITHIN_DAYS,
) -> list[dict[str, Any]]:
    """How many waits each rule calls gone, and how many of these are reactivated: a dict per rule.

    The rules are multiples of the usual gap, then fixed days. called: waits that got that long.
    too_young: those called less than within_days ago. Of the others: median_days, the silence at
    which the rule called them; reactivated, how many were active within within_days after that;
    share, their share. None where there are no others. With a short history, the others of a rule
    of multiples are mostly frequent customers.
    """
    rules = [(f"{multiple:.2f} usual gaps", multiple * observed.usual) for multiple in multiples]
    rules += [(f"{count} days", np.full(observed.days.size, float(count))) for count in days]
    return [{"rule": name, **_reactivated(observed, quiet, within_days)} for name, quiet in rules]


def _reactivated(observed: Waits, quiet: np.ndarray, within_days: int) -> dict[str, Any]:
    """quiet: (waits,), the days of silence after which the rule calls each wait's customer gone."""
    called = observed.days >= quiet
    old = called & ((observed.as_of - observed.began) / DAY_US >= quiet + within_days)
    active_again = old & observed.ended & (observed.days <= quiet + within_days)
    return {
        "median_days": float(np.median(quiet[old])) if old.any() else None,
        "called": int(called.sum()),
        "too_young": int((called & ~old).sum()),
        "reactivated": int(active_again.sum()),
        "share": float(active_again.sum() / old.sum()) if old.any() else None,
    }


def compare_horizons(
    history: History,
    settings: Settings,
    *,
    as_of: Sequence[int],
    days: Sequence[int] = DAYS,
    within_days: int = WITHIN_DAYS,
) -> pa.Table:
    """What each horizon would have labelled as churn: a row per horizon, as_of and customer.

    Columns: horizon_days, as_of (µs), customer_id, eligible (active within the horizon before
    as_of), recency_days, churned, and reactivated: of the churned, whether they were active within
    within_days after the window. It is null for customers who did not churn, where the window is
    too young, and for contracts (there renewals say it, see `features.labels.grace`). Raises
    ImmatureWindow where a horizon is not complete at a date.
    """
    _refuse_immature(history, _with_horizon(settings, max(days)), max(as_of))
    definitions = learn_definitions(history.as_of(min(as_of)), settings)
    parts = [
        _label_date(history, _with_horizon(settings, horizon), at, definitions, within_days)
        for horizon in days
        for at in as_of
    ]
    return pa.concat_tables(parts)


def _with_horizon(settings: Settings, horizon: int) -> Settings:
    churn = settings.churn.model_copy(update={"horizon_days": horizon, "eligible_days": None})
    return settings.model_copy(update={"churn": churn})


def _refuse_immature(history: History, settings: Settings, at: int) -> None:
    if not is_mature(at, history=history, settings=settings):
        raise ImmatureWindow(
            where=f"a horizon of {settings.churn.horizon_days} days",
            got=day_text(at, zone=settings.zone),
            rule="The outcome window must be complete.",
            fix="Use earlier dates or shorter horizons.",
        )


def _label_date(
    history: History, settings: Settings, at: int, definitions: Definitions, within_days: int
) -> pa.Table:
    known, horizon = history.as_of(at), settings.churn.horizon_days
    definitions = replace(definitions, horizon_days=horizon)
    last = known.activity.group_by("customer_id").agg(last_at=nw.col("occurred_at").max())
    people = last.sort("customer_id").collect(backend="pyarrow").to_native()
    outcomes = observe_outcomes(history, known, definitions=definitions, settings=settings)
    churned = outcomes.rows["churned"].to_numpy()
    quiet = (at - people["last_at"].to_numpy()) / DAY_US
    active_again, complete = _active_after(
        history, settings, at, people["customer_id"], within_days
    )
    return pa.table(
        {
            "horizon_days": np.full(len(quiet), horizon),
            "as_of": np.full(len(quiet), at),
            "customer_id": people["customer_id"],
            "eligible": quiet <= settings.eligible_days,
            "recency_days": quiet,
            "churned": churned,
            "reactivated": pa.array(active_again, mask=~(churned & complete)),
        }
    )


def _active_after(
    history: History, settings: Settings, at: int, customers: pa.ChunkedArray, within_days: int
) -> tuple[np.ndarray, bool]:
    """Whether each customer was active after the window, and whether that is known."""
    begin = at + settings.churn.horizon_days * DAY_US
    end = begin + within_days * DAY_US
    events = history.qualifying(history.cut(settings.activity.table, end))
    rows = events.filter(nw.col("occurred_at") >= begin).select("customer_id").unique()
    active = set(rows.collect(backend="pyarrow").to_native()["customer_id"].to_pylist())
    active_again = np.array([customer in active for customer in customers.to_pylist()], dtype=bool)
    return active_again, end <= history.data_until and not settings.contractual
