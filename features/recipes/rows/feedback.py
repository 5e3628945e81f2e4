"""Feedback: scores on one scale, surveys with and without an answer, complaints."""

from __future__ import annotations

import narwhals as nw

from features.core.contract import SURVEYS
from features.core.instants import HOUR_US, MINUTE_US
from features.recipes.item_means import score_scaled, with_item_means
from features.recipes.recipe import SCORE_SCALE, Now
from features.tables.history import Known


def rows(known: Known, now: Now) -> nw.LazyFrame:
    """The feedback with score_scaled (millionths of the scale) and the columns made below."""
    score, complaint = nw.col("score_scaled"), nw.col("kind") == "complaint"
    rows = with_item_means(known.tables["feedback"], now.population)
    rows = rows.with_columns(score_scaled=score_scaled(now.definitions.scales), complaint=complaint)
    rows = rows.with_columns(
        answered=~score.is_null(),
        resolved=nw.col("complaint") & ~nw.col("resolved_at").is_null(),
        down=-score,
    )
    # All windows over the customer's other rows in one pass, because each pass costs a request
    # time.
    rows = rows.with_columns(**_windows())
    rows = rows.with_columns(**_answers(), **_complaints(now))
    at, unanswered, answered_until = (
        nw.col("occurred_at"),
        nw.col("unanswered"),
        nw.col("answered_until"),
    )
    return rows.with_columns(
        recent_answer=nw.col("answered") & (nw.col("from_end") <= 5),
        score_by_place=score * nw.col("from_end"),
        silent_since=unanswered & (answered_until.is_null() | (at > answered_until)),
        last_open=nw.col("last_complaint") & nw.col("open_complaint"),
        reopened=nw.col("repeated")
        & ~nw.col("first_closed").is_null()
        & (nw.col("first_closed") < at),
    )


def _windows() -> dict[str, nw.Expr]:
    """What a row needs from the customer's other rows.

    The last answers and complaints, an answer's place among the answers, and when a topic was first
    raised and closed.
    """
    at, answered, complaint = nw.col("occurred_at"), nw.col("answered"), nw.col("complaint")
    latest = nw.when(answered).then(nw.col("answered_at")).max()
    survey = nw.col("kind").is_in(list(SURVEYS))
    raised, closed = nw.when(complaint).then(at), nw.when(complaint).then(nw.col("resolved_at"))
    return {
        "last_answer_at": latest.over("customer_id"),
        "last_of_kind_at": latest.over("customer_id", "kind"),
        "of": at.count().over("customer_id", "answered"),
        "place": at.cum_count().over("customer_id", "answered", order_by=["answered_at", "down"]),
        "answered_until": nw.when(survey & answered).then(at).max().over("customer_id"),
        "last_raised": raised.max().over("customer_id"),
        "first_raised": raised.min().over("customer_id", "topic"),
        "first_closed": closed.min().over("customer_id", "topic"),
    }


def _answers() -> dict[str, nw.Expr]:
    """Flags of answers. from_end: 1 for the newest answer (at equal instants the lower)."""
    at, answered, score = nw.col("answered_at"), nw.col("answered"), nw.col("score_scaled")
    return {
        "is_last_answer": answered & (at == nw.col("last_answer_at")),
        "is_last_of_kind": answered & (at == nw.col("last_of_kind_at")),
        "low_answer": answered & (score < SCORE_SCALE // 2),
        "top_answer": answered & (score >= SCORE_SCALE * 3 // 4),
        "promoter": answered & (score >= SCORE_SCALE * 9 // 10),
        "detractor": answered & (score <= SCORE_SCALE * 6 // 10),
        "answer_minutes": ((at - nw.col("occurred_at")) / MINUTE_US).floor().cast(nw.Int64),
        "on_known_item": answered & ~nw.col("item_mean").is_null(),
        "against_item": score - nw.col("item_mean"),
        "from_end": nw.col("of") - nw.col("place") + 1,
        "unanswered": nw.col("kind").is_in(list(SURVEYS)) & ~answered,
    }


def _complaints(now: Now) -> dict[str, nw.Expr]:
    """Flags of complaints: open, resolved in time, the last one, repeated about the same topic."""
    complaint, resolved, at = nw.col("complaint"), nw.col("resolved"), nw.col("occurred_at")
    taken = nw.col("resolved_at") - at
    within = round(now.definitions.resolve_within_hours * HOUR_US)
    return {
        "open_complaint": complaint & ~resolved,
        "resolve_minutes": (taken / MINUTE_US).floor().cast(nw.Int64),
        "in_time": resolved & (taken <= within),
        # Resolved, or open for longer than the service level: whether it was in time is known.
        "judged": resolved | (complaint & (now.as_of - at > within)),
        "last_complaint": complaint & (at == nw.col("last_raised")),
        "repeated": complaint & ~nw.col("topic").is_null() & (at > nw.col("first_raised")),
    }
