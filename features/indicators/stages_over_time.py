"""The stages of the last year: everybody known at each instant, by the definitions of as_of.

One definition for all instants, that learned at as_of: what moves is the customers, and not the
rule.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import narwhals as nw
import numpy as np
import pyarrow as pa

from features.core.instants import DAY_US, local_date
from features.engine.subjects import AS_OF, join_to_subjects, known_at_subjects, number_pairs
from features.indicators.business_table import COUNT, NUMBER, TEXT, TableShape
from features.indicators.indicator_data import IndicatorData
from features.indicators.intervals import wilson
from features.indicators.stage_tables import NOBODY, load_stages
from features.recipes.cover import current_cover
from features.recipes.definitions import Definitions
from features.recipes.stages import STAGES, state
from features.tables.history import History

STEP_DAYS, STEPS = 30, 12
CUSTOMERS_AT_ONCE = 50_000  # at all instants, so that what is joined fits into memory
STAGES_OVER_TIME = TableShape(
    "stages_over_time",
    f"customers by stage at as_of and every {STEP_DAYS} days before it, at most {STEPS} times, as "
    "known then, by the definitions of stages learned at as_of (as in `migration`); share: of "
    "everybody known then, with its 95 % Wilson interval",
    "all known customers of the day, by stage",
    {"day": TEXT, "stage": TEXT, "customers": COUNT, "share": NUMBER},
)
Counts = Counter[tuple[int, str]]  # customers by instant (µs) and stage


def stages_over_time_table(data: IndicatorData) -> dict[str, pa.Table]:
    """`stages_over_time`: a row per day and stage, the first day first, where anybody was known."""
    load_stages(data)
    now = data.rows("SELECT stage, count(*) AS customers FROM states_now GROUP BY stage")
    if not now.num_rows:
        return {"stages_over_time": STAGES_OVER_TIME.say_missing(NOBODY, as_of=data.as_of)}
    instants = [data.as_of - step * STEP_DAYS * DAY_US for step in range(STEPS, 0, -1)]
    counts = _count_stages(data, instants)
    counts.update({(data.as_of, row["stage"]): row["customers"] for row in now.to_pylist()})
    rows = []
    for at in (*instants, data.as_of):
        n = sum(counts[at, stage] for stage in STAGES)
        for stage in STAGES if n else ():
            customers = counts[at, stage]
            rows.append(
                {
                    "day": local_date(at, data.settings.zone).isoformat(),
                    "stage": stage,
                    "customers": customers,
                    "share": customers / n,
                    "n": n,
                }
            )
    low, high = wilson(*(np.array([row[name] for row in rows]) for name in ("customers", "n")))
    cells = [row | {"low": low[at], "high": high[at]} for at, row in enumerate(rows)]
    return {"stages_over_time": STAGES_OVER_TIME.fill_rows(cells, as_of=data.as_of)}


def _count_stages(data: IndicatorData, instants: Sequence[int]) -> Counts:
    """The customers of each stage, as known at each instant: one query for all instants.

    A query for each would be planned for longer than it runs.
    """
    # Not those known at as_of: a row that was withdrawn since made its customer known before.
    people = _everybody(data.history)
    counts: Counts = Counter()
    for start in range(0, len(people), CUSTOMERS_AT_ONCE):
        some = people.slice(start, CUSTOMERS_AT_ONCE)
        subjects = number_pairs(
            pa.concat_arrays([some] * len(instants)), pa.array(np.repeat(instants, len(some)))
        )
        counts += _count_of_subjects(data.history, subjects, data.definitions)
    return counts


def _everybody(history: History) -> pa.Array:
    """The ids of all tables, sorted."""
    ids = [history.table(name).select("customer_id") for name in history.names]
    rows = nw.concat(ids).unique().sort("customer_id").collect(backend="pyarrow").to_native()
    return rows["customer_id"].combine_chunks()


def _count_of_subjects(history: History, subjects: pa.Table, definitions: Definitions) -> Counts:
    """The subjects by instant and stage, those of nobody known left out."""
    with join_to_subjects(history, subjects) as joined:
        known = known_at_subjects(joined)
        cover = current_cover(known) if definitions.contractual else None
        states = state(known.activity, at=AS_OF, definitions=definitions, cover=cover)
        rows = states.select("customer_id", "stage").collect(backend="pyarrow").to_native()
    numbers = rows["customer_id"].to_numpy()
    staged = pa.table({"as_of": subjects["as_of"].take(numbers), "stage": rows["stage"]})
    counts = Counter(zip(*(staged[name].to_pylist() for name in staged.column_names), strict=True))
    # All others are prospects, if they are known.
    waiting = np.delete(np.arange(len(subjects)), numbers)
    with join_to_subjects(history, subjects.take(waiting)) as joined:
        tables = {name: joined.cut(name, AS_OF) for name in joined.names}
        others = joined.known_customers(tables, AS_OF).collect(backend="pyarrow").to_native()
    prospects = subjects["as_of"].take(others["customer_id"])
    counts.update((at, "prospect") for at in prospects.to_pylist())
    return counts
