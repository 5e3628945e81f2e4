"""Raw events of a request, read by the contract's rules into the tables that the batch job reads.

A row that the batch job would reject and count is refused here by its path: a request is accepted
as a whole or not at all.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from features.core.contract import (
    ALL_TABLES,
    CONTRACT,
    MONEY_LIMIT,
    NUMBER_LIMIT,
    OPEN_END_US,
    OPEN_FROM_US,
    SURVEYS,
    Table,
)
from features.core.settings import Settings
from features.engine.prepared import rows_to_arrow
from features.recipes.attributes import Attribute
from features.tables.freshness import needed_tables
from serving.api.schemas import REQUEST_TABLES, ScoreRequest, field_path
from serving.api.strict import malformed_error

Row = dict[str, Any]


@dataclass(frozen=True)
class RequestEvents:
    """Typed contract tables, and per customer the number of rows that count only after as_of.

    Such `late_rows` come from a table with `arrives_after_hours`. unsent: per customer the tables
    of the release that were left out; an empty table was sent.
    """

    tables: dict[str, pa.Table]
    late_rows: Counter[str]
    unsent: dict[str, frozenset[str]]


def read_events(
    request: ScoreRequest, settings: Settings, *, as_of: int, attributes: Sequence[Attribute] = ()
) -> RequestEvents:
    """The request's events as the contract reads them; Malformed with the path of a broken rule.

    `attributes`: those of the release; a row of `customers` may have those that are not in the
    contract. `as_of` in µs UTC.
    """
    if settings.built_terms:
        _refuse_payments_without_terms(request)
    further = {
        each.name: each.type for each in attributes if each.name not in CONTRACT["customers"].names
    }
    tables: dict[str, pa.Table] = {}
    late_rows: Counter[str] = Counter()
    for name in REQUEST_TABLES:
        rows = []
        for place, customer, sent in _rows_of_table(request, name, settings):
            row = _contract_row(name, sent, settings, place)
            _refuse_future(name, row, sent, as_of, place)
            if name == "customers":
                row |= _read_attributes(row.pop("attributes"), further, f"{place}.attributes")
            else:
                # Known only later, so its features ignore it; the answer warns of it.
                late_rows[customer] += row["recorded_at"] >= as_of
            rows.append({"customer_id": customer, **row})
        if rows:
            tables[name] = rows_to_arrow(
                name, _without_duplicates(name, rows, settings), attributes
            )
    return RequestEvents(tables, late_rows, _unsent_tables(request, settings))


def _unsent_tables(request: ScoreRequest, settings: Settings) -> dict[str, frozenset[str]]:
    """Per customer the tables of the release that were not sent."""
    tables = [name for name in REQUEST_TABLES if name in settings.tables]
    return {
        customer.customer_id.normalized: frozenset(
            name for name in tables if getattr(customer, name) is None
        )
        for customer in request.customers or []
    }


def refuse_without_needed_tables(events: RequestEvents, settings: Settings) -> None:
    """Malformed where a table was not sent that no score can do without."""
    for position, missing in enumerate(events.unsent.values()):
        for name in sorted(missing & needed_tables(settings)):
            raise malformed_error(
                field_path(["customers", position, name]),
                "a table that was not sent",
                f"Every score needs {name}. Send [] where nothing happened.",
            )


def _refuse_payments_without_terms(request: ScoreRequest) -> None:
    """Malformed for payments without terms: the batch job builds these from all payments."""
    for position, customer in enumerate(request.customers or []):
        rows = vars(customer)
        if rows["transactions"] and not rows["contracts"]:
            raise malformed_error(
                field_path(["customers", position, "contracts"]),
                "payments without the terms they paid for",
                "Terms of this release are built from payments in the batch job; a request brings "
                "them as contracts.",
            )


def _rows_of_table(
    request: ScoreRequest, name: str, settings: Settings
) -> Iterator[tuple[str, str, Row]]:
    """(path, customer id, row) of every row of one table."""
    for position, customer in enumerate(request.customers or []):
        rows = getattr(customer, name)
        if rows and name not in settings.tables:
            known = ", ".join(table for table in REQUEST_TABLES if table in settings.tables)
            raise malformed_error(
                field_path(["customers", position, name]),
                "rows of a table that this release does not have",
                f"This release has {known}.",
            )
        for number, row in enumerate(rows or ()):
            path = f"customers[{position}].{name}[{number}]"
            yield path, customer.customer_id.normalized, vars(row)


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


def _without_duplicates(name: str, rows: list[Row], settings: Settings) -> list[Row]:
    """The rows without exact duplicates, where the settings say so.

    Malformed for two versions at one instant.
    """
    drop, table = settings.contract.exact_duplicates == "drop", ALL_TABLES[name]
    seen: set[tuple[Any, ...]] = set()
    unique = []
    for row in rows:
        # Attributes of the business are not in the contract's names.
        names = row if table.attributes else table.names
        cells = tuple(row[column] for column in names)
        if cells not in seen or not (drop or _is_version(table, row)):
            unique.append(row)
        seen.add(cells)
    if table.version_of:
        _refuse_contradictions(table, [row for row in unique if _is_version(table, row)])
    return unique


def _is_version(table: Table, row: Row) -> bool:
    """Whether the row is a version of something: transactions only with a transaction_id."""
    if not table.version_of:
        return False
    return table.name != "transactions" or row["transaction_id"] is not None


def _refuse_contradictions(table: Table, versions: list[Row]) -> None:
    # Of attributes no two versions may share an instant; elsewhere a correction is recorded later.
    key = table.version_of if table.attributes else (*table.version_of, "recorded_at")
    cells = {(*(row[column] for column in key), _refund_cell(table, row)) for row in versions}
    if len(cells) < len(versions):
        rule = f"Rows with equal {', '.join(key)} are equal in all columns."
        got = "versions that contradict each other"
        raise malformed_error(f"customers[].{table.name}", got, rule)


def _refund_cell(table: Table, row: Row) -> int | None:
    """What makes a refund another row than its order: its own instant; null for all other rows."""
    if table.name != "transactions":
        return None
    return row["occurred_at"] if row["kind"] == "refund" or row["amount"] < 0 else None
