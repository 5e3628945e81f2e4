"""Contracts: one row per known term: whether it has begun, runs, runs longest, or extends cover.

Trials are no terms, and a term that renews runs on (`features.tables.terms`).
"""

from __future__ import annotations

import narwhals as nw

from features.core.contract import OPEN_END_US
from features.core.instants import DAY_US
from features.recipes.recipe import Now
from features.tables.history import Known

_IN_ORDER = {"order_by": ["starts_at", "ends_at", "plan"]}


def rows(known: Known, now: Now) -> nw.LazyFrame:
    """The terms with flags as 0 and 1 and occurred_at, which is recorded_at."""
    begun, has_end = nw.col("starts_at") <= known.as_of, nw.col("ends_at") < OPEN_END_US
    rows = known.tables["contracts"].with_columns(
        occurred_at=nw.col("recorded_at"),
        begun=begun,
        running=begun & (nw.col("runs_until") > known.as_of),
        term_us=nw.when(has_end).then(nw.col("ends_at") - nw.col("starts_at")),
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

    It ends after the horizon, or renews so late that the outcome cannot know of it, and belongs to
    the chain of terms from as_of on, without a break; renewals in advance belong to the chain.
    Without cover at as_of the column has no meaning.
    """
    end = known.as_of + now.definitions.horizon_days * DAY_US
    latest = end + now.definitions.label_latency_days * DAY_US
    pause = nw.when(nw.col("begins_cover") & ~nw.col("begun")).then(nw.lit(1)).otherwise(nw.lit(0))
    rows = rows.with_columns(pause=pause)
    pauses = nw.col("pause").cum_max().over("customer_id", **_IN_ORDER)
    ends, runs_until = nw.col("ends_at"), nw.col("runs_until")
    outlasts = (ends > end) | ((runs_until > ends) & (runs_until > latest))
    return rows.with_columns(carries=(pauses == 0) & outlasts)
