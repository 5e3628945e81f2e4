"""The rows of one SELECT in the contract's columns: checks columns, parses cells, finds reasons.

The rows come in `_read`. The SQL made here gives each of them with the reason why it is rejected,
or null; `features.tables.stored_rows` runs it and stores the rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import duckdb

from features.core.contract import OPEN_END_US, SURVEYS, Table
from features.core.errors import ColumnMissing, suggestion
from features.core.settings import Settings
from features.tables.clock_changes import near_clock_change
from features.tables.money_signs import MoneySigns, may_have_three_decimals
from features.tables.parsing import (
    SQL_TYPES,
    ColumnSql,
    column_sql,
    literal,
    naive_time_error,
    quote_identifier,
)
from features.tables.queries import first_value
from features.tables.reject_examples import RAW, RejectExample
from features.tables.zone_shifts import utc_shift

# Columns that a row may have though the SELECT does not have them (`_with_row_rules`).
FILLED = ("recorded_at", "kind", "ends_at", "answered_at")


@dataclass
class RowCounts:
    """What became of one table's rows: `read = kept + sum(rejected.values())`.

    examples: one for each reason. columns: those of the SELECT. unique_ids: surely no two accepted
    rows have one id.
    """

    read: int = 0
    kept: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    unused_columns: list[str] = field(default_factory=list)
    attributes: list[str] = field(default_factory=list)
    clock_changes: dict[str, int] = field(default_factory=dict)
    examples: list[RejectExample] = field(default_factory=list)
    money: MoneySigns = field(default_factory=MoneySigns)
    columns: list[str] = field(default_factory=list)
    unique_ids: bool = False
    forgotten: int = 0


def check_columns(table: Table, columns: list[str]) -> list[str]:
    """The columns of a SELECT that the contract does not have.

    Raises ColumnMissing where a required column is missing, or where a column looks like a misspelt
    name of the contract.
    """
    missing = [
        column.name for column in table.columns if column.required and column.name not in columns
    ]
    extra = [name for name in columns if name not in table.names]
    if missing:
        hint = suggestion(missing[0], extra)
        raise ColumnMissing(
            where=f"[tables] {table.name}",
            got=f"no column {', '.join(missing)}; it has {', '.join(columns)}",
            rule=f"{table.name} needs {', '.join(c.name for c in table.columns if c.required)}.",
            fix=f"{hint} Rename it in the SELECT: SELECT x AS {missing[0]}.".strip(),
        )
    # Customers may have columns of any name: their attributes.
    if not table.attributes:
        _refuse_misspelt(table, extra, [name for name in table.names if name not in columns])
    return extra


def _refuse_misspelt(table: Table, extra: list[str], absent: list[str]) -> None:
    for name in extra:
        if hint := suggestion(name.lower(), absent, cutoff=0.85):
            raise ColumnMissing(
                where=f"[tables] {table.name}.{name}",
                got="a column that the contract does not have",
                rule="A name that is similar to a name of the contract counts as misspelt.",
                fix=f"{hint} Rename it, or leave it out of the SELECT.",
            )


def parse_rows(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    types: dict[str, str],
    settings: Settings,
    *,
    many_rows: bool = False,
) -> tuple[str, dict[str, str]]:
    """SQL that reads `_read`: reason (null where the row fits) and the columns of the contract.

    Rejected rows also have their raw cells, under RAW, as have cells that are counted later.
    types: DuckDB types by column of `_read`. many_rows: see `parsing.column_sql`.
    Returns the SQL, and that for local times without an offset, by column. Raises WrongType or
    NaiveTime.
    """
    columns = _columns_sql(table, types, settings, many_rows=many_rows)
    _refuse_naive(connection, table, columns)
    # One pass over the rows, in layers: cells, then reasons, then rules over several columns.
    of_raw = _columns_sql(table, types, settings, raw=RAW)
    query = _cells_sql(table, columns)
    query = _with_reasons(query, table, of_raw)
    query = _with_row_rules(query, table, types, settings)
    listed = [quote_identifier(name) for name in table.names]
    # Few raw cells are stored: those of rejected rows for examples, and those that are counted.
    for name, column in columns.items():
        raw = quote_identifier(RAW.format(name))
        counted = _counted_cells(table, name, types[name], raw)
        if column.local:
            counted += _near_change(name, raw, settings.zone, many_rows=many_rows)
        listed.append(
            f"CASE WHEN {' OR '.join(['reason IS NOT NULL', *counted])} THEN {raw} END AS {raw}"
        )
    local = {name: column.local for name, column in of_raw.items() if column.local}
    return f"SELECT reason, {', '.join(listed)} FROM ({query})", local


def _counted_cells(table: Table, name: str, sql_type: str, raw: str) -> list[str]:
    """SQL tests for raw cells that `money_signs` looks at afterwards."""
    is_money = any(column.name == name and column.type == "money" for column in table.columns)
    return [may_have_three_decimals(raw)] if is_money and sql_type == "VARCHAR" else []


def _near_change(name: str, raw: str, zone: str, *, many_rows: bool) -> list[str]:
    """SQL tests for raw local times that `clock_changes` looks at afterwards."""
    if many_rows:
        return [f"{utc_shift(quote_identifier(name), zone)} IS NULL"]
    test = near_clock_change(raw, zone)
    return [test] if test else []


def _columns_sql(
    table: Table,
    types: dict[str, str],
    settings: Settings,
    *,
    raw: str = "{}",
    many_rows: bool = False,
) -> dict[str, ColumnSql]:
    """How each column is read from the column `raw` of its name."""
    return {
        column.name: column_sql(
            column,
            raw=quote_identifier(raw.format(column.name)),
            raw_type=types[column.name],
            table=table.name,
            zone=settings.business.zone,
            digits=settings.minor_digits,
            many_rows=many_rows,
        )
        for column in table.columns
        if column.name in types
    }


def _refuse_naive(
    connection: duckdb.DuckDBPyConnection, table: Table, columns: dict[str, ColumnSql]
) -> None:
    """Without a zone no row of the table could be read, so this is an error and no reject."""
    for name, column in columns.items():
        for reason, test in column.violations:
            if reason == "naive":
                count = first_value(connection, f"SELECT count(*) FROM _read WHERE {test}")
                if count:
                    raise naive_time_error(f"[tables] {table.name}.{name}", count)


def _cells_sql(table: Table, columns: dict[str, ColumnSql]) -> str:
    """SQL for the cells: parsed under the contract's name, and as they are under RAW."""
    raw = [f"{quote_identifier(name)} AS {quote_identifier(RAW.format(name))}" for name in columns]
    values = [
        f"{columns[column.name].value} AS {quote_identifier(column.name)}"
        if column.name in columns
        else f"CAST(NULL AS {SQL_TYPES[column.type]}) AS {quote_identifier(column.name)}"
        for column in table.columns
    ]
    return f"SELECT {', '.join([*raw, *values])} FROM _read"


