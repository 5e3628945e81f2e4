"""Rows that differ only in columns that are left out: they must not count as one."""

from __future__ import annotations

from dataclasses import replace

from features.core.contract import CONTRACT
from lifecycle.init.draft import draft_sql
from lifecycle.init.parts import Part
from lifecycle.init.toml_page import Guess

Parts = dict[str, list[Part]]


def settle_duplicates(parts: Parts) -> Guess | None:
    """The guess for `exact_duplicates` where a column that is left out tells rows apart; else None.

    The rows that are equal in the whole file are then taken once by the SELECT itself.
    """
    merged = {
        part.source.label: part.merged_rows
        for files in parts.values()
        for part in files
        if part.merged_rows
    }
    if not merged:
        return None
    for table, files in parts.items():
        parts[table] = [_take_once(part) for part in files]
    listed = ", ".join(f"{rows:,} of {name}" for name, rows in merged.items())
    reason = (
        f'rows differ only in columns that are left out ({listed}): with "drop" they would count '
        "as one. Rows that are equal in the whole file are taken once by the SELECT."
    )
    return Guess("contract.exact_duplicates", '"keep"', (reason,))


def _take_once(part: Part) -> Part:
    """The part without the rows that are repeated in its file as a whole."""
    has_id = part.table == "transactions" and "transaction_id" in part.draft.selected
    if part.table == "customers" or has_id or part.draft.group_by or part.draft.from_:
        return part
    source = part.source
    distinct = source.query_count(f"SELECT count(*) FROM (SELECT DISTINCT * FROM {source.sample})")
    if distinct == source.sampled:
        return part
    for draft in (part.draft, *part.draft.further):
        draft.from_ = f"(SELECT DISTINCT * FROM {source.name})"
    note = f"{source.sampled - distinct:,} repeated rows are taken once."
    select = draft_sql(source, part.draft, CONTRACT[part.table].names)
    return replace(part, select=select, reasons=(*part.reasons, note))
