"""The stage of every customer over time: customer_id, as_of, stage, stage_rule; with prospects."""

from __future__ import annotations

import pyarrow as pa

from features.core.instants import DAY_US, midnight_before
from features.core.language import say
from features.core.progress import track_steps
from features.core.settings import Settings
from features.engine.build import prospects
from features.recipes.cover import current_cover
from features.recipes.definitions import Definitions, learn_definitions
from features.recipes.stages import state
from features.tables.history import History, Known
from training.plan import first_activity

COLUMNS = ["customer_id", "as_of", "stage", "stage_rule"]


def stage_history(history: History, settings: Settings) -> pa.Table:
    """Stages at local midnights `step_days` apart, back from the end of the data.

    A stage depends on what was known at its instant alone; the definitions are learned once, at the
    end of the data, and shared. Rows are sorted by as_of (µs) and customer_id.
    """
    newest, first = midnight_before(history.data_until, settings.zone), first_activity(history)
    definitions = learn_definitions(history.as_of(newest), settings)
    step = settings.training.step_days * DAY_US
    instants = list(range(newest, first, -step))[::-1]
    tables = []
    for instant in track_steps(instants, label=say("stage history")):
        # Days have 23 or 25 hours where clocks change, so the steps are set back to midnight.
        at = midnight_before(instant, settings.zone)
        tables.append(_stages_at(history.as_of(at), at, definitions))
    return pa.concat_tables(tables).select(COLUMNS)


def _stages_at(known: Known, at: int, definitions: Definitions) -> pa.Table:
    """Stage and rule of every customer at the instant `at`, sorted by customer_id."""
    cover = current_cover(known) if definitions.contractual else None
    rows = state(known.activity, at=at, definitions=definitions, cover=cover)
    rows = rows.select("customer_id", "stage", "stage_rule").sort("customer_id")
    others = _prospects(known, contractual=definitions.contractual)
    table = pa.concat_tables([rows.collect(backend="pyarrow").to_native(), others])
    instants = pa.array([at] * table.num_rows, pa.int64())
    return table.append_column("as_of", instants).sort_by("customer_id")


def _prospects(known: Known, *, contractual: bool) -> pa.Table:
    """Customers without activity yet; with contracts, without cover too."""
    ids = prospects(known, contractual=contractual)
    return pa.table(
        {
            "customer_id": pa.array(ids, pa.string()),
            "stage": pa.array(["prospect"] * len(ids), pa.string()),
            "stage_rule": pa.array(["no_activity"] * len(ids), pa.string()),
        }
    )
