"""Examples: feature rows with their outcomes, for many as_of dates, as one table.

from training import examples
frame = examples.frame("examples/cdnow.toml")
train = frame[frame.split == "train"]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from features.core import settings as settings_of
from features.core.instants import DAY_US
from features.core.progress import steps
from features.core.settings import Settings
from features.engine.build import build
from features.engine.business_columns import columns_for
from features.engine.columns import ColumnOf
from features.labels.outcomes import observe
from features.recipes.definitions import Definitions, learn_definitions
from features.recipes.population_stats import PopulationStats, population_stats
from features.recipes.stages import STATE_COLUMNS
from features.tables import history as histories
from features.tables.history import History
from training import plan as plans

LABELS = ("churned", "outcome_stage")


@dataclass(frozen=True)
class Examples:
    """`rows`: features.recipes.stages.STATE_COLUMNS, the feature columns, `churned`, `outcome_stage`, `split` (train, evaluate, later).

    One row per customer with activity and as_of, sorted by as_of, customer_id. `late` counts activity from before an
    as_of that was recorded after it: it stands on neither side. `modelled` names the columns a model may use.
    """

    rows: pa.Table
    columns: tuple[ColumnOf, ...]
    definitions: Definitions
    bases: tuple[PopulationStats, ...]
    late: int
    modelled: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def at(self, as_of: Sequence[int]) -> pa.Table:
        import pyarrow.compute as pc

        return self.rows.filter(
            pc.is_in(self.rows["as_of"], value_set=pa.array(list(as_of), pa.int64()))
        )


def make_examples(history: History, settings: Settings, plan: plans.Plan) -> Examples:
    """Rows and labels for every instant of the plan, each computed once."""
    definitions = learn_definitions(history.as_of(plan.evaluate[0]), settings)
    columns = tuple(columns_for(history, definitions, settings))
    tables, bases, late = [], [], 0
    for at in steps(
        sorted({*plan.train, *plan.evaluate, *plan.refit}), label="feature rows and outcomes"
    ):
        rows, base, missed = labelled(
            history, settings, at, definitions=definitions, columns=columns
        )
        split = "train" if at in plan.train else "evaluate" if at in plan.evaluate else "later"
        tables.append(rows.append_column("split", pa.array([split] * rows.num_rows, pa.string())))
        bases.append(base)
        late += missed
    modelled = supported(
        columns, first=plans.first_activity(history), dates=plan.train or plan.refit
    )
    return Examples(
        pa.concat_tables(tables).combine_chunks(),
        columns,
        definitions,
        tuple(bases),
        late,
        modelled,
    )


def labelled(
    history: History,
    settings: Settings,
    at: int,
    *,
    definitions: Definitions,
    columns: Sequence[ColumnOf],
) -> tuple[pa.Table, PopulationStats, int]:
    """The feature rows of one instant with LABELS, the base they rest on, and the activity that came too late."""
    known = history.as_of(at)
    base = population_stats(known, definitions)
    rows = build(known, base=base, definitions=definitions, columns=columns)
    outcome = observe(history, known, definitions=definitions, settings=settings)
    for name in LABELS:
        rows = rows.append_column(name, outcome.rows[name])
    return rows, base, outcome.late


def supported(columns: Sequence[ColumnOf], *, first: int, dates: Sequence[int]) -> tuple[str, ...]:
    """The columns whose windows reach no further back than the history known at the middle training date.

    A window longer than the data is the same as all time in every training row, and something else on the day the
    data outgrow it: a model would have learned nothing about that, and answer all the same (docs/decisions/011).
    """
    known_days = (sorted(dates)[len(dates) // 2] - first) / DAY_US if dates else 0
    return tuple(column.name for column in columns if column.reach_days <= known_days)


def frame(config: str | Path) -> Any:
    """Features, labels, as_of (UTC) and split of one configuration as a pandas frame (floats, NaN where null)."""
    import pandas

    settings = settings_of.load(Path(config))
    history, _ = histories.load(settings)
    plan = plans.make_plan(history, settings)
    made = make_examples(history, settings, plan)
    found = made.rows.select([*STATE_COLUMNS, *made.names, *LABELS, "split"]).to_pandas()
    found["as_of"] = pandas.to_datetime(found["as_of"], unit="us", utc=True)
    return found
