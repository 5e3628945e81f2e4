"""Customers: which known row counts, and the release's attributes as numbers."""

from __future__ import annotations

import narwhals as nw

from features.recipes.attributes import Attribute, cell, current, type_of
from features.recipes.recipe import Now
from features.tables.history import Known


def rows(known: Known, now: Now) -> nw.LazyFrame:
    """Columns beside the table's: occurred_at (valid_from), is_version, is_current, and attribute_<number> each."""
    rows = known.tables["customers"]
    there = rows.collect_schema()
    coded = {
        f"attribute_{at}": _coded(one)
        if one.name in there and type_of(there[one.name]) == one.type
        else nw.lit(None, dtype=nw.Float64)  # a column that the business no longer gives
        for at, one in enumerate(now.definitions.attributes)
    }
    since = nw.col("valid_from")
    return rows.with_columns(
        occurred_at=since, is_version=~since.is_null(), is_current=current(), **coded
    )


def _coded(one: Attribute) -> nw.Expr:
    """Text as the number of its level (1 …, 0 for another), a flag as 0 or 1, numbers and money as they are."""
    said = cell(one.name, constant=one.constant)
    if one.type == "flag":
        return nw.when(~said.is_null()).then(nw.when(said).then(nw.lit(1)).otherwise(nw.lit(0)))
    if one.type != "text":
        return said
    code = nw.lit(0)
    for number, (level, _) in enumerate(one.columns, start=1):
        code = nw.when(said == level).then(nw.lit(number)).otherwise(code)
    return nw.when(~said.is_null()).then(code)
