"""The oracle's attributes: what a customer's row of the time says, slowly and obviously, as
oracle.py says it is written.
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import Any

from tests.support.oracle import DAY, Row, Tables, of

TEXTS, OTHERS = ("channel", "segment", "region"), ("consent", "acquisition_cost")


def versions(rows: list[Row], as_of: int) -> list[Row]:
    """The rows known before as_of, oldest first; one without valid_from holds before every
    version.
    """
    known = [row for row in rows if (row["valid_from"] or row["acquired_at"] or 0) < as_of]
    return sorted(known, key=lambda row: -1 if row["valid_from"] is None else row["valid_from"])


def said(rows: list[Row], as_of: int, name: str, constant: tuple[str, ...]) -> Any:
    """What the row that counts says of an attribute; without a version only constants are said."""
    current = (versions(rows, as_of) or [None])[-1]
    if current is None or (current["valid_from"] is None and name not in constant):
        return None
    return current[name]


def attributes(
    customer: str, tables: Tables, as_of: int, definitions: Any
) -> dict[str, Fraction | None]:
    """customer's columns by name, under the names that the definitions froze."""
    rows, out = of(customer, tables, "customers"), {}
    constant = tuple(one.name for one in definitions.attributes if one.constant)
    for one in definitions.attributes:
        value = said(rows, as_of, one.name, constant)
        for level, column in one.columns:
            out[column] = (
                None if value is None else Fraction(value == level if one.type == "text" else value)
            )
            if one.type == "money" and value is not None:
                out[column] /= definitions.minor_units
    if definitions.attribute_versions:
        dated = [
            row["valid_from"] for row in versions(rows, as_of) if row["valid_from"] is not None
        ]
        out |= {
            "attribute_changes": len(dated),
            "attribute_age": Fraction(as_of - max(dated), DAY) if dated else None,
        }
    return out


def learned(
    tables: Tables, as_of: int, constant: tuple[str, ...], everybody: set[str]
) -> dict[str, list[str]]:
    """attribute -> its levels in order; [''] for one that is no text."""
    by_customer = {
        who: of(who, tables, "customers")
        for who in {row["customer_id"] for row in tables["customers"]}
    }
    dated = any(
        row["valid_from"] is not None and row["valid_from"] < as_of for row in tables["customers"]
    )
    out = {}
    for name in (*TEXTS, *OTHERS):
        if not dated and name not in constant:
            continue
        values = [
            said(rows, as_of, name, constant)
            for who, rows in by_customer.items()
            if who in everybody
        ]
        counted = Counter(value for value in values if value is not None)
        enough = [
            level
            for level, count in counted.items()
            if count >= 5 and 100 * count >= len(everybody)
        ]
        levels = (
            sorted(enough, key=lambda level: (-counted[level], level))[:10]
            if name in TEXTS
            else [""] * bool(counted)
        )
        if levels:
            out[name] = levels
    return out
