"""The integer columns and flags that reductions read: one definition per row, whatever the engine.

Everything a row says that is not already an integer becomes one here, so that sums are exact.
"""

from __future__ import annotations

from typing import Any

import narwhals as nw

from features.history import Known
from features.rhythm import LOG_SCALE, MINUTE_US
from features.satisfaction import SCORE_SCALE, SURVEYS


def prepared(known: Known, definitions: Any, table: str) -> nw.LazyFrame:
    """The rows of one known table with the columns `Reduction.value` and `Reduction.where` may name."""
    builders = {
        "activity": _activity, "transactions": _transactions, "interactions": _interactions,
        "feedback": _feedback, "contracts": _contracts,
    }  # fmt: skip
    return builders[table](known, definitions)


def _activity(known: Known, definitions: Any) -> nw.LazyFrame:
    at, gap = nw.col("occurred_at"), nw.col("gap")
    minutes = (gap / MINUTE_US).floor().cast(nw.Int64)
    minutes = nw.when(minutes >= 1).then(minutes).otherwise(nw.when(~gap.is_null()).then(nw.lit(1)))
    age = known.as_of - at
    rows = known.activity.with_columns(
        gap_minutes=minutes,
        has_gap=~gap.is_null(),
        is_last=nw.col("from_end") == 1,
        is_acquisition=nw.col("position") == (1 if definitions.acquired == "first_activity" else 2),
        recent_gap=~gap.is_null() & (nw.col("from_end") <= 5),
        gap_below_recency=~gap.is_null() & (gap < known.as_of - nw.col("last_at")),
        occurred_minutes=(at / MINUTE_US).floor().cast(nw.Int64),
        period=((age - 1) / definitions.base_gap_us).floor().cast(nw.Int64),
        in_periods=age <= 12 * definitions.base_gap_us,
        in_last_base_gap=age <= definitions.base_gap_us,
    )
    return rows.with_columns(
        gap_minutes_squared=nw.col("gap_minutes") * nw.col("gap_minutes"),
        gap_log=(nw.col("gap_minutes").cast(nw.Float64).log() * LOG_SCALE).round().cast(nw.Int64),
    )


def _transactions(known: Known, definitions: Any) -> nw.LazyFrame:
    amount, purchase = nw.col("amount"), nw.col("kind") == "purchase"
    # Squares of whole currency units, in 128 bits: exact for any amount the contract lets in.
    whole = (amount / definitions.minor_units).round().cast(nw.Int128)
    latest = nw.when(purchase).then(nw.col("occurred_at")).max().over("customer_id")
    return known.tables["transactions"].with_columns(
        amount_minor=amount,
        spent_minor=nw.when(purchase & (amount > 0)).then(amount).otherwise(nw.lit(0)),
        amount_squared=whole * whole,
        amount_whole=whole,
        discount_minor=nw.col("discount"),
        is_last_purchase=purchase & (nw.col("occurred_at") == latest),
    )


def _interactions(known: Known, definitions: Any) -> nw.LazyFrame:
    last = known.activity.filter(nw.col("from_end") == 1).select("customer_id", "last_at")
    rows = known.tables["interactions"].join(last, on="customer_id", how="left")
    by_customer = nw.col("kind") != "sent"
    return rows.with_columns(
        by_customer=by_customer,
        quantity_milli=(nw.col("quantity") * 1000).round().cast(nw.Int64),
        after_activity=by_customer & ~nw.col("last_at").is_null() & (nw.col("occurred_at") > nw.col("last_at")),
    )


def _feedback(known: Known, definitions: Any) -> nw.LazyFrame:
    score, kind = nw.col("score"), nw.col("kind")
    scaled = nw.lit(None, dtype=nw.Float64)
    for name, low, high in definitions.scales:
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


def _contracts(known: Known, definitions: Any) -> nw.LazyFrame:
    begun = nw.col("starts_at") <= known.as_of
    rows = known.tables["contracts"].with_columns(
        occurred_at=nw.col("recorded_at"),
        begun=begun,
        running=begun & (nw.col("ends_at") > known.as_of),
        term_us=nw.col("ends_at") - nw.col("starts_at"),
        auto_renew_flag=nw.when(nw.col("auto_renew")).then(nw.lit(1)).otherwise(nw.lit(0)),
        cancelled_flag=nw.when(~nw.col("cancelled_at").is_null()).then(nw.lit(1)).otherwise(nw.lit(0)),
    )
    until = nw.when(nw.col("running")).then(nw.col("ends_at")).max().over("customer_id")
    return rows.with_columns(runs_longest=nw.col("running") & (nw.col("ends_at") == until))
