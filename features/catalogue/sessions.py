"""Sessions: visits without a break of more than 30 minutes. A single visit has length 0."""

from __future__ import annotations

from features.core.instants import MINUTE_US
from features.recipes.recipe import Recipe, Reduction, feature, ratio


def _begun(days: int | None) -> Reduction:
    return Reduction("interactions", "count", where="begins_session", since_days=days)


@feature(
    tables=("interactions",), unit="sessions", words="{value:.0f} sessions in {window}", windows="W"
)
def sessions(days: int | None) -> Recipe:
    """Sessions begun; a session ends after 30 minutes without a visit.

    Formula: count of visits, logins, usage, cancel and downgrade pages with none of them in the 30
    minutes before. Window: W and all time. Null: never (0). Source: catalogue 47.
    """
    return Recipe({"begun": _begun(days)}, lambda r, now: r.begun)


@feature(
    tables=("interactions",),
    unit="visits a session",
    words="{value:.1f} visits per session in {window}",
    windows="W",
)
def session_depth(days: int | None) -> Recipe:
    """Visits, logins, usage, cancel and downgrade pages per session.

    Formula: those in the window / sessions begun in it. Window: W and all time. Null: no session
    begun in it. Source: catalogue 48.
    """
    visits = Reduction("interactions", "count", where="visit", since_days=days)
    return Recipe(
        {"visits": visits, "begun": _begun(days)}, lambda r, now: ratio(r.visits, r.begun)
    )


@feature(
    tables=("interactions",),
    unit="minutes a session",
    words="{value:.1f} minutes per session in {window}",
    windows="W",
)
def session_minutes(days: int | None) -> Recipe:
    """Minutes from the first to the last visit of a session, by the clock.

    Minutes that the data state are in `interaction_quantity`. Formula: Σ time since the visit
    before, within sessions / sessions begun. Window: W and all time. Null: no session begun in it.
    Source: catalogue 49.
    """
    stayed = Reduction("interactions", "sum", value="stayed_us", since_days=days)
    return Recipe(
        {"stayed": stayed, "begun": _begun(days)},
        lambda r, now: ratio(r.stayed, r.begun) / MINUTE_US,
    )
