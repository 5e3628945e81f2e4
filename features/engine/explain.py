"""Why a value is what it is: the formula in words, each reduction it rests on, and the very rows behind each of them.

The rows are those the builder reduces: the same prepared table, cut and filtered by the same expressions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from types import SimpleNamespace
from typing import Any

import narwhals as nw

from features.core.contract import CONTRACT
from features.core.errors import BadSetting, NotHere, UnknownKey, suggestion
from features.core.instants import day_text
from features.core.settings import Settings
from features.engine.build import build, only, reductions
from features.engine.business_columns import columns_for, features_of
from features.engine.columns import ColumnOf, columns
from features.recipes.definitions import learn_definitions
from features.recipes.population_stats import population_stats
from features.recipes.recipe import Now, Reduction
from features.recipes.rows import prepared
from features.tables.history import History, Known

MOST = 50
_OF_ACTIVITY = ("occurred_at", "local_day", "gap", "position")
# Of these only rows that say something enter; a count takes every row.
_NEEDS_A_VALUE = ("sum", "min", "max", "median", "distinct")


class Recorded:
    """Stands for the definitions or the base of a formula, made when first asked, and keeps what was asked of it."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make, self._made, self.asked = make, None, {}

    def __getattr__(self, name: str) -> Any:
        if self._made is None:
            self._made = self._make()
        value = getattr(self._made, name)
        if not callable(value):
            self.asked[name] = value
        return value


@dataclass(frozen=True)
class Case:
    """One customer's known rows and what recipes are asked with."""

    known: Known
    now: Now
    zone: str


def why(
    history: History,
    settings: Settings,
    *,
    customer: str,
    as_of: int,
    column: str,
    most: int = MOST,
) -> dict[str, Any]:
    """The value of one column for one customer as `build` gives it at `as_of`, and everything behind it.

    Definitions are learned at `as_of`, as `lifecycle features` does. Keys: customer, as_of, column, feature, family,
    unit, window, says, value, reductions (name, of, value, read, rows, more), definitions, base. At most `most` rows a
    reduction, newest first. Errors: UnknownKey, BadSetting (switched off, or its table is missing), NotHere.
    """
    known = history.as_of(as_of)
    definitions = learn_definitions(known, settings)
    chosen = _chosen(history, settings, definitions, column)
    mine = only(known, [customer])
    _refuse_nobody(mine)
    base = Recorded(lambda: population_stats(known, definitions))
    recorded = Recorded(lambda: definitions)
    case = Case(mine, Now(as_of, recorded, base), settings.zone)
    told = _reductions(case, chosen, most)
    rows = build(mine, base=base, definitions=definitions, columns=[chosen])
    used = _used(case, chosen)
    return {
        "customer": customer,
        "as_of": day_text(as_of, zone=settings.zone),
        "column": chosen.name,
        "feature": chosen.feature.name,
        "family": chosen.feature.family,
        "unit": chosen.feature.unit,
        "window": chosen.window if chosen.takes_days else "",
        "says": chosen.feature.doc,
        "value": rows[chosen.name][0].as_py(),
        "reductions": told,
        "definitions": used["definitions"],
        "base": used["base"],
    }


def _chosen(history: History, settings: Settings, definitions: Any, name: str) -> ColumnOf:
    here = {one.name: one for one in columns_for(history, definitions, settings)}
    if name in here:
        return here[name]
    own = features_of(settings)
    every = {one.name: one for one in columns(definitions, tables=[*CONTRACT], own=own)}
    if name not in every:
        fix = (
            suggestion(name, here)
            or "`lifecycle features` writes them all; docs/features.md describes them."
        )
        raise UnknownKey(
            where="--feature",
            got=f"unknown column '{name}'",
            rule="It names a column of the feature table.",
            fix=fix,
        )
    missing = sorted(set(every[name].feature.tables) - {*history.names, "activity"})
    if missing:
        raise BadSetting(
            where="--feature",
            got=f"'{name}', which needs {', '.join(missing)}",
            rule="A feature whose table is missing is absent.",
            fix="Give the table its SELECT under [tables].",
        )
    raise BadSetting(
        where="--feature",
        got=f"'{name}', which [features] off switches off",
        rule="Only columns that are on have values.",
        fix="Take it (its family, or its feature) out of [features] off.",
    )


