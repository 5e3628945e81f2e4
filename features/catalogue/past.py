"""Past: the customer's own outcomes in earlier windows, if they are closed and known at as_of.

Each outcome window is as long as the horizon h, and the windows follow one another backwards. The
newest ends one label latency l before as_of, so that each is as complete as a label's window.
Window k = 0, 1, … is [as_of − l − (k + 1)·h, as_of − l − k·h). It counts if the customer was active
before it began. Events that were recorded after as_of are not known here. The age of the newest
outcome is not a feature: it equals the latency for everybody.
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
    """Number of closed outcome windows that began after the first activity."""
    latency, horizon = (
        now.definitions.label_latency_days * DAY_US,
        now.definitions.horizon_days * DAY_US,
    )
    whole = ((now.as_of - r.first - latency - 1) / horizon).floor()
    return nw.when(whole > 0).then(whole).otherwise(nw.when(~r.first.is_null()).then(nw.lit(0.0)))


@feature(tables=("activity",), unit="windows", words="{value:.0f} past outcome periods known")
def past_windows() -> Recipe:
    """Closed outcome windows that began after the customer's first activity.

    Formula: max(0, ⌈(as_of − l − first) / h⌉ − 1), h the horizon, l the label latency. Window: all
    time. Null: no activity. Source: RelBench, own past rate; catalogue 72.
    """
    return Recipe({"first": _FIRST}, _windows)


@feature(
    tables=("activity",),
    unit="share",
    words="active in {value:.0%} of past outcome periods",
    leaving=-1,
)
def past_retention_rate() -> Recipe:
    """Share of the customer's closed outcome windows with activity, shrunk towards one half.

    Formula: (windows with activity + 1) / (windows + 2). Window: all time. Null: no activity.
    Source: RelBench, own past rate; catalogue 72.
    """

    def formula(r: Any, now: Now) -> nw.Expr:
        # The first activity lies in the window before the oldest that counts, and there alone.
        active = nw.when(r.seen > 0).then(r.seen - 1).otherwise(nw.lit(0))
        return (active + 1) / (_windows(r, now) + 2)

    return Recipe({"first": _FIRST, "seen": _SEEN}, formula)


@feature(
    tables=("activity",),
    unit="0 or 1",
    words="active in the last outcome period: {answer}",
)
def past_last_retained() -> Recipe:
    """1 where the newest closed outcome window has activity.

    Formula: [activity in [as_of − l − h, as_of − l)]. Window: the newest outcome window. Null: no
    outcome window. Source: RelBench, own past rate; catalogue 72.
    """

    def formula(r: Any, now: Now) -> nw.Expr:
        active = nw.when(r.newest == 0).then(nw.lit(1)).otherwise(nw.lit(0))
        return nw.when(_windows(r, now) > 0).then(active)

    return Recipe({"first": _FIRST, "newest": _NEWEST}, formula)
