"""A few feature columns of all customers at many instants, from running totals.

The columns equal those of `build` bit for bit. Additive reductions come from
`features.engine.running_totals`; the engine computes the others, and the rows of customers with
late or corrected events, at each instant.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import narwhals as nw
import pyarrow as pa

from features.engine.build import (
    build,
    evaluate_formulas,
    join_by_customer,
    needed_reductions,
    reduce_tables,
)
from features.engine.columns import FeatureColumn
from features.engine.many_dates import build_many
from features.engine.running_totals import RunningTotals
from features.engine.subjects import PAIR_COLUMNS, frame_from_arrow
from features.recipes.definitions import Definitions
from features.recipes.population_stats import PopulationStats
from features.recipes.recipe import Now, Reduction
from features.tables.history import History, Known


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
    if definitions.contractual:
        return _with_covered(history, definitions, populations, columns)
    active = Reduction(history.activity_table, "count", kinds=history.activity_kinds)
    as_of = [population.as_of for population in populations]
    first = Now(as_of[0], definitions, populations[0])
    # Running totals depend neither on the instant nor on the population: any Now will do.
    totals = RunningTotals(history, first, [active, *needed_reductions(columns)], as_of=as_of)
    parts = []
    # The totals of the next instant are read while the engine evaluates the formulas of this one.
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(totals.totals_at, as_of[0])
        for number, population in enumerate(populations):
            frames = pending.result()
            if number + 1 < len(as_of):
                pending = pool.submit(totals.totals_at, as_of[number + 1])
            now = Now(population.as_of, definitions, population)
            parts.append(_assemble(history, now, columns, totals, frames, active))
    return pa.concat_tables(parts)


def _with_covered(
    history: History,
    definitions: Definitions,
    populations: Sequence[PopulationStats],
    columns: Sequence[FeatureColumn],
) -> pa.Table:
    """The same of a business with contracts: running totals do not know who has cover alone."""
    tables = build_many(history, definitions=definitions, columns=columns, populations=populations)
    names = [*PAIR_COLUMNS, *(column.name for column in columns)]
    return pa.concat_tables([table.select(names) for table in tables])


def _assemble(
    history: History,
    now: Now,
    columns: Sequence[FeatureColumn],
    totals: RunningTotals,
    frames: dict[str, pa.Table],
    active: Reduction,
) -> pa.Table:
    """The rows of one instant; `frames` are its `totals.totals_at`, `active` counts activity."""
    at = now.population.as_of
    known = history.as_of(at)
    summed = {name: frame_from_arrow(history, table) for name, table in frames.items()}
    # The totals themselves show who was active by then; no state is needed.
    rows = summed.pop(active.table).filter(nw.col(active.key) > 0)
    rows = rows.with_columns(as_of=nw.lit(at, dtype=nw.Int64))
    irregular = totals.irregular_customers(at)
    irregular_ids = frame_from_arrow(history, pa.table({"customer_id": irregular}))
    if len(irregular):
        rows = rows.join(irregular_ids, on="customer_id", how="anti")
    rest = reduce_tables(known, now, columns, except_keys=totals.keys)
    others = [*(history.materialise(frame) for frame in rest.values()), *summed.values()]
    # Rows of running totals are sorted by customer_id; a join may shuffle them.
    in_order = not (others or len(irregular))
    joined = rows if in_order else history.materialise(join_by_customer(rows, others))
    result = evaluate_formulas(
        joined, now, columns, leading_columns=PAIR_COLUMNS, already_sorted=in_order
    )
    regular = result.collect(backend="pyarrow").to_native()
    if not len(irregular):
        return regular
    return _add_irregular(regular, _restrict(known, irregular_ids), now, columns)


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
    further = {name: keep(rows) for name, rows in known.switched.items()}
    activity, people = keep(known.activity), keep(known.customers)
    return Known(known.as_of, tables, activity, people, known.materialise, further=further)
