"""Columns of customers beyond the contract: which of them become attributes, and of which type.

The type is that of the SELECT. It is not guessed from values, because a later row could change a
guess: a column of a CSV file is text, and a number needs a CAST in the SELECT. Ids and instants are
not attributes.
"""

from __future__ import annotations

import re
from dataclasses import replace

from features.core.contract import Column, Table
from features.core.errors import BadSetting, suggestion
from features.core.settings import Settings
from features.tables.parsing import FLOATS, INTEGERS

# Names that the prepared rows and the prepared statements use themselves.
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
_NOT_ATTRIBUTES = ("customer_id", "valid_from", "acquired_at")


def add_attribute_columns(table: Table, types: dict[str, str], settings: Settings) -> Table:
    """The table of customers with the further columns of the SELECT that are attributes.

    types: DuckDB types by column name. A further column is an attribute if its type allows it and
    if it is constant by the settings or the SELECT has valid_from. Raises BadSetting where
    `constant_attributes` names no such column.
    """
    constant = settings.contract.constant_attributes
    allowed = settings.features.sensitive_allowed
    further = [
        name
        for name, kind in types.items()
        if name not in table.names and attribute_type(name, kind)
    ]
    declared = [name for name in table.names if name in types and name not in _NOT_ATTRIBUTES]
    keys = {"[contract] constant_attributes": constant, "[features] sensitive_allowed": allowed}
    for key, name in ((key, name) for key, names in keys.items() for name in names):
        if name not in (*further, *declared):
            raise BadSetting(
                where=key,
                got=f"'{name}', which is not an attribute of customers",
                rule="It lists columns of the SELECT that are text, a number or a flag.",
                fix=suggestion(name, [*further, *declared])
                or f"The SELECT has {', '.join([*declared, *further]) or 'none'}.",
            )
    attributes = [
        Column(name, attribute_type(name, types[name]), "your attribute")
        for name in sorted(further)
        if name in constant or "valid_from" in types
    ]
    return replace(table, columns=(*table.columns, *attributes))


def attribute_type(name: str, raw_type: str) -> str:
    """text, number or flag; '' for a column that cannot be an attribute.

    Those are ids (by name or type), instants, nested values, reserved names, and names with a dot,
    a quote or a control character.
    """
    lower, raw = name.lower(), raw_type.upper()
    # No expression can refer to a column of such a name.
    if re.search(r'[."\x00-\x1f]', name):
        return ""
    if re.search(r"(^|_)(uu)?id$", lower) or re.fullmatch(r"attribute_\d+", lower):
        return ""
    if lower in RESERVED:
        return ""
    if raw == "VARCHAR" or raw.startswith("ENUM"):
        return "" if raw.endswith("]") else "text"
    if raw == "BOOLEAN":
        return "flag"
    number = raw in INTEGERS or raw in FLOATS or raw.startswith("DECIMAL")
    return "number" if number and not raw.endswith("]") else ""
