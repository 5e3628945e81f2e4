"""Satisfaction: survey scores, when they were given, and surveys without an answer.

A score is 0…1 of its declared scale.
"""

from __future__ import annotations

from typing import Any

import narwhals as nw

from features.core.contract import SURVEYS
from features.recipes.recipe import SCORE_SCALE, Now, Recipe, Reduction, feature, ratio

_ANSWERS = Reduction("feedback", "count", where="answered")
_TOTAL = Reduction("feedback", "sum", value="score_scaled", where="answered")


@feature(
    tables=("feedback",), unit="0…1", words="last survey score: {value:.2f} (0 lowest, 1 highest)"
)
def satisfaction_last() -> Recipe:
    """The newest answered score (the lower one at equal instants).

    Formula: score at the last answered_at. Window: all time. Null: never answered.
    Source: catalogue 62.
    """
    last = Reduction("feedback", "min", value="score_scaled", where="is_last_answer")
    return Recipe({"last": last}, lambda r, now: r.last / SCORE_SCALE)


@feature(tables=("feedback",), unit="days", words="last survey answer {value:.0f} days ago")
def satisfaction_age() -> Recipe:
    """Days since the last answer.

    Formula: as_of − last answered_at. Window: all time. Null: never answered. Source: catalogue 63.
    """
    last = Reduction("feedback", "max", value="answered_at", where="answered")
    return Recipe({"last": last}, lambda r, now: now.age_days(r.last))


@feature(
    tables=("feedback",),
    unit="0…1",
    words="average survey score: {value:.2f} (0 lowest, 1 highest; {window})",
    windows="W",
)
def satisfaction_mean(days: int | None) -> Recipe:
    """Mean score of surveys sent in the window, shrunk towards the middle by two answers.

    Formula: (Σ score + 1) / (answers + 2). Window: W and all time. Null: never.
    Source: catalogue 64.
    """
    answers = Reduction("feedback", "count", where="answered", since_days=days)
    total = Reduction("feedback", "sum", value="score_scaled", where="answered", since_days=days)
    return Recipe(
        {"total": total, "answers": answers},
        lambda r, now: (r.total / SCORE_SCALE + 1) / (r.answers + 2),
    )


@feature(
    tables=("feedback",), unit="0…1", words="lowest survey score: {value:.2f} (0 lowest, 1 highest)"
)
def satisfaction_min() -> Recipe:
    """Lowest answered score.

    Formula: min score. Window: all time. Null: never answered. Source: catalogue 65.
    """
    low = Reduction("feedback", "min", value="score_scaled", where="answered")
    return Recipe({"low": low}, lambda r, now: r.low / SCORE_SCALE)


@feature(
    tables=("feedback",), unit="share", words="{value:.0%} of survey answers were in the lower half"
)
def satisfaction_low_share() -> Recipe:
    """Share of answers in the lower half of their scale, shrunk towards 0.

    Formula: (answers < ½) / (answers + 1). Window: all time. Null: never (0). Source: catalogue 65.
    """
    # One more answer in the denominator, so that a single low answer does not give 1.
    low = Reduction("feedback", "count", where="low_answer")
    return Recipe({"low": low, "answers": _ANSWERS}, lambda r, now: r.low / (r.answers + 1))


@feature(
    tables=("feedback",),
    unit="0…1",
    words="the last survey score is {value:+.0%} from the customer's mean",
)
def satisfaction_change() -> Recipe:
    """The last score minus the customer's mean score.

    Formula: last − mean. Window: all time. Null: never answered. Source: catalogue 66.
    """
    last = Reduction("feedback", "min", value="score_scaled", where="is_last_answer")
    return Recipe(
        {"last": last, "total": _TOTAL, "answers": _ANSWERS},
        lambda r, now: (r.last - ratio(r.total, r.answers)) / SCORE_SCALE,
    )


@feature(
    tables=("feedback",),
    unit="surveys",
    words="{value:.0f} unanswered surveys in {window}",
    windows="W",
)
def unanswered_surveys(days: int | None) -> Recipe:
    """Surveys sent and not answered, as known at as_of.

    Formula: sent − answered. Window: W and all time. Null: never (0). Source: catalogue 68.
    """
    count = Reduction("feedback", "count", where="unanswered", since_days=days)
    return Recipe({"count": count}, lambda r, now: r.count)