def _refuse_nobody(known: Known) -> None:
    def count(frame: nw.LazyFrame) -> int:
        return (
            frame.select(n=nw.col("customer_id").count())
            .collect(backend="pyarrow")
            .to_native()["n"][0]
            .as_py()
        )

    if count(known.activity):
        return
    if count(known.customers):
        raise NotHere(
            where="--customer",
            got="a customer without activity before as_of",
            rule="A prospect has a stage, and no feature row.",
            fix="Name a later as_of.",
        )
    raise NotHere(
        where="--customer",
        got="an id that nobody has before as_of",
        rule="The customer is known at as_of.",
        fix="Look at the id (leading zeros count), or name a later as_of.",
    )


def _reductions(case: Case, column: ColumnOf, most: int) -> list[dict[str, Any]]:
    """Each reduction by its recipe's name: what it reads, its value, and the newest rows that enter it."""
    values: dict[str, Any] = {}
    for frame in reductions(case.known, case.now, [column]).values():
        values |= next(iter(frame.collect(backend="pyarrow").to_native().to_pylist()), {})
    told, recipe = [], column.recipe().reductions
    behind = rows_behind(case, list(recipe.values()))
    for name, one in recipe.items():
        rows = behind[one.key]
        nothing = 0 if one.how in ("count", "sum", "decay", "distinct") else None
        value = values.get(one.key)
        told.append(
            {
                "name": name,
                "table": one.table,
                "how": one.how,
                "of": one.value,
                "kinds": list(one.kinds),
                "where": one.where,
                "window": _window(one),
                "half_life_days": one.half_life_days or None,
                "value": nothing if value is None else _plain(value),
                "read": len(rows),
                "rows": [_shown(row, one, case) for row in rows[:most]],
                "more": max(0, len(rows) - most),
            }
        )
    return told


def rows_behind(case: Case, wanted: Sequence[Reduction]) -> dict[str, list[dict[str, Any]]]:
    """By a reduction's key the prepared rows that enter it, newest first: no other row of the customer changes its value."""
    behind: dict[str, list[dict[str, Any]]] = {}
    for table in {one.table for one in wanted}:
        mine = [one for one in wanted if one.table == table]
        frame = prepared(case.known, case.now, table)
        flags = {f"is_behind_{at}": one._kept(case.now.as_of) for at, one in enumerate(mine)}
        rows = frame.with_columns(**flags).collect(backend="pyarrow").to_native().to_pylist()
        names = frame.collect_schema().names()
        rows.sort(key=lambda row, names=names: _order(row, names), reverse=True)
        for at, one in enumerate(mine):
            entering = [row for row in rows if row[f"is_behind_{at}"] and _says(row, one)]
            behind[one.key] = [{name: row[name] for name in names} for row in entering]
    return behind


def _says(row: dict[str, Any], one: Reduction) -> bool:
    needed = one.how in _NEEDS_A_VALUE or (one.how == "decay" and one.value != "occurred_at")
    return not needed or row[one.value] is not None


def _order(row: dict[str, Any], names: Sequence[str]) -> tuple:
    """Newest first; equal instants by everything the row says, never by the order rows came in."""
    return (
        row.get("occurred_at") or 0,
        *((row[name] is not None, str(row[name])) for name in names),
    )


def _window(one: Reduction) -> str:
    if one.since_days is None:
        return f"all time but the last {one.until_days:g} days" if one.until_days else "all time"
    return (
        f"{one.since_days:g} to {one.until_days:g} days ago"
        if one.until_days
        else f"the last {one.since_days:g} days"
    )


