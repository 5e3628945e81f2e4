"""Explains a feature value: the formula, each reduction that it uses, and the rows behind them.

The rows are those that the builder reduces: the same table, filtered by the same expressions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from types import SimpleNamespace
from typing import Any, TypedDict, cast

import narwhals as nw

from features.core.contract import ALL_TABLES, CONTRACT, SWITCHED_TABLES
from features.core.errors import BadSetting, NotFound, UnknownKey, suggestion
from features.core.instants import day_text
from features.core.settings import Settings
from features.engine.build import ZERO_WITHOUT_ROWS, build, reduce_tables, restrict_to_customers
from features.engine.business_columns import columns_for, custom_features
from features.engine.columns import FeatureColumn, list_columns
from features.recipes.definitions import Definitions, learn_definitions
from features.recipes.population_stats import PopulationStats, population_stats
from features.recipes.recipe import Now, Reduction
from features.recipes.rows import prepare_rows
from features.tables.history import History, Known

MAX_ROWS = 50
_ACTIVITY_CELLS = ("occurred_at", "local_day", "gap", "position")
# Reductions that skip rows without a value; a count takes every row.
_NEED_VALUE = ("sum", "min", "max", "median", "distinct")

Cell = bool | int | float | str | None
Row = dict[str, Any]  # one row as the engine gives it: values of any column type


class ReductionReport(TypedDict):
    """One reduction of a value: what it reads, its result, and the newest rows behind it."""

    name: str
    table: str
    how: str
    of: str
    kinds: list[str]
    where: str
    window: str
    half_life_days: float | None
    value: Cell
    rows_read: int
    rows: list[dict[str, Cell]]
    rows_omitted: int


class ValueReport(TypedDict):
    """One feature value of one customer and everything behind it; `explain_value` returns it."""

    customer: str
    as_of: str
    column: str
    feature: str
    family: str
    unit: str
    window: str
    description: str
    value: float | None
    reductions: list[ReductionReport]
    definitions: dict[str, Any]
    population: dict[str, Any]


class UsageRecorder:
    """Stands for the definitions or the population, and records which attributes were read.

    The object is made at the first read. `used`: attribute name -> value.
    """

    def __init__(self, make: Callable[[], object]) -> None:
        self._make = make
        self._object: object | None = None
        self.used: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        if self._object is None:
            self._object = self._make()
        value = getattr(self._object, name)
        if not callable(value):
            self.used[name] = value
        return value


@dataclass(frozen=True)
class CustomerCase:
    """One customer's known rows, and what recipes are evaluated with."""

    known: Known
    now: Now
    zone: str


def explain_value(
    history: History,
    settings: Settings,
    *,
    customer: str,
    as_of: int,
    column: str,
    max_rows: int = MAX_ROWS,
) -> ValueReport:
    """Explain one feature value of one customer: its formula, reductions and the rows behind them.

    Args:
        as_of: µs UTC; definitions and population statistics are learned at it.
        column: a column of the feature table, such as `recency` or `amount_90d`.
        max_rows: at most so many rows of each reduction are listed, newest first.

    Returns:
        Plain data for JSON (see ValueReport). `value` is what `build` gives: in the unit `unit`,
        None for null. `definitions` and `population` hold the attributes that the formula reads.

    Errors: UnknownKey; BadSetting if the column is off or its table is missing; NotFound for an
    unknown customer, or one without activity before as_of.
    """
    known = history.as_of(as_of)
    definitions = learn_definitions(known, settings)
    chosen = _find_column(history, settings, definitions, column)
    own_rows = restrict_to_customers(known, [customer])
    _check_active(own_rows)
    population = UsageRecorder(lambda: population_stats(known, definitions))
    frozen = UsageRecorder(lambda: definitions)
    case = CustomerCase(own_rows, Now(as_of, frozen, population), settings.zone)
    reductions = _report_reductions(case, chosen, max_rows)
    statistics = cast(PopulationStats, population)  # it has every attribute of the statistics
    rows = build(own_rows, population=statistics, definitions=definitions, columns=[chosen])
    _evaluate_formula(case, chosen)
    return {
        "customer": customer,
        "as_of": day_text(as_of, zone=settings.zone),
        "column": chosen.name,
        "feature": chosen.feature.name,
        "family": chosen.feature.family,
        "unit": chosen.feature.unit,
        "window": chosen.window if chosen.takes_days else "",
        "description": chosen.feature.doc,
        "value": rows[chosen.name][0].as_py(),
        "reductions": reductions,
        "definitions": {k: _as_list(v) for k, v in frozen.used.items() if k != "attributes"},
        "population": {name: _as_list(value) for name, value in population.used.items()},
    }


