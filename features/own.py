"""A business's own features: a Python file of recipes, named by `[features] own`, beside the catalogue.

The file uses the catalogue's words: `from features.recipe import feature, Recipe, Reduction, ratio`. What it registers
is kept with its text and never enters the catalogue, so two configurations in one process do not meet. It is code: it
runs with the rights of whoever runs the command, like everything the configuration names.
"""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache, wraps
from typing import Any

import narwhals as nw

from features.contract import CONTRACT, EVENT_TABLES
from features.errors import BadSetting, FileMissing, suggestion
from features.recipe import FEATURES, Feature, Recipe, Reduction, registering
from features.settings import Settings

FAMILY = "own"
FILE = "own_features.py"  # its name in a release
TABLES = (*CONTRACT, "activity")
WINDOWS = ("", "W", "w", "H")
_TEXT = "__own_text__"


def features_of(settings: Settings) -> tuple[Feature, ...]:
    """The features of the file `[features] own` names, in its order; empty where it names none."""
    return loaded(read(settings), settings.features.own) if settings.features.own else ()


def read(settings: Settings) -> str:
    """The file's text. FileMissing, or BadSetting where it is not UTF-8."""
    path = settings.folder / str(settings.features.own)
    if not path.is_file():
        raise FileMissing(where="[features] own", got=f"no file at {path}", rule="It names a Python file of features.",
                          fix="Mend the path (it resolves against the toml's folder), or leave the key out.")  # fmt: skip
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadSetting(where="[features] own", got="a file that is not UTF-8", rule="It is Python in UTF-8.",
                         fix="Save it as UTF-8.") from error  # fmt: skip


@lru_cache(maxsize=8)
def loaded(text: str, name: str) -> tuple[Feature, ...]:
    """The features that running `text` registers, each tried on empty tables. BadSetting with the line otherwise."""
    made = _Registered(name)
    try:
        with registering(made):
            exec(compile(text, name, "exec"), {"__name__": FAMILY, "__file__": name, _TEXT: text})
    except SyntaxError as error:
        raise _wrong(name, error.lineno or 1, f"Python that cannot be read: {error.msg}") from error
    except BadSetting:
        raise
    except (Exception, SystemExit) as error:
        raise _wrong(name, _line(error, name, 1), f"{type(error).__name__}: {error}") from error
    if not made:
        raise _wrong(name, 1, "no feature in it", fix="Write @feature(…) above a function that returns a Recipe.")
    empty = _empty()
    return tuple(_tried(entry, name, *empty) for entry in made.values())


def text_of(columns: Sequence[Any]) -> str | None:
    """The file that these columns' own features came from, as it was when they were loaded; None without any."""
    texts = (c.feature.function.__wrapped__.__globals__[_TEXT] for c in columns if c.feature.family == FAMILY)
    return next(texts, None)


def refuse_twice(names: Sequence[str]) -> None:
    """BadSetting where two features make one column (a feature of the business's own and another)."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise BadSetting(where="[features] own", got=f"a second column '{twice[0]}'", rule="Every column has one name.",
                         fix="Rename the feature in your file.")  # fmt: skip


class _Registered(dict[str, Feature]):
    """What a file registers, refusing a name twice or one of the catalogue's."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def __setitem__(self, key: str, entry: Feature) -> None:
        if key in self or key in FEATURES:
            whose = "this file" if key in self else "the catalogue"
            raise _wrong(self.name, _first_line(entry), f"the name '{key}', which {whose} has already",
                         fix="Give the feature another name.")  # fmt: skip
        super().__setitem__(key, entry)


def _wrong(name: str, line: int, got: str, *, fix: str = "Mend the line named.") -> BadSetting:
    return BadSetting(where=f"{name}, line {line}", got=got, fix=fix,
                      rule="Own features follow docs/decisions/017: recipes over the contract's tables.")  # fmt: skip


def _first_line(entry: Feature) -> int:
    return entry.function.__code__.co_firstlineno


