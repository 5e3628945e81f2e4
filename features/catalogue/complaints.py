"""Complaints: how many, about what, how they were resolved, and whether the customer came back.

A complaint is one row: raised at occurred_at, resolved at resolved_at. The data do not record that
a complaint was opened again; a new complaint about a resolved topic counts as that.
"""

from __future__ import annotations

from typing import Any

import narwhals as nw

from features.recipes.recipe import Now, Recipe, Reduction, feature, ratio

_COMPLAINTS = Reduction("feedback", "count", kinds=("complaint",))
_LAST = Reduction("feedback", "max", kinds=("complaint",))


@feature(
    tables=("feedback",), unit="complaints", words="{value:.0f} complaints in {window}", windows="W"
)
def complaints(days: int | None) -> Recipe:
    """Number of complaints.

    Formula: count of kind complaint. Window: W and all time. Null: never (0). Source: catalogue 69.
    """
    count = Reduction("feedback", "count", kinds=("complaint",), since_days=days)
    return Recipe({"count": count}, lambda r, now: r.count)


@feature(tables=("feedback",), unit="complaints", words="{value:.0f} open complaints")
def complaints_open() -> Recipe:
    """Complaints not known to be resolved.

    Formula: complaints without a known resolved_at. Window: all time. Null: never (0).
    Source: catalogue 69.
    """
    count = Reduction("feedback", "count", where="open_complaint")
    return Recipe({"count": count}, lambda r, now: r.count)


@feature(tables=("feedback",), unit="days", words="last complaint {value:.0f} days ago")
def recency_complaint() -> Recipe:
    """Days since the last complaint.

    Formula: as_of − last complaint. Window: all time. Null: none. Source: catalogue 69.
    """
    last = Reduction("feedback", "max", kinds=("complaint",))
    return Recipe({"last": last}, lambda r, now: now.age_days(r.last))


@feature(tables=("feedback",), unit="hours", words="complaints took {value:.0f} hours to resolve")
def hours_to_resolve() -> Recipe:
    """Mean hours from a complaint to its resolution.

    Formula: mean(resolved_at − occurred_at). Window: all time. Null: none resolved.
    Source: catalogue 70.
    """
    minutes = Reduction("feedback", "sum", value="resolve_minutes", where="resolved")
    count = Reduction("feedback", "count", where="resolved")
    return Recipe(
        {"minutes": minutes, "count": count}, lambda r, now: ratio(r.minutes, r.count) / 60
    )


@feature(
    tables=("feedback", "activity"),
    unit="0 or 1",
    words="no activity since the last complaint: {answer}",
)
def inactive_since_complaint() -> Recipe:
    """1 where there was no activity since the last complaint.

    Formula: [last complaint ≥ last activity]. Window: all time. Null: no complaint or no activity.
    Source: catalogue 70 (recovered, turned round).
    """
    complaint = Reduction("feedback", "max", kinds=("complaint",))

    def formula(r: Any, now: Now) -> nw.Expr:
        # At one instant the order is unknown, and the complaint counts as the later one.
        known = ~r.complaint.is_null() & ~r.last.is_null()
        flag = nw.when(r.complaint >= r.last).then(nw.lit(1.0)).otherwise(nw.lit(0.0))
        return nw.when(known).then(flag)

    return Recipe({"complaint": complaint, "last": Reduction("activity", "max")}, formula)


@feature(
    tables=("feedback",),
    unit="complaints",
    words="{value:.0f} repeated complaints about the same topic",
)
def complaints_repeated() -> Recipe:
    """Complaints about a topic that the same customer had complained about before.

    Formula: count of complaints after the first of their topic. Window: all time. Null: never (0;
    topics unknown count as never). Source: catalogue 69.
    """
    return Recipe(
        {"count": Reduction("feedback", "count", where="repeated")}, lambda r, now: r.count
    )


@feature(
    tables=("feedback",),
    unit="complaints",
    words="{value:.0f} complaints about a topic that had been resolved before",
)
def complaints_reopened() -> Recipe:
    """Complaints about a topic of which the customer's earlier complaint had been resolved.

    Formula: repeated complaints raised after the first resolution of their topic. Window: all time.
    Null: never (0). Source: catalogue 70 (the nearest to a reopening where a complaint has one
    row).
    """
    return Recipe(
        {"count": Reduction("feedback", "count", where="reopened")}, lambda r, now: r.count
    )


@feature(
    tables=("feedback",), unit="days", words="the oldest open complaint is {value:.0f} days old"
)
def complaint_open_age() -> Recipe:
    """Age of the oldest complaint that is still open.

    Formula: as_of − the first of the open complaints. Window: all time. Null: none open.
    Source: catalogue 69.
    """
    first = Reduction("feedback", "min", where="open_complaint")
    return Recipe({"first": first}, lambda r, now: now.age_days(r.first))


@feature(tables=("feedback",), unit="share", words="{value:.0%} of complaints were resolved")
def complaints_resolved_share() -> Recipe:
    """Share of the complaints that are known to be resolved.

    Formula: resolved / complaints. Window: all time. Null: no complaint. Source: catalogue 70.
    """
    resolved = Reduction("feedback", "count", where="resolved")
    return Recipe(
        {"resolved": resolved, "all": _COMPLAINTS}, lambda r, now: ratio(r.resolved, r.all)
    )


@feature(
    tables=("feedback", "transactions"),
    unit="0 or 1",
    words="bought again after the last complaint was resolved: {answer}",
)
def purchased_after_resolution() -> Recipe:
    """1 where a purchase followed the last complaint's resolution; 0 where none did, or it is open.

    Formula: [last purchase > last complaint's resolved_at]. Window: all time. Null: no complaint.
    Source: catalogue 70; service recovery.
    """
    reductions = {
        "complaint": _LAST,
        "closed": Reduction("feedback", "max", value="resolved_at", where="last_complaint"),
        "open": Reduction("feedback", "count", where="last_open"),
        "bought": Reduction("transactions", "max", kinds=("purchase",)),
    }

    def formula(r: Any, now: Now) -> nw.Expr:
        back = (r.open == 0) & ~r.bought.is_null() & (r.bought > r.closed)
        return nw.when(~r.complaint.is_null()).then(
            nw.when(back).then(nw.lit(1.0)).otherwise(nw.lit(0.0))
        )

    return Recipe(reductions, formula)


@feature(
    tables=("feedback",), unit="share", words="{value:.0%} of complaints were resolved in time"
)
def complaints_within_sla_share() -> Recipe:
    """Share of complaints resolved within `[satisfaction] resolve_within_hours`.

    Complaints that are still within it do not count. Formula: resolved in time / (resolved + open
    for longer). Window: all time. Null: none of either. Source: catalogue 70; service level
    conformance.
    """
    in_time, judged = (
        Reduction("feedback", "count", where=where) for where in ("in_time", "judged")
    )
    return Recipe({"in_time": in_time, "judged": judged}, lambda r, now: ratio(r.in_time, r.judged))
