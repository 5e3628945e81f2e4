"""The one builder of feature rows: for training, batch and online alike.

`build` cuts nothing itself (Known is already cut), reduces each known table once, and evaluates every formula over
the reductions. The same code and the same integers give the same bits, for one customer or for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import narwhals as nw
import pyarrow as pa

from features.core.instants import DAY_US
from features.engine.columns import ColumnOf
from features.recipes.definitions import Definitions
from features.recipes.population_stats import PopulationStats
from features.recipes.recipe import Now, Recipe, Reduction
from features.recipes.rows import prepared
from features.recipes.stages import ENDLESS, STATE_COLUMNS, overdue_at, people_of, stage_at
from features.tables.history import Known


def build(
    known: Known,
    *,
    base: PopulationStats,
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
    now, rows = Now(known.as_of, definitions, base), known.kept(current_state(known, definitions))
    reduced = [known.kept(frame) for frame in reductions(known, now, columns).values()]
    return (
        formulas(known.kept(joined(rows, reduced)), now, columns)
        .collect(backend="pyarrow")
        .to_native()
    )


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
        out[table] = grouped.agg(
            **{red.key: red.expression(known.as_of) for red in needed if red.table == table}
        )
    return out


def needed_by(columns: Sequence[ColumnOf]) -> list[Reduction]:
    """Every reduction the columns rest on, once."""
    return list(
        {red.key: red for column in columns for red in column.recipe().reductions.values()}.values()
    )


def formulas(
    rows: nw.LazyFrame,
    now: Now,
    columns: Sequence[ColumnOf],
    *,
    beside: Sequence[str] = STATE_COLUMNS,
    ordered: bool = False,
) -> nw.LazyFrame:
    """`beside` and one value a column, by customer_id, from standing rows joined with their reductions.

    `ordered`: the rows already lie by customer_id, and are not sorted again.
    """
    zeros = [
        red.key for red in needed_by(columns) if red.how in ("count", "sum", "decay", "distinct")
    ]
    rows = rows.with_columns(nw.col(key).fill_null(0) for key in zeros) if zeros else rows
    values = {column.name: _value(column.recipe(), now).cast(nw.Float64) for column in columns}
    found = rows.select(*beside, **values)
    return found if ordered else found.sort("customer_id")


def _value(recipe: Recipe, now: Now) -> nw.Expr:
    return recipe.formula(
        SimpleNamespace(**{name: nw.col(red.key) for name, red in recipe.reductions.items()}), now
    )


def current_state(known: Known, definitions: Definitions) -> nw.LazyFrame:
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
        as_of=known.as_of
        if isinstance(known.as_of, nw.Expr)
        else nw.lit(known.as_of, dtype=nw.Int64),
        eligible=eligible,
        stage=stage,
        stage_rule=rule,
        overdue_state=overdue_at(known.as_of),
        stage_idle=idle,
        stage_if_inactive=nw.lit("churned") if definitions.contractual else idle,
    )


def cover_of(known: Known) -> nw.LazyFrame:
    """Until when each customer has cover, as known: customer_id, cover_until (µs; may lie ahead, or in the past)."""
    begun = known.tables["contracts"].filter(nw.col("starts_at") <= known.as_of)
    return begun.group_by("customer_id").agg(cover_until=nw.col("ends_at").max())


def only(known: Known, customers: Sequence[str]) -> Known:
    """Known of these customers alone (the base must come from everybody)."""
    mine = nw.col("customer_id").is_in(list(customers))
    tables = {name: rows.filter(mine) for name, rows in known.tables.items()}
    return Known(
        known.as_of, tables, known.activity.filter(mine), known.customers.filter(mine), known.kept
    )


def prospects(known: Known) -> list[str]:
    """Customers known at as_of without activity: a stage, and no scores."""
    active = known.activity.select("customer_id").unique()
    rows = known.customers.join(active, on="customer_id", how="anti").sort("customer_id")
    return rows.collect(backend="pyarrow").to_native()["customer_id"].to_pylist()
