"""Raw columns that no clock dates: ids, load times, and values as of today.

A customer's attribute without `valid_from` has one value for all time. It is "as of today" if it
follows what happened after an as_of better than anything known at it: the counts, sums and last
days of the whole history, or the outcome.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa

from features.audit.findings import LEAK, REVIEW, AsOfSlice, Finding
from features.audit.leaks import FEW, TOO_GOOD
from features.audit.ranks import auroc, best_auroc, rank_correlation
from features.audit.written_back import FORETELLS, Leaving, find_leavers
from features.core.contract import CONTRACT, EVENT_TABLES
from features.core.instants import DAY_US
from features.core.settings import Settings
from features.tables.history import History
from features.tables.parsing import INSTANT, literal, quote_identifier
from features.tables.reading import temporary
from features.tables.sources import read_tables

SAME = 0.9  # share of rows in which a copy of an aggregate equals it
BEYOND = 0.02  # how much more the whole history explains than what was known at as_of
SEPARATED = 0.995  # a trait correlates with a longer history, but does not separate it so well
MAX_LEVELS = 20
MOSTLY_AGE = 0.8  # rank correlation with the first activity
_NUMBERS = ("INT", "DOUBLE", "FLOAT", "DECIMAL", "REAL", "BOOL")


@dataclass(frozen=True)
class RawColumn:
    """One raw column as numbers (rows,), NaN where empty.

    kind: instant (µs), number, or text (the rank of its value). distinct: number of values.
    """

    name: str
    kind: str
    customers: np.ndarray
    values: np.ndarray
    distinct: int

    def values_for(self, customers: np.ndarray) -> np.ndarray:
        """The values of these customers, NaN where there is none."""
        order = np.argsort(self.customers)
        place = np.minimum(np.searchsorted(self.customers, customers, sorter=order), len(order) - 1)
        rows = order[place]
        return np.where(self.customers[rows] == customers, self.values[rows], np.nan)


def find_suspicious_columns(
    history: History, settings: Settings, slices: Sequence[AsOfSlice]
) -> Iterator[Finding]:
    """Findings about columns of the customers SELECT, and load times in columns that none reads."""
    # The files alone, read under the same restrictions; the tables are selected below.
    intake = read_tables(settings.model_copy(update={"tables": {}}), keep_converted=True)
    try:
        intake.connection.execute("SET schema = 'files'")
        for name, select in settings.selects.items():
            body = select.strip().rstrip(";")
            intake.connection.execute(
                f"CREATE OR REPLACE TEMP TABLE _raw AS SELECT * FROM ({body})"
            )
            described = intake.connection.execute("DESCRIBE _raw").fetchall()
            types = {row[0]: row[1] for row in described}
            if name == "customers":
                leaving = find_leavers(history, settings)
                for column in _customer_columns(intake.connection, types):
                    yield from _check_customer_column(column, history, slices)
                    yield from _check_against_leavers(column, leaving)
            elif name in EVENT_TABLES:
                yield from _find_unread_load_times(intake.connection, name, types, history)
    finally:
        temporary.folder_of(intake.connection).remove()
        intake.connection.close()


def _customer_columns(
    connection: duckdb.DuckDBPyConnection, types: dict[str, str]
) -> Iterator[RawColumn]:
    """Each column of customers with a value; none with `valid_from`, which dates every version."""
    names = [name for name in types if name not in ("customer_id", "valid_from", "acquired_at")]
    if "valid_from" in types:
        return
    for name in names:
        kind = _kind(connection, name, types[name])
        value = _number(name, kind, types[name])
        # One statement reads ids and values: the ranks of texts reorder the rows.
        rows = connection.execute(
            f"SELECT trim(CAST(customer_id AS VARCHAR)), {value} FROM _raw"
        ).to_arrow_table()
        customers = np.array(rows[0].to_pylist(), dtype=str)
        values = rows[1].cast(pa.float64()).to_numpy()
        full = values[~np.isnan(values)]
        if full.size:
            yield RawColumn(f"customers.{name}", kind, customers, values, len(np.unique(full)))


def _kind(connection: duckdb.DuckDBPyConnection, name: str, raw_type: str) -> str:
    """instant, number or text, by the column's type or else by its values."""
    if raw_type.startswith(("TIMESTAMP", "DATE")):
        return "instant"
    if any(word in raw_type for word in _NUMBERS):
        return "number"
    text = f"trim(CAST({quote_identifier(name)} AS VARCHAR))"
    [(count, instants, numbers)] = connection.execute(
        f"SELECT count(*) FILTER ({text} <> ''), "
        f"count(*) FILTER (regexp_matches({text}, {literal(INSTANT)})), "
        f"count(try_cast({text} AS DOUBLE)) FROM _raw"
    ).fetchall()
    if count and instants == count:
        return "instant"
    return "number" if count and numbers == count else "text"


