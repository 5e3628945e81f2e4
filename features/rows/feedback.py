"""Feedback: scores on one scale, answers and silences in their order, complaints and what became of them."""

from __future__ import annotations

import narwhals as nw

from features.contract import SURVEYS
from features.history import Known
from features.items import score_scaled, with_item_means
from features.recipe import MINUTE_US, SCORE_SCALE, Now
from features.settings import HOUR_US


def rows(known: Known, now: Now) -> nw.LazyFrame:
    complaint = nw.col("kind") == "complaint"
    rows = with_item_means(known.tables["feedback"], now.base)
    rows = rows.with_columns(score_scaled=score_scaled(now.definitions.scales), complaint=complaint)
    rows = rows.with_columns(
        answered=~nw.col("score_scaled").is_null(), resolved=complaint & ~nw.col("resolved_at").is_null()
    )
    return _complaints(_silence(_order(_answers(rows))), now)


def _answers(rows: nw.LazyFrame) -> nw.LazyFrame:
    at, answered, score = nw.col("answered_at"), nw.col("answered"), nw.col("score_scaled")
    latest = nw.when(answered).then(at).max()
    return rows.with_columns(
        is_last_answer=answered & (at == latest.over("customer_id")),
        is_last_of_kind=answered & (at == latest.over("customer_id", "kind")),
        low_answer=answered & (score < SCORE_SCALE // 2),
        top_answer=answered & (score >= SCORE_SCALE * 3 // 4),
        promoter=answered & (score >= SCORE_SCALE * 9 // 10),
        detractor=answered & (score <= SCORE_SCALE * 6 // 10),
        answer_minutes=((at - nw.col("occurred_at")) / MINUTE_US).floor().cast(nw.Int64),
        on_known_item=answered & ~nw.col("item_mean").is_null(),
        against_item=score - nw.col("item_mean"),
    )


def _order(rows: nw.LazyFrame) -> nw.LazyFrame:
    """from_end: 1 for the newest answer (of equal instants the lower); recent_answer: one of the last five."""
    rows = rows.with_columns(down=-nw.col("score_scaled"))
    place = nw.col("occurred_at").cum_count().over("customer_id", "answered", order_by=["answered_at", "down"])
    rows = rows.with_columns(from_end=nw.col("occurred_at").count().over("customer_id", "answered") - place + 1)
    return rows.with_columns(
        recent_answer=nw.col("answered") & (nw.col("from_end") <= 5),
        score_by_place=nw.col("score_scaled") * nw.col("from_end"),
    )


def _silence(rows: nw.LazyFrame) -> nw.LazyFrame:
    """unanswered; silent_since: a survey sent after the last one that was answered."""
    survey, answered, at = nw.col("kind").is_in(list(SURVEYS)), nw.col("answered"), nw.col("occurred_at")
    rows = rows.with_columns(
        unanswered=survey & ~answered, answered_until=nw.when(survey & answered).then(at).max().over("customer_id")
    )
    later = nw.col("answered_until").is_null() | (at > nw.col("answered_until"))
    return rows.with_columns(silent_since=nw.col("unanswered") & later)


def _complaints(rows: nw.LazyFrame, now: Now) -> nw.LazyFrame:
    """What became of a complaint, whether it is the last, and what came before it about the same topic."""
    complaint, resolved, at = nw.col("complaint"), nw.col("resolved"), nw.col("occurred_at")
    taken, within = nw.col("resolved_at") - at, round(now.definitions.resolve_within_hours * HOUR_US)
    told, closed = nw.when(complaint).then(at), nw.when(complaint).then(nw.col("resolved_at"))
    rows = rows.with_columns(
        open_complaint=complaint & ~resolved,
        resolve_minutes=(taken / MINUTE_US).floor().cast(nw.Int64),
        in_time=resolved & (taken <= within),
        judged=resolved | (complaint & (now.as_of - at > within)),
        last_complaint=complaint & (at == told.max().over("customer_id")),
        first_told=told.min().over("customer_id", "topic"),
        first_closed=closed.min().over("customer_id", "topic"),
    )
    rows = rows.with_columns(
        last_open=nw.col("last_complaint") & nw.col("open_complaint"),
        repeated=complaint & ~nw.col("topic").is_null() & (at > nw.col("first_told")),
    )
    return rows.with_columns(
        reopened=nw.col("repeated") & ~nw.col("first_closed").is_null() & (nw.col("first_closed") < at)
    )
