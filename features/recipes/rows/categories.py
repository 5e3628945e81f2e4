"""Categories: one row per customer and category bought, at its first purchase."""

from __future__ import annotations

import narwhals as nw

from features.recipes.recipe import Now
from features.recipes.rows.shares import surprise
from features.tables.history import Known


def rows(known: Known, now: Now) -> nw.LazyFrame:
    """occurred_at (the first purchase), bought (how many), surprise."""
    bought = known.tables["transactions"].filter(
        (nw.col("kind") == "purchase") & ~nw.col("category").is_null()
    )
    carried = {"as_of": nw.col("as_of").max()} if isinstance(now.as_of, nw.Expr) else {}
    found = bought.group_by("customer_id", "category").agg(
        occurred_at=nw.col("occurred_at").min(), bought=nw.col("kind").count(), **carried
    )
    return found.with_columns(surprise=surprise("bought"))
