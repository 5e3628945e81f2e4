"""Checks that only what was known before as_of decides the features, on the user's own tables.

Under each perturbation below the knowledge at as_of is the same as in the real history, so the
rows must be equal bit for bit. Planning is the main cost, not rows. So the perturbations of one
as_of are first checked all at once. Where something differs, each is checked alone, with newly
learned definitions and population statistics, which shows the perturbation that is responsible.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.audit import perturbations
from features.core.settings import Settings
from features.engine.build import build
from features.engine.business_columns import columns_for
from features.recipes.definitions import Definitions, learn_definitions
from features.recipes.population_stats import PopulationStats, population_stats
from features.tables.history import History

THREADS = (1, 2, 4)
SINGLE_CUSTOMERS, THREAD_COUNTS = "single customers", "threads"


@dataclass(frozen=True)
class Learned:
    """What a release freezes, and the population statistics at one as_of."""

    definitions: Definitions
    population: PopulationStats


def learn_at(history: History, settings: Settings, at: int) -> Learned:
    """Definitions and population statistics as they are learned at one as_of (µs)."""
    known = history.as_of(at)
    definitions = learn_definitions(known, settings)
    return Learned(definitions, population_stats(known, definitions))


def build_rows_at(history: History, settings: Settings, at: int, learned: Learned) -> pa.Table:
    """The feature rows of all customers at one as_of (µs), sorted by customer_id."""
    return build(
        history.as_of(at),
        population=learned.population,
        definitions=learned.definitions,
        columns=columns_for(history, learned.definitions, settings),
    )


@dataclass(frozen=True)
class Builder:
    """How the audit learns and builds rows; by default as training, batch and the service do."""

    learn: Callable[[History, Settings, int], Learned] = learn_at
    build_rows: Callable[[History, Settings, int, Learned], pa.Table] = build_rows_at


@dataclass(frozen=True)
class AuditCase:
    """One as_of of the real history: its rows, what they depend on, and all tables.

    replayed: the tables as read from files that were delivered twice; None if there are no files.
    """

    history: History
    settings: Settings
    tables: perturbations.Tables
    at: int
    builder: Builder
    learned: Learned
    rows: pa.Table
    replayed: perturbations.Tables | None

    @contextmanager
    def perturbed_history(
        self, tables: perturbations.Tables, *, threads: int = 1
    ) -> Iterator[History]:
        """The same history over other tables; closed at the end of the block."""
        memory = self.settings.engine.memory
        other = perturbations.rebuild_history(self.history, tables, threads=threads, memory=memory)
        try:
            yield other
        finally:
            other.connection.close()

    def build_rows(self, other: History, learned: Learned | None = None) -> pa.Table:
        return self.builder.build_rows(other, self.settings, self.at, learned or self.learned)

    def learn(self, other: History) -> Learned:
        return self.builder.learn(other, self.settings, self.at)


@dataclass(frozen=True)
class Perturbation:
    """A way to change the tables that must change no feature.

    keeps_population: it changes customers, ids or load times, which may change definitions and
    population statistics; so those of the real history are used.
    """

    name: str
    description: str
    tables: Callable[[AuditCase], perturbations.Tables]
    keeps_population: bool = False


def _replayed(case: AuditCase) -> perturbations.Tables:
    if case.replayed is None:
        raise ValueError("the tables of this case were not read twice")
    return case.replayed


REPLAYS = Perturbation("replays", "every delivery comes twice", _replayed)
ROW_ORDER = Perturbation(
    "row order",
    "rows come in another order",
    lambda case: perturbations.shuffle_rows(case.tables),
)
OTHER_IDS = Perturbation(
    "other ids",
    "customers and rows have other ids",
    lambda case: case.tables,
    keeps_population=True,
)
PERTURBATIONS = (
    Perturbation(
        "truncated history",
        "rows and cells known at or after as_of are removed",
        lambda case: perturbations.truncate_history(case.tables, case.at),
    ),
    Perturbation(
        "scrambled future",
        "rows and cells known at or after as_of hold other values",
        lambda case: perturbations.scramble_future(case.tables, case.at),
    ),
    Perturbation(
        "exactly at as_of",
        "known rows are repeated at as_of; empty cells are filled at as_of",
        lambda case: perturbations.copy_to_instant(case.tables, case.at),
    ),
    Perturbation(
        "late arrivals",
        "rows and corrections from before as_of are recorded at or after it",
        lambda case: perturbations.add_late_rows(case.tables, case.at),
    ),
    REPLAYS,
    ROW_ORDER,
    OTHER_IDS,
    Perturbation(
        "other load times",
        "known rows were recorded at other times, in the same order",
        lambda case: perturbations.change_load_times(case.tables, case.at),
        keeps_population=True,
    ),
)


@dataclass(frozen=True)
class Difference:
    """One feature that differs under one perturbation at one as_of.

    rows: how many differ. position: the place of the first one in the order of customer_id.
    known, other: its value in the real history and under the perturbation.
    """

    feature: str
    perturbation: str
    as_of: int
    rows: int
    position: int
    known: str
    other: str


@dataclass
class CheckResult:
    """What one perturbation was checked on, over all as_of.

    relearned: number of as_of at which definitions and population statistics were compared too.
    """

    perturbation: str
    description: str
    dates: int = 0
    relearned: int = 0
    rows: int = 0
    values: int = 0
    differences: list[Difference] = field(default_factory=list)

    def count(self, rows: pa.Table) -> None:
        self.dates += 1
        self.count_rows(rows)

    def count_rows(self, rows: pa.Table) -> None:
        self.rows += rows.num_rows
        self.values += rows.num_rows * rows.num_columns


Results = dict[str, CheckResult]
# (column, rows that differ, position of the first, its value in one table, in the other)
ColumnDifference = tuple[str, int, int, str, str]


def check_all_at_once(
    case: AuditCase, chosen: Sequence[Perturbation], threads: int, results: Results
) -> list[Difference]:
    """Build the rows of all perturbations at one as_of as one table: they share one plan.

    `check_each` looks closer where something differs.
    """
    tables, names = perturbations.stack_customers([one.tables(case) for one in chosen])
    with case.perturbed_history(tables, threads=threads) as other:
        rows = case.build_rows(other)
    ids = rows["customer_id"].to_pylist()
    differences = []
    for perturbation, old_names in zip(chosen, names, strict=True):
        places = [place for place, name in enumerate(ids) if name in old_names]
        part = _with_ids(
            rows.take(pa.array(places, pa.int64())), [old_names[ids[place]] for place in places]
        )
        differences += _differences(perturbation.name, case, part)
        results[perturbation.name].count(part)
    results[THREAD_COUNTS].count(rows)
    return differences


def _with_ids(rows: pa.Table, ids: Sequence[str]) -> pa.Table:
    """The rows with these customer ids, sorted by them."""
    place = rows.column_names.index("customer_id")
    return rows.set_column(place, "customer_id", pa.array(ids, pa.string())).sort_by("customer_id")


def check_each(case: AuditCase, chosen: Sequence[Perturbation]) -> list[Difference]:
    """Check every perturbation alone at one as_of, then every number of threads.

    Definitions and population statistics are learned again under each.
    """
    differences = []
    for perturbation in chosen:
        if perturbation is OTHER_IDS:
            tables, old_names = perturbations.rename_ids(case.tables)
            differences += check_one(perturbation, case, tables, old_names)
        else:
            differences += check_one(perturbation, case, perturbation.tables(case))
    unchanged = Perturbation(THREAD_COUNTS, "", lambda case: case.tables)
    # The same tables with other numbers of threads: sums must not depend on the order of work.
    for count in THREADS:
        differences += check_one(unchanged, case, case.tables, threads=count)
    return differences


def check_one(
    perturbation: Perturbation,
    case: AuditCase,
    tables: perturbations.Tables,
    old_names: dict[str, str] | None = None,
    threads: int = 1,
) -> list[Difference]:
    """Build the rows under one perturbation alone, and compare them with the real ones.

    `old_names`: the real id of each customer id, where the perturbation renames them.
    """
    with case.perturbed_history(tables, threads=threads) as other:
        learned = case.learned if perturbation.keeps_population else case.learn(other)
        rows = case.build_rows(other, learned)
    if old_names:
        rows = _with_ids(rows, [old_names[name] for name in rows["customer_id"].to_pylist()])
    return _differences(perturbation.name, case, rows)


def check_learned(
    perturbation: Perturbation, case: AuditCase, result: CheckResult
) -> list[Difference]:
    """Compare the definitions and population statistics that are learned under a perturbation."""
    with case.perturbed_history(perturbation.tables(case)) as other:
        learned = case.learn(other)
    result.relearned += 1
    pairs = (
        ("definitions", case.learned.definitions, learned.definitions),
        ("population", case.learned.population, learned.population),
    )
    return [
        Difference(
            f"({part}: {name})",
            perturbation.name,
            case.at,
            case.rows.num_rows,
            0,
            str(value)[:60],
            str(getattr(other_part, name))[:60],
        )
        for part, known_part, other_part in pairs
        for name, value in vars(known_part).items()
        if value != getattr(other_part, name)
    ]


def check_single_customers(
    case: AuditCase, positions: list[int], result: CheckResult
) -> list[Difference]:
    """Build some customers each in a history without all others, with the real population."""
    differences = []
    for position in positions:
        customer = case.rows["customer_id"][position].as_py()
        with case.perturbed_history(perturbations.keep_customer(case.tables, customer)) as other:
            rows = case.build_rows(other)
        expected = case.rows.slice(position, 1)
        for name, count, _, known, alone in compare_tables(expected, rows):
            differences.append(
                Difference(name, SINGLE_CUSTOMERS, case.at, count, position, known, alone)
            )
        result.count_rows(rows)
    result.dates += 1
    return differences


def _differences(perturbation: str, case: AuditCase, rows: pa.Table) -> list[Difference]:
    return [
        Difference(name, perturbation, case.at, count, position, known, other)
        for name, count, position, known, other in compare_tables(case.rows, rows)
    ]


def compare_tables(one: pa.Table, other: pa.Table) -> Iterator[ColumnDifference]:
    """Yield a ColumnDifference for every column that is not equal bit for bit.

    Rows are matched by customer_id. `(rows)` and `(columns)` stand for rows and columns that only
    one of the tables has.
    """
    ids, other_ids = (
        np.array(table["customer_id"].to_pylist(), dtype=object) for table in (one, other)
    )
    if list(ids) != list(other_ids):
        shared = np.isin(ids, other_ids)
        count = int((~shared).sum() + (~np.isin(other_ids, ids)).sum())
        yield "(rows)", count, int(np.argmin(shared)), str(len(ids)), str(len(other_ids))
        # Only rows that both tables have can be compared further.
        _, first, second = np.intersect1d(ids, other_ids, return_indices=True)
        one, other = one.take(pa.array(first)), other.take(pa.array(second))
    for name in sorted(set(one.column_names) ^ set(other.column_names)):
        present = "present" if name in one.column_names else "absent"
        yield f"(columns) {name}", one.num_rows, 0, present, "the opposite"
    for name in one.column_names:
        if name in other.column_names and name != "customer_id":
            unequal = np.flatnonzero(~equal_bits(one[name], other[name]))
            if unequal.size:
                at = int(unequal[0])
                shown = _value_text(one[name][at]), _value_text(other[name][at])
                yield name, int(unequal.size), at, *shown


def equal_bits(one: pa.ChunkedArray, other: pa.ChunkedArray) -> np.ndarray:
    """(rows,) whether the values are equal bit for bit; null equals null only."""
    # Equal numbers can differ in their bits (0.0 and −0.0), and NaN never equals itself.
    if pa.types.is_floating(one.type) and one.type == other.type:
        one, other = _to_bits(one), _to_bits(other)
    both_null = pc.and_(one.is_null(), other.is_null())
    return pc.or_(pc.fill_null(pc.equal(one, other), False), both_null).to_numpy()


def _to_bits(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Floats as the integers of their bits, so that 0.0 and −0.0 differ."""
    whole = column.cast(pa.float64()).combine_chunks()
    bits = whole.fill_null(0.0).to_numpy(zero_copy_only=False).view(np.int64)
    return pa.chunked_array([pa.array(bits, mask=whole.is_null().to_numpy(zero_copy_only=False))])


def _value_text(value: pa.Scalar) -> str:
    return "null" if value.as_py() is None else str(value.as_py())
