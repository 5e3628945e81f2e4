"""Cover: who has paid terms at an instant, since when without a break, and until when."""

from __future__ import annotations

import narwhals as nw

from features.core.contract import OPEN_END_US
from features.recipes.stages import ENDLESS
from features.tables.history import Known


def current_cover(known: Known) -> nw.LazyFrame:
    """Everybody whose cover has begun by `known.as_of`: one row per customer.

    Columns: customer_id, cover_until (µs, by the rule of continuation of `features.tables.terms`;
    ENDLESS for cover without an end), cover_from (µs, the start of the unbroken cover, or of the
    last one where cover has ended), has_cancelled (cover runs, and every term that runs or is
    agreed is cancelled), and as_of where it is a column.
    """
    at = known.as_of
    as_of = {"as_of": nw.col("as_of").max()} if isinstance(at, nw.Expr) else {}
    begun, runs_until = nw.col("starts_at") <= at, nw.col("runs_until")
    goes_on = nw.col("cancelled_at").is_null() & (runs_until > at)
    terms = known.tables["contracts"].with_columns(
        until=nw.when(begun).then(runs_until),
        since=nw.when(begun & nw.col("begins_cover")).then(nw.col("starts_at")),
        goes_on=nw.when(goes_on).then(nw.lit(1)).otherwise(nw.lit(0)),
    )
    cover = terms.group_by("customer_id").agg(
        cover_until=nw.col("until").max(),
        cover_from=nw.col("since").max(),
        goes_on=nw.col("goes_on").max(),
        **as_of,
    )
    until = nw.col("cover_until")
    cover = cover.filter(~until.is_null()).with_columns(
        has_cancelled=(until > at) & (nw.col("goes_on") == 0),
        cover_until=nw.when(until >= OPEN_END_US).then(nw.lit(ENDLESS)).otherwise(until),
    )
    return cover.drop("goes_on")


def endless_cover(known: Known) -> nw.LazyFrame:
    """Cover without an end for everybody with activity or cover: the columns of `current_cover`."""
    cover = current_cover(known).select("customer_id", "cover_from")
    active = known.activity.select("customer_id").unique()
    people = nw.concat([active, cover.select("customer_id")]).unique()
    return people.join(cover, on="customer_id", how="left").with_columns(
        cover_until=nw.lit(ENDLESS), has_cancelled=nw.lit(False)
    )


def scored_customers(known: Known, *, contractual: bool) -> nw.LazyFrame:
    """customer_id (and as_of, where it is a column) of everybody who has a row.

    Those with activity; with contracts also those whose cover has begun.
    """
    keys = ["customer_id", *(["as_of"] if isinstance(known.as_of, nw.Expr) else [])]
    active = known.activity.select(*keys)
    if not contractual:
        return active.unique()
    return nw.concat([active, current_cover(known).select(*keys)]).unique()
