"""Past: the customer's own outcomes at earlier instants, as far as they are closed and known at as_of.

The outcome windows are as long as the horizon and follow one another backwards; the newest ends a label latency
before as_of, so that every one has closed as a label's window closes. Window k = 0, 1, … is [as_of − l − (k + 1)·h,
as_of − l − k·h); it counts if the customer was active before it began. What was recorded too late is not known here.
The age of the newest outcome is no feature: it is the latency, the same for everybody.
"""

from __future__ import annotations

from typing import Any

import narwhals as nw

from features.core.instants import DAY_US
from features.recipes.recipe import Now, Recipe, Reduction, feature

_FIRST = Reduction("activity", "min")
_SEEN = Reduction("activity", "distinct", value="outcome_window", where="outcome_closed")
_NEWEST = Reduction("activity", "min", value="outcome_window", where="outcome_closed")


def _windows(r: Any, now: Now) -> nw.Expr:
    """How many outcome windows began after the first activity."""
    latency, horizon = (
        now.definitions.label_latency_days * DAY_US,
        now.definitions.horizon_days * DAY_US,
    )
    whole = ((now.as_of - r.first - latency - 1) / horizon).floor()
    return nw.when(whole > 0).then(whole).otherwise(nw.when(~r.first.is_null()).then(nw.lit(0.0)))


@feature(tables=("activity",), unit="windows", words="{value:.0f} whole horizons on record")
def past_windows() -> Recipe:
    """Closed outcome windows that began after the customer's first activity.

    Formula: max(0, ⌈(as_of − l − first) / h⌉ − 1), h the horizon, l the label latency. Window: all time.
    Null: no activity. Source: RelBench, own past rate; catalogue 72.
    """
    return Recipe({"first": _FIRST}, _windows)


@feature(
    tables=("activity",),
    unit="share",
    words="active in {value:.0%} of the horizons on record",
    leaving=-1,
)
def past_stay_rate() -> Recipe:
    """Share of the customer's closed outcome windows with activity, shrunk to the middle.

    Formula: (windows with activity + 1) / (windows + 2). Window: all time. Null: no activity.
    Source: RelBench, own past rate; catalogue 72.
    """

    def formula(r, now):
        # The first activity lies in the window before the oldest that counts, and there alone.
        active = nw.when(r.seen > 0).then(r.seen - 1).otherwise(nw.lit(0))
        return (active + 1) / (_windows(r, now) + 2)

    return Recipe({"first": _FIRST, "seen": _SEEN}, formula)


@feature(tables=("activity",), unit="0 or 1", words="active in the last whole horizon: {value:.0f}")
def past_last() -> Recipe:
    """1 where the newest closed outcome window has activity.

    Formula: [activity in [as_of − l − h, as_of − l)]. Window: the newest outcome window.
    Null: no outcome window. Source: RelBench, own past rate; catalogue 72.
    """

    def formula(r, now):
        active = nw.when(r.newest == 0).then(nw.lit(1)).otherwise(nw.lit(0))
        return nw.when(_windows(r, now) > 0).then(active)

    return Recipe({"first": _FIRST, "newest": _NEWEST}, formula)
