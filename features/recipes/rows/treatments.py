"""Treatments: what campaigns did to a customer. Who was held out was not treated."""

from __future__ import annotations

import narwhals as nw

from features.recipes.recipe import Now
from features.tables.history import Known


def rows(known: Known, now: Now) -> nw.LazyFrame:
    """The treatments whose decision was known and whose contact lay before as_of.

    A contact may lie ahead of its decision, and is no treatment before it. A row that names no arm
    counts: it is a row of what a campaign did.
    """
    treated = nw.col("arm").is_null() | (nw.col("arm") != "held_out")
    return known.further["treatments"].filter(treated & (nw.col("occurred_at") < known.as_of))