@feature(
    tables=("feedback",), unit="0…1", words="last CSAT score: {value:.2f} (0 lowest, 1 highest)"
)
def satisfaction_last_csat() -> Recipe:
    """The newest CSAT score (the lower one at equal instants).

    Formula: score at the last answered_at of kind csat. Window: all time. Null: never answered one.
    Source: catalogue 62.
    """
    return _last_of("csat")


@feature(
    tables=("feedback",), unit="0…1", words="last NPS score: {value:.2f} (0 lowest, 1 highest)"
)
def satisfaction_last_nps() -> Recipe:
    """The newest NPS score (the lower one at equal instants).

    Formula: score at the last answered_at of kind nps. Window: all time. Null: never answered one.
    Source: catalogue 62.
    """
    return _last_of("nps")


@feature(
    tables=("feedback",), unit="0…1", words="last review score: {value:.2f} (0 lowest, 1 highest)"
)
def satisfaction_last_review() -> Recipe:
    """The newest review's score (the lower one at equal instants).

    Formula: score at the last answered_at of kind review. Window: all time. Null: never reviewed.
    Source: catalogue 62.
    """
    return _last_of("review")


def _last_of(kind: str) -> Recipe:
    last = Reduction(
        "feedback", "min", value="score_scaled", kinds=(kind,), where="is_last_of_kind"
    )
    return Recipe({"last": last}, lambda r, now: r.last / SCORE_SCALE)


@feature(
    tables=("feedback",),
    unit="0…1 an answer",
    words="the last five survey scores change by {value:+.0%} each",
)
def satisfaction_slope() -> Recipe:
    """Slope of the last five scores by their order (at equal instants the lower one comes later).

    Formula: least squares of score on answer number. Window: the last 5 answers. Null: under 3
    answers. Source: catalogue 66.
    """
    count = Reduction("feedback", "count", where="recent_answer")
    total = Reduction("feedback", "sum", value="score_scaled", where="recent_answer")
    placed = Reduction("feedback", "sum", value="score_by_place", where="recent_answer")

    def formula(r: Any, now: Now) -> nw.Expr:
        # Places count from the newest answer, so the sign is reversed. Σ place and Σ place² of
        # 1 … n have closed forms.
        top = r.total * (r.count + 1) / 2 - r.placed
        bottom = r.count * (r.count * r.count - 1) / 12
        return nw.when(r.count >= 3).then(top / bottom / SCORE_SCALE)

    return Recipe({"count": count, "total": total, "placed": placed}, formula)


@feature(
    tables=("feedback",),
    unit="answers",
    words="{value:.0f} survey answers in {window}",
    windows="W",
)
def answers(days: int | None) -> Recipe:
    """Surveys sent in the window that are answered, reviews included.

    Formula: count of answered. Window: W and all time, by sending. Null: never (0).
    Source: catalogue 64.
    """
    return Recipe(
        {"count": Reduction("feedback", "count", where="answered", since_days=days)},
        lambda r, now: r.count,
    )


@feature(tables=("feedback",), unit="hours", words="takes {value:.0f} hours to answer a survey")
def hours_to_answer() -> Recipe:
    """Mean hours from sending to answer.

    Formula: mean(answered_at − occurred_at), in whole minutes each. Window: all time. Null: never
    answered. Source: catalogue 68 (the other side of silence).
    """
    minutes = Reduction("feedback", "sum", value="answer_minutes", where="answered")
    return Recipe(
        {"minutes": minutes, "answers": _ANSWERS}, lambda r, now: ratio(r.minutes, r.answers) / 60
    )


def _share_of(kind: str, where: str) -> Recipe:
    fits = Reduction("feedback", "count", kinds=(kind,), where=where)
    return Recipe({"fits": fits, "all": _answered(kind)}, lambda r, now: ratio(r.fits, r.all))


def _answered(*kinds: str, days: int | None = None) -> Reduction:
    return Reduction("feedback", "count", kinds=kinds, where="answered", since_days=days)


@feature(
    tables=("feedback",),
    unit="share",
    words="{value:.0%} of CSAT answers were in the top quarter",
)
def csat_top_share() -> Recipe:
    """Top-box share: CSAT answers in the top quarter of their scale (4 and 5 of 1…5).

    Formula: (csat ≥ ¾) / CSAT answers. Window: all time. Null: no CSAT answer.
    Source: catalogue 65; CSAT.
    """
    return _share_of("csat", "top_answer")


