"""Categories: one row per customer and category bought, at its first purchase."""

from __future__ import annotations

import narwhals as nw

from features.recipes.recipe import Now
from features.recipes.rows.shares import entropy_term
from features.tables.history import Known


def rows(known: Known, now: Now) -> nw.LazyFrame:
    """customer_id, category, occurred_at (the first purchase), bought (how many), entropy_term."""
    bought = known.tables["transactions"].filter(
        (nw.col("kind") == "purchase") & ~nw.col("category").is_null()
    )
    # In a prepared statement as_of is a column, which must survive the grouping.
    as_of = {"as_of": nw.col("as_of").max()} if isinstance(now.as_of, nw.Expr) else {}
    categories = bought.group_by("customer_id", "category").agg(
        occurred_at=nw.col("occurred_at").min(), bought=nw.col("kind").count(), **as_of
    )
    return categories.with_columns(entropy_term=entropy_term("bought"))
