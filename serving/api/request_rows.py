"""One row of a request by the contract's rules: those over several columns, and of the settings."""

from __future__ import annotations

import math
from typing import Any

from features.core.contract import (
    ALL_TABLES,
    MONEY_LIMIT,
    NUMBER_LIMIT,
    OPEN_END_US,
    OPEN_FROM_US,
    SURVEYS,
    Table,
)
from features.core.settings import Settings
from serving.api.strict import malformed_error

Row = dict[str, Any]


def read_row(
    name: str,
    sent: Row,
    settings: Settings,
    *,
    as_of: int,
    further: dict[str, str],
    place: str,
) -> Row:
    """The row as the contract reads it, without its customer; Malformed for a broken rule.

    `as_of` in µs UTC. `further`: the types of the business's own attributes. `place`: its path.
    """
    row = _contract_row(name, sent, settings, place)
    _refuse_future(name, row, sent, as_of, place)
    if name == "customers":
        row |= _read_attributes(row.pop("attributes"), further, f"{place}.attributes")
    return row


def _contract_row(name: str, sent: Row, settings: Settings, place: str) -> Row:
    """The row in contract types and with its defaults; checks the rules over several columns."""
    row = _contract_numbers(name, sent, settings, place)
    if name == "customers":
        return row
    clock = "starts_at" if name == "contracts" else "occurred_at"
    # Without recorded_at a row counts from its own instant, plus the known delay of its table.
    if row["recorded_at"] is None:
        row["recorded_at"] = row[clock] + settings.arrives_after_us(name)
    if name == "transactions" and row["kind"] is None:
        row["kind"] = "refund" if row["amount"] < 0 else "purchase"
    if name == "contracts" and (row["ends_at"] is None or row["ends_at"] >= OPEN_FROM_US):
        row["ends_at"] = OPEN_END_US
    if name == "contracts" and row["ends_at"] <= row["starts_at"]:
        rule = "ends_at is after starts_at."
        raise malformed_error(f"{place}.ends_at", "a term that ends before it starts", rule)
    if name == "feedback":
        _check_feedback_instants(row, place)
        _check_score(row, settings, place)
    return row


def _contract_numbers(name: str, sent: Row, settings: Settings, place: str) -> Row:
    """The row with money in minor units and numbers within their limit."""
    row = dict(sent)
    for column in ALL_TABLES[name].columns:
        value, where = row.get(column.name), f"{place}.{column.name}"
        if column.type == "money" and value is not None:
            row[column.name] = minor_units(value, settings.minor_digits, where)
        elif column.type == "number":
            _check_number(value, where)
    return row


def _check_number(value: float | None, where: str) -> None:
    if value is not None and abs(value) > NUMBER_LIMIT:
        rule = f"A number is at most {NUMBER_LIMIT:,}."
        raise malformed_error(where, "a number out of range", rule)


def _read_attributes(sent: Row, further: dict[str, str], place: str) -> Row:
    """The business's own attributes of one row, null where absent.

    Malformed where the release has none of that name or of another type.
    """
    for name, value in sent.items():
        if name not in further:
            got = "an attribute that this release does not have"
            rule = "Attributes are those of the training that are not in the contract."
            raise malformed_error(place, got, rule)
        kind = {bool: "flag", float: "number"}.get(type(value), "text")
        if kind != further[name]:
            rule = "An attribute is text, a number or a flag as it was in training."
            raise malformed_error(place, "an attribute of another type", rule)
        if kind == "number":
            _check_number(value, place)
    return {name: sent.get(name) for name in further}


def minor_units(amount: float, digits: int, where: str) -> int:
    """Money in whole minor units; Malformed for an amount finer than these.

    The contract's rule for floats: exact within a float's own rounding.
    """
    minor = amount * 10**digits
    if abs(minor) > MONEY_LIMIT:
        rule = f"Money is at most {MONEY_LIMIT:,} minor units."
        raise malformed_error(where, "an amount out of range", rule)
    whole = int(minor + math.copysign(0.5, minor))  # halves away from zero, as the database rounds
    if abs(minor - whole) > max(1e-6, abs(minor) * 1e-12):
        rule = f"Money has at most {digits} decimals."
        raise malformed_error(where, "an amount finer than minor units", rule)
    return whole


def _check_feedback_instants(row: Row, place: str) -> None:
    answered, resolved = row["answered_at"], row["resolved_at"]
    if answered is not None and answered < row["occurred_at"]:
        rule = "answered_at is not before occurred_at."
        raise malformed_error(f"{place}.answered_at", "an answer before the question", rule)
    if resolved is not None and resolved < row["occurred_at"]:
        rule = "resolved_at is not before occurred_at."
        raise malformed_error(f"{place}.resolved_at", "resolved before it was raised", rule)


def _check_score(row: Row, settings: Settings, place: str) -> None:
    """A score has an answered_at and lies on its scale."""
    score, kind, scales = row["score"], row["kind"], settings.contract.scales
    if score is None:
        return
    if row["answered_at"] is None:
        rule = "A score comes with its answered_at."
        raise malformed_error(f"{place}.answered_at", "a score without its instant", rule)
    if kind in SURVEYS and kind not in scales:
        rule = "A survey's score has a scale under [contract] scales."
        raise malformed_error(f"{place}.score", "a score without a scale", rule)
    low, high = scales.get(kind, (-math.inf, math.inf))
    if not low <= score <= high:
        rule = f"A {kind} score is from {low:g} to {high:g}."
        raise malformed_error(f"{place}.score", "a score outside its scale", rule)


def _refuse_future(name: str, row: Row, sent: Row, as_of: int, place: str) -> None:
    """Malformed for an instant at or after as_of, except those that may lie ahead."""
    for column in ALL_TABLES[name].columns:
        value = sent.get(column.name)
        if column.type != "instant" or column.may_lie_ahead or value is None:
            continue
        if value >= as_of:
            rule = "Events of a request are known before as_of."
            raise malformed_error(f"{place}.{column.name}", "an instant at or after as_of", rule)
    if name == "contracts" and sent["recorded_at"] is None and row["recorded_at"] >= as_of:
        rule = "A term that starts at or after as_of has its recorded_at."
        raise malformed_error(f"{place}.recorded_at", "a term that starts after as_of", rule)


def row_cells(table: Table, row: Row) -> tuple[Any, ...]:
    """The cells by which rows of a table are exact duplicates."""
    # Attributes of the business are not in the contract's names.
    return tuple(row[column] for column in (row if table.attributes else table.names))


def is_version(table: Table, row: Row) -> bool:
    """Whether the row is a version of something: transactions only with a transaction_id."""
    if not table.version_of:
        return False
    return table.name != "transactions" or row["transaction_id"] is not None


def contradiction_columns(table: Table) -> tuple[str, ...]:
    """The columns in which no two versions are equal."""
    # Of attributes no two versions may share an instant; elsewhere a correction is recorded later.
    return table.version_of if table.attributes else (*table.version_of, "recorded_at")


def contradict(table: Table, rows: list[Row]) -> bool:
    """Whether two of the rows are versions of one row at one instant."""
    versions = [row for row in rows if is_version(table, row)]
    key = contradiction_columns(table)
    cells = {(*(row[column] for column in key), _refund_cell(table, row)) for row in versions}
    return len(cells) < len(versions)


def _refund_cell(table: Table, row: Row) -> int | None:
    """What makes a refund another row than its order: its own instant; null for all other rows."""
    if table.name != "transactions":
        return None
    return row["occurred_at"] if row["kind"] == "refund" or row["amount"] < 0 else None
