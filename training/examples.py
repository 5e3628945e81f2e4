"""Examples: feature rows with their outcomes, for many as_of dates, as one table."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from features.core.instants import DAY_US
from features.core.language import say
from features.core.progress import track_steps
from features.core.settings import Settings
from features.engine.build import build
from features.engine.business_columns import columns_for
from features.engine.columns import FeatureColumn
from features.engine.many_dates import build_many
from features.labels.event_times import observe_events, with_event_columns
from features.labels.later_money import observe_money, with_money_columns
from features.labels.leaving_cause import CANCELLED_COLUMN, observe_cancelled
from features.labels.outcomes import Outcomes, observe_outcomes
from features.labels.targets import TargetLabels, check_targets, label_column, observe_targets
from features.recipes.definitions import Definitions, learn_definitions
from features.recipes.population_stats import PopulationStats, population_stats
from features.tables.currencies import refuse_several_currencies
from features.tables.history import History, Known
from features.tables.margins import margin_facts
from training import plan as plans
from training.stand_ins import Contacts

LABELS = ("churned", "outcome_stage")


@dataclass(frozen=True)
class Examples:
    """Feature rows with outcomes: one per customer with activity and as_of, sorted by both.

    `rows`: features.recipes.stages.STATE_COLUMNS, the feature columns (`columns`), LABELS, the
    label of each target, `event_within_<days>d` for each horizon of the curve,
    `money_within_<days>d` for those of money, with contracts `cancelled_in_window`, and `split`
    (train, evaluate, later).
    `not_labelled`: by target, the results of its SELECT that are no label, over all dates: `new`
    and `blank` of TargetLabels.
    `population_stats`: one per as_of. `late_activity` counts activity from before an as_of that was
    recorded after it: it is neither in the features nor an outcome.
    `modelled` names the columns that a model may use. `contacts`: where it is there, customers who
    were held out of campaigns stand in for those who were contacted (`training.stand_ins`).
    `margin_shares`: by as_of what share of the amounts margins were, as known then; of an as_of
    without margins nothing.
    """

    rows: pa.Table
    columns: tuple[FeatureColumn, ...]
    definitions: Definitions
    population_stats: tuple[PopulationStats, ...]
    late_activity: int
    modelled: tuple[str, ...]
    not_labelled: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    contacts: Contacts | None = None
    margin_shares: Mapping[int, float] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the feature columns."""
        return tuple(column.name for column in self.columns)

    def without_tables(self, lacks: Collection[str]) -> Examples:
        """The same rows; of their columns only those that read none of the tables `lacks`."""
        columns = columns_without(self.columns, lacks)
        return replace(self, columns=columns, modelled=_names_in(self.modelled, columns))

    def untreated(self, rows: pa.Table) -> pa.Table:
        """Labelled rows of the same customers and dates, with the same stand-ins."""
        return rows if self.contacts is None else self.contacts.replace(rows)[0]

    def rows_at(self, as_of: Sequence[int]) -> pa.Table:
        """The rows of these instants (µs), not copied: rows of one as_of stand together."""
        wanted = np.isin(self.rows["as_of"].to_numpy(), list(as_of)).astype(np.int8)
        edges = np.flatnonzero(np.diff(wanted, prepend=0, append=0)).reshape(-1, 2)
        parts = [self.rows.slice(start, end - start) for start, end in edges]
        return pa.concat_tables(parts) if parts else self.rows.slice(0, 0)


@dataclass(frozen=True)
class ExampleColumns:
    """What is known of examples before a row is built: definitions, columns, those of a model."""

    definitions: Definitions
    columns: tuple[FeatureColumn, ...]
    modelled: tuple[str, ...]

    def without_tables(self, lacks: Collection[str]) -> ExampleColumns:
        """Of these columns only those that read none of the tables `lacks`."""
        columns = columns_without(self.columns, lacks)
        return replace(self, columns=columns, modelled=_names_in(self.modelled, columns))


def columns_without(
    columns: Sequence[FeatureColumn], lacks: Collection[str]
) -> tuple[FeatureColumn, ...]:
    """The columns of which no recipe, statistic or definition reads a table of `lacks`."""
    return tuple(column for column in columns if not set(column.feature.tables) & set(lacks))


def _names_in(names: Sequence[str], columns: Sequence[FeatureColumn]) -> tuple[str, ...]:
    known = {column.name for column in columns}
    return tuple(name for name in names if name in known)


def example_columns(history: History, settings: Settings, plan: plans.Plan) -> ExampleColumns:
    """The definitions learned at the earliest evaluation date, and the columns they give."""
    definitions = learn_definitions(history.as_of(plan.evaluate[0]), settings)
    columns = tuple(columns_for(history, definitions, settings))
    modelled = supported_columns(
        columns, first=plans.first_activity(history), dates=plan.train or plan.refit
    )
    return ExampleColumns(definitions, columns, modelled)


