"""Customers: which known row is current, and the release's attributes as numbers."""

from __future__ import annotations

import narwhals as nw

from features.recipes.attributes import (
    Attribute,
    attribute_kind,
    attribute_value,
    is_current_version,
    number_in_text,
)
from features.recipes.recipe import Now
from features.tables.history import Known


def rows(known: Known, now: Now) -> nw.LazyFrame:
    """The table with attribute_<number> for each attribute of the release.

    Also occurred_at (valid_from), is_version and is_current. An attribute is null where the table
    no longer has its column, or has it with another type. A number may come as text: a text that is
    not written as a number is null.
    """
    rows = known.tables["customers"]
    schema = rows.collect_schema()
    codes = {
        f"attribute_{number}": _code(
            attribute, attribute_kind(schema[attribute.name]) if attribute.name in schema else ""
        )
        for number, attribute in enumerate(now.definitions.attributes)
    }
    since = nw.col("valid_from")
    return rows.with_columns(
        occurred_at=since, is_version=~since.is_null(), is_current=is_current_version(), **codes
    )


def _code(attribute: Attribute, kind: str) -> nw.Expr:
    """Text as the number of its level (1 …; 0 for others), a flag as 0 or 1, numbers unchanged.

    `kind`: of the table's column, '' without one.
    """
    value = attribute_value(attribute.name, constant=attribute.constant)
    if (kind, attribute.type) == ("text", "number"):
        return number_in_text(value)
    if kind != attribute.type:
        return nw.lit(None, dtype=nw.Float64)
    if attribute.type == "flag":
        return nw.when(~value.is_null()).then(nw.when(value).then(nw.lit(1)).otherwise(nw.lit(0)))
    if attribute.type != "text":
        return value
    code: nw.Expr = nw.lit(0)
    for number, (level, _) in enumerate(attribute.columns, start=1):
        code = nw.when(value == level).then(nw.lit(number)).otherwise(code)
    return nw.when(~value.is_null()).then(code)
