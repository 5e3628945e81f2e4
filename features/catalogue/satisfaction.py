"""Satisfaction: what customers said, when, and when they stopped answering. Scores are 0…1 on their declared scale."""

from __future__ import annotations

import narwhals as nw

from features.recipe import SCORE_SCALE, Recipe, Reduction, feature, ratio

SURVEYS = ("csat", "nps", "review")
_ANSWERS = Reduction("feedback", "count", where="answered")
_TOTAL = Reduction("feedback", "sum", value="score_scaled", where="answered")


@feature(tables=("feedback",), unit="0…1", words="the last answer was {value:.0%} satisfied")
def satisfaction_last() -> Recipe:
    """The newest answered score (of equal instants the lower).

    Formula: score at the last answered_at. Window: all time. Null: never answered. Source: catalogue 62.
    """
    last = Reduction("feedback", "min", value="score_scaled", where="is_last_answer")
    return Recipe({"last": last}, lambda r, now: r.last / SCORE_SCALE)


@feature(tables=("feedback",), unit="days", words="the last answer is {value:.0f} days old")
def satisfaction_age() -> Recipe:
    """Days since the last answer.

    Formula: as_of − last answered_at. Window: all time. Null: never answered. Source: catalogue 63.
    """
    last = Reduction("feedback", "max", value="answered_at", where="answered")
    return Recipe({"last": last}, lambda r, now: now.age_days(r.last))


@feature(tables=("feedback",), unit="0…1", words="answers are {value:.0%} satisfied on average ({window})", windows="W")
def satisfaction_mean(days: int | None) -> Recipe:
    """Mean score of surveys sent in the window, shrunk to the middle by two answers.

    Formula: (Σ score + 1) / (answers + 2). Window: W and all time. Null: never. Source: catalogue 64.
    """
    answers = Reduction("feedback", "count", where="answered", since_days=days)
    total = Reduction("feedback", "sum", value="score_scaled", where="answered", since_days=days)
    return Recipe({"total": total, "answers": answers}, lambda r, now: (r.total / SCORE_SCALE + 1) / (r.answers + 2))


@feature(tables=("feedback",), unit="0…1", words="the worst answer was {value:.0%} satisfied")
def satisfaction_min() -> Recipe:
    """Lowest answered score.

    Formula: min score. Window: all time. Null: never answered. Source: catalogue 65.
    """
    low = Reduction("feedback", "min", value="score_scaled", where="answered")
    return Recipe({"low": low}, lambda r, now: r.low / SCORE_SCALE)


@feature(tables=("feedback",), unit="share", words="{value:.0%} of the answers were unhappy")
def satisfaction_low_share() -> Recipe:
    """Share of answers in the lower half of their scale, shrunk.

    Formula: (answers < ½) / (answers + 1). Window: all time. Null: never (0). Source: catalogue 65.
    """
    low = Reduction("feedback", "count", where="low_answer")
    return Recipe({"low": low, "answers": _ANSWERS}, lambda r, now: r.low / (r.answers + 1))


@feature(tables=("feedback",), unit="0…1", words="the last answer lies {value:+.0%} from the customer's own mean")
def satisfaction_change() -> Recipe:
    """The last score less the own mean.

    Formula: last − mean. Window: all time. Null: never answered. Source: catalogue 66.
    """
    last = Reduction("feedback", "min", value="score_scaled", where="is_last_answer")
    return Recipe(
        {"last": last, "total": _TOTAL, "answers": _ANSWERS},
        lambda r, now: (r.last - ratio(r.total, r.answers)) / SCORE_SCALE,
    )


@feature(tables=("feedback",), unit="surveys", words="{value:.0f} surveys left unanswered in {window}", windows="W")
def silence(days: int | None) -> Recipe:
    """Surveys sent and not answered (as known at as_of).

    Formula: sent − answered. Window: W and all time. Null: never (0). Source: catalogue 68.
    """
    count = Reduction("feedback", "count", where="unanswered", since_days=days)
    return Recipe({"count": count}, lambda r, now: r.count)


@feature(tables=("feedback",), unit="complaints", words="{value:.0f} complaints in {window}", windows="W")
def complaints(days: int | None) -> Recipe:
    """Complaints.

    Formula: count of kind complaint. Window: W and all time. Null: never (0). Source: catalogue 69.
    """
    count = Reduction("feedback", "count", kinds=("complaint",), since_days=days)
    return Recipe({"count": count}, lambda r, now: r.count)


@feature(tables=("feedback",), unit="complaints", words="{value:.0f} complaints still open")
def complaints_open() -> Recipe:
    """Complaints not known to be resolved.

    Formula: complaints without a known resolved_at. Window: all time. Null: never (0). Source: catalogue 69.
    """
    count = Reduction("feedback", "count", where="open_complaint")
    return Recipe({"count": count}, lambda r, now: r.count)


@feature(tables=("feedback",), unit="days", words="the last complaint was {value:.0f} days ago")
def recency_complaint() -> Recipe:
    """Days since the last complaint.

    Formula: as_of − last complaint. Window: all time. Null: none. Source: catalogue 69.
    """
    last = Reduction("feedback", "max", kinds=("complaint",))
    return Recipe({"last": last}, lambda r, now: now.age_days(r.last))


@feature(tables=("feedback",), unit="hours", words="complaints took {value:.0f} hours to resolve")
def hours_to_resolve() -> Recipe:
    """Mean hours from complaint to resolution, of those resolved.

    Formula: mean(resolved_at − occurred_at). Window: all time. Null: none resolved. Source: catalogue 70.
    """
    minutes = Reduction("feedback", "sum", value="resolve_minutes", where="resolved")
    count = Reduction("feedback", "count", where="resolved")
    return Recipe({"minutes": minutes, "count": count}, lambda r, now: ratio(r.minutes, r.count) / 60)


@feature(tables=("feedback", "activity"), unit="0 or 1", words="no activity since the last complaint")
def unrecovered() -> Recipe:
    """1 where nothing was done since the last complaint.

    Formula: [last complaint ≥ last activity]. Window: all time. Null: no complaint or no activity.
    Source: catalogue 70 (recovered, turned round).
    """
    complaint = Reduction("feedback", "max", kinds=("complaint",))

    def formula(r, now):
        known = ~r.complaint.is_null() & ~r.last.is_null()
        flag = nw.when(r.complaint >= r.last).then(nw.lit(1.0)).otherwise(nw.lit(0.0))
        return nw.when(known).then(flag)

    return Recipe({"complaint": complaint, "last": Reduction("activity", "max")}, formula)
