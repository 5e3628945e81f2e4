"""Our own columns of the customers of a feature table, at any instant."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.audit.perturbations import keep_customers, read_tables, rebuild_history
from features.core.instants import DAY_US
from features.core.settings import Settings
from features.engine.business_columns import columns_for
from features.engine.many_dates import build_many
from features.recipes.definitions import Definitions
from features.recipes.population_stats import population_stats
from features.recipes.stages import STATE_COLUMNS
from features.tables.history import History

# Columns of the state that are instants (µs); they are compared as days before an instant.
STATE_INSTANTS = ("first_at", "last_at", "recency_from", "cover_until")
SINCE = "days since "
STATE_TEXTS = ("stage", "stage_rule", "stage_if_inactive")


class OurColumns:
    """Builds our columns of `customers` by the definitions of the table, each instant once.

    Population statistics are those of everybody; the rows are of these customers alone.
    """

    def __init__(
        self,
        history: History,
        settings: Settings,
        definitions: Definitions,
        customers: pa.ChunkedArray,
    ) -> None:
        self.history, self.settings, self.definitions = history, settings, definitions
        distinct = pc.unique(customers.combine_chunks())
        self._drawn = rebuild_history(
            history,
            keep_customers(read_tables(history), distinct),
            threads=settings.engine.threads,
            memory=settings.engine.memory,
        )
        self._columns = columns_for(history, definitions, settings)
        self._built: dict[int, pa.Table] = {}

    def close(self) -> None:
        """Free the engine of the drawn customers."""
        self._drawn.connection.close()

    def build(self, instants: np.ndarray) -> None:
        """Build the rows at these instants (µs) in one query, those that are not there yet."""
        missing = [int(one) for one in np.unique(instants) if int(one) not in self._built]
        if not missing:
            return
        populations = [population_stats(self.history.as_of(at), self.definitions) for at in missing]
        tables = build_many(
            self._drawn,
            definitions=self.definitions,
            columns=self._columns,
            populations=populations,
        )
        self._built |= dict(zip(missing, tables, strict=True))

    def rows_at(self, customers: pa.ChunkedArray, at: np.ndarray) -> pa.Table:
        """Our row of each customer at its instant (µs), in their order; null if there is none."""
        self.build(at)
        parts, places = [], []
        for instant in np.unique(at):
            mine, built = np.flatnonzero(at == instant), self._built[int(instant)]
            ids = customers.take(pa.array(mine)).combine_chunks()
            parts.append(built.take(pc.index_in(ids, built["customer_id"].combine_chunks())))
            places.append(mine)
        order = np.argsort(np.concatenate(places), kind="stable")
        return pa.concat_tables(parts).take(pa.array(order))

    def values_at(self, customers: pa.ChunkedArray, at: np.ndarray) -> dict[str, np.ndarray]:
        """`rows_at` as numbers (rows,), NaN where null; instants as days before `at`."""
        return numbers_of(self.rows_at(customers, at), at)


def is_of_state(name: str) -> bool:
    """Whether a column of `numbers_of` is of the state and no feature."""
    return name.removeprefix(SINCE) in STATE_COLUMNS


def numbers_of(rows: pa.Table, at: np.ndarray) -> dict[str, np.ndarray]:
    """The columns of numbers of our rows, (rows,), NaN where null; instants as days before `at`.

    Features first: where the state says the same, the feature's name is the better known.
    """
    values = {}
    for name in sorted(rows.column_names, key=lambda name: name in STATE_COLUMNS):
        kind = rows[name].type
        if name in ("customer_id", "as_of") or pa.types.is_string(kind):
            continue
        column = np.asarray(rows[name].cast(pa.float64()).to_numpy(), dtype=float)
        if name in STATE_INSTANTS:
            values[f"{SINCE}{name}"] = (at - column) / DAY_US
        else:
            values[name] = column
    return values
