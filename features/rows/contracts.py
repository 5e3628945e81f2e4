"""Contracts: the terms that have begun, that run, and of those the one that runs longest."""

from __future__ import annotations

import narwhals as nw

from features.history import Known
from features.recipe import Now


def rows(known: Known, now: Now) -> nw.LazyFrame:
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
