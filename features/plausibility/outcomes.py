"""The newest outcome window that can be trained on: did everybody leave, or nobody?"""

from __future__ import annotations

from collections.abc import Iterator

from features.core.instants import day_text, midnight_before
from features.core.settings import Settings
from features.labels.eligible_churn import eligible_churned
from features.plausibility.finding import Finding
from features.recipes.definitions import Definitions
from features.tables.history import History

FEWEST = 30


def find_outcomes(
    history: History, settings: Settings, definitions: Definitions
) -> Iterator[Finding]:
    """A newest window in which everybody or nobody of the eligible customers left."""
    at = midnight_before(history.data_until - settings.outcome_window_us, settings.zone)
    known = history.as_of(at)
    churned = eligible_churned(history, known, definitions=definitions, settings=settings)
    if len(churned) < FEWEST:
        return
    left = int(churned.sum())
    # One in a thousand is as good as nobody.
    few = max(1, len(churned) / 1000)
    if min(left, len(churned) - left) >= few:
        return
    day = day_text(at, zone=settings.zone)
    ends = ""
    if settings.contractual and settings.churn.grace_days == 0:
        ends = (
            " Where terms end on their last day (31 May, and the next begins on 1 June), set "
            "[churn] grace_days = 1."
        )
    yield Finding(
        "everybody_left" if left > len(churned) / 2 else "nobody_left",
        settings.activity.table,
        f"{left:,} of {len(churned):,} eligible customers left in the newest outcome window "
        f"({settings.churn.horizon_days} days from {day}): nothing can be learned from it.",
        "Check that the newest rows are complete, that [contract] data_until is the end of the "
        "data, and that [activity] kinds and [churn] horizon_days fit. "
        f"See: lifecycle check --definition.{ends}",
        counts={"eligible": len(churned), "left": left},
    )