def _line(error: BaseException, name: str, otherwise: int) -> int:
    """The deepest line of the file that the error passed through."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == name]
    return (lines[-1] if lines else None) or otherwise


def _tried(entry: Feature, name: str, known: Any, now: Any) -> Feature:
    """The feature, after its recipe was built and run on empty tables; values that are not finite become null."""
    line = _first_line(entry)
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
        raise _wrong(name, _line(error, name, line), f"{entry.name}: {type(error).__name__}: {first}") from error
    return made


def _refuse_description(entry: Feature, name: str, line: int) -> None:
    def wrong(got: str, fix: str) -> BadSetting:
        return _wrong(name, line, f"{entry.name}: {got}", fix=fix)

    if entry.windows not in WINDOWS:
        raise wrong(
            f"windows = {entry.windows!r}",
            "It is '' (none), 'W' (windows and all time), 'w' (windows) or 'H' (half-lives).",
        )
    if not isinstance(entry.tables, tuple) or not entry.tables:
        raise wrong("tables that are no tuple of names", 'Write tables=("transactions",).')
    for table in entry.tables:
        if table not in TABLES:
            raise wrong(f"an unknown table '{table}'", suggestion(str(table), TABLES) or f"Known: {', '.join(TABLES)}.")
    if not entry.doc:
        raise wrong("no docstring", "Say what it is: one sentence, then Formula, Window, Null, Source.")
    try:
        entry.words.format(value=1.0, window="the last 30 days")
    except (KeyError, IndexError, ValueError) as error:
        raise wrong("words that cannot be filled in", "They may hold {value} and {window}.") from error


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


def _refuse_reduction(reduction: Reduction, entry: Feature, name: str, known: Any, now: Any) -> None:
    from features.rows import prepared

    def wrong(got: str, fix: str) -> BadSetting:
        return _wrong(name, _first_line(entry), f"{entry.name}: {got}", fix=fix)

    if reduction.table not in {"activity", *entry.tables}:
        known_here = suggestion(reduction.table, TABLES) or f"Name it in tables=(…): one of {', '.join(TABLES)}."
        raise wrong(f"a reduction of the table '{reduction.table}', which tables does not name", known_here)
    there = prepared(known, now, reduction.table).collect_schema()
    for column in (reduction.value, reduction.where, "kind" if reduction.kinds else ""):
        if column and column not in there:
            fix = suggestion(column, there.names()) or f"Known: {', '.join(sorted(there.names()))}."
            raise wrong(f"an unknown column '{column}' of {reduction.table}", fix)
    whole = there[reduction.value].is_integer() or there[reduction.value] == nw.Boolean
    if reduction.how in ("sum", "decay") and not whole:
        raise wrong(
            f"a sum of {reduction.value}, which is no whole number", "Only whole numbers sum to the same in any order."
        )
    try:
        reduction.expression(known.as_of)
    except KeyError as error:
        raise wrong(
            f"an unknown how = {reduction.how!r}", "It is count, sum, min, max, median, distinct or decay."
        ) from error


def _run(entry: Feature, known: Any, now: Any) -> None:
    from features.table import ColumnOf, build

    column = ColumnOf(entry.name, entry, None, False)
    build(known, base=now.base, definitions=now.definitions, columns=[column])


@lru_cache(maxsize=1)
def _empty() -> tuple[Any, Any]:
    """Known and Now of a business without a single row, with every table of the contract."""
    from features.base import define, measure
    from features.history import History
    from features.parsing import SQL_TYPES
    from features.recipe import Now
    from features.sources import connect

    connection = connect(memory="1GB", threads=1)
    for table in CONTRACT.values():
        typed = [f"{column.name} {SQL_TYPES[column.type]}" for column in table.columns]
        typed += ["local_day INTEGER", "local_hour INTEGER"] if table.name in EVENT_TABLES else []
        connection.execute(f"CREATE TABLE {table.name} ({', '.join(typed)})")
    known = History(connection, "transactions", ("purchase",), 1, tuple(CONTRACT)).as_of(1)
    definitions = define(known, Settings(tables=dict.fromkeys(CONTRACT, "SELECT 1")))
    return known, Now(1, definitions, measure(known, definitions))
