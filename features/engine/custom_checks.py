"""Tries a business's own features on empty tables before they are used; errors name the line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, wraps
from types import SimpleNamespace
from typing import Any

import duckdb
import narwhals as nw
import pyarrow as pa

from features.catalogue.custom import TABLES, WINDOWS, error_line, first_line, line_error
from features.core.contract import CONTRACT, EVENT_TABLES
from features.core.errors import BadSetting, suggestion
from features.core.instants import DAY_US
from features.core.settings import Settings
from features.engine.build import ZERO_WITHOUT_ROWS, build
from features.engine.columns import FeatureColumn
from features.recipes.definitions import learn_definitions
from features.recipes.population_stats import population_stats
from features.recipes.recipe import Feature, Now, Recipe, Reduction
from features.recipes.rows import prepare_rows
from features.tables.history import History, Known
from features.tables.parsing import SQL_TYPES
from features.tables.sources import connect

INVENTED_AS_OF = 1_704_067_200_000_000  # µs; 2024-01-01
# The arguments of a feature function, by its kind of windows.
_ARGUMENTS: dict[str, list[tuple[float | None, ...]]] = {
    "": [()],
    "W": [(30.0,), (None,)],
    "w": [(30.0,)],
    "H": [(30.0,)],
}


def check_on_empty_tables(entry: Feature, name: str) -> Feature:
    """Build and run the feature's recipe on empty tables, and return the feature.

    In the feature that is returned, values that are not finite become null. `name` is the file's
    name in messages. Errors: BadSetting with the line of the file.
    """
    known, now = _empty_business()
    line = first_line(entry)
    _check_description(entry, name, line)
    guarded = replace(entry, function=_null_if_not_finite(entry.function))
    try:
        for arguments in _ARGUMENTS[entry.windows]:
            recipe = guarded.function(*arguments)
            for reduction in recipe.reductions.values():
                _check_reduction(reduction, entry, name, known, now)
            _run(entry, recipe, known, now)
            _check_row_by_row(entry, recipe, name, known, now)
    except BadSetting:
        raise
    except Exception as error:
        first = (str(error).strip().splitlines() or [""])[0][:200]
        got = f"{entry.name}: {type(error).__name__}: {first}"
        raise line_error(name, error_line(error, name, line), got) from error
    return guarded


def _check_description(entry: Feature, name: str, line: int) -> None:
    """Refuse windows, tables, a docstring or words that do not follow the rules."""
    got, fix = "", ""
    tables = entry.tables if isinstance(entry.tables, tuple) else ()
    unknown = next((table for table in tables if table not in TABLES), None)
    if entry.windows not in WINDOWS:
        got = f"windows = {entry.windows!r}"
        fix = "Use '' (none), 'W' (windows and all time), 'w' (windows) or 'H' (half-lives)."
    elif not tables:
        got, fix = "tables is not a tuple of names", 'Write tables=("transactions",).'
    elif unknown is not None:
        got = f"an unknown table '{unknown}'"
        fix = suggestion(str(unknown), TABLES) or f"Use one of {', '.join(TABLES)}."
    elif not entry.doc:
        got = "no docstring"
        fix = "Write one sentence, then Formula, Window, Null and Source."
    elif not _can_fill(entry.words):
        got, fix = (
            "words that cannot be filled in",
            "Use only {value}, {answer} (yes or no) and {window} in words.",
        )
    if got:
        raise line_error(name, line, f"{entry.name}: {got}", fix=fix)


def _can_fill(words: str) -> bool:
    try:
        words.format(value=1.0, window="30 days", answer="yes")
    except (KeyError, IndexError, ValueError):
        return False
    return True


def _null_if_not_finite(function: Callable[..., Recipe]) -> Callable[..., Recipe]:
    """The feature function with a formula that gives null instead of NaN or infinity."""

    @wraps(function)
    def guarded(*arguments: float | None) -> Recipe:
        recipe = function(*arguments)
        if not isinstance(recipe, Recipe):
            raise TypeError(f"a feature returns a Recipe, not {type(recipe).__name__}")

        def formula(r: Any, now: Now) -> nw.Expr:
            value = recipe.formula(r, now).cast(nw.Float64)
            return nw.when(value.is_finite()).then(value)

        return Recipe(recipe.reductions, formula)

    return guarded


def _check_reduction(
    reduction: Reduction, entry: Feature, name: str, known: Known, now: Now
) -> None:
    """Refuse a reduction of a table, column or kind that it cannot have."""

    def wrong(got: str, fix: str) -> BadSetting:
        return line_error(name, first_line(entry), f"{entry.name}: {got}", fix=fix)

    table = reduction.table
    if table not in {"activity", *entry.tables}:
        fix = suggestion(table, TABLES) or f"Add it to tables=(…): one of {', '.join(TABLES)}."
        raise wrong(f"a reduction of the table '{table}', which is not in tables", fix)
    schema = prepare_rows(known, now, table).collect_schema()
    for column in (reduction.value, reduction.where, "kind" if reduction.kinds else ""):
        if column and column not in schema:
            names = sorted(schema.names())
            fix = suggestion(column, names) or f"Use one of {', '.join(names)}."
            raise wrong(f"an unknown column '{column}' of {table}", fix)
    dtype = schema[reduction.value]
    if reduction.how in ("sum", "decay") and not (dtype.is_integer() or dtype == nw.Boolean):
        raise wrong(
            f"a sum of {reduction.value}, which is not a whole number",
            "Sum a whole number: only their sums do not depend on the order of rows.",
        )
    try:
        reduction.expression(known.as_of)
    except KeyError as error:
        raise wrong(
            f"an unknown how = {reduction.how!r}",
            "Use count, sum, min, max, median, distinct or decay.",
        ) from error


def _check_row_by_row(entry: Feature, recipe: Recipe, name: str, known: Known, now: Now) -> None:
    """Refuse a formula whose value for one customer depends on others, or on how as_of is given.

    It is evaluated on a few invented customers: on all together, on each alone, and with as_of as a
    column, as in requests and at many dates. Only its reductions are there, and no customer_id.
    """
    rows = _invented_rows(recipe)

    def values(some: pa.Table, as_of: int | nw.Expr) -> list[float | None]:
        frame = nw.from_native(_empty_connection().from_arrow(some))
        reduced = SimpleNamespace(
            **{key: nw.col(red.key) for key, red in recipe.reductions.items()}
        )
        value = recipe.formula(reduced, replace(now, as_of=as_of))
        evaluated = frame.select("number", value=value).sort("number").collect(backend="pyarrow")
        return evaluated.to_native()["value"].to_pylist()

    together = values(rows, INVENTED_AS_OF)
    alone = [values(rows.slice(at, 1), INVENTED_AS_OF)[0] for at in range(rows.num_rows)]
    if together != alone:
        raise line_error(
            name,
            first_line(entry),
            f"{entry.name}: a formula that mixes customers",
            fix="Use values of one customer alone: no mean, sum, max, rank or over.",
        )
    if together != values(rows, nw.col("as_of")):
        raise line_error(
            name,
            first_line(entry),
            f"{entry.name}: a formula that depends on the type of now.as_of",
            fix="Use now.as_of, now.age_days and now.minutes inside expressions only.",
        )


def _invented_rows(recipe: Recipe) -> pa.Table:
    """Reductions of a few customers: small numbers, instants before INVENTED_AS_OF, nulls."""
    count = 6
    columns: dict[str, pa.Array] = {
        "number": pa.array(range(count), pa.int64()),
        "as_of": pa.array([INVENTED_AS_OF] * count, pa.int64()),
    }
    for place, reduction in enumerate(recipe.reductions.values(), start=1):
        numbers: list[int | None] = [(place * step * step + step) % 17 for step in range(1, count)]
        if reduction.value == "occurred_at" and reduction.how in ("min", "max", "median"):
            numbers = [INVENTED_AS_OF - DAY_US * (number or 0) for number in numbers]
        missing = 0 if reduction.how in ZERO_WITHOUT_ROWS else None
        kind = pa.float64() if reduction.how in ("sum", "decay") else pa.int64()
        columns[reduction.key] = pa.array([*numbers, missing], kind)
    return pa.table(columns)


def _run(entry: Feature, recipe: Recipe, known: Known, now: Now) -> None:
    feature = replace(entry, function=lambda: recipe)
    column = FeatureColumn(entry.name, feature, None, False)
    build(known, population=now.population, definitions=now.definitions, columns=[column])


@lru_cache(maxsize=1)
def _empty_connection() -> duckdb.DuckDBPyConnection:
    return connect(memory="1GB", threads=1)


@lru_cache(maxsize=1)
def _empty_business() -> tuple[Known, Now]:
    """Known and Now of a business with every table of the contract and no rows."""
    connection = _empty_connection()
    for table in CONTRACT.values():
        columns = [f"{column.name} {SQL_TYPES[column.type]}" for column in table.columns]
        if table.name in EVENT_TABLES:
            columns += ["local_day INTEGER", "local_hour INTEGER"]
        connection.execute(f"CREATE TABLE {table.name} ({', '.join(columns)})")
    known = History(connection, "transactions", ("purchase",), 1, tuple(CONTRACT)).as_of(1)
    definitions = learn_definitions(
        known, Settings.model_validate({"tables": dict.fromkeys(CONTRACT, "SELECT 1")})
    )
    return known, Now(1, definitions, population_stats(known, definitions))