def _with_reasons(query: str, table: Table, columns: dict[str, ColumnSql]) -> str:
    """SQL that adds `reason`: the first rule that a cell breaks, or null.

    The rules are looked at only in rows that may break one: most rows have every cell parsed.
    """
    required = {column.name for column in table.columns if column.required}
    fits, tests = [], []
    for name, column in columns.items():
        parsed = quote_identifier(name)
        test = " AND ".join(
            [f"{parsed} IS NOT NULL", *(each.format(parsed) for each in column.limits)]
        )
        raw = quote_identifier(RAW.format(name))
        fits.append(f"({test})" if name in required else f"({test} OR {raw} IS NULL)")
        tests += [
            f"WHEN {each} THEN {literal(reason)}"
            for reason, each in column.violations
            if reason != "naive"
        ]
    broken = f"CASE {' '.join(tests)} END" if tests else "NULL"
    reason = f"CASE WHEN {' AND '.join(fits)} THEN NULL ELSE {broken} END"
    return f"SELECT CAST({reason} AS VARCHAR) AS reason, * FROM ({query})"


def _with_row_rules(query: str, table: Table, types: dict[str, str], settings: Settings) -> str:
    """SQL that adds the contract's default values and its rules over several columns of a row."""
    if table.clock:
        delay = settings.arrives_after_us(table.name)
        clock = _recorded_by_default(table, settings.zone)
        query = _fill(query, "recorded_at", f"{clock} + {delay}")
    match table.name:
        case "referrals":
            rules = {"referred_by_themselves": "referrer_id = referred_id"}
        case "transactions":
            kind = "CASE WHEN amount < 0 THEN 'refund' ELSE 'purchase' END"
            return _fill(query, "kind", kind)
        case "contracts":
            query = _fill(query, "ends_at", str(OPEN_END_US))
            rules = {"ends_before_it_starts": "ends_at <= starts_at"}
        case "deliveries":
            # Nobody can know on one day that nothing will be missing on the next.
            rules = {"complete_after_it_was_recorded": "complete_until > recorded_at"}
        case "feedback":
            return _with_feedback_rules(query, types, settings)
        case _:
            return query
    return _reject(query, rules)


def _fill(query: str, column: str, default: str) -> str:
    """SQL with a default for the empty cells of a column."""
    return f"SELECT * REPLACE (coalesce({column}, {default}) AS {column}) FROM ({query})"


def _reject(query: str, rules: dict[str, str]) -> str:
    """SQL that gives a row the first reason whose test is true, unless it has one."""
    tests = " ".join(f"WHEN {test} THEN {literal(reason)}" for reason, test in rules.items())
    return f"SELECT * REPLACE (coalesce(reason, CASE {tests} END) AS reason) FROM ({query})"


def _recorded_by_default(table: Table, zone: str) -> str:
    """SQL for the instant at which a row without `recorded_at` could be known (µs)."""
    if table.clock == "month":
        # The cost of a month is known when the month is over: at the midnight that ends it, too.
        local = f"timezone({literal(zone)}, make_timestamptz(month)) + INTERVAL 1 MONTH"
        return f"epoch_us(timezone({literal(zone)}, {local})) - 1"
    return table.happened_at


def _with_feedback_rules(query: str, types: dict[str, str], settings: Settings) -> str:
    query = _reject(
        query,
        {
            "answered_before_sent": "answered_at < occurred_at",
            "resolved_before_raised": "resolved_at < occurred_at",
        },
    )
    if "answered_at" not in types:
        query = _fill(query, "answered_at", "CASE WHEN score IS NOT NULL THEN recorded_at END")
    rules = {"score_without_answered_at": "score IS NOT NULL AND answered_at IS NULL"}
    scales = settings.contract.scales
    unscaled = ", ".join(literal(kind) for kind in SURVEYS if kind not in scales)
    if unscaled:
        rules["score_without_scale"] = f"score IS NOT NULL AND kind IN ({unscaled})"
    off = " OR ".join(
        f"(kind = {literal(kind)} AND NOT (score BETWEEN {low} AND {high}))"
        for kind, (low, high) in scales.items()
    )
    if off:
        rules["score_off_its_scale"] = off
    return _reject(query, rules)
