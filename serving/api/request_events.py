"""Raw events of a request, read by the contract's rules: the same cells as the batch job reads from files.

A row that the batch job would reject and count is refused here by its path: a request is taken whole or not at all.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from features.core.contract import CONTRACT, MONEY_LIMIT, NUMBER_LIMIT, SURVEYS
from features.core.settings import Settings
from features.engine.prepared import typed
from features.recipes.attributes import Attribute
from serving.api.schemas import SENT, ScoreRequest, path
from serving.api.strict import refused


@dataclass(frozen=True)
class Events:
    """Typed contract tables, and per customer how many rows count only after as_of (`arrives_after_hours`)."""

    tables: dict[str, pa.Table]
    not_known_yet: Counter[str]


def events(
    request: ScoreRequest, settings: Settings, *, as_of: int, attributes: Sequence[Attribute] = ()
) -> Events:
    """Every event of the request as the contract reads it; Malformed with the path of the first that breaks a rule.

    `attributes`: the release's, of which a row of customers may state those that the contract does not name.
    """
    further = {
        one.name: one.type for one in attributes if one.name not in CONTRACT["customers"].names
    }
    out: dict[str, pa.Table] = {}
    late: Counter[str] = Counter()
    for name in SENT:
        rows = []
        for place, customer, stated in _stated(request, name, settings):
            row = _cells(name, stated, settings, place)
            _refuse_later(name, row, stated, as_of, place)
            if name == "customers":
                row |= _attributes(row.pop("attributes"), further, f"{place}.attributes")
            else:
                late[customer] += row["recorded_at"] >= as_of
            rows.append({"customer_id": customer, **row})
        if rows:
            out[name] = typed(name, _folded(name, rows, settings), attributes)
    return Events(out, late)


def _stated(
    request: ScoreRequest, name: str, settings: Settings
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for at, customer in enumerate(request.customers or []):
        rows = getattr(customer, name)
        if rows and name not in settings.tables:
            raise refused(
                path(["customers", at, name]),
                "rows of a table that this release does not know",
                f"This release knows {', '.join(table for table in SENT if table in settings.tables)}.",
            )
        for number, row in enumerate(rows):
            yield f"customers[{at}].{name}[{number}]", customer.customer_id.read, vars(row)


def _cells(name: str, stated: dict[str, Any], settings: Settings, place: str) -> dict[str, Any]:
    """The cells in contract types, with the contract's defaults and its rules over several columns."""
    row = dict(stated)
    for column in CONTRACT[name].columns:
        if column.type == "money" and row.get(column.name) is not None:
            row[column.name] = minor_units(
                row[column.name], settings.minor_digits, f"{place}.{column.name}"
            )
        elif column.type == "number" and abs(row.get(column.name) or 0) > NUMBER_LIMIT:
            raise refused(
                f"{place}.{column.name}",
                "a number out of range",
                f"A number is at most {NUMBER_LIMIT:,}.",
            )
    if name == "customers":
        return row
    clock = "starts_at" if name == "contracts" else "occurred_at"
    if row["recorded_at"] is None:
        row["recorded_at"] = row[clock] + settings.arrives_after_us(name)
    if name == "transactions" and row["kind"] is None:
        row["kind"] = "refund" if row["amount"] < 0 else "purchase"
    if name == "contracts" and row["ends_at"] <= row["starts_at"]:
        raise refused(
            f"{place}.ends_at", "a term that ends before it starts", "ends_at is after starts_at."
        )
    if name == "feedback":
        _refuse_answer(row, settings, place)
    return row


def _attributes(stated: dict[str, Any], further: dict[str, str], place: str) -> dict[str, Any]:
    """The business's own attributes of one row; refused where the release has none of that name or of another type."""
    for name, value in stated.items():
        if name not in further:
            raise refused(
                place,
                "an attribute that this release does not know",
                "Attributes are those that the release was trained with and the contract does not name.",
            )
        kind = {bool: "flag", float: "number"}.get(type(value), "text")
        if kind != further[name]:
            raise refused(
                place,
                "an attribute of another type",
                "An attribute is text, a number or a flag as it was in training.",
            )
        if kind == "number" and abs(value) > NUMBER_LIMIT:
            raise refused(place, "a number out of range", f"A number is at most {NUMBER_LIMIT:,}.")
    return {name: stated.get(name) for name in further}


