"""Ids that two files of one table share for different transactions, as two stores do."""

from __future__ import annotations

from dataclasses import replace

from lifecycle.init.parts import Part

_ROLES = ("transaction_id", "customer_id", "occurred_at")


def name_shared_ids(parts: list[Part]) -> list[Part]:
    """The parts, with a sentence where an id has another customer or time in an earlier file."""
    result: list[Part] = []
    for part in parts:
        notes = [note for other in result for note in _note(part, other)]
        result.append(replace(part, reasons=(*part.reasons, *notes)))
    return result


def _note(part: Part, other: Part) -> list[str]:
    both = [each.cells for each in (part, other)]
    is_version = any("recorded_at" in cells for cells in both)
    if part.source is other.source or is_version or not _has_ids(part, other):
        return []
    mine, theirs = (
        [f"coalesce(CAST({cells[role].sql} AS VARCHAR), '')" for role in _ROLES] for cells in both
    )
    rows = part.source.query_count(
        f"SELECT count(*) FROM {part.source.sample} WHERE {mine[0]} <> '' "
        f"AND {mine[0]} IN (SELECT {theirs[0]} FROM {other.source.sample}) "
        f"AND ({', '.join(mine)}) NOT IN (SELECT ({', '.join(theirs)}) FROM {other.source.sample})"
    )
    if not rows:
        return []
    return [
        f"CHECK: {rows:,} rows have a {part.cells['transaction_id'].column} that is in "
        f"{other.source.label} too, with another customer or another time. Of one customer the "
        "later row replaces the other: if the files are of two stores, write "
        f"'{part.source.name}:' || … AS transaction_id in the SELECT."
    ]


def _has_ids(part: Part, other: Part) -> bool:
    return all("transaction_id" in each.draft.selected for each in (part, other))
