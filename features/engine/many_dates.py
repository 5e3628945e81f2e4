"""Feature rows of all customers at many instants, in one query for all instants.

The rows equal `build` at each instant bit for bit. A database plans a hundred expressions for
longer than it runs them on a few thousand customers, so every pair of a customer and an instant is
a subject of one query (`features.engine.subjects`). Only the formulas that read the population
statistics, which differ between the instants, are evaluated at each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import NoReturn

import narwhals as nw
import numpy as np
import pyarrow as pa

from features.catalogue import custom
from features.core.language import say
from features.core.progress import track_steps
from features.core.settings import Settings
from features.engine.build import (
    build,
    current_state,
    evaluate_formulas,
    join_by_customer,
    reduce_tables,
)
from features.engine.business_columns import columns_for
from features.engine.columns import FeatureColumn
from features.engine.share_features import build_shares, share_populations
from features.engine.subjects import (
    AS_OF,
    frame_from_arrow,
    join_to_subjects,
    known_at_subjects,
    number_pairs,
    restore_ids,
    split_by_rows,
)
from features.recipes.definitions import Definitions, learn_definitions
from features.recipes.item_means import ItemMeansByInstant
from features.recipes.population_stats import PopulationStats, population_stats
from features.recipes.recipe import Now
from features.recipes.stages import STATE_COLUMNS
from features.tables.currencies import refuse_several_currencies
from features.tables.history import History


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
    refuse_several_currencies(history)
    definitions = definitions or learn_definitions(history.as_of(min(as_of)), settings)
    if history.shares:
        stats = share_populations(history, settings, definitions, as_of=as_of)
        return pa.concat_tables(
            build_shares(history, settings, definitions=definitions, populations=stats)
        )
    chosen = columns_for(history, definitions, settings)
    populations = [population_stats(history.as_of(at), definitions) for at in as_of]
    built = build_many(history, definitions=definitions, columns=chosen, populations=populations)
    return pa.concat_tables(built)


def build_many(
    history: History,
    *,
    definitions: Definitions,
    columns: Sequence[FeatureColumn],
    populations: Sequence[PopulationStats],
) -> list[pa.Table]:
    """Build the feature rows at the instants of `populations`, a table for each, in their order.

    A table equals `build` at that instant bit for bit (same shape, units and nulls). All instants
    share one query, so many dates cost little more than one.
    """
    if len(populations) == 1:
        [one] = populations
        known = history.as_of(one.as_of)
        return [build(known, population=one, definitions=definitions, columns=columns)]
    customers, rows = _customers_with_rows(history, contractual=definitions.contractual)
    everybody = split_by_rows(np.arange(len(customers)), rows, instants=len(populations))
    tables: list[list[pa.Table]] = [[] for _ in populations]
    label = say("feature rows at {dates} dates, parts of customers", dates=len(populations))
    for part in track_steps(list(everybody) or [np.arange(0)], label=label):
        some = customers.take(pa.array(part))
        built = _build_part(history, some, definitions, columns, populations)
        for parts, table in zip(tables, built, strict=True):
            parts.append(table)
    return [pa.concat_tables(parts) for parts in tables]


def _customers_with_rows(history: History, *, contractual: bool) -> tuple[pa.Array, np.ndarray]:
    """(ids of customers with any activity or term, sorted; the number of each one's rows).

    Terms count for contractual businesses alone.
    """
    counted = " UNION ALL ".join(f"SELECT customer_id FROM {name}" for name in history.names)
    kinds = ", ".join("?" for _ in history.activity_kinds)
    terms = " UNION SELECT customer_id FROM contracts" if contractual else ""
    statement = (
        f"SELECT customer_id, count(*) AS n FROM ({counted}) WHERE customer_id IN "
        f"(SELECT customer_id FROM {history.activity_table} WHERE kind IN ({kinds}){terms}) "
        "GROUP BY customer_id ORDER BY customer_id"
    )
    table = history.connection.execute(statement, list(history.activity_kinds)).to_arrow_table()
    return table["customer_id"].combine_chunks(), table["n"].to_numpy()


def _build_part(
    history: History,
    customers: pa.Array,
    definitions: Definitions,
    columns: Sequence[FeatureColumn],
    populations: Sequence[PopulationStats],
) -> Iterator[pa.Table]:
    """The rows of these customers at each instant."""
    # A business's own formula is code of its own: it always gets the real statistics.
    reading = [
        column
        for column in columns
        if column.feature.family == custom.FAMILY or _reads_population(column, definitions)
    ]
    others = [column for column in columns if column not in reading]
    names = (*STATE_COLUMNS, *(column.name for column in columns))
    with join_to_subjects(history, _subjects(customers, populations)) as joined:
        reductions = _reduce(joined, definitions, columns, populations)
        same = Now(AS_OF, definitions, _NO_POPULATION)
        shared = _values(reductions, same, others, leading=STATE_COLUMNS)
        for place, population in enumerate(populations):
            low, high = place * len(customers), (place + 1) * len(customers)
            table = _numbered(shared, low, high)
            if reading:
                number = nw.col("customer_id")
                some = reductions.filter((number >= low) & (number < high))
                now = Now(population.as_of, definitions, population)
                own = _values(some, now, reading, leading=("customer_id",))
                for column in reading:
                    table = table.append_column(column.name, own[column.name])
            yield restore_ids(table, low, customers, names)


def _subjects(customers: pa.Array, populations: Sequence[PopulationStats]) -> pa.Table:
    """Every customer at every instant, numbered by instant and then by customer."""
    as_of = np.repeat([population.as_of for population in populations], len(customers))
    ids = pa.chunked_array([customers] * len(populations), pa.string()).combine_chunks()
    return number_pairs(ids, pa.array(as_of, pa.int64()))


def _reduce(
    joined: History,
    definitions: Definitions,
    columns: Sequence[FeatureColumn],
    populations: Sequence[PopulationStats],
) -> nw.LazyFrame:
    """STATE_COLUMNS and every reduction of each subject with activity or cover, computed."""
    known = known_at_subjects(joined)
    now = Now(AS_OF, definitions, _item_means(joined, populations))
    state = joined.materialise(current_state(known, definitions))
    frames = reduce_tables(known, now, columns).values()
    reduced = [joined.materialise(frame) for frame in frames]
    return joined.materialise(join_by_customer(state, reduced))


def _item_means(joined: History, populations: Sequence[PopulationStats]) -> ItemMeansByInstant:
    items = [name for one in populations for name in one.items]
    as_of = [one.as_of for one in populations for _ in one.items]
    means = [mean for one in populations for mean in one.item_means]
    columns = {
        "item": pa.array(items, pa.string()),
        "as_of": pa.array(as_of, pa.int64()),
        "item_mean": pa.array(means, pa.int64()),
    }
    return ItemMeansByInstant(frame_from_arrow(joined, pa.table(columns)))


def _values(
    reductions: nw.LazyFrame, now: Now, columns: Sequence[FeatureColumn], leading: Sequence[str]
) -> pa.Table:
    frame = evaluate_formulas(reductions, now, columns, leading_columns=leading)
    return frame.collect(backend="pyarrow").to_native()


def _numbered(rows: pa.Table, low: int, high: int) -> pa.Table:
    """The rows with numbers from `low` up to `high`; `rows` are sorted by customer_id."""
    start, end = np.searchsorted(rows["customer_id"].to_numpy(), [low, high])
    return rows.slice(start, end - start)


class _PopulationRead(Exception):
    """A formula reads the population statistics."""


class _NoPopulation:
    """Stands for the population statistics where a formula must not read them."""

    def __getattr__(self, name: str) -> NoReturn:
        raise _PopulationRead(name)


_NO_POPULATION = _NoPopulation()


def _reads_population(column: FeatureColumn, definitions: Definitions) -> bool:
    """Whether the column's formula depends on the population statistics."""
    recipe = column.recipe()
    reduced = {name: nw.col(red.key) for name, red in recipe.reductions.items()}
    try:
        recipe.formula(SimpleNamespace(**reduced), Now(AS_OF, definitions, _NO_POPULATION))
    except _PopulationRead:
        return True
    return False
