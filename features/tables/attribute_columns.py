"""Columns of customers beyond the contract: which of them are kept as attributes, and under which type.

The type is the SELECT's, never guessed from values (a later row could change a guess): CSV arrives as text, and a
number needs its CAST there. Ids and instants are no attributes.
"""

from __future__ import annotations

import re
from dataclasses import replace

from features.core.contract import Column, Table
from features.core.errors import BadSetting, suggestion
from features.core.settings import Settings
from features.tables.parsing import FLOATS, INTEGERS

# Names that the prepared rows and the kept plan use themselves.
RESERVED = {
    "as_of",
    "local_day",
    "local_hour",
    "source_row",
    "reason",
    "occurred_at",
    "recorded_at",
    "is_version",
    "is_current",
}
_NO_ATTRIBUTE = ("customer_id", "valid_from", "acquired_at")


def widened(table: Table, types: dict[str, str], settings: Settings) -> Table:
    """customers with the SELECT's further columns (`types`: DuckDB types by name) that can be attributes.

    Kept are those that are constant by the settings, or all where the SELECT gives valid_from. BadSetting where
    `constant_attributes` names what is none.
    """
    constant = settings.contract.constant_attributes
    able = [
        name
        for name, kind in types.items()
        if name not in table.names and attribute_type(name, kind)
    ]
    given = [name for name in table.names if name in types and name not in _NO_ATTRIBUTE]
    for name in constant:
        if name not in (*able, *given):
            raise BadSetting(
                where="[contract] constant_attributes",
                got=f"'{name}', which is no attribute of customers",
                rule="It names columns of the SELECT for customers that are text, a number or a flag.",
                fix=suggestion(name, [*able, *given])
                or f"The SELECT gives {', '.join([*given, *able]) or 'none'}.",
            )
    kept = [name for name in able if name in constant or "valid_from" in types]
    more = [
        Column(name, attribute_type(name, types[name]), "an attribute of yours")
        for name in sorted(kept)
    ]
    return replace(table, columns=(*table.columns, *more))


def attribute_type(name: str, raw_type: str) -> str:
    """text, number or flag; '' for what is none: ids (by name or type), instants, nested values, a name with a dot."""
    named = name.lower()
    if re.search(r'[."\x00-\x1f]', name) or re.search(
        r"(^|_)(uu)?id$", named
    ):  # no expression could name the first
        return ""
    if named in RESERVED or re.fullmatch(r"attribute_\d+", named):
        return ""
    raw = raw_type.upper()
    if raw == "VARCHAR" or raw.startswith("ENUM"):
        return "" if raw.endswith("]") else "text"
    if raw == "BOOLEAN":
        return "flag"
    number = raw in INTEGERS or raw in FLOATS or raw.startswith("DECIMAL")
    return "number" if number and not raw.endswith("]") else ""
