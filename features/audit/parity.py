"""The promise, tried on the user's own tables: what is known before as_of decides every value, and nothing else.

Each world below holds the same knowledge at as_of as the real one, so its rows must be the same, bit for bit. Planning
is what costs, not rows: so the worlds of one as_of are first built side by side, as one; where anything differs, each is
built by itself, definitions and base made anew, and that names the world.
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
ALONE, BY_THREADS = "one against all", "threads"


@dataclass(frozen=True)
class Kept:
    """What a release freezes, and the base at one as_of."""

    definitions: Definitions
    base: PopulationStats


def kept_at(history: History, settings: Settings, at: int) -> Kept:
    """Definitions and base as they are learned at one as_of."""
    known = history.as_of(at)
    definitions = learn_definitions(known, settings)
    return Kept(definitions, population_stats(known, definitions))


def rows_at(history: History, settings: Settings, at: int, kept: Kept) -> pa.Table:
    """The feature rows at one as_of, by customer_id."""
    chosen = columns_for(history, kept.definitions, settings)
    return build(history.as_of(at), base=kept.base, definitions=kept.definitions, columns=chosen)


@dataclass(frozen=True)
class Builder:
    """How base and rows are made: as training, batch and the service make them, if nothing else is said."""

    keep: Callable[[History, Settings, int], Kept] = kept_at
    rows: Callable[[History, Settings, int, Kept], pa.Table] = rows_at


@dataclass(frozen=True)
class AuditCase:
    """One as_of of the real world: its rows, what they rest on, and all tables (`replayed`: delivered twice)."""

    history: History
    settings: Settings
    tables: perturbations.Tables
    at: int
    making: Builder
    kept: Kept
    rows: pa.Table
    replayed: perturbations.Tables | None

    @contextmanager
    def world(self, tables: perturbations.Tables, *, threads: int = 1) -> Iterator[History]:
        other = perturbations.rebuilt(
            self.history, tables, threads=threads, memory=self.settings.engine.memory
        )
        try:
            yield other
        finally:
            other.connection.close()

    def rows_in(self, other: History, kept: Kept | None = None) -> pa.Table:
        return self.making.rows(other, self.settings, self.at, kept or self.kept)

    def kept_in(self, other: History) -> Kept:
        return self.making.keep(other, self.settings, self.at)


@dataclass(frozen=True)
class World:
    """`base_kept`: the promise is about customers, ids or loads, so base and definitions stay those of the real world."""

    name: str
    words: str
    tables: Callable[[AuditCase], perturbations.Tables]
    base_kept: bool = False


REPLAYS = World(
    "replays", "every delivery comes twice, and is read by the contract", lambda s: s.replayed
)
ROW_ORDER = World(
    "row order", "rows come in another order", lambda s: perturbations.shuffled(s.tables)
)
OTHER_IDS = World(
    "other ids", "customers and rows are called otherwise", lambda s: s.tables, base_kept=True
)
WORLDS = (
    World(
        "truncated history",
        "rows recorded and cells known at or after as_of are taken out",
        lambda s: perturbations.truncated(s.tables, s.at),
    ),
    World(
        "scrambled future",
        "rows and cells known at or after as_of say something else",
        lambda s: perturbations.scrambled(s.tables, s.at),
    ),
    World(
        "exactly at as_of",
        "known rows once more, at as_of; empty cells are filled at as_of",
        lambda s: perturbations.at_the_instant(s.tables, s.at),
    ),
    World(
        "late arrivals",
        "rows and corrections from before as_of, recorded at or after it",
        lambda s: perturbations.late(s.tables, s.at),
    ),
    REPLAYS,
    ROW_ORDER,
    OTHER_IDS,
    World(
        "other load times",
        "known rows were recorded at other times, in the same order",
        lambda s: perturbations.loaded_otherwise(s.tables, s.at),
        base_kept=True,
    ),
)


@dataclass(frozen=True)
class Difference:
    """Of one feature in one world at one as_of: how many rows differ, the first one's place by customer_id, its values."""

    feature: str
    world: str
    as_of: int
    rows: int
    position: int
    known: str
    other: str


@dataclass
class CheckResult:
    """What one world was tried on, in all. `bases`: at how many as_of definitions and base were made anew in it too."""

    world: str
    words: str
    dates: int = 0
    bases: int = 0
    rows: int = 0
    values: int = 0
    differences: list[Difference] = field(default_factory=list)

    def count(self, rows: pa.Table) -> None:
        self.dates, self.rows, self.values = (
            self.dates + 1,
            self.rows + rows.num_rows,
            self.values + rows.num_rows * rows.num_columns,
        )


Tallies = dict[str, CheckResult]


def together(
    scene: AuditCase, tried: Sequence[World], threads: int, tallies: Tallies
) -> list[Difference]:
    """All worlds at one as_of as one, side by side: it costs one plan. What differs is looked at apart (`apart`)."""
    tables, old = perturbations.stacked([world.tables(scene) for world in tried])
    with scene.world(tables, threads=threads) as other:
        rows = scene.rows_in(other)
    called = rows["customer_id"].to_pylist()
    found = []
    for world, names in zip(tried, old, strict=True):
        mine = [place for place, name in enumerate(called) if name in names]
        part = rows.take(pa.array(mine, pa.int64()))
        ids = pa.array([names[called[place]] for place in mine], pa.string())
        part = part.set_column(part.column_names.index("customer_id"), "customer_id", ids).sort_by(
            "customer_id"
        )
        found += _differences(world.name, scene, part)
        tallies[world.name].count(part)
    tallies[BY_THREADS].count(rows)
    return found


