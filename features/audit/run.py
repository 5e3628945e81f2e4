"""The audit itself: which as_of, which customers, every world at every as_of, and what looks like a leak."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa

from features.audit import attributes, clocks, leaks, parity, perturbations
from features.audit.findings import LEAK, AsOfSlice, Finding, worst
from features.audit.parity import (
    ALONE,
    BY_THREADS,
    REPLAYS,
    THREADS,
    WORLDS,
    AuditCase,
    Builder,
    CheckResult,
    Difference,
    World,
)
from features.core.errors import NotEnoughData
from features.core.instants import DAY_US, day_text, midnight_before
from features.core.progress import steps
from features.core.settings import Settings
from features.engine.build import build
from features.engine.columns import columns
from features.labels.outcomes import mature, observe
from features.recipes.recipe import FEATURES
from features.recipes.stages import STATE_COLUMNS
from features.tables.history import History
from features.tables.sources import read

DATES, SEED = 10, 7
EVERYWHERE = (ALONE, BY_THREADS, parity.ROW_ORDER.name, parity.OTHER_IDS.name)
MOST = 10_000  # customers audited; of more, as many are drawn
ALONE_PER_DATE = 2
MOVED = 4  # as_of at which all of it is moved
LOOKED_AT = 1  # as_of with a difference at which every world is built by itself
MOVED_DAYS = (
    133  # nineteen weeks: every weekday stays itself, every month and quarter becomes another
)


def audit(
    history: History,
    settings: Settings,
    *,
    dates: int = DATES,
    seed: int = SEED,
    most: int = MOST,
    alone: int = ALONE_PER_DATE,
    making: Builder | None = None,
) -> dict[str, Any]:
    """Try every promise about time at `dates` random as_of, and look for leaks; plain data for `report.text` and JSON.

    Keys: business, seed, as_of, customers (audited, of, alone), columns, worlds, differences, findings, untested,
    seconds, passed (no difference and no finding of severity leak). No ids; a row is named by its place by customer_id.
    NotEnoughData where there is too little activity to draw an as_of. `making` says how base and rows
    are made (default: as everywhere).
    """
    begun, rng, untested = time.perf_counter(), np.random.default_rng(seed), []
    history, customers, people = _sampled(history, settings, rng, most, alone)
    chosen = _dates(history, settings, rng, dates)
    replayed = _replayed(settings, people, history, untested)
    tables = perturbations.tables_of(history)
    scenes = [
        _scene(history, settings, tables, at, making or Builder(), replayed)
        for at in steps(chosen, label="rows at each as_of")
    ]
    tallies = _parity(scenes, rng, alone)
    moments = _moments(scenes, untested)
    findings = [
        *_findings(scenes, moments, untested),
        *attributes.suspicious(history, settings, moments),
        *clocks.contradictions(history),
    ]
    return _told(
        settings,
        seed,
        scenes,
        customers,
        tallies,
        worst(findings),
        untested,
        time.perf_counter() - begun,
    )


def _sampled(
    history: History, settings: Settings, rng: np.random.Generator, most: int, alone: int
) -> tuple[History, dict[str, int], pa.Array | None]:
    """The history of at most `most` customers, the two counts, and who they are (None: everybody)."""
    tables = [f"SELECT DISTINCT customer_id FROM {name}" for name in history.names]
    found = (
        history.connection.execute(f"{' UNION '.join(tables)} ORDER BY 1")
        .to_arrow_table()["customer_id"]
        .combine_chunks()
    )
    counts = {"audited": min(most, len(found)), "of": len(found), "alone_per_as_of": alone}
    if len(found) <= most:
        return history, counts, None
    people = found.take(pa.array(np.sort(rng.choice(len(found), most, replace=False))))
    return (
        _of(history, settings, perturbations.some(perturbations.tables_of(history), people)),
        counts,
        people,
    )


def _of(history: History, settings: Settings, tables: perturbations.Tables) -> History:
    return perturbations.rebuilt(
        history, tables, threads=settings.engine.threads, memory=settings.engine.memory
    )


def _dates(history: History, settings: Settings, rng: np.random.Generator, dates: int) -> list[int]:
    """As_of drawn where there is a past and a future: by turns a local midnight, any instant, a row's own instant."""
    kinds = ", ".join(f"'{kind}'" for kind in history.activity_kinds)
    rows = f"SELECT recorded_at FROM {history.activity_table} WHERE kind IN ({kinds}) ORDER BY 1"
    known = history.connection.execute(rows).to_arrow_table()[0].to_numpy()
    if known.size < 100 or known[int(known.size * 0.95)] <= known[int(known.size * 0.1)]:
        raise NotEnoughData(
            where="audit",
            got=f"{known.size:,} activities between two instants, or all recorded at once",
            rule="An as_of needs activity known before it and after it.",
            fix="Bring more history; if recorded_at is the time of a load, leave it out of the SELECT.",
        )
    low, high = known[int(known.size * 0.1)], known[int(known.size * 0.95)]
    inside, found = np.unique(known[(known > low) & (known <= high)]), []
    for number, at in enumerate(rng.integers(low + 1, high, dates)):
        if number % 3 == 0:
            at = max(midnight_before(int(at), settings.zone), low + 1)
        elif number % 3 == 2 and inside.size:
            at = inside[rng.integers(inside.size)]
        found.append(int(at))
    return sorted(set(found))