def _find_column(
    history: History, settings: Settings, definitions: Definitions, name: str
) -> FeatureColumn:
    available = {one.name: one for one in columns_for(history, definitions, settings)}
    if name in available:
        return available[name]
    custom = custom_features(settings)
    columns = list_columns(definitions, tables=[*CONTRACT, *SWITCHED_TABLES], custom=custom)
    by_name = {one.name: one for one in columns}
    if name not in by_name:
        similar = suggestion(name, available)
        raise UnknownKey(
            where="--feature",
            got=f"unknown column '{name}'",
            rule="--feature names a column of the feature table.",
            fix=similar or "Use a column of docs/features.md; `lifecycle features` writes all.",
        )
    read = set(by_name[name].feature.tables)
    if read & {*SWITCHED_TABLES} and not settings.features.treatments:
        raise BadSetting(
            where="--feature",
            got=f"'{name}', which is off by default",
            rule="What campaigns did is a feature where it is switched on.",
            fix="Write under [features]: treatments = true",
        )
    missing = sorted(read - {*history.names, *history.switched, "activity"})
    if missing:
        raise BadSetting(
            where="--feature",
            got=f"'{name}', which needs {', '.join(missing)}",
            rule="A feature whose table is missing is absent.",
            fix=f"Add a SELECT for {', '.join(missing)} under [tables].",
        )
    raise BadSetting(
        where="--feature",
        got=f"'{name}', which [features] off switches off",
        rule="Only columns that are on have values.",
        fix=f"Remove '{name}', its feature or its family from [features] off.",
    )


def _check_active(known: Known) -> None:
    """NotFound if the one customer of `known` is unknown, or has no activity."""
    if _has_rows(known.activity):
        return
    if _has_rows(known.customers):
        raise NotFound(
            where="--customer",
            got="a customer without activity before as_of",
            rule="A prospect has a stage, and no feature row.",
            fix="Name a later as_of.",
        )
    raise NotFound(
        where="--customer",
        got="an id that nobody has before as_of",
        rule="The customer is known at as_of.",
        fix="Check the id (leading zeros count), or name a later as_of.",
    )


def _has_rows(frame: nw.LazyFrame) -> bool:
    counted = frame.select(n=nw.col("customer_id").count()).collect(backend="pyarrow").to_native()
    return bool(counted["n"][0].as_py())


def _report_reductions(
    case: CustomerCase, column: FeatureColumn, max_rows: int
) -> list[ReductionReport]:
    """Each reduction by its recipe's name: what it reads, its value, and the newest rows."""
    values: Row = {}
    for frame in reduce_tables(case.known, case.now, [column]).values():
        values |= next(iter(frame.collect(backend="pyarrow").to_native().to_pylist()), {})
    recipe = column.recipe().reductions
    rows_by_key = contributing_rows(case, list(recipe.values()))
    return [
        _report_reduction(name, one, values.get(one.key), rows_by_key[one.key], case, max_rows)
        for name, one in recipe.items()
    ]


def _report_reduction(
    name: str, one: Reduction, value: Any, rows: list[Row], case: CustomerCase, max_rows: int
) -> ReductionReport:
    # The formula reads 0 for a customer without rows in the table.
    without_rows = 0 if one.how in ZERO_WITHOUT_ROWS else None
    return {
        "name": name,
        "table": one.table,
        "how": one.how,
        "of": one.value,
        "kinds": list(one.kinds),
        "where": one.where,
        "window": _window_text(one),
        "half_life_days": one.half_life_days or None,
        "value": without_rows if value is None else _to_plain(value),
        "rows_read": len(rows),
        "rows": [_row_cells(row, one, case) for row in rows[:max_rows]],
        "rows_omitted": max(0, len(rows) - max_rows),
    }


def contributing_rows(case: CustomerCase, reductions: Sequence[Reduction]) -> dict[str, list[Row]]:
    """By a reduction's key the prepared rows that enter it, newest first.

    No other row of the customer changes the reduction's value.
    """
    entering: dict[str, list[Row]] = {}
    for table in {one.table for one in reductions}:
        of_table = [one for one in reductions if one.table == table]
        frame = prepare_rows(case.known, case.now, table)
        flags = {f"enters_{k}": one.in_window(case.now.as_of) for k, one in enumerate(of_table)}
        rows = frame.with_columns(**flags).collect(backend="pyarrow").to_native().to_pylist()
        names = frame.collect_schema().names()
        rows.sort(key=lambda row, names=names: _order(row, names), reverse=True)
        for k, one in enumerate(of_table):
            entering[one.key] = [
                {name: row[name] for name in names}
                for row in rows
                if row[f"enters_{k}"] and _has_value(row, one)
            ]
    return entering