def _number(name: str, kind: str, raw_type: str) -> str:
    """SQL for the column as a double: instants in µs, texts as the rank of their value."""
    text = f"nullif(trim(CAST({quote_identifier(name)} AS VARCHAR)), '')"
    if kind == "instant":
        return f"CAST(epoch_us(try_cast({text} AS TIMESTAMPTZ)) AS DOUBLE)"
    if kind == "number":
        flag = f"CAST({quote_identifier(name)} AS INTEGER)"
        return f"try_cast({flag if raw_type == 'BOOLEAN' else text} AS DOUBLE)"
    rank = f"CAST(dense_rank() OVER (ORDER BY {text}) AS DOUBLE)"
    return f"CASE WHEN {text} IS NOT NULL THEN {rank} END"


def _check_customer_column(
    column: RawColumn, history: History, slices: Sequence[AsOfSlice]
) -> Iterator[Finding]:
    count = int((~np.isnan(column.values)).sum())
    if column.kind == "instant":
        load_time = _check_load_time(column.name, column.values, history, LEAK)
        if load_time:
            yield load_time
            return
    elif column.distinct == count >= FEW and _is_like_id(column):
        reason = "every customer has another value: it identifies customers and describes nothing"
        yield Finding(REVIEW, "an id", column.name, reason)
    for one in slices:
        ids = np.array(one.rows["customer_id"].to_pylist(), dtype=str)
        values = column.values_for(ids)
        if (~np.isnan(values)).sum() >= FEW:
            yield from _check_as_of_today(column, values, ids, history, one)


def _is_like_id(column: RawColumn) -> bool:
    """Texts and whole numbers can be ids; a measured number may differ for every customer."""
    full = column.values[~np.isnan(column.values)]
    return column.kind == "text" or bool((full == np.round(full)).all())


def _check_as_of_today(
    column: RawColumn, values: np.ndarray, ids: np.ndarray, history: History, one: AsOfSlice
) -> Iterator[Finding]:
    """Whether the value follows the whole history, or the outcome after as_of."""
    for description, whole, known in _aggregates(history, ids, one.at):
        match = _follows(column, values, whole, known)
        if match:
            verb, figure = match
            reason = f"it {verb} {description} of the whole history, not of what was known"
            yield Finding(LEAK, "as of today", column.name, reason, figure, one.at)
            return
    y, at_risk = one.churned, one.at_risk
    if min((y & at_risk).sum(), (~y & at_risk).sum()) < FEW:
        return
    # Codes of texts have no order, so each level is checked alone.
    columns = [values] if column.kind != "text" else list(_levels(values))
    scores = [best_auroc(y[at_risk], each[at_risk]) for each in columns]
    if scores and max(scores) > TOO_GOOD:
        reason = (
            f"it has AUROC {max(scores):.3f} for churn after an as_of "
            "that lies long before it was written"
        )
        yield Finding(LEAK, "as of today", column.name, reason, max(scores), one.at)


def _check_against_leavers(column: RawColumn, leaving: Leaving) -> Iterator[Finding]:
    """Whether the value, or that there is one, tells who has left from who is active today."""
    who = leaving.leaver | leaving.stayer
    y = leaving.leaver[who]
    if min(y.sum(), (~y).sum()) < FEW:
        return
    values = column.values_for(np.array(leaving.ids.to_pylist(), dtype=str))[who]
    empty = np.isnan(values)
    cells = [empty.astype(float)] if empty.any() and not empty.all() else []
    if column.distinct <= MAX_LEVELS:
        cells += [np.nan_to_num(level) for level in _levels(values)]
    elif column.kind != "text" and abs(rank_correlation(values, leaving.first[who])) < MOSTLY_AGE:
        # What merely numbers customers in the order of their beginning is no leak.
        cells.append(np.where(empty, np.nanmedian(values), values))
    if column.kind == "text" or 2 < column.distinct <= MAX_LEVELS:
        cells.append(_rates_of_levels(values, y))
    figures = [max(figure, 1 - figure) for figure in (auroc(y, each) for each in cells)]
    figure = max(figures, default=0.0)
    if figure >= FORETELLS:
        reason = (
            f"it tells customers who left from those who are active today (AUROC {figure:.3f}, a "
            f"leak from {FORETELLS:.2f}), and nothing says since when it is known"
        )
        yield Finding(LEAK, "as of today", column.name, reason, figure)


def _rates_of_levels(values: np.ndarray, y: np.ndarray) -> np.ndarray:
    """How often customers of a level have left, by the other half of the customers, (rows,).

    A month written as text has one level for each month: none tells much alone, and together they
    are the last activity. By the other half, so that a text that differs for everybody tells
    nothing.
    """
    levels, group = np.unique(np.nan_to_num(values, nan=-1.0), return_inverse=True)
    half = np.arange(len(values)) % 2
    rates = np.empty(len(values))
    for number in (0, 1):
        mine, others = half == number, half != number
        rows = np.bincount(group[others], minlength=len(levels))
        left = np.bincount(group[others], weights=y[others], minlength=len(levels))
        usual = (left.sum() + 1) / (rows.sum() + 2)
        rates[mine] = ((left + usual) / (rows + 1))[group[mine]]
    return rates