@feature(tables=("feedback",), unit="share", words="{value:.0%} of NPS answers were promoters")
def nps_promoter_share() -> Recipe:
    """Share of NPS answers that are promoters: 9 or 10 of 0…10, else the upper tenth of the scale.

    Formula: (nps ≥ 0.9) / NPS answers. Window: all time. Null: no NPS answer. Source: Reichheld
    2003.
    """
    return _share_of("nps", "promoter")


@feature(tables=("feedback",), unit="share", words="{value:.0%} of NPS answers were passives")
def nps_passive_share() -> Recipe:
    """Share of NPS answers that are passives: 7 or 8 of 0…10.

    Formula: (0.6 < nps < 0.9) / NPS answers. Window: all time. Null: no NPS answer.
    Source: Reichheld 2003.
    """
    return Recipe(
        {"promoters": _PROMOTERS, "detractors": _DETRACTORS, "all": _answered("nps")},
        lambda r, now: ratio(r.all - r.promoters - r.detractors, r.all),
    )


@feature(tables=("feedback",), unit="share", words="{value:.0%} of NPS answers were detractors")
def nps_detractor_share() -> Recipe:
    """Share of NPS answers that are detractors: 0 to 6 of 0…10, else the lower six tenths.

    Formula: (nps ≤ 0.6) / NPS answers. Window: all time. Null: no NPS answer. Source: Reichheld
    2003.
    """
    return _share_of("nps", "detractor")


_PROMOTERS = Reduction("feedback", "count", kinds=("nps",), where="promoter")
_DETRACTORS = Reduction("feedback", "count", kinds=("nps",), where="detractor")


@feature(tables=("feedback",), unit="−1…1", words="own net promoter score: {value:+.2f}")
def nps() -> Recipe:
    """The customer's own net promoter score.

    Formula: promoter share − detractor share. Window: all time. Null: no NPS answer.
    Source: Reichheld 2003.
    """
    return Recipe(
        {"promoters": _PROMOTERS, "detractors": _DETRACTORS, "all": _answered("nps")},
        lambda r, now: ratio(r.promoters - r.detractors, r.all),
    )


@feature(
    tables=("feedback",),
    unit="0…1",
    words="average review score: {value:.2f} (0 lowest, 1 highest)",
)
def review_mean() -> Recipe:
    """Mean score of the reviews.

    Formula: Σ score / reviews. Window: all time. Null: never reviewed. Source: catalogue 64.
    """
    total = Reduction("feedback", "sum", value="score_scaled", kinds=("review",), where="answered")
    return Recipe(
        {"total": total, "all": _answered("review")},
        lambda r, now: ratio(r.total, r.all) / SCORE_SCALE,
    )


@feature(
    tables=("feedback",),
    unit="0…1",
    words="scores are {value:+.0%} from other customers' scores of the same items",
)
def item_bias() -> Recipe:
    """Mean difference of the customer's scores from everybody's mean score of the same items.

    Formula: mean(score − the item's mean in the population, of items with 5 answers). Window: all
    time. Null: no answer on a known item. Source: catalogue 67; RelBench user_bias.
    """
    against = Reduction("feedback", "sum", value="against_item", where="on_known_item")
    count = Reduction("feedback", "count", where="on_known_item")
    return Recipe(
        {"against": against, "count": count}, lambda r, now: ratio(r.against, r.count) / SCORE_SCALE
    )


@feature(
    tables=("feedback",), unit="surveys", words="the last {value:.0f} surveys were not answered"
)
def unanswered_streak() -> Recipe:
    """Surveys sent after the last answered one, all of them unanswered.

    Formula: count of unanswered surveys sent after it. Window: since then. Null: never (0).
    Source: catalogue 68.
    """
    return Recipe(
        {"count": Reduction("feedback", "count", where="silent_since")}, lambda r, now: r.count
    )


@feature(
    tables=("feedback",),
    unit="share",
    words="answered {value:.0%} of surveys in {window}",
    windows="W",
)
def answer_rate(days: int | None) -> Recipe:
    """Surveys answered over surveys sent, shrunk towards one in two.

    Formula: (answered + 1) / (sent + 2). Window: W and all time, by sending. Null: never.
    Source: catalogue 68.
    """
    # The prior is one answer to two surveys; reviews are not sent and do not count.
    sent = Reduction("feedback", "count", kinds=SURVEYS, since_days=days)
    return Recipe(
        {"answered": _answered(*SURVEYS, days=days), "sent": sent},
        lambda r, now: (r.answered + 1) / (r.sent + 2),
    )
