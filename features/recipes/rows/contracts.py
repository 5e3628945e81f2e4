"""Contracts: one row per known term: whether it has begun, runs, runs longest, or extends cover."""

from __future__ import annotations

import narwhals as nw

from features.core.instants import DAY_US
from features.recipes.recipe import Now
from features.tables.history import Known

_IN_ORDER = {"order_by": ["starts_at", "ends_at"]}


def rows(known: Known, now: Now) -> nw.LazyFrame:
    """The terms with flags as 0 and 1 and occurred_at, which is recorded_at."""
    begun = nw.col("starts_at") <= known.as_of
    rows = known.tables["contracts"].with_columns(
        occurred_at=nw.col("recorded_at"),
        begun=begun,
        running=begun & (nw.col("ends_at") > known.as_of),
        term_us=nw.col("ends_at") - nw.col("starts_at"),
        auto_renew_flag=nw.when(nw.col("auto_renew")).then(nw.lit(1)).otherwise(nw.lit(0)),
        cancelled_flag=nw.when(~nw.col("cancelled_at").is_null())
        .then(nw.lit(1))
        .otherwise(nw.lit(0)),
    )
    until = nw.when(nw.col("running")).then(nw.col("ends_at")).max().over("customer_id")
    return _carrying(
        rows.with_columns(runs_longest=nw.col("running") & (nw.col("ends_at") == until)), known, now
    )


def _carrying(rows: nw.LazyFrame, known: Known, now: Now) -> nw.LazyFrame:
    """`carries`: whether a term extends cover past the horizon.

    It ends after the horizon and belongs to the chain of terms from as_of on, in which no pause is
    longer than grace; renewals in advance belong to the chain. Without cover at as_of the column
    has no meaning.
    """
    end = known.as_of + now.definitions.horizon_days * DAY_US
    grace = now.definitions.grace_days * DAY_US
    rows = rows.with_columns(reach=nw.col("ends_at").cum_max().over("customer_id", **_IN_ORDER))
    rows = rows.with_columns(reach=nw.col("reach").shift(1).over("customer_id", **_IN_ORDER))
    late = nw.col("reach").is_null() | (nw.col("starts_at") > nw.col("reach") + grace)
    rows = rows.with_columns(
        pause=nw.when(late & ~nw.col("begun")).then(nw.lit(1)).otherwise(nw.lit(0))
    )
    pauses = nw.col("pause").cum_max().over("customer_id", **_IN_ORDER)
    return rows.with_columns(carries=(pauses == 0) & (nw.col("ends_at") > end))
