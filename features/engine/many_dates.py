"""Feature rows for many instants: a few for everybody, or one of its own for each customer (a renewal date).

Equal to `table.build` at each instant, bit for bit. What is additive comes from running totals (`features.engine.running_totals`), the
rest from the engine: per instant where everybody is asked, else once over the pairs, each a customer of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import narwhals as nw
import pyarrow as pa

from features.core.settings import Settings
from features.engine.build import build, current_state, formulas, joined, needed_by, reductions
from features.engine.business_columns import columns_for
from features.engine.columns import ColumnOf
from features.engine.running_totals import RunningTotals
from features.recipes.definitions import Definitions, learn_definitions
from features.recipes.population_stats import PopulationStats, population_stats
from features.recipes.recipe import Now, Reduction
from features.recipes.stages import STATE_COLUMNS
from features.tables.history import History, Known


def rows_of(history: History, settings: Settings, *, as_of: Sequence[int]) -> pa.Table:
    """The rows of several instants under each other, each with its own base; definitions learned at the earliest."""
    definitions = learn_definitions(history.as_of(min(as_of)), settings)
    chosen = columns_for(history, definitions, settings)
    made = build_many(history, definitions=definitions, columns=chosen, as_of=as_of)
    return pa.concat_tables([rows for _, _, rows in made])


def build_many(
    history: History, *, definitions: Definitions, columns: Sequence[ColumnOf], as_of: Sequence[int]
) -> Iterator[tuple[Known, PopulationStats, pa.Table]]:
    """`table.build` at each instant of `as_of`, one after the other: what was known, its base, the rows."""
    spans = None
    for at in as_of:
        known = history.as_of(at)
        now = Now(at, definitions, population_stats(known, definitions))
        if len(as_of) < 2:
            yield (
                known,
                now.base,
                build(known, base=now.base, definitions=definitions, columns=columns),
            )
            continue
        # Nothing that running totals sum rests on the instant or the base: any Now will do.
        spans = spans or RunningTotals(history, now, needed_by(columns), as_of=as_of)
        yield (
            known,
            now.base,
            rows_at(history, known, now, columns, spans=spans, found=spans.at(at)),
        )


def values(
    history: History,
    *,
    definitions: Definitions,
    bases: Sequence[PopulationStats],
    columns: Sequence[ColumnOf],
) -> pa.Table:
    """customer_id, as_of and `columns` at the instants of `bases`, by as_of and customer_id, without the standing.

    For those who want a few columns of many rows: where all of them are additive the engine reads the events once.
    """
    active = Reduction(history.activity_table, "count", kinds=history.activity_kinds)
    as_of = [base.as_of for base in bases]
    spans = RunningTotals(
        history, Now(as_of[0], definitions, bases[0]), [active, *needed_by(columns)], as_of=as_of
    )
    made = []
    # The totals of the next instant are looked up while the engine works out the formulas of this one.
    with ThreadPoolExecutor(1) as ahead:
        coming = [ahead.submit(spans.at, at) for at in as_of[:1]]
        for number, base in enumerate(bases):
            found = coming.pop().result()
            coming = [ahead.submit(spans.at, at) for at in as_of[number + 1 : number + 2]]
            now, known = Now(base.as_of, definitions, base), history.as_of(base.as_of)
            made.append(
                rows_at(history, known, now, columns, spans=spans, found=found, active=active)
            )
    return pa.concat_tables(made)


def rows_at(
    history: History,
    known: Known,
    now: Now,
    columns: Sequence[ColumnOf],
    *,
    spans: RunningTotals,
    found: dict[str, pa.Table],
    active: Reduction | None = None,
) -> pa.Table:
    """The rows of one instant, `found` being `spans.at` it.

    With `active` (the reduction that counts activity) without their standing.
    """
    beside = STATE_COLUMNS if active is None else ("customer_id", "as_of")
    given = {name: framed(history, table) for name, table in found.items()}
    if active is None:
        rows = history.kept(current_state(known, now.definitions))
    else:
        rows = (
            given.pop(active.table)
            .filter(nw.col(active.key) > 0)
            .with_columns(as_of=nw.lit(now.as_of, dtype=nw.Int64))
        )
    late = spans.irregular(now.as_of)
    late_ids = framed(history, pa.table({"customer_id": pa.array(late, pa.string())}))
    if late:
        rows = rows.join(late_ids, on="customer_id", how="anti")
    rest = [
        history.kept(frame) for frame in reductions(known, now, columns, apart=spans.keys).values()
    ]
    # Rows of running totals lie by customer_id; a join may shuffle them.
    ordered = not (rest or late or active is None or given)
    made = rows if ordered else history.kept(joined(rows, [*rest, *given.values()]))
    rows_found = (
        formulas(made, now, columns, beside=beside, ordered=ordered)
        .collect(backend="pyarrow")
        .to_native()
    )
    if not late:
        return rows_found
    theirs = build(
        _of_these(known, late_ids), base=now.base, definitions=now.definitions, columns=columns
    )
    return pa.concat_tables([rows_found, theirs.select(rows_found.column_names)]).sort_by(
        "customer_id"
    )


def framed(history: History, table: pa.Table) -> nw.LazyFrame:
    return nw.from_native(history.connection.from_arrow(table))


def _of_these(known: Known, ids: nw.LazyFrame) -> Known:
    def mine(frame: nw.LazyFrame) -> nw.LazyFrame:
        return frame.join(ids, on="customer_id", how="semi")

    tables = {name: mine(rows) for name, rows in known.tables.items()}
    return Known(known.as_of, tables, mine(known.activity), mine(known.customers), known.kept)