def _has_value(row: Row, one: Reduction) -> bool:
    needed = one.how in _NEED_VALUE or (one.how == "decay" and one.value != "occurred_at")
    return not needed or row[one.value] is not None


def _order(row: Row, names: Sequence[str]) -> tuple[object, ...]:
    """Sort key: the instant, then every other cell, so that the order of input has no effect."""
    cells = ((row[name] is not None, str(row[name])) for name in names)
    return (row.get("occurred_at") or 0, *cells)


def _window_text(one: Reduction) -> str:
    if one.since_days is None:
        return f"all time but the last {one.until_days:g} days" if one.until_days else "all time"
    if one.until_days:
        return f"{one.since_days:g} to {one.until_days:g} days ago"
    return f"the last {one.since_days:g} days"


def _row_cells(row: Row, one: Reduction, case: CustomerCase) -> dict[str, Cell]:
    """The cells of one row to show: those of its table, and the reduced one as `value`."""
    table = ALL_TABLES.get(one.table)
    if one.table == "activity":
        names: Sequence[str] = _ACTIVITY_CELLS
    else:
        names = table.names if table else tuple(row)
    columns = table.columns if table else ()
    instants = {"occurred_at", *(column.name for column in columns if column.type == "instant")}
    cells: dict[str, Cell] = {
        name: day_text(row[name], zone=case.zone) if name in instants else _to_plain(row[name])
        for name in names
        if name != "customer_id" and row.get(name) is not None
    }
    # A count reduces the row itself, and an instant is among the cells already.
    if one.how != "count" and one.value not in instants:
        cells["value"] = _to_plain(row[one.value])
    return cells


def _to_plain(value: Any) -> Cell:
    """A cell as JSON can hold it."""
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    return value if value is None or isinstance(value, (bool, int, float, str)) else float(value)


def _evaluate_formula(case: CustomerCase, column: FeatureColumn) -> None:
    """Evaluate the formula once, so that the recorders see what it reads."""
    recipe = column.recipe()
    reduced = {name: nw.col(one.key) for name, one in recipe.reductions.items()}
    recipe.formula(SimpleNamespace(**reduced), case.now)


def _as_list(value: Any) -> Any:
    return [_as_list(one) for one in value] if isinstance(value, tuple) else value


def report_text(report: ValueReport) -> str:
    """The report as text: the value, the feature's description, and the rows of each reduction."""
    window = f", {report['window']}" if report["window"] else ""
    value = "null" if report["value"] is None else f"{report['value']:.12g}"
    lines = [
        f"{report['column']} of customer {report['customer']} at {report['as_of']}: "
        f"{value} ({report['unit']}{window})",
        "",
    ]
    lines += [f"  {line}".rstrip() for line in report["description"].splitlines()]
    for one in report["reductions"]:
        lines += ["", *_reduction_lines(one)]
    lines += _used_lines("definitions, learned at as_of", report["definitions"])
    lines += _used_lines("population statistics of all customers at as_of", report["population"])
    return "\n".join(lines)


def _used_lines(title: str, values: dict[str, Any]) -> list[str]:
    if not values:
        return []
    return ["", f"  {title}:", *(f"    {name} = {_cut(value)}" for name, value in values.items())]


def _reduction_lines(one: ReductionReport) -> list[str]:
    kinds = f" of kind {', '.join(one['kinds'])}" if one["kinds"] else ""
    where = f" where {one['where']}" if one["where"] else ""
    half_life = f", half-life {one['half_life_days']:g} days" if one["half_life_days"] else ""
    value = "null" if one["value"] is None else f"{one['value']:.15g}"
    lines = [
        f"  {one['name']} = {value}: {one['how']} of {one['of']} over {one['rows_read']:,} rows "
        f"of {one['table']}{kinds}{where}, {one['window']}{half_life}",
        *_table_lines(one["rows"]),
    ]
    omitted = one["rows_omitted"]
    return [*lines, f"    … and {omitted:,} older rows"] if omitted else lines


def _table_lines(rows: Sequence[dict[str, Cell]]) -> list[str]:
    """The rows as aligned columns below a line of their names."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    if not names:
        return []
    cells = [names, *([_cut(row.get(name, "")) for name in names] for row in rows)]
    widths = [max(len(row[k]) for row in cells) for k in range(len(names))]
    return [
        "    " + "  ".join(cell.ljust(widths[k]) for k, cell in enumerate(row)).rstrip()
        for row in cells
    ]


def _cut(value: object) -> str:
    """A cell on one line. Control characters from a file's text must not reach the terminal."""
    text = "".join(letter if letter.isprintable() else "�" for letter in str(value))
    return text if len(text) <= 60 else f"{text[:60]}…"
