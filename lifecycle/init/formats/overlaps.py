"""Rows that two exports of one list share: they count once, and two stores stay two.

The number of an order is no proof: every store begins with #1001. A row is in both files where its
id, its time, its person and, where there is one, its column `Id` are equal; then the newer file
counts. Where one id has other contents, the files are of two stores, and the ids of the second
one begin with its name.
"""

from __future__ import annotations

from dataclasses import replace

from features.tables.parsing import literal, quote_identifier
from lifecycle.init.parts import Part
from lifecycle.init.source import squash


def add_rows_once(parts: dict[str, list[Part]], added: list[Part]) -> None:
    """Add the parts of one file, without the rows that an earlier file has too."""
    own = _first_with_ids(added)
    others = _earlier_lists(parts, own) if own else []
    notes = [note for other in others if own for note in _conflict_note(own, other)]
    result = []
    for part in added:
        if part.table == "customers":
            for earlier in parts.get("customers", []):
                part = _without_customers_of(part, earlier)
        elif own and part.table == own.table and "transaction_id" in part.cells:
            # Payments and refunds are of the same rows of the file: they go together.
            for other in others:
                part = _without_rows_of(part, own, other)
        result.append(part)
    for part in _prefix_ids(result, notes) if notes else result:
        parts.setdefault(part.table, []).append(part)


def _first_with_ids(parts: list[Part]) -> Part | None:
    return next((part for part in parts if "transaction_id" in part.cells), None)


def _earlier_lists(parts: dict[str, list[Part]], own: Part) -> list[Part]:
    """The first part with ids of each earlier file with the same columns."""
    firsts: dict[str, Part] = {}
    for part in parts.get(own.table, []):
        if "transaction_id" in part.cells and set(part.source.types) == set(own.source.types):
            firsts.setdefault(part.source.name, part)
    return list(firsts.values())


def _without_customers_of(part: Part, other: Part) -> Part:
    mine, theirs = part.cells["customer_id"].sql, other.cells["customer_id"].sql
    return _without(part, other, f"{mine} IN (SELECT {theirs} FROM {_file(other)})")


def _without_rows_of(part: Part, own: Part, other: Part) -> Part:
    """The part without the rows of the other file; a note counts those with another amount."""
    pairs = _identity(own, other)
    result = _without(part, other, _is_in(pairs, other))
    if result is part or part is not own:
        return result
    money = [f"TRY_CAST({each.cells['amount'].sql} AS DOUBLE)" for each in (own, other)]
    same = _is_in([*pairs, (money[0], money[1])], other)
    changed = _count(part, f"({_is_in(pairs, other)}) AND ({same}) IS NOT TRUE")
    if not changed:
        return result
    note = (
        f"CHECK: {changed:,} of them have another amount in {part.source.label}: that of "
        f"{other.source.label}, which has newer rows, counts."
    )
    return replace(result, reasons=(*result.reasons, note))


def _without(part: Part, other: Part, condition: str) -> Part:
    """The part without the rows of the condition; as it is where there are none."""
    rows = _count(part, condition)
    if not rows:
        return part
    note = f"{rows:,} rows are in {other.source.label} too and count once."
    select = _with_condition(part, f"({condition}) IS NOT TRUE")
    return replace(part, select=select, reasons=(*part.reasons, note))


def _conflict_note(part: Part, other: Part) -> list[str]:
    """What is said where ids of both files have different contents; nothing where none has."""
    pairs = _identity(part, other)
    rows = _count(part, f"{_is_in(pairs[:1], other)} AND ({_is_in(pairs, other)}) IS NOT TRUE")
    if not rows:
        return []
    return [
        f"CHECK: {rows:,} rows have a {part.cells['transaction_id'].column} that is in "
        f"{other.source.label} too, with another customer or another time: they are read as "
        f"orders of two stores, and transaction_id begins with '{part.source.name}:'. If they are "
        "changed rows of one store, give init the newer file alone."
    ]


def _prefix_ids(parts: list[Part], notes: list[str]) -> list[Part]:
    """The parts of one file, whose ids begin with its name; the first says why."""
    result = []
    for part in parts:
        if "transaction_id" in part.cells:
            sql = part.cells["transaction_id"].sql
            prefixed = f"{literal(part.source.name + ':')} || {sql} AS transaction_id"
            select = part.select.replace(f"{sql} AS transaction_id", prefixed, 1)
            reasons = (*part.reasons, *notes)
            part, notes = replace(part, select=select, reasons=reasons), []
        result.append(part)
    return result


def _identity(part: Part, other: Part) -> list[tuple[str, str]]:
    """SQL of the part and of the other file for all that is equal in one row; the id first."""
    mine, theirs = part.cells, other.cells
    pairs = [
        (mine["transaction_id"].sql, theirs["transaction_id"].sql),
        _times(mine["occurred_at"].sql, theirs["occurred_at"].sql),
    ]
    if mine["customer_id"].column == theirs["customer_id"].column:
        pairs.append((mine["customer_id"].sql, theirs["customer_id"].sql))
    pairs += [
        (part.source.sql(column), other.source.sql(column))
        for column in part.source.types
        if squash(column) == "id" and column != mine["transaction_id"].column
    ]
    return pairs


def _times(mine: str, theirs: str) -> tuple[str, str]:
    """Both as they are where they are read alike; else as instants."""
    if mine == theirs:
        return mine, theirs
    return (
        f"TRY_CAST(CAST({mine} AS VARCHAR) AS TIMESTAMPTZ)",
        f"TRY_CAST(CAST({theirs} AS VARCHAR) AS TIMESTAMPTZ)",
    )


def _is_in(pairs: list[tuple[str, str]], other: Part) -> str:
    """SQL that is true where a row of the file is one of the other file."""
    # An empty cell is equal to an empty cell, so each is compared as text.
    mine = ", ".join(f"coalesce(CAST({one} AS VARCHAR), '')" for one, _ in pairs)
    theirs = ", ".join(f"coalesce(CAST({two} AS VARCHAR), '')" for _, two in pairs)
    return f"({mine}) IN (SELECT ({theirs}) FROM {_file(other)})"


def _file(part: Part) -> str:
    return f"files.{quote_identifier(part.source.name)}"


def _count(part: Part, condition: str) -> int:
    select = _with_condition(part, f"({condition}) IS TRUE")
    return part.source.query_count(f"SELECT count(*) FROM ({select})")


def _with_condition(part: Part, condition: str) -> str:
    head, qualify, tail = part.select.partition(" QUALIFY ")
    joint = " AND " if f" FROM {part.source.name} WHERE " in head else " WHERE "
    return f"{head}{joint}{condition}{qualify}{tail}"
