"""The only builder of feature rows, for training, batch scoring and the service.

`build` cuts nothing off: `Known` holds only what was known at as_of. It reduces each table to one
row per customer and evaluates every formula over the reductions. The same code over the same
integers gives the same bits, for one customer or for all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import SimpleNamespace

import narwhals as nw
import pyarrow as pa

from features.core.instants import DAY_US
from features.core.language import say
from features.core.progress import track_steps
from features.engine.columns import FeatureColumn
from features.recipes.cover import current_cover, scored_customers
from features.recipes.definitions import Definitions
from features.recipes.population_stats import PopulationStats
from features.recipes.recipe import Now, Reduction
from features.recipes.rows import prepare_rows
from features.recipes.stages import (
    ENDLESS,
    STATE_COLUMNS,
    overdue_at,
    stage_at,
    summarise_activity,
    with_cover_alone,
)
from features.tables.history import Known

PART_CUSTOMERS = 100_000  # of one query
# Reductions that are 0, not null, for a customer without rows in the table.
ZERO_WITHOUT_ROWS = ("count", "sum", "decay", "distinct")


def build(
    known: Known,
    *,
    population: PopulationStats,
    definitions: Definitions,
    columns: Sequence[FeatureColumn],
    customers: Sequence[str] | None = None,
) -> pa.Table:
    """Build one feature row per customer with activity or cover known at `known.as_of`.

    Args:
        known: what was known before an instant (`History.as_of`).
        population: statistics of all customers at the same instant (`population_stats`).
        definitions: what the release froze (`learn_definitions`).
        columns: the feature columns (`columns_for`).
        customers: build only the rows of these ids; ids without activity or cover are left out.

    Returns:
        A table (customers, state columns + feature columns), sorted by customer_id: first
        STATE_COLUMNS (stage, rule, eligibility, instants in µs UTC), then one float64 per column
        in its feature's unit (docs/features.md). A cell is null where the feature's Null rule says
        so, and never NaN or infinite.

    Pure: equal inputs give equal bits, whatever the row order, threads or other customers.
    """
    if customers is not None:
        known = restrict_to_customers(known, customers)
    parts = [
        _build_part(part, population, definitions, columns) for part in _parts_of_customers(known)
    ]
    return parts[0] if len(parts) == 1 else pa.concat_tables(parts)


def _build_part(
    known: Known,
    population: PopulationStats,
    definitions: Definitions,
    columns: Sequence[FeatureColumn],
) -> pa.Table:
    now = Now(known.as_of, definitions, population)
    # Each frame is computed once: a plan through all of them would be planned again at every join.
    rows = known.materialise(current_state(known, definitions))
    reduced = [known.materialise(frame) for frame in reduce_tables(known, now, columns).values()]
    joined = known.materialise(join_by_customer(rows, reduced))
    return evaluate_formulas(joined, now, columns).collect(backend="pyarrow").to_native()


def join_by_customer(rows: nw.LazyFrame, others: Sequence[nw.LazyFrame]) -> nw.LazyFrame:
    """Left-join the frames `others` to `rows` by customer_id.

    It uses the engine's own join, which DuckDB and Spark spell alike: narwhals renames every column
    at every join, which is slow for hundreds of columns.
    """
    native = rows.to_native()
    for frame in others:
        native = native.join(frame.to_native(), "customer_id", "left")
    return nw.from_native(native)


def reduce_tables(
    known: Known,
    now: Now,
    columns: Sequence[FeatureColumn],
    *,
    except_keys: frozenset[str] = frozenset(),
) -> dict[str, nw.LazyFrame]:
    """For each table one row per customer with every reduction that the columns need of it.

    Reductions whose key is in `except_keys` are left out: another source has them already.
    """
    needed = [red for red in needed_reductions(columns) if red.key not in except_keys]
    frames = {}
    for table in sorted({red.table for red in needed}):
        grouped = prepare_rows(known, now, table).group_by("customer_id")
        frames[table] = grouped.agg(
            **{red.key: red.expression(known.as_of) for red in needed if red.table == table}
        )
    return frames


def needed_reductions(columns: Sequence[FeatureColumn]) -> list[Reduction]:
    """Every reduction that the columns need, once each."""
    by_key = {red.key: red for column in columns for red in column.recipe().reductions.values()}
    return list(by_key.values())


def evaluate_formulas(
    rows: nw.LazyFrame,
    now: Now,
    columns: Sequence[FeatureColumn],
    *,
    leading_columns: Sequence[str] = STATE_COLUMNS,
    already_sorted: bool = False,
) -> nw.LazyFrame:
    """The `leading_columns` and one float64 per feature column, sorted by customer_id.

    `rows` hold the leading columns and every reduction, one row per customer. `already_sorted`
    says that they are sorted by customer_id, and skips the sort.
    """
    # A customer without a row in a table has count 0 there, not null.
    zeros = [red.key for red in needed_reductions(columns) if red.how in ZERO_WITHOUT_ROWS]
    rows = rows.with_columns(nw.col(key).fill_null(0) for key in zeros) if zeros else rows
    values = {column.name: _formula_value(column, now) for column in columns}
    result = rows.select(*leading_columns, **values)
    return result if already_sorted else result.sort("customer_id")


def _formula_value(column: FeatureColumn, now: Now) -> nw.Expr:
    recipe = column.recipe()
    reduced = {name: nw.col(red.key) for name, red in recipe.reductions.items()}
    return recipe.formula(SimpleNamespace(**reduced), now).cast(nw.Float64)


def current_state(known: Known, definitions: Definitions) -> nw.LazyFrame:
    """STATE_COLUMNS of everybody with activity or cover: the stage now, and later if inactive."""
    people = summarise_activity(known.activity, at=known.as_of, definitions=definitions)
    horizon = known.as_of + definitions.horizon_days * DAY_US
    until, no_cover = nw.col("cover_until"), nw.lit(None, dtype=nw.Int64)
    cover = current_cover(known) if definitions.contractual else None
    people = with_cover_alone(people, cover, definitions=definitions)
    if definitions.contractual:
        eligible = ~until.is_null() & (until > known.as_of)
    else:
        eligible = nw.col("last_at") >= known.as_of - definitions.eligible_days * DAY_US
    stage, rule = stage_at(known.as_of, multiples=definitions.multiples, until=until)
    # Idle means: no further activity, while cover (if there is any) continues.
    endless = nw.lit(ENDLESS) if definitions.contractual else no_cover
    idle, _ = stage_at(horizon, multiples=definitions.multiples, until=endless)
    at = known.as_of
    return people.with_columns(
        as_of=at if isinstance(at, nw.Expr) else nw.lit(at, dtype=nw.Int64),
        eligible=eligible,
        stage=stage,
        stage_rule=rule,
        overdue_state=overdue_at(at),
        stage_idle=idle,
        stage_if_inactive=nw.lit("churned") if definitions.contractual else idle,
    )


def _parts_of_customers(known: Known) -> Iterator[Known]:
    """Known of at most PART_CUSTOMERS customers at a time, in the order of their ids.

    The reductions of a million customers do not fit into memory; those of a part do, and a customer
    has the same row in any part.
    """
    [size] = known.customers.select(nw.len()).collect(backend="pyarrow").to_native()[0].to_pylist()
    if size <= PART_CUSTOMERS:
        yield known
        return
    ids = known.customers.sort("customer_id").collect(backend="pyarrow").to_native()["customer_id"]
    edges = [ids[place].as_py() for place in range(0, size, PART_CUSTOMERS)]
    ends = [*edges[1:], None]
    for first, end in track_steps(
        list(zip(edges, ends, strict=True)), label=say("feature rows, parts of customers")
    ):
        name = nw.col("customer_id")
        yield _filter_known(known, name >= first if end is None else (name >= first) & (name < end))


def restrict_to_customers(known: Known, customers: Sequence[str]) -> Known:
    """Known of these customers alone. Population statistics must come from all customers."""
    return _filter_known(known, nw.col("customer_id").is_in(list(customers)))


def _filter_known(known: Known, chosen: nw.Expr) -> Known:
    tables = {name: rows.filter(chosen) for name, rows in known.tables.items()}
    activity, people = known.activity.filter(chosen), known.customers.filter(chosen)
    further = {name: rows.filter(chosen) for name, rows in known.switched.items()}
    return Known(known.as_of, tables, activity, people, known.materialise, further=further)


def prospects(known: Known, *, contractual: bool) -> list[str]:
    """Ids of customers known at as_of without activity, sorted; with contracts, without cover too.

    They have a stage and no scores.
    """
    others = scored_customers(known, contractual=contractual).select("customer_id")
    rows = known.customers.join(others, on="customer_id", how="anti").sort("customer_id")
    return rows.collect(backend="pyarrow").to_native()["customer_id"].to_pylist()
