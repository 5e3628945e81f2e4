"""Pairs of a customer's last five gaps: at most ten rows per customer, each with a slope."""

from __future__ import annotations

import narwhals as nw

from features.recipes.recipe import Now
from features.recipes.rows import activity
from features.tables.history import Known

# Two of the last five gaps are 1, 2, 3 or 4 places apart; a twelfth of a slope is whole for each
# distance.
DISTANCES = 12


def rows(known: Known, now: Now) -> nw.LazyFrame:
    """customer_id, slope_twelfths: rise of log gap per place, in twelfths of a millionth."""
    gaps = activity.rows(known, now).filter(nw.col("recent_gap"))
    later = gaps.select("customer_id", "gap_log", "from_end")
    earlier = gaps.select(
        "customer_id", earlier_log=nw.col("gap_log"), earlier_from_end=nw.col("from_end")
    )
    pairs = later.join(earlier, on="customer_id", how="inner")
    pairs = pairs.filter(nw.col("earlier_from_end") > nw.col("from_end"))
    distance = nw.col("earlier_from_end") - nw.col("from_end")
    rise = (nw.col("gap_log") - nw.col("earlier_log")) * DISTANCES
    return pairs.select("customer_id", slope_twelfths=(rise / distance).round().cast(nw.Int64))