def _scene(
    history: History,
    settings: Settings,
    tables: perturbations.Tables,
    at: int,
    making: Builder,
    replayed: perturbations.Tables | None,
) -> AuditCase:
    kept = making.keep(history, settings, at)
    return AuditCase(
        history,
        settings,
        tables,
        at,
        making,
        kept,
        making.rows(history, settings, at, kept),
        replayed,
    )


def _replayed(
    settings: Settings, people: pa.Array | None, history: History, untested: list[str]
) -> perturbations.Tables | None:
    """The tables read from every SELECT delivered twice: the contract folds what it promises to fold."""
    whole, stated = settings.contract.exact_duplicates == "drop", {}
    for name, select in settings.tables.items():
        once = f"WITH once AS MATERIALIZED ({select.strip().rstrip(';')}) SELECT * FROM once"
        ids = (
            history.connection.execute(f"SELECT count(transaction_id) FROM {name}").fetchone()[0]
            if name == "transactions"
            else 0
        )
        if name == "customers":
            untested.append("replays of customers: a customer that stands twice is refused")
        elif whole or name == "contracts":
            stated[name] = f"{once} UNION ALL SELECT * FROM once"
        elif ids:
            stated[name] = f"{once} UNION ALL SELECT * FROM once WHERE transaction_id IS NOT NULL"
        if name not in stated:
            stated[name] = select
            if name != "customers":
                untested.append(
                    f'replays of {name} without an id: exact_duplicates = "keep" counts them'
                )
    if not settings.files:
        untested.append("replays: the tables come from no file")
        return None
    intake = read(settings.model_copy(update={"tables": stated}))
    try:
        tables = {name: intake.connection.table(name).to_arrow_table() for name in history.names}
    finally:
        intake.connection.close()
    return tables if people is None else perturbations.some(tables, people)


def _parity(scenes: Sequence[AuditCase], rng: np.random.Generator, alone: int) -> list[CheckResult]:
    """Every world at every as_of; base and definitions anew in the truncated one and, by turns, one of the others."""
    tried = [world for world in WORLDS if world is not REPLAYS or scenes[0].replayed is not None]
    tallies = {world.name: CheckResult(world.name, world.words) for world in tried}
    tallies[BY_THREADS] = CheckResult(
        BY_THREADS, f"the engine works with {', '.join(map(str, THREADS))} threads, by turns"
    )
    tallies[ALONE] = CheckResult(
        ALONE, f"{alone} customers at each as_of, each in a world of their own"
    )
    found, looked = [], 0
    for number, scene in enumerate(steps(scenes, label="other worlds", total=len(scenes))):
        base = [world for world in tried if not world.base_kept]
        for world in {
            base[0].name: base[0],
            base[1 + number % (len(base) - 1)].name: base[1 + number % (len(base) - 1)],
        }.values():
            found += parity.bases(world, scene, tallies[world.name])
        positions = rng.choice(scene.rows.num_rows, min(alone, scene.rows.num_rows), replace=False)
        found += parity.alone(scene, sorted(positions.tolist()), tallies[ALONE])
        at_once = parity.together(scene, tried, THREADS[number % len(THREADS)], tallies)
        if (at_once or found) and looked < LOOKED_AT:
            looked += 1
            at_once = _looked_at(scene, tried, at_once)
            found += at_once
        else:
            found += _confirmed(at_once, found)
    for one in found:
        tallies[one.world].differences.append(one)
    return list(tallies.values())