def minor_units(stated: float, digits: int, where: str) -> int:
    """Money in whole minor units, by the contract's rule for floats: exact within a float's own noise, or refused."""
    minor = stated * 10**digits
    if abs(minor) > MONEY_LIMIT:
        raise refused(
            where, "an amount out of range", f"Money is at most {MONEY_LIMIT:,} minor units."
        )
    whole = int(minor + math.copysign(0.5, minor))  # halves away from zero, as the database rounds
    if abs(minor - whole) > max(1e-6, abs(minor) * 1e-12):
        raise refused(
            where, "an amount finer than minor units", f"Money has at most {digits} decimals."
        )
    return whole


def _refuse_answer(row: dict[str, Any], settings: Settings, place: str) -> None:
    score, answered = row["score"], row["answered_at"]
    if answered is not None and answered < row["occurred_at"]:
        raise refused(
            f"{place}.answered_at",
            "an answer before the question",
            "answered_at is not before occurred_at.",
        )
    if row["resolved_at"] is not None and row["resolved_at"] < row["occurred_at"]:
        raise refused(
            f"{place}.resolved_at",
            "resolved before it was raised",
            "resolved_at is not before occurred_at.",
        )
    if score is None:
        return
    if answered is None:
        raise refused(
            f"{place}.answered_at",
            "a score without its instant",
            "A score comes with its answered_at.",
        )
    if row["kind"] in SURVEYS and row["kind"] not in settings.contract.scales:
        raise refused(
            f"{place}.score",
            "a score without a scale",
            "A survey's score has a scale under [contract] scales.",
        )
    low, high = settings.contract.scales.get(row["kind"], (float("-inf"), float("inf")))
    if not low <= score <= high:
        raise refused(
            f"{place}.score",
            "a score off its scale",
            f"A {row['kind']} score lies from {low:g} to {high:g}.",
        )


def _refuse_later(
    name: str, row: dict[str, Any], stated: dict[str, Any], as_of: int, place: str
) -> None:
    for column in CONTRACT[name].columns:
        at = stated.get(column.name)
        if column.type == "instant" and not column.may_lie_ahead and at is not None and at >= as_of:
            raise refused(
                f"{place}.{column.name}",
                "an instant at or after as_of",
                "What is sent was known before as_of.",
            )
    if name == "contracts" and stated["recorded_at"] is None and row["recorded_at"] >= as_of:
        raise refused(
            f"{place}.recorded_at",
            "a term ahead of as_of",
            "A term that starts ahead comes with its recorded_at.",
        )


def _folded(name: str, rows: list[dict[str, Any]], settings: Settings) -> list[dict[str, Any]]:
    """Rows equal in every column once, where the settings say so; two versions at one instant are refused."""
    drop, table = settings.contract.exact_duplicates == "drop", CONTRACT[name]
    seen, kept = set(), []
    for row in rows:
        cells = (
            tuple(row.values())
            if table.attributes
            else tuple(row[column] for column in table.names)
        )
        folds = drop or (
            table.version_of and (name != "transactions" or row["transaction_id"] is not None)
        )
        if not folds or cells not in seen:
            kept.append(row)
        seen.add(cells)
    if table.version_of:
        named = [row for row in kept if name != "transactions" or row["transaction_id"] is not None]
        key = table.version_of if table.attributes else (*table.version_of, "recorded_at")
        if len({tuple(row[column] for column in key) for row in named}) < len(named):
            raise refused(
                f"customers[].{name}",
                "versions that contradict each other",
                f"Rows equal in {', '.join(key)} are equal in everything.",
            )
    return kept