def _shown(row: dict[str, Any], one: Reduction, case: Case) -> dict[str, Any]:
    """What of a row matters: what its table says (all of it where the table is derived), and what was reduced as `value`."""
    table = CONTRACT.get(one.table)
    said = _OF_ACTIVITY if one.table == "activity" else table.names if table else tuple(row)
    instants = {
        "occurred_at",
        *(c.name for c in (table.columns if table else ()) if c.type == "instant"),
    }
    cells = {
        name: row[name] for name in said if name != "customer_id" and row.get(name) is not None
    }
    cells = {
        name: day_text(value, zone=case.zone) if name in instants else _plain(value)
        for name, value in cells.items()
    }
    # A count takes the row itself, and an instant stands there already.
    return (
        cells
        if one.how == "count" or one.value in instants
        else {**cells, "value": _plain(row[one.value])}
    )


def _plain(value: Any) -> Any:
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    return value if value is None or isinstance(value, (bool, int, float, str)) else float(value)


def _used(case: Case, column: ColumnOf) -> dict[str, dict[str, Any]]:
    """The numbers of the definitions and of the base that the rows or the formula ask for."""
    recipe = column.recipe()
    recipe.formula(
        SimpleNamespace(**{name: nw.col(one.key) for name, one in recipe.reductions.items()}),
        case.now,
    )
    learned = {
        name: _listed(value)
        for name, value in case.now.definitions.asked.items()
        if name != "attributes"
    }
    return {
        "definitions": learned,
        "base": {name: _listed(value) for name, value in case.now.base.asked.items()},
    }


def _listed(value: Any) -> Any:
    return [_listed(one) for one in value] if isinstance(value, tuple) else value


def text(found: dict[str, Any]) -> str:
    """The account for people: the value, what the column says, then each reduction with its rows as a small table."""
    window = f", {found['window']}" if found["window"] else ""
    value = "null" if found["value"] is None else f"{found['value']:.12g}"
    lines = [
        f"{found['column']} of customer {found['customer']} at {found['as_of']}: {value} ({found['unit']}{window})",
        "",
    ]
    lines += [f"  {line}".rstrip() for line in found["says"].splitlines()]
    for one in found["reductions"]:
        lines += ["", *_reduction_text(one)]
    for kind, said in (("definitions", "learned at as_of"), ("base", "of everybody, at as_of")):
        if found[kind]:
            lines += [
                "",
                f"  {said}:",
                *(f"    {name} = {_cut(value)}" for name, value in found[kind].items()),
            ]
    return "\n".join(lines)


def _reduction_text(one: dict[str, Any]) -> list[str]:
    kinds = f" of kind {', '.join(one['kinds'])}" if one["kinds"] else ""
    where = f" where {one['where']}" if one["where"] else ""
    half_life = f", half-life {one['half_life_days']:g} days" if one["half_life_days"] else ""
    value = "null" if one["value"] is None else f"{one['value']:.15g}"
    head = f"  {one['name']} = {value}: {one['how']} of {one['of']} over {one['read']:,} rows of {one['table']}"
    lines = [f"{head}{kinds}{where}, {one['window']}{half_life}"]
    names = list(dict.fromkeys(name for row in one["rows"] for name in row))
    cells = (
        [names, *([_cut(row.get(name, "")) for name in names] for row in one["rows"])]
        if names
        else []
    )
    wide = [max(len(row[at]) for row in cells) for at in range(len(names))]
    lines += [
        "    " + "  ".join(cell.ljust(wide[at]) for at, cell in enumerate(row)).rstrip()
        for row in cells
    ]
    return [*lines, f"    … and {one['more']:,} older rows"] if one["more"] else lines


def _cut(value: Any) -> str:
    """A cell on one line; line ends and control characters of a file's text never reach the terminal."""
    said = "".join(letter if letter.isprintable() else "�" for letter in str(value))
    return said if len(said) <= 60 else f"{said[:60]}…"
