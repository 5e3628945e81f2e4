"""Raw events of a request, read by the contract's rules into the tables that the batch job reads.

A row that the batch job would reject and count is an error here, with its path: a request is
accepted as a whole or not at all, unless each customer's errors are answered at its place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from features.core.contract import ALL_TABLES, CONTRACT
from features.core.errors import Malformed
from features.core.settings import Settings
from features.engine.prepared import rows_to_arrow
from features.recipes.attributes import Attribute
from features.tables.freshness import needed_tables
from serving.api.entry_errors import EntryErrors
from serving.api.newer_events import RunHistory
from serving.api.request_rows import (
    Row,
    contradict,
    contradiction_columns,
    is_version,
    read_row,
    row_cells,
)
from serving.api.schemas import REQUEST_TABLES, CustomerEvents, ScoreRequest, field_path
from serving.api.strict import malformed_error


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
    request: ScoreRequest,
    settings: Settings,
    *,
    as_of: int,
    attributes: Sequence[Attribute] = (),
    places: Sequence[int] | None = None,
    errors: EntryErrors | None = None,
    known: RunHistory | None = None,
) -> RequestEvents:
    """The request's events as the contract reads them; Malformed with the path of a broken rule.

    `attributes`: those of the release; a row of `customers` may have those that are not in the
    contract. `as_of` in µs UTC. `places`: where the customers stood in what was sent. `errors`
    gets every error; where each entry is answered by itself, the result is of the others. `known`:
    what the latest run knew of the customers, to which the events are added.
    """
    errors = EntryErrors() if errors is None else errors
    entries = _entries(request, places)
    further = {
        each.name: each.type for each in attributes if each.name not in CONTRACT["customers"].names
    }
    read: dict[str, list[Row]] = {}
    for entry in entries:
        _note_other_tables(entry, settings, errors)
    for name in REQUEST_TABLES:
        read[name] = []
        for entry in entries:
            rows = list(_read_rows(entry, name, settings, as_of, further, errors))
            rows = _without_duplicates(name, rows, settings, entry, errors)
            read[name] += _without_known(name, rows, known, entry, errors) if known else rows
    errors.refuse_whole()
    good = {entry.customer for entry in entries if entry.place not in errors.by_place}
    late_rows: Counter[str] = Counter()
    tables: dict[str, pa.Table] = {}
    for name, rows in read.items():
        rows = [row for row in rows if row["customer_id"] in good]
        if name != "customers":
            for row in rows:
                # Known only later, so its features ignore it; the answer warns of it.
                late_rows[row["customer_id"]] += row["recorded_at"] >= as_of
        if rows:
            tables[name] = rows_to_arrow(name, rows, attributes)
        if known is not None and name in known.tables:
            tables[name] = known.with_newer(name, tables.get(name), good)
    unsent = {
        entry.customer: frozenset(_unsent_tables(entry.sent, settings))
        for entry in entries
        if entry.customer in good
    }
    return RequestEvents(tables, late_rows, unsent)


@dataclass(frozen=True)
class _Entry:
    """A customer of the request: the place in what was sent, the id, and the events."""

    place: int
    customer: str
    sent: CustomerEvents

    def path(self, *more: str | int) -> str:
        """The path of a part of it, as `customers[3].transactions[0]`."""
        return field_path(["customers", self.place, *more])


def _entries(request: ScoreRequest, places: Sequence[int] | None) -> list[_Entry]:
    customers = request.customers or []
    numbers = range(len(customers)) if places is None else places
    return [
        _Entry(place, each.customer_id.normalized, each)
        for place, each in zip(numbers, customers, strict=True)
    ]


def _unsent_tables(sent: CustomerEvents, settings: Settings) -> list[str]:
    """The tables of the release that were not sent."""
    return [
        name for name in REQUEST_TABLES if name in settings.tables and getattr(sent, name) is None
    ]


def note_unsent_tables(
    request: ScoreRequest, settings: Settings, places: Sequence[int] | None, errors: EntryErrors
) -> None:
    """Note the tables that were not sent and that no score can do without."""
    for entry in _entries(request, places):
        for name in sorted(set(_unsent_tables(entry.sent, settings)) & needed_tables(settings)):
            rule = f"Every score needs {name}. Send [] where nothing happened."
            _note(errors, entry, entry.path(name), "a table that was not sent", rule)


def _note_other_tables(entry: _Entry, settings: Settings, errors: EntryErrors) -> None:
    """Note tables that the release does not have, and payments without their terms."""
    known = ", ".join(table for table in REQUEST_TABLES if table in settings.tables)
    for name in REQUEST_TABLES:
        if getattr(entry.sent, name) and name not in settings.tables:
            got = "rows of a table that this release does not have"
            _note(errors, entry, entry.path(name), got, f"This release has {known}.")
    rows = vars(entry.sent)
    if settings.built_terms and rows["transactions"] and not rows["contracts"]:
        # The batch job builds terms from all payments.
        rule = (
            "Terms of this release are built from payments in the batch job; a request brings "
            "them as contracts."
        )
        got = "payments without the terms they paid for"
        _note(errors, entry, entry.path("contracts"), got, rule)


def _note(errors: EntryErrors, entry: _Entry, path: str, got: str, rule: str) -> None:
    if not errors.skips(entry.place):
        errors.add(entry.place, malformed_error(path, got, rule))


def _read_rows(
    entry: _Entry,
    name: str,
    settings: Settings,
    as_of: int,
    further: dict[str, str],
    errors: EntryErrors,
) -> Iterator[Row]:
    """The rows of one table that keep the rules; the errors of the others are noted."""
    if name not in settings.tables:
        return
    path = entry.path(name)
    for number, row in enumerate(getattr(entry.sent, name) or ()):
        if errors.skips(entry.place):
            return
        place = f"{path}[{number}]"
        try:
            yield {"customer_id": entry.customer} | read_row(
                name, vars(row), settings, as_of=as_of, further=further, place=place
            )
        except Malformed as error:
            errors.add(entry.place, error)


def _without_duplicates(
    name: str, rows: list[Row], settings: Settings, entry: _Entry, errors: EntryErrors
) -> list[Row]:
    """One customer's rows without exact duplicates, where the settings say so.

    Two versions at one instant are an error.
    """
    drop, table = settings.contract.exact_duplicates == "drop", ALL_TABLES[name]
    seen: set[tuple[Any, ...]] = set()
    unique = []
    for row in rows:
        cells = row_cells(table, row)
        if cells not in seen or not (drop or is_version(table, row)):
            unique.append(row)
        seen.add(cells)
    if contradict(table, unique):
        key = ", ".join(contradiction_columns(table))
        rule = f"Rows with equal {key} are equal in all columns."
        got = "versions that contradict each other"
        _note(errors, entry, entry.path(name), got, rule)
    return unique


def _without_known(
    name: str, rows: list[Row], known: RunHistory, entry: _Entry, errors: EntryErrors
) -> list[Row]:
    """One customer's rows that the run does not know; those that contradict it are an error."""
    newer = known.newer_rows(name, rows) if rows else []
    if any(contradicts for _, contradicts in newer):
        _note(
            errors,
            entry,
            entry.path(name),
            "rows from before the run that it does not know",
            "With history run, a row is recorded at or after the run's as_of (recorded_at, else "
            "when it happened), or it is one that the run knows.",
        )
    return [row for row, _ in newer]