def apart(scene: AuditCase, tried: Sequence[World]) -> list[Difference]:
    """Every world at one as_of by itself, base and definitions made anew, and every number of threads."""
    found = []
    for world in tried:
        tables = (
            perturbations.renamed(scene.tables)
            if world is OTHER_IDS
            else (world.tables(scene), None)
        )
        found += by_itself(world, scene, *tables)
    return found + [
        one
        for count in THREADS
        for one in by_itself(_threads(), scene, scene.tables, None, threads=count)
    ]


def _threads() -> World:
    return World(BY_THREADS, "", lambda s: s.tables)


def by_itself(
    world: World,
    scene: AuditCase,
    tables: perturbations.Tables,
    old: dict[str, str] | None = None,
    threads: int = 1,
) -> list[Difference]:
    with scene.world(tables, threads=threads) as other:
        kept = scene.kept if world.base_kept else scene.kept_in(other)
        rows = scene.rows_in(other, kept)
    if old:
        ids = pa.array([old[name] for name in rows["customer_id"].to_pylist()], pa.string())
        rows = rows.set_column(rows.column_names.index("customer_id"), "customer_id", ids).sort_by(
            "customer_id"
        )
    return _differences(world.name, scene, rows)


def bases(world: World, scene: AuditCase, tally: CheckResult) -> list[Difference]:
    """Definitions and base made anew in one world."""
    with scene.world(world.tables(scene)) as other:
        kept = scene.kept_in(other)
    tally.bases += 1
    found = []
    for part in ("definitions", "base"):
        one, two = getattr(scene.kept, part), getattr(kept, part)
        for name in vars(one):
            if getattr(one, name) != getattr(two, name):
                rows = scene.rows.num_rows
                found.append(
                    Difference(
                        f"({part}: {name})",
                        world.name,
                        scene.at,
                        rows,
                        0,
                        str(getattr(one, name))[:60],
                        str(getattr(two, name))[:60],
                    )
                )
    return found


def alone(scene: AuditCase, positions: list[int], tally: CheckResult) -> list[Difference]:
    """Some customers each in a world of their own, the base kept."""
    found = []
    for position in positions:
        customer = scene.rows["customer_id"][position].as_py()
        with scene.world(perturbations.only(scene.tables, customer)) as other:
            rows = scene.rows_in(other)
        for name, count, _, known, shown in compared(scene.rows.slice(position, 1), rows):
            found.append(Difference(name, ALONE, scene.at, count, position, known, shown))
        tally.rows, tally.values = (
            tally.rows + rows.num_rows,
            tally.values + rows.num_rows * rows.num_columns,
        )
    tally.dates += 1
    return found


def _differences(world: str, scene: AuditCase, rows: pa.Table) -> list[Difference]:
    return [Difference(name, world, scene.at, *rest) for name, *rest in compared(scene.rows, rows)]


def compared(one: pa.Table, other: pa.Table) -> Iterator[tuple[str, int, int, str, str]]:
    """(column, rows that differ, position of the first, its two values) for every column that is not equal bit for bit.

    Rows are matched by customer_id; `(rows)` and `(columns)` stand for those that only one of the two has.
    """
    mine, theirs = (
        np.array(table["customer_id"].to_pylist(), dtype=object) for table in (one, other)
    )
    if list(mine) != list(theirs):
        alike = np.isin(mine, theirs)
        yield (
            "(rows)",
            int((~alike).sum() + (~np.isin(theirs, mine)).sum()),
            int(np.argmin(alike)),
            str(len(mine)),
            str(len(theirs)),
        )
        _, first, second = np.intersect1d(mine, theirs, return_indices=True)
        one, other = one.take(pa.array(first)), other.take(pa.array(second))
    either = set(one.column_names) ^ set(other.column_names)
    for name in sorted(either):
        yield (
            f"(columns) {name}",
            one.num_rows,
            0,
            "there" if name in one.column_names else "absent",
            "the other way",
        )
    for name in one.column_names:
        if name in other.column_names and name != "customer_id":
            wrong = np.flatnonzero(~same(one[name], other[name]))
            if wrong.size:
                at = int(wrong[0])
                yield name, int(wrong.size), at, _shown(one[name][at]), _shown(other[name][at])


def same(one: pa.ChunkedArray, other: pa.ChunkedArray) -> np.ndarray:
    """Which rows are equal, bit for bit; null equals null only."""
    if pa.types.is_floating(one.type) and one.type == other.type:
        one, other = _bits(one), _bits(other)
    both = pc.and_(one.is_null(), other.is_null())
    return pc.or_(pc.fill_null(pc.equal(one, other), False), both).to_numpy()


def _bits(column: pa.ChunkedArray) -> pa.ChunkedArray:
    whole = column.cast(pa.float64()).combine_chunks()
    bits = whole.fill_null(0.0).to_numpy(zero_copy_only=False).view(np.int64)
    return pa.chunked_array([pa.array(bits, mask=whole.is_null().to_numpy(zero_copy_only=False))])


def _shown(value: pa.Scalar) -> str:
    return "null" if value.as_py() is None else str(value.as_py())