def _follows(
    column: RawColumn, values: np.ndarray, whole: np.ndarray, known: np.ndarray
) -> tuple[str, float] | None:
    """How the column follows the whole history's aggregate where the known one differs, if so."""
    # Only customers whose aggregate changed after as_of can tell the two apart.
    changed = (whole != known) & ~np.isnan(values)
    if changed.sum() < FEW:
        return None
    # Instants count as equal on the same day.
    unit = DAY_US if column.kind == "instant" else None
    one, other = (values // unit, whole // unit) if unit else (values, whole)
    share = float((one[changed] == other[changed]).mean())
    if share >= SAME:
        return "equals", share
    if column.kind != "text":
        rank = abs(rank_correlation(values, whole))
        if rank > TOO_GOOD and rank > abs(rank_correlation(values, known)) + BEYOND:
            return "ranks customers like", rank
    return _splits(values, whole, known) if column.distinct <= MAX_LEVELS else None


def _splits(values: np.ndarray, whole: np.ndarray, known: np.ndarray) -> tuple[str, float] | None:
    """A level that the whole history's aggregate separates from the rest (the known does not)."""
    full = ~np.isnan(values)
    for level in _levels(values):
        y = level[full] > 0
        if min(y.sum(), (~y).sum()) >= FEW:
            first, second = (
                max(value, 1 - value) for value in (auroc(y, whole[full]), auroc(y, known[full]))
            )
            if first > SEPARATED and first > second + BEYOND:
                return "is determined by", first
    return None


def _levels(values: np.ndarray) -> Iterator[np.ndarray]:
    """One column of 0 and 1 for each value, NaN where empty; none for many values."""
    levels = np.unique(values[~np.isnan(values)])
    for level in levels if levels.size <= MAX_LEVELS else ():
        yield np.where(np.isnan(values), np.nan, (values == level).astype(float))


def _aggregates(
    history: History, ids: np.ndarray, at: int
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """(description, over the whole history, as known at `at`) for each of these customers."""
    kinds = ", ".join(literal(kind) for kind in history.activity_kinds)
    active = f"FILTER (kind IN ({kinds}))"
    aggregates = [
        ("the number of activities", history.activity_table, f"count(*) {active}"),
        (
            "the number of active days",
            history.activity_table,
            f"count(DISTINCT local_day) {active}",
        ),
        ("the last activity", history.activity_table, f"max(occurred_at) {active}"),
    ]
    if "transactions" in history.names:
        spent = "CAST(sum(amount) FILTER (kind = 'purchase') AS DOUBLE)"
        aggregates += [
            ("the amount spent", "transactions", spent),
            ("the number of transactions", "transactions", "count(*)"),
        ]
    for description, table, aggregate in aggregates:
        known = f"(SELECT * FROM {table} WHERE recorded_at < {at} AND occurred_at < {at})"
        yield (
            description,
            _by_customer(history, ids, table, aggregate),
            _by_customer(history, ids, known, aggregate),
        )


def _by_customer(history: History, ids: np.ndarray, table: str, aggregate: str) -> np.ndarray:
    """(customers,) the aggregate of each, NaN for a customer without rows."""
    rows = history.connection.execute(
        f"SELECT customer_id, CAST({aggregate} AS DOUBLE) FROM {table} GROUP BY 1"
    ).to_arrow_table()
    values = dict(zip(rows[0].to_pylist(), rows[1].to_pylist(), strict=True))
    return np.array([np.nan if values.get(name) is None else values[name] for name in ids])


def _find_unread_load_times(
    connection: duckdb.DuckDBPyConnection, name: str, types: dict[str, str], history: History
) -> Iterator[Finding]:
    """Load times among the columns of an event table that the contract does not have."""
    for column, raw_type in types.items():
        if column in CONTRACT[name].names or _kind(connection, column, raw_type) != "instant":
            continue
        values = connection.execute(
            f"SELECT {_number(column, 'instant', raw_type)} FROM _raw"
        ).to_arrow_table()[0]
        numbers = values.cast(pa.float64()).to_numpy()
        finding = _check_load_time(f"{name}.{column}", numbers, history, REVIEW)
        if finding:
            yield finding


def _check_load_time(
    where: str, values: np.ndarray, history: History, severity: str
) -> Finding | None:
    """An instant that is nearly one day for all, late in the history, or after all of it."""
    full = values[~np.isnan(values)]
    if full.size < FEW:
        return None
    bounds = "SELECT quantile_cont(occurred_at, 0.95), max(occurred_at) FROM"
    [(late, newest)] = history.connection.execute(f"{bounds} {history.activity_table}").fetchall()
    days, counts = np.unique(full // DAY_US, return_counts=True)
    share = float(counts.max() / full.size)
    after = float((full >= newest).mean())
    if (share >= SAME and (days[counts.argmax()] + 1) * DAY_US >= late) or after >= 0.99:
        reason = (
            f"{share:.0%} of its values are one day, at the end of the events: "
            "it shows when rows were loaded, not what happened"
        )
        return Finding(severity, "load time", where, reason, max(share, after))
    return None
