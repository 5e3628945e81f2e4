"""Feature rows at many instants for all customers.

The rows equal `build` at each instant bit for bit. Additive reductions come from running totals
(`features.engine.running_totals`); the engine computes the others at each instant.
`features.engine.pairs` does the same for pairs of a customer and an instant.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import narwhals as nw
import pyarrow as pa

from features.core.settings import Settings
from features.engine.build import (
    build,
    current_state,
    evaluate_formulas,
    join_by_customer,
    needed_reductions,
    reduce_tables,
)
from features.engine.business_columns import columns_for
from features.engine.columns import FeatureColumn
from features.engine.running_totals import RunningTotals
from features.recipes.definitions import Definitions, learn_definitions
from features.recipes.population_stats import PopulationStats, population_stats
from features.recipes.recipe import Now, Reduction
from features.recipes.stages import STATE_COLUMNS
from features.tables.history import History, Known

PAIR_COLUMNS = ("customer_id", "as_of")


def build_for_dates(
    history: History,
    settings: Settings,
    *,
    as_of: Sequence[int],
    definitions: Definitions | None = None,
) -> pa.Table:
    """Build the feature rows of all customers at several instants (µs UTC), one below the other.

    `definitions`: those of a release; learned at the earliest instant where left out. Population
    statistics belong to each instant. The table has the columns of `build`, sorted by customer_id
    within each as_of, in the order of `as_of`.
    """
    definitions = definitions or learn_definitions(history.as_of(min(as_of)), settings)
    chosen = columns_for(history, definitions, settings)
    built = build_many(history, definitions=definitions, columns=chosen, as_of=as_of)
    return pa.concat_tables([rows for _, _, rows in built])


def build_many(
    history: History,
    *,
    definitions: Definitions,
    columns: Sequence[FeatureColumn],
    as_of: Sequence[int],
) -> Iterator[tuple[Known, PopulationStats, pa.Table]]:
    """Yield (known, population, rows) for each instant of `as_of` (µs UTC), in its order.

    `rows` equal `build` at that instant bit for bit (same shape, units and nulls). Additive
    reductions are summed once for all instants, so many dates cost little more than one.
    """
    totals = None
    for at in as_of:
        known = history.as_of(at)
        now = Now(at, definitions, population_stats(known, definitions))
        if len(as_of) < 2:
            rows = build(known, population=now.population, definitions=definitions, columns=columns)
        else:
            # Running totals depend neither on the instant nor on the population: any Now will do.
            totals = totals or RunningTotals(history, now, needed_reductions(columns), as_of=as_of)
            rows = assemble_rows(
                history, known, now, columns, totals=totals, frames=totals.totals_at(at)
            )
        yield known, now.population, rows


def build_columns(
    history: History,
    *,
    definitions: Definitions,
    populations: Sequence[PopulationStats],
    columns: Sequence[FeatureColumn],
) -> pa.Table:
    """Build a few feature columns at the instants of `populations`, without the state columns.

    Returns customer_id, as_of (µs) and the columns (float64), by as_of and customer_id. If all
    columns are additive, the events are read once for all instants.
    """
    activity_count = Reduction(history.activity_table, "count", kinds=history.activity_kinds)
    as_of = [population.as_of for population in populations]
    totals = RunningTotals(
        history,
        Now(as_of[0], definitions, populations[0]),
        [activity_count, *needed_reductions(columns)],
        as_of=as_of,
    )
    parts = []
    # The totals of the next instant are read while the engine evaluates the formulas of this one.
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(totals.totals_at, as_of[0])
        for number, population in enumerate(populations):
            frames = pending.result()
            if number + 1 < len(as_of):
                pending = pool.submit(totals.totals_at, as_of[number + 1])
            known = history.as_of(population.as_of)
            now = Now(population.as_of, definitions, population)
            parts.append(
                assemble_rows(
                    history,
                    known,
                    now,
                    columns,
                    totals=totals,
                    frames=frames,
                    activity_count=activity_count,
                )
            )
    return pa.concat_tables(parts)


def assemble_rows(
    history: History,
    known: Known,
    now: Now,
    columns: Sequence[FeatureColumn],
    *,
    totals: RunningTotals,
    frames: dict[str, pa.Table],
    activity_count: Reduction | None = None,
) -> pa.Table:
    """The rows of one instant, where `frames` are `totals.totals_at` this instant.

    With `activity_count` (the reduction that counts activity) the rows hold customer_id and as_of
    instead of the state columns.
    """
    at = now.population.as_of
    leading = STATE_COLUMNS if activity_count is None else PAIR_COLUMNS
    summed = {name: frame_from_arrow(history, table) for name, table in frames.items()}
    if activity_count is None:
        rows = history.materialise(current_state(known, now.definitions))
    else:
        # The totals themselves show who was active by then; no state is needed.
        active = summed.pop(activity_count.table).filter(nw.col(activity_count.key) > 0)
        rows = active.with_columns(as_of=nw.lit(at, dtype=nw.Int64))
    irregular = totals.irregular_customers(at)
    irregular_ids = frame_from_arrow(history, pa.table({"customer_id": irregular}))
    if len(irregular):
        rows = rows.join(irregular_ids, on="customer_id", how="anti")
    rest = reduce_tables(known, now, columns, except_keys=totals.keys)
    others = [*(history.materialise(frame) for frame in rest.values()), *summed.values()]
    # Rows of running totals are sorted by customer_id; a join may shuffle them.
    in_order = not (others or len(irregular) or activity_count is None)
    joined = rows if in_order else history.materialise(join_by_customer(rows, others))
    result = evaluate_formulas(
        joined, now, columns, leading_columns=leading, already_sorted=in_order
    )
    regular = result.collect(backend="pyarrow").to_native()
    if not len(irregular):
        return regular
    return _add_irregular(regular, _restrict(known, irregular_ids), now, columns)


def frame_from_arrow(history: History, table: pa.Table) -> nw.LazyFrame:
    """An Arrow table as a lazy frame of the history's engine."""
    return nw.from_native(history.connection.from_arrow(table))


def _add_irregular(
    regular: pa.Table, known: Known, now: Now, columns: Sequence[FeatureColumn]
) -> pa.Table:
    """`regular` and the rows of customers with late or corrected events, built by the engine."""
    rows = build(known, population=now.population, definitions=now.definitions, columns=columns)
    return pa.concat_tables([regular, rows.select(regular.column_names)]).sort_by("customer_id")


def _restrict(known: Known, ids: nw.LazyFrame) -> Known:
    """Known of the customers in `ids` alone."""

    def keep(frame: nw.LazyFrame) -> nw.LazyFrame:
        return frame.join(ids, on="customer_id", how="semi")

    tables = {name: keep(rows) for name, rows in known.tables.items()}
    return Known(
        known.as_of, tables, keep(known.activity), keep(known.customers), known.materialise
    )