def _looked_at(
    scene: AuditCase, tried: Sequence[World], at_once: list[Difference]
) -> list[Difference]:
    """What each world shows by itself; and what only showed when all stood side by side, so that nothing is lost."""
    by_itself = parity.apart(scene, tried)
    named = {one.feature for one in by_itself}
    return by_itself + [one for one in at_once if one.feature not in named]


def _confirmed(at_once: list[Difference], found: list[Difference]) -> list[Difference]:
    """Side by side, what looks at other customers, ids or row order differs in every world: there only pairs seen count."""
    seen = {(one.feature, one.world) for one in found}
    everywhere = {one.feature for one in found if one.world in EVERYWHERE}
    return [
        one for one in at_once if (one.feature, one.world) in seen or one.feature not in everywhere
    ]


def _names(scenes: Sequence[AuditCase]) -> list[str]:
    return list(
        dict.fromkeys(
            name
            for scene in scenes
            for name in scene.rows.column_names
            if name not in STATE_COLUMNS
        )
    )


def _findings(
    scenes: Sequence[AuditCase], moments: list[AsOfSlice], untested: list[str]
) -> list[Finding]:
    names = _names(scenes)
    some = scenes[:: max(1, -(-len(scenes) // MOVED))]
    pairs = [
        (scene.rows, _later(scene)) for scene in steps(some, label="the same, nineteen weeks later")
    ]
    if not leaks.enough(moments):
        untested.append(
            f"columns against the outcome: under {leaks.FEW} eligible customers of either outcome at every mature as_of"
        )
    return [*leaks.telling(moments, names, _contractual()), *leaks.calendar(pairs, names)]


def _later(scene: AuditCase) -> pa.Table:
    at = scene.at + MOVED_DAYS * DAY_US
    with scene.world(perturbations.moved(scene.tables, MOVED_DAYS)) as other:
        return scene.making.rows(
            other, scene.settings, at, scene.making.keep(other, scene.settings, at)
        )


def _contractual() -> frozenset[str]:
    return frozenset(name for name, entry in FEATURES.items() if entry.tables == ("contracts",))


def _moments(scenes: Sequence[AuditCase], untested: list[str]) -> list[AsOfSlice]:
    """The scenes whose outcome is complete, and the newest as_of that has one."""
    history, settings = scenes[0].history, scenes[0].settings
    ripe = [scene for scene in scenes if mature(scene.at, history=history, settings=settings)]
    newest = history.data_until - settings.outcome_window_us
    first = scenes[0]
    if newest > first.at and newest not in [scene.at for scene in ripe]:
        ripe.append(_scene(history, settings, first.tables, newest, first.making, None))
    if not ripe:
        untested.append("outcomes: no as_of has a complete outcome window")
    return [_moment(scene) for scene in ripe]


def _moment(scene: AuditCase) -> AsOfSlice:
    known, definitions = scene.history.as_of(scene.at), scene.kept.definitions
    outcome = observe(scene.history, known, definitions=definitions, settings=scene.settings).rows
    asked = scene.rows["eligible"].to_numpy()
    if definitions.contractual:
        agreed = [
            column
            for column in columns(definitions, tables=scene.history.names)
            if column.name == "cancelled_ending"
        ]
        flag = build(known, base=scene.kept.base, definitions=definitions, columns=agreed)[
            "cancelled_ending"
        ]
        asked = asked & ~(np.nan_to_num(flag.to_numpy()) > 0)
    return AsOfSlice(scene.at, scene.rows, outcome, asked)


def _told(
    settings, seed, scenes, customers, tallies, findings, untested, seconds
) -> dict[str, Any]:
    day = {None: None} | {
        at: day_text(at, zone=settings.zone)
        for at in {*(s.at for s in scenes), *(f.as_of for f in findings)}
        if at is not None
    }
    differences = [
        {**asdict(one), "as_of": day[one.as_of]} for tally in tallies for one in tally.differences
    ]
    return {
        "business": settings.business.name,
        "seed": seed,
        "as_of": [day[scene.at] for scene in scenes],
        "customers": customers,
        "columns": len(_names(scenes)),
        "names": _names(scenes),
        "worlds": [
            {
                "world": t.world,
                "words": t.words,
                "as_of": t.dates,
                "bases": t.bases,
                "rows": t.rows,
                "values": t.values,
                "differences": len(t.differences),
            }
            for t in tallies
        ],
        "differences": differences,
        "findings": [{**asdict(one), "as_of": day[one.as_of]} for one in findings],
        "untested": list(dict.fromkeys(untested)),
        "seconds": round(seconds, 1),
        "passed": not differences and all(one.severity != LEAK for one in findings),
    }
