"""Treatments: what campaigns of the business did to the customer; off by default.

A treatment is never activity, and who was held out was not treated. `[features] treatments = true`
switches the family on: then p is that of a customer with these contacts, and no longer only of what
the customer did.
"""

from __future__ import annotations

from features.recipes.recipe import Recipe, Reduction, feature


@feature(
    tables=("treatments",),
    unit="treatments",
    words="treated {value:.0f} times by campaigns in {window}",
    windows="W",
)
def treatments(days: int | None) -> Recipe:
    """Number of treatments by campaigns.

    Formula: count of rows that are not held out, with recorded_at and occurred_at before as_of.
    Window: W and all time. Null: never (0). Source: ours.
    """
    count = Reduction("treatments", "count", since_days=days)
    return Recipe({"count": count}, lambda r, now: r.count)


@feature(
    tables=("treatments",), unit="days", words="last treated by a campaign {value:.0f} days ago"
)
def recency_treatment() -> Recipe:
    """Days since the last treatment by a campaign.

    Formula: as_of − last treatment. Window: all time. Null: none. Source: ours.
    """
    last = Reduction("treatments", "max")
    return Recipe({"last": last}, lambda r, now: now.age_days(r.last))