def make_examples(
    history: History,
    settings: Settings,
    plan: plans.Plan,
    *,
    columns: ExampleColumns | None = None,
) -> Examples:
    """Rows and labels for every instant of the plan, each computed once.

    `columns`: what `example_columns` gave, where it is known already.
    """
    refuse_several_currencies(history)
    check_targets(history, settings)
    known = columns or example_columns(history, settings, plan)
    instants = sorted({*plan.train, *plan.evaluate, *plan.refit})
    stats, outcomes, events, money, cancelled = [], [], [], [], []
    shares: dict[int, float] = {}
    for at in track_steps(instants, label=say("outcomes at each date")):
        then = history.as_of(at)
        population, outcome = _observe(then, history, settings, known.definitions)
        stats.append(population)
        outcomes.append(outcome)
        customers = outcome.rows["customer_id"]
        events.append(observe_events(history, then, customers, settings))
        in_margin = settings.value.reads_margins
        money.append(observe_money(history, then, customers, settings, in_margin=in_margin))
        if in_margin and (share := margin_facts(then.tables["transactions"]).share) is not None:
            shares[at] = share
        if settings.contractual:
            cancelled.append(observe_cancelled(history, then, customers, settings))
    tables = build_many(
        history, definitions=known.definitions, columns=known.columns, populations=stats
    )
    not_labelled = {name: {"new": 0, "blank": 0} for name in settings.targets}
    for number, at in enumerate(instants):
        split = "train" if at in plan.train else "evaluate" if at in plan.evaluate else "later"
        labelled = _with_labels(tables[number], outcomes[number])
        targets = observe_targets(history, at, labelled["customer_id"], settings)
        labelled = _with_targets(labelled, targets)
        labelled = with_event_columns(labelled, events[number], settings.curve_horizons)
        labelled = with_money_columns(labelled, money[number], settings.money_horizons)
        if settings.contractual:
            labelled = labelled.append_column(CANCELLED_COLUMN, pa.array(cancelled[number]))
        for name, each in targets.items():
            not_labelled[name]["new"] += each.new
            not_labelled[name]["blank"] += each.blank
        splits = pa.array([split] * labelled.num_rows, pa.string())
        tables[number] = labelled.append_column("split", splits)
    return Examples(
        _stack(tables),
        known.columns,
        known.definitions,
        tuple(stats),
        sum(outcome.late for outcome in outcomes),
        known.modelled,
        not_labelled,
        margin_shares=shares,
    )


def _observe(
    known: Known, history: History, settings: Settings, definitions: Definitions
) -> tuple[PopulationStats, Outcomes]:
    """The population stats and the outcomes at one instant."""
    population = population_stats(known, definitions)
    return population, observe_outcomes(history, known, definitions=definitions, settings=settings)


def _stack(tables: list[pa.Table]) -> pa.Table:
    """The tables one below the other, in one chunk; `tables` is empty afterwards.

    Column by column: all at once would need the memory twice.
    """
    schema, columns = tables[0].schema, [table.columns for table in tables]
    tables.clear()
    stacked: list[pa.Array] = []
    for _ in schema.names:
        chunks = [chunk for each in columns for chunk in each.pop(0).chunks]
        stacked.append(pa.chunked_array(chunks, schema.field(len(stacked)).type).combine_chunks())
    return pa.Table.from_arrays(stacked, schema=schema)


def _with_labels(rows: pa.Table, outcomes: Outcomes) -> pa.Table:
    for name in LABELS:
        rows = rows.append_column(name, outcomes.rows[name])
    return rows


def _with_targets(rows: pa.Table, targets: Mapping[str, TargetLabels]) -> pa.Table:
    for name, each in targets.items():
        rows = rows.append_column(label_column(name), pa.array(each.labels))
    return rows


def label_rows(
    history: History,
    settings: Settings,
    at: int,
    *,
    definitions: Definitions,
    columns: Sequence[FeatureColumn],
) -> tuple[pa.Table, PopulationStats, int]:
    """The feature rows of one instant with LABELS, their population stats, the late activity.

    Late activity is the count of activities that were recorded only after the instant.
    """
    known = history.as_of(at)
    population, outcomes = _observe(known, history, settings, definitions)
    rows = build(known, population=population, definitions=definitions, columns=columns)
    return _with_labels(rows, outcomes), population, outcomes.late


def supported_columns(
    columns: Sequence[FeatureColumn], *, first: int, dates: Sequence[int]
) -> tuple[str, ...]:
    """The columns whose windows are no longer than the history before the middle training date.

    `first`: the first activity, `dates`: the training dates, both µs. A window longer than the
    data equals all time in every training row, and differs from it once the data are longer: a
    model would answer about a difference it never saw (docs/decisions/011).
    """
    known_days = (sorted(dates)[len(dates) // 2] - first) / DAY_US if dates else 0
    return tuple(column.name for column in columns if column.reach_days <= known_days)
