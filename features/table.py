"""The one builder of feature rows: for training, batch and online alike.

`build` cuts nothing itself (Known is already cut), reduces each known table once, and evaluates every formula over
the reductions. The same code and the same integers give the same bits, for one customer or for all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import narwhals as nw
import pyarrow as pa

from features.base import Base, Definitions, define, measure
from features.catalogue import FAMILIES, attributes
from features.errors import UnknownKey, suggestion
from features.history import History, Known
from features.own import features_of, refuse_twice
from features.recipe import FEATURES, Feature, Now, Recipe, Reduction
from features.rows import prepared
from features.settings import DAY_US, Settings
from features.stages import ENDLESS, overdue_at, people_of, stage_at

STATE = (
    "customer_id", "as_of", "eligible", "stage", "stage_rule", "stage_if_inactive",
    "stage_idle", "n", "first_at", "last_at", "cover_until", "overdue_state", "run",
)  # fmt: skip
__all__ = ["FAMILIES", "FEATURES", "STATE", "Definitions", "build", "columns", "define", "measure"]


@dataclass(frozen=True)
class ColumnOf:
    """One column of the feature table: a feature, and its window or half-life in days where it has one."""

    name: str
    feature: Feature
    days: float | None
    takes_days: bool

    def recipe(self) -> Recipe:
        return self.feature.function(self.days) if self.takes_days else self.feature.function()

    @property
    def reach_days(self) -> float:
        """How many days back the column looks through windows; 0 where it only looks at all time."""
        # Some windows are in the rows that a recipe reads, not in its reductions.
        own = self.days if self.feature.windows in ("W", "w") and self.days else 0
        return max([own, *(reduction.since_days or 0 for reduction in self.recipe().reductions.values())])

    @property
    def window(self) -> str:
        return "all time" if self.days is None else f"{self.days:g} days"


def columns(
    definitions: Definitions, *, tables: Iterable[str], off: Sequence[str] = (), own: Sequence[Feature] = ()
) -> list[ColumnOf]:
    """The columns this business can have, in catalogue order: those whose tables are there and that are not off.

    `own` are the business's features (`features.own`); they come last. `off` names families, features or single
    columns; UnknownKey for a name that is none of them.
    """
    there = {*tables, "activity"}
    entries = [*sorted(FEATURES.values(), key=lambda entry: FAMILIES.index(entry.family)), *own]
    every = [column for entry in entries for column in _windowed(entry, definitions)]
    refuse_twice([column.name for column in every])
    names = {*FAMILIES, *FEATURES, *(entry.family for entry in own), *(entry.name for entry in own)}
    names |= {column.name for column in every}
    for name in off:
        if name not in names:
            raise UnknownKey(where="[features] off", got=f"unknown feature '{name}'",
                             rule="off names families, features or columns of docs/features.md.",
                             fix=suggestion(name, names) or "See docs/features.md.")  # fmt: skip
    return [
        column for column in every
        if set(column.feature.tables) <= there and not {column.name, column.feature.name, column.feature.family} & set(off)
    ]  # fmt: skip


def absent(*, tables: Iterable[str], own: Sequence[Feature] = ()) -> dict[str, list[str]]:
    """Which features a missing table costs: missing table -> feature names."""
    there, costs = {*tables, "activity"}, {}
    for entry in [*FEATURES.values(), *own]:
        for table in entry.tables:
            if table not in there:
                costs.setdefault(table, []).append(entry.name)
    return costs


def _windowed(entry: Feature, definitions: Definitions) -> list[ColumnOf]:
    if entry.family == "attributes":
        return [ColumnOf(name, made, None, False) for name, made in attributes.entries(entry, definitions)]
    if not entry.windows:
        return [ColumnOf(entry.name, entry, None, False)]
    if entry.windows == "H":
        multiples = zip((1, 3, 6), definitions.half_lives_days, strict=True)
        return [ColumnOf(f"{entry.name}_{k}g", entry, days, True) for k, days in multiples]
    found = [ColumnOf(f"{entry.name}_{days}d", entry, days, True) for days in definitions.windows_days]
    return found + ([ColumnOf(f"{entry.name}_all", entry, None, True)] if entry.windows == "W" else [])


def build(
    known: Known,
    *,
    base: Base,
    definitions: Definitions,
    columns: Sequence[ColumnOf],
    customers: Sequence[str] | None = None,
) -> pa.Table:
    """One row per customer with activity known at `known.as_of`, sorted by customer_id.

    Columns: STATE (stage, rule, s₀, eligibility and what they rest on), then one float64 per column, null by the
    feature's own rule. `customers` keeps the rows of these ids. Pure: equal inputs give equal bits.
    """
    if customers is not None:
        known = only(known, customers)
    now, rows = Now(known.as_of, definitions, base), known.kept(standing(known, definitions))
    reduced = [known.kept(frame) for frame in reductions(known, now, columns).values()]
    return formulas(known.kept(joined(rows, reduced)), now, columns).collect(backend="pyarrow").to_native()


def joined(rows: nw.LazyFrame, beside: Sequence[nw.LazyFrame]) -> nw.LazyFrame:
    """`rows` and, where there is one, the row of the same customer_id in each frame beside it.

    By the engine's own join (DuckDB and Spark spell it alike): narwhals names every column anew at every join.
    """
    native = rows.to_native()
    for frame in beside:
        native = native.join(frame.to_native(), "customer_id", "left")
    return nw.from_native(native)


def reductions(
    known: Known, now: Now, columns: Sequence[ColumnOf], *, apart: frozenset[str] = frozenset()
) -> dict[str, nw.LazyFrame]:
    """Per table one row a customer with every reduction that the columns need of it, without the keys in `apart`."""
    needed = [reduction for reduction in needed_by(columns) if reduction.key not in apart]
    out = {}
    for table in sorted({red.table for red in needed}):
        grouped = prepared(known, now, table).group_by("customer_id")
        out[table] = grouped.agg(**{red.key: red.expression(known.as_of) for red in needed if red.table == table})
    return out


def needed_by(columns: Sequence[ColumnOf]) -> list[Reduction]:
    """Every reduction the columns rest on, once."""
    return list({red.key: red for column in columns for red in column.recipe().reductions.values()}.values())


def formulas(
    rows: nw.LazyFrame, now: Now, columns: Sequence[ColumnOf], *, beside: Sequence[str] = STATE, ordered: bool = False
) -> nw.LazyFrame:
    """`beside` and one value a column, by customer_id, from standing rows joined with their reductions.

    `ordered`: the rows already lie by customer_id, and are not sorted again.
    """
    zeros = [red.key for red in needed_by(columns) if red.how in ("count", "sum", "decay", "distinct")]
    rows = rows.with_columns(nw.col(key).fill_null(0) for key in zeros) if zeros else rows
    values = {column.name: _value(column.recipe(), now).cast(nw.Float64) for column in columns}
    found = rows.select(*beside, **values)
    return found if ordered else found.sort("customer_id")


def _value(recipe: Recipe, now: Now) -> nw.Expr:
    return recipe.formula(SimpleNamespace(**{name: nw.col(red.key) for name, red in recipe.reductions.items()}), now)


def standing(known: Known, definitions: Definitions) -> nw.LazyFrame:
    """STATE for everybody with activity: where they stand now, and where they will if nothing happens."""
    people = people_of(known.activity, at=known.as_of, definitions=definitions)
    horizon = known.as_of + definitions.horizon_days * DAY_US
    until, nobody = nw.col("cover_until"), nw.lit(None, dtype=nw.Int64)
    if definitions.contractual:
        people = people.join(cover_of(known), on="customer_id", how="left")
        eligible = ~until.is_null() & (until > known.as_of)
    else:
        people = people.with_columns(cover_until=nobody)
        eligible = nw.col("last_at") >= known.as_of - definitions.eligible_days * DAY_US
    stage, rule = stage_at(known.as_of, multiples=definitions.multiples, until=until)
    # Standing still: nothing is done, and cover (where there is any) runs on.
    endless = nw.lit(ENDLESS) if definitions.contractual else nobody
    idle, _ = stage_at(horizon, multiples=definitions.multiples, until=endless)
    return people.with_columns(
        as_of=known.as_of if isinstance(known.as_of, nw.Expr) else nw.lit(known.as_of, dtype=nw.Int64),
        eligible=eligible, stage=stage, stage_rule=rule, overdue_state=overdue_at(known.as_of), stage_idle=idle,
        stage_if_inactive=nw.lit("churned") if definitions.contractual else idle,
    )  # fmt: skip


def cover_of(known: Known) -> nw.LazyFrame:
    """Until when each customer has cover, as known: customer_id, cover_until (µs; may lie ahead, or in the past)."""
    begun = known.tables["contracts"].filter(nw.col("starts_at") <= known.as_of)
    return begun.group_by("customer_id").agg(cover_until=nw.col("ends_at").max())


def only(known: Known, customers: Sequence[str]) -> Known:
    """Known of these customers alone (the base must come from everybody)."""
    mine = nw.col("customer_id").is_in(list(customers))
    tables = {name: rows.filter(mine) for name, rows in known.tables.items()}
    return Known(known.as_of, tables, known.activity.filter(mine), known.customers.filter(mine), known.kept)


def prospects(known: Known) -> list[str]:
    """Customers known at as_of without activity: a stage, and no scores."""
    active = known.activity.select("customer_id").unique()
    rows = known.customers.join(active, on="customer_id", how="anti").sort("customer_id")
    return rows.collect(backend="pyarrow").to_native()["customer_id"].to_pylist()


def columns_for(history: History, definitions: Definitions, settings: Settings) -> list[ColumnOf]:
    return columns(definitions, tables=history.names, off=settings.features.off, own=features_of(settings))
