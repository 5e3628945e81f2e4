"""A business's own feature is tried on empty tables before it is used: what is wrong is said with its line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, wraps
from typing import Any

import narwhals as nw

from features.catalogue.custom import TABLES, WINDOWS, first_line, line_of, wrong_line
from features.core.contract import CONTRACT, EVENT_TABLES
from features.core.errors import BadSetting, suggestion
from features.core.settings import Settings
from features.engine.build import build
from features.engine.columns import ColumnOf
from features.recipes.definitions import learn_definitions
from features.recipes.population_stats import population_stats
from features.recipes.recipe import Feature, Now, Recipe, Reduction
from features.recipes.rows import prepared
from features.tables.history import History
from features.tables.parsing import SQL_TYPES
from features.tables.sources import connect


def checked_on_empty_tables(entry: Feature, name: str) -> Feature:
    """The feature, after its recipe was built and run on empty tables; values that are not finite become null."""
    known, now = _empty()
    line = first_line(entry)
    _refuse_description(entry, name, line)
    made = replace(entry, function=_finite(entry.function))
    try:
        for days in {"": (), "W": (30.0, None), "w": (30.0,), "H": (30.0,)}[entry.windows] or ((),):
            given = () if days == () else (days,)
            recipe = made.function(*given)
            for reduction in recipe.reductions.values():
                _refuse_reduction(reduction, entry, name, known, now)
            _run(replace(made, function=lambda recipe=recipe: recipe), known, now)
    except BadSetting:
        raise
    except Exception as error:
        first = (str(error).strip().splitlines() or [""])[0][:200]
        raise wrong_line(
            name, line_of(error, name, line), f"{entry.name}: {type(error).__name__}: {first}"
        ) from error
    return made


def _refuse_description(entry: Feature, name: str, line: int) -> None:
    def wrong(got: str, fix: str) -> BadSetting:
        return wrong_line(name, line, f"{entry.name}: {got}", fix=fix)

    if entry.windows not in WINDOWS:
        raise wrong(
            f"windows = {entry.windows!r}",
            "It is '' (none), 'W' (windows and all time), 'w' (windows) or 'H' (half-lives).",
        )
    if not isinstance(entry.tables, tuple) or not entry.tables:
        raise wrong("tables that are no tuple of names", 'Write tables=("transactions",).')
    for table in entry.tables:
        if table not in TABLES:
            raise wrong(
                f"an unknown table '{table}'",
                suggestion(str(table), TABLES) or f"Known: {', '.join(TABLES)}.",
            )
    if not entry.doc:
        raise wrong(
            "no docstring", "Say what it is: one sentence, then Formula, Window, Null, Source."
        )
    try:
        entry.words.format(value=1.0, window="the last 30 days")
    except (KeyError, IndexError, ValueError) as error:
        raise wrong(
            "words that cannot be filled in", "They may hold {value} and {window}."
        ) from error


def _finite(function: Callable[..., Recipe]) -> Callable[..., Recipe]:
    @wraps(function)
    def guarded(*given: Any) -> Recipe:
        recipe = function(*given)
        if not isinstance(recipe, Recipe):
            raise TypeError(f"a feature returns a Recipe, not {type(recipe).__name__}")

        def formula(r: Any, now: Any) -> nw.Expr:
            value = recipe.formula(r, now).cast(nw.Float64)
            return nw.when(value.is_finite()).then(value)

        return Recipe(recipe.reductions, formula)

    return guarded


def _refuse_reduction(
    reduction: Reduction, entry: Feature, name: str, known: Any, now: Any
) -> None:
    def wrong(got: str, fix: str) -> BadSetting:
        return wrong_line(name, first_line(entry), f"{entry.name}: {got}", fix=fix)

    if reduction.table not in {"activity", *entry.tables}:
        known_here = (
            suggestion(reduction.table, TABLES)
            or f"Name it in tables=(…): one of {', '.join(TABLES)}."
        )
        raise wrong(
            f"a reduction of the table '{reduction.table}', which tables does not name", known_here
        )
    there = prepared(known, now, reduction.table).collect_schema()
    for column in (reduction.value, reduction.where, "kind" if reduction.kinds else ""):
        if column and column not in there:
            fix = suggestion(column, there.names()) or f"Known: {', '.join(sorted(there.names()))}."
            raise wrong(f"an unknown column '{column}' of {reduction.table}", fix)
    whole = there[reduction.value].is_integer() or there[reduction.value] == nw.Boolean
    if reduction.how in ("sum", "decay") and not whole:
        raise wrong(
            f"a sum of {reduction.value}, which is no whole number",
            "Only whole numbers sum to the same in any order.",
        )
    try:
        reduction.expression(known.as_of)
    except KeyError as error:
        raise wrong(
            f"an unknown how = {reduction.how!r}",
            "It is count, sum, min, max, median, distinct or decay.",
        ) from error


def _run(entry: Feature, known: Any, now: Any) -> None:
    column = ColumnOf(entry.name, entry, None, False)
    build(known, base=now.base, definitions=now.definitions, columns=[column])


@lru_cache(maxsize=1)
def _empty() -> tuple[Any, Any]:
    """Known and Now of a business without a single row, with every table of the contract."""
    connection = connect(memory="1GB", threads=1)
    for table in CONTRACT.values():
        typed = [f"{column.name} {SQL_TYPES[column.type]}" for column in table.columns]
        typed += ["local_day INTEGER", "local_hour INTEGER"] if table.name in EVENT_TABLES else []
        connection.execute(f"CREATE TABLE {table.name} ({', '.join(typed)})")
    known = History(connection, "transactions", ("purchase",), 1, tuple(CONTRACT)).as_of(1)
    definitions = learn_definitions(known, Settings(tables=dict.fromkeys(CONTRACT, "SELECT 1")))
    return known, Now(1, definitions, population_stats(known, definitions))
