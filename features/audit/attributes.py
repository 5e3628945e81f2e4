"""Columns of the raw SELECTs that no clock guards: ids, load times, and what is said as of today.

A customer's attribute without `valid_from` is one value for all time. It is "as of today" if it follows what happened
after an as_of better than anything known at it could: the whole history's counts, sums and last days, or the outcome.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from features.audit.findings import LEAK, LOOK, AsOfSlice, Finding
from features.audit.leaks import FEW, TOO_GOOD
from features.audit.ranks import auroc, correlation, tells
from features.core.contract import CONTRACT, EVENT_TABLES
from features.core.instants import DAY_US
from features.core.settings import Settings
from features.tables.history import History
from features.tables.parsing import INSTANT, literal, quoted
from features.tables.sources import read

SAME, BEYOND = 0.9, 0.02  # equal in so many rows; so much better than what was known at as_of
SETTLED = 0.995  # a trait is seen better the longer one looks, but it settles nothing
LEVELS = 20
_NUMBERS = ("INT", "DOUBLE", "FLOAT", "DECIMAL", "REAL", "BOOL")


@dataclass(frozen=True)
class Attribute:
    """One raw column as numbers: `kind` instant (µs), number, or text (codes); NaN where empty."""

    name: str
    kind: str
    customers: np.ndarray
    values: np.ndarray
    distinct: int

    def of(self, customers: np.ndarray) -> np.ndarray:
        """The values of these customers, NaN where there is none."""
        order = np.argsort(self.customers)
        place = np.minimum(np.searchsorted(self.customers, customers, sorter=order), len(order) - 1)
        found = order[place]
        return np.where(self.customers[found] == customers, self.values[found], np.nan)


def suspicious(
    history: History, settings: Settings, moments: Sequence[AsOfSlice]
) -> Iterator[Finding]:
    """Findings about the columns of the customers SELECT, and load times among the columns nobody reads."""
    intake = read(
        settings.model_copy(update={"tables": {}})
    )  # the files, behind the same locks, and no table yet
    try:
        intake.connection.execute("SET schema = 'files'")
        for name, select in settings.tables.items():
            body = select.strip().rstrip(";")
            intake.connection.execute(
                f"CREATE OR REPLACE TEMP TABLE _raw AS SELECT * FROM ({body})"
            )
            types = {
                row[0]: row[1] for row in intake.connection.execute("DESCRIBE _raw").fetchall()
            }
            if name == "customers":
                for attribute in _attributes(intake.connection, types, history):
                    yield from _attribute(attribute, history, moments)
            elif name in EVENT_TABLES:
                yield from _unused(intake.connection, name, types, history)
    finally:
        intake.connection.close()


def _attributes(connection, types: dict[str, str], history: History) -> Iterator[Attribute]:
    """One attribute a column; with `valid_from` each version has its clock, and nothing is said as of today."""
    names = [name for name in types if name not in ("customer_id", "valid_from", "acquired_at")]
    if "valid_from" in types:
        return
    for name in names:
        kind = _kind(connection, name, types[name])
        value = _number(name, kind, types[name])
        # One statement for both: a window reorders rows.
        rows = connection.execute(
            f"SELECT trim(CAST(customer_id AS VARCHAR)), {value} FROM _raw"
        ).to_arrow_table()
        customers, values = (
            np.array(rows[0].to_pylist(), dtype=str),
            rows[1].cast(pa.float64()).to_numpy(),
        )
        full = values[~np.isnan(values)]
        if full.size:
            yield Attribute(f"customers.{name}", kind, customers, values, len(np.unique(full)))


def _kind(connection, name: str, stated: str) -> str:
    if stated.startswith(("TIMESTAMP", "DATE")):
        return "instant"
    if any(word in stated for word in _NUMBERS):
        return "number"
    text = f"trim(CAST({quoted(name)} AS VARCHAR))"
    tests = f"count(*) FILTER ({text} <> ''), count(*) FILTER (regexp_matches({text}, {literal(INSTANT)})), count(try_cast({text} AS DOUBLE))"
    count, instants, numbers = connection.execute(f"SELECT {tests} FROM _raw").fetchone()
    return (
        "instant"
        if count and instants == count
        else "number"
        if count and numbers == count
        else "text"
    )


def _number(name: str, kind: str, stated: str) -> str:
    """SQL for the column as a double: instants in µs, texts as the rank of their value."""
    text = f"nullif(trim(CAST({quoted(name)} AS VARCHAR)), '')"
    if kind == "instant":
        return f"CAST(epoch_us(try_cast({text} AS TIMESTAMPTZ)) AS DOUBLE)"
    if kind == "number":
        source = f"CAST({quoted(name)} AS INTEGER)" if stated == "BOOLEAN" else text
        return f"try_cast({source} AS DOUBLE)"
    return (
        f"CASE WHEN {text} IS NOT NULL THEN CAST(dense_rank() OVER (ORDER BY {text}) AS DOUBLE) END"
    )


def _attribute(
    attribute: Attribute, history: History, moments: Sequence[AsOfSlice]
) -> Iterator[Finding]:
    count = int((~np.isnan(attribute.values)).sum())
    if attribute.kind == "instant" and (
        found := _load_time(attribute.name, attribute.values, history, LEAK)
    ):
        yield found
        return
    if attribute.kind != "instant" and attribute.distinct == count >= FEW and _like_ids(attribute):
        yield Finding(
            LOOK,
            "an id",
            attribute.name,
            "every customer has a value of their own: it names customers, and says nothing of them",
        )
    for moment in moments:
        ids = np.array(moment.rows["customer_id"].to_pylist(), dtype=str)
        values = attribute.of(ids)
        if (~np.isnan(values)).sum() >= FEW:
            yield from _today(attribute, values, ids, history, moment)


def _like_ids(attribute: Attribute) -> bool:
    """Texts and whole numbers; a measured number may well be different for each."""
    full = attribute.values[~np.isnan(attribute.values)]
    return attribute.kind == "text" or bool((full == np.round(full)).all())


def _today(
    attribute: Attribute, values: np.ndarray, ids: np.ndarray, history: History, moment: AsOfSlice
) -> Iterator[Finding]:
    where, at = attribute.name, moment.at
    for words, whole, known in _aggregates(history, ids, at):
        if found := _follows(attribute, values, whole, known):
            yield Finding(
                LEAK,
                "as of today",
                where,
                f"it {found[0]} {words} of the whole history, not of what was known",
                found[1],
                at,
            )
            return
    y, asked = moment.churned, moment.asked
    if min((y & asked).sum(), (~y & asked).sum()) < FEW:
        return
    columns = [values] if attribute.kind != "text" else list(_levels(values))
    if columns and (value := max(tells(y[asked], column[asked]) for column in columns)) > TOO_GOOD:
        yield Finding(
            LEAK,
            "as of today",
            where,
            f"it has AUROC {value:.3f} for churn after an as_of long before it was written",
            value,
            at,
        )


def _follows(
    attribute: Attribute, values: np.ndarray, whole: np.ndarray, known: np.ndarray
) -> tuple[str, float] | None:
    """Whether an attribute says the whole history's aggregate where that is another than the known one."""
    apart = (whole != known) & ~np.isnan(values)
    if apart.sum() < FEW:
        return None
    one, other = (
        (values // DAY_US, whole // DAY_US) if attribute.kind == "instant" else (values, whole)
    )
    if (share := float((one[apart] == other[apart]).mean())) >= SAME:
        return "equals", share
    if attribute.kind != "text":
        rank = abs(correlation(values, whole))
        if rank > TOO_GOOD and rank > abs(correlation(values, known)) + BEYOND:
            return "ranks customers as", rank
    if attribute.distinct <= LEVELS:
        return _splits(values, whole, known)
    return None


def _splits(values: np.ndarray, whole: np.ndarray, known: np.ndarray) -> tuple[str, float] | None:
    """A flag or level that the whole history's aggregate separates, and the known one does not."""
    full = ~np.isnan(values)
    for level in _levels(values):
        y = level[full] > 0
        if min(y.sum(), (~y).sum()) >= FEW:
            first, second = (
                max(value, 1 - value) for value in (auroc(y, whole[full]), auroc(y, known[full]))
            )
            if first > SETTLED and first > second + BEYOND:
                return "is settled by", first
    return None


def _levels(values: np.ndarray) -> Iterator[np.ndarray]:
    """One column of 0 and 1 for each value, NaN where empty."""
    levels = np.unique(values[~np.isnan(values)])
    for level in levels if levels.size <= LEVELS else ():
        yield np.where(np.isnan(values), np.nan, (values == level).astype(float))


def _aggregates(
    history: History, ids: np.ndarray, at: int
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """(words, over the whole history, as known at `at`) for each of these customers."""
    kinds = ", ".join(literal(kind) for kind in history.activity_kinds)
    asked = [
        (
            "the number of activities",
            history.activity_table,
            f"count(*) FILTER (kind IN ({kinds}))",
        ),
        (
            "the number of active days",
            history.activity_table,
            f"count(DISTINCT local_day) FILTER (kind IN ({kinds}))",
        ),
        (
            "the last activity",
            history.activity_table,
            f"max(occurred_at) FILTER (kind IN ({kinds}))",
        ),
    ]
    if "transactions" in history.names:
        spent = "sum(amount) FILTER (kind = 'purchase')"
        scale = f"CAST({spent} AS DOUBLE)"
        asked += [
            ("the money spent", "transactions", scale),
            ("the number of transactions", "transactions", "count(*)"),
        ]
    for words, table, aggregate in asked:
        known = f"(SELECT * FROM {table} WHERE recorded_at < {at} AND occurred_at < {at})"
        yield (
            words,
            _by_customer(history, ids, table, aggregate),
            _by_customer(history, ids, known, aggregate),
        )


def _by_customer(history: History, ids: np.ndarray, table: str, aggregate: str) -> np.ndarray:
    found = history.connection.execute(
        f"SELECT customer_id, CAST({aggregate} AS DOUBLE) FROM {table} GROUP BY 1"
    ).to_arrow_table()
    values = dict(zip(found[0].to_pylist(), found[1].to_pylist(), strict=True))
    return np.array([np.nan if values.get(name) is None else values[name] for name in ids])


def _unused(connection, name: str, types: dict[str, str], history: History) -> Iterator[Finding]:
    """Load times among the columns of an event table that the contract does not know."""
    for column, stated in types.items():
        if column not in CONTRACT[name].names and _kind(connection, column, stated) == "instant":
            values = connection.execute(
                f"SELECT {_number(column, 'instant', stated)} FROM _raw"
            ).to_arrow_table()[0]
            if found := _load_time(
                f"{name}.{column}", values.cast(pa.float64()).to_numpy(), history, LOOK
            ):
                yield found


def _load_time(where: str, values: np.ndarray, history: History, severity: str) -> Finding | None:
    """An instant that is nearly one day for all, late in the history, or after all of it."""
    full = values[~np.isnan(values)]
    if full.size < FEW:
        return None
    bounds = (
        f"SELECT quantile_cont(occurred_at, 0.95), max(occurred_at) FROM {history.activity_table}"
    )
    late, newest = history.connection.execute(bounds).fetchone()
    days, counts = np.unique(full // DAY_US, return_counts=True)
    share = float(counts.max() / full.size)
    after = float((full >= newest).mean())
    if (share >= SAME and (days[counts.argmax()] + 1) * DAY_US >= late) or after >= 0.99:
        why = f"{share:.0%} of its values are one day, at the end of the events: it tells when rows were loaded, not what happened"
        return Finding(severity, "load time", where, why, max(share, after))
    return None
