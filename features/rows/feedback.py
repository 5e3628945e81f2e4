"""Feedback: scores on one scale, answers, silences, complaints and what became of them."""

from __future__ import annotations

import narwhals as nw

from features.catalogue.satisfaction import SURVEYS
from features.history import Known
from features.recipe import MINUTE_US, SCORE_SCALE, Now


def rows(known: Known, now: Now) -> nw.LazyFrame:
    score, kind = nw.col("score"), nw.col("kind")
    scaled = nw.lit(None, dtype=nw.Float64)
    for name, low, high in now.definitions.scales:
        scaled = nw.when(kind == name).then((score - low) / (high - low) * SCORE_SCALE).otherwise(scaled)
    complaint, survey = kind == "complaint", kind.is_in(list(SURVEYS))
    rows = known.tables["feedback"].with_columns(score_scaled=scaled.round().cast(nw.Int64))
    rows = rows.with_columns(
        answered=~nw.col("score_scaled").is_null(), resolved=complaint & ~nw.col("resolved_at").is_null()
    )
    latest = nw.when(nw.col("answered")).then(nw.col("answered_at")).max().over("customer_id")
    return rows.with_columns(
        is_last_answer=nw.col("answered") & (nw.col("answered_at") == latest),
        low_answer=nw.col("answered") & (nw.col("score_scaled") < SCORE_SCALE // 2),
        unanswered=survey & ~nw.col("answered"),
        open_complaint=complaint & ~nw.col("resolved"),
        resolve_minutes=((nw.col("resolved_at") - nw.col("occurred_at")) / MINUTE_US).floor().cast(nw.Int64),
    )
