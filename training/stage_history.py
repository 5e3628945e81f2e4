"""Where everybody stood, month by month: customer_id, as_of, stage, stage_rule, prospects included."""

from __future__ import annotations

import pyarrow as pa

from features.core.instants import DAY_US, midnight_before
from features.core.progress import steps
from features.core.settings import Settings
from features.engine.build import cover_of, prospects
from features.recipes.definitions import learn_definitions
from features.recipes.stages import state
from features.tables.history import History
from training.plan import first_activity


def stage_history(history: History, settings: Settings) -> pa.Table:
    """Stages at local midnights `step_days` apart, back from the end of the data; definitions learned at the end.

    Each stage is a function of what was known at its instant alone; only the definitions are shared.
    """
    newest, first = midnight_before(history.data_until, settings.zone), first_activity(history)
    definitions = learn_definitions(history.as_of(newest), settings)
    step, tables = settings.training.step_days * DAY_US, []
    for at in steps(list(range(newest, first, -step))[::-1], label="stage history"):
        at = midnight_before(at, settings.zone)
        known = history.as_of(at)
        ends = cover_of(known) if definitions.contractual else None
        rows = state(known.activity, at=at, definitions=definitions, cover=ends).select(
            "customer_id", "stage", "stage_rule"
        )
        placed = rows.sort("customer_id").collect(backend="pyarrow").to_native()
        waiting = prospects(known)
        placed = pa.concat_tables(
            [
                placed,
                pa.table(
                    {
                        "customer_id": pa.array(waiting, pa.string()),
                        "stage": pa.array(["prospect"] * len(waiting), pa.string()),
                        "stage_rule": pa.array([2] * len(waiting), pa.int64()),
                    }
                ),
            ]
        )
        tables.append(
            placed.append_column("as_of", pa.array([at] * placed.num_rows, pa.int64())).sort_by(
                "customer_id"
            )
        )
    return pa.concat_tables(tables).select(["customer_id", "as_of", "stage", "stage_rule"])
