"""The audit: every perturbation at every as_of, and a search for leaks."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa

from features.audit import (
    attributes,
    clocks,
    leaks,
    parity,
    perturbations,
    sampling,
    written_back,
)
from features.audit.findings import LEAK, AsOfSlice, Finding, keep_worst
from features.audit.parity import (
    PERTURBATIONS,
    REPLAYS,
    SINGLE_CUSTOMERS,
    THREAD_COUNTS,
    THREADS,
    AuditCase,
    Builder,
    CheckResult,
    Difference,
    Perturbation,
)
from features.core.instants import DAY_US, day_text
from features.core.language import say
from features.core.progress import track_steps
from features.core.settings import Settings
from features.engine.build import build
from features.engine.columns import list_columns
from features.labels.outcomes import is_mature, observe_outcomes
from features.recipes.recipe import FEATURES
from features.recipes.stages import STATE_COLUMNS
from features.tables.history import History
from features.tables.snapshots import has_recorded_at, refuse_snapshots

DATES, SEED = 6, 7
MAX_CUSTOMERS = 2_000  # of more customers, as many are drawn
# Under all perturbations at once every customer is there eight times: this costs most, so as many
# are drawn anew at each as_of.
PERTURBED_CUSTOMERS = 200
SINGLE_PER_DATE = 1
SINGLE_EVERY = 2  # single customers are built at every second as_of
SHIFTED = 2  # number of as_of at which all instants are shifted
MAX_CLOSER = 1  # number of as_of with a difference at which every perturbation is checked alone
# Nineteen weeks: weekdays stay the same, months and quarters change.
SHIFT_DAYS = 133
# A feature that reads other customers, ids or row order differs under every stacked perturbation.
EVERYWHERE = (
    SINGLE_CUSTOMERS,
    THREAD_COUNTS,
    parity.ROW_ORDER.name,
    parity.OTHER_IDS.name,
)


def audit(
    history: History,
    settings: Settings,
    *,
    dates: int = DATES,
    seed: int = SEED,
    max_customers: int = MAX_CUSTOMERS,
    single_customers: int = SINGLE_PER_DATE,
    builder: Builder | None = None,
) -> dict[str, Any]:
    """Check on these tables that features use only what was known before as_of, and find leaks.

    Args:
        dates: number of as_of that are drawn.
        seed: of all draws; the same seed gives the same report.
        max_customers: of more customers, as many are drawn.
        single_customers: customers at each as_of that are built without all others.
        builder: how rows are built; by default as everywhere.

    Returns:
        Plain data for `report_text` and JSON: business, seed, as_of, customers (audited, total,
        single_per_as_of), columns, names, perturbations, differences, findings, untested,
        strongest (the columns that tell the outcome best, and from when one is a leak), seconds,
        passed (no difference, and no finding of severity leak). It holds no customer ids: a row
        is named by its place in the order of customer_id.

    Errors: NotEnoughData if there is too little activity to draw an as_of; SnapshotRefused for
    contracts whose rows were overwritten.
    """
    started, rng = time.perf_counter(), np.random.default_rng(seed)
    refuse_snapshots(history)
    untested: list[str] = []
    # What was written back shows in the whole history, whoever is drawn below.
    written = list(written_back.find_written_back(history, settings, untested))
    history, total, drawn = sampling.draw_customers(history, settings, rng, max_customers)
    chosen = sampling.draw_dates(history, settings, rng, dates)
    replayed = sampling.read_replayed(history, settings, drawn, untested)
    tables = perturbations.read_tables(history)
    cases = [
        _make_case(history, settings, tables, at, builder or Builder(), replayed)
        for at in track_steps(chosen, label=say("rows at each as_of"))
    ]
    results = _check_perturbations(cases, rng, single_customers)
    slices = _mature_slices(cases, untested)
    findings = [
        *_find_leaks(cases, slices, untested, agreements_dated=has_recorded_at(history)),
        *attributes.find_suspicious_columns(history, settings, slices),
        *clocks.find_clock_errors(history),
        *written,
    ]
    customers = {
        "audited": min(max_customers, total),
        "total": total,
        "single_per_as_of": single_customers,
    }
    report = _report(settings, cases, results, keep_worst(findings))
    return report | {
        "strongest": leaks.strongest_columns(slices, _feature_names(cases)),
        "seed": seed,
        "customers": customers,
        "untested": list(dict.fromkeys(untested)),
        "seconds": round(time.perf_counter() - started, 1),
    }


def _make_case(
    history: History,
    settings: Settings,
    tables: perturbations.Tables,
    at: int,
    builder: Builder,
    replayed: perturbations.Tables | None,
) -> AuditCase:
    learned = builder.learn(history, settings, at)
    rows = builder.build_rows(history, settings, at, learned)
    return AuditCase(history, settings, tables, at, builder, learned, rows, replayed)


def _check_perturbations(
    cases: Sequence[AuditCase], rng: np.random.Generator, single_customers: int
) -> list[CheckResult]:
    """Check every perturbation at every as_of.

    Definitions and population statistics are learned again under two perturbations at each as_of:
    the truncated history, and one of the others by turns.
    """
    replays = cases[0].replayed is not None
    chosen = [one for one in PERTURBATIONS if one is not REPLAYS or replays]
    results = _empty_results(chosen, single_customers)
    relearned = [one for one in chosen if not one.keeps_population]
    differences: list[Difference] = []
    closer = 0
    for number, case in enumerate(track_steps(cases, label=say("perturbations"), total=len(cases))):
        # Learning again is costly, so only two perturbations per as_of do it.
        for one in (relearned[0], relearned[1 + number % (len(relearned) - 1)]):
            differences += parity.check_learned(one, case, results[one.name])
        if number % SINGLE_EVERY == 0:
            count = min(single_customers, case.rows.num_rows)
            positions = sorted(rng.choice(case.rows.num_rows, count, replace=False).tolist())
            differences += parity.check_single_customers(case, positions, results[SINGLE_CUSTOMERS])
        threads = THREADS[number % len(THREADS)]
        drawn = sampling.draw_from_case(case, rng, PERTURBED_CUSTOMERS)
        at_once = parity.check_all_at_once(drawn, chosen, threads, results)
        # One close look is enough to name the perturbations, and it is slow.
        if (at_once or differences) and closer < MAX_CLOSER:
            closer += 1
            differences += _look_closer(case, chosen, at_once)
        else:
            differences += _keep_plausible(at_once, differences)
    for one_difference in differences:
        results[one_difference.perturbation].differences.append(one_difference)
    return list(results.values())


def _empty_results(chosen: Sequence[Perturbation], single_customers: int) -> dict[str, CheckResult]:
    results = {one.name: CheckResult(one.name, one.description) for one in chosen}
    threads = f"the engine works with {', '.join(map(str, THREADS))} threads, by turns"
    single = f"{single_customers} customers at each as_of, each without all others"
    results[THREAD_COUNTS] = CheckResult(THREAD_COUNTS, threads)
    results[SINGLE_CUSTOMERS] = CheckResult(SINGLE_CUSTOMERS, single)
    return results


def _look_closer(
    case: AuditCase, chosen: Sequence[Perturbation], at_once: list[Difference]
) -> list[Difference]:
    """What each perturbation shows alone, and what showed only when all were checked at once."""
    alone = parity.check_each(case, chosen)
    features = {one.feature for one in alone}
    return alone + [one for one in at_once if one.feature not in features]


def _keep_plausible(at_once: list[Difference], seen: list[Difference]) -> list[Difference]:
    """The differences of a check of all at once, without those that its stacking may cause.

    A feature that reads other customers, ids or row order differs there under every perturbation.
    For such a feature only perturbations under which it differed before count.
    """
    pairs = {(one.feature, one.perturbation) for one in seen}
    everywhere = {one.feature for one in seen if one.perturbation in EVERYWHERE}
    return [
        one
        for one in at_once
        if (one.feature, one.perturbation) in pairs or one.feature not in everywhere
    ]


def _feature_names(cases: Sequence[AuditCase]) -> list[str]:
    names = (name for case in cases for name in case.rows.column_names)
    return list(dict.fromkeys(name for name in names if name not in STATE_COLUMNS))


def _find_leaks(
    cases: Sequence[AuditCase],
    slices: list[AsOfSlice],
    untested: list[str],
    *,
    agreements_dated: bool,
) -> Iterator[Finding]:
    names = _feature_names(cases)
    # A few as_of, spread over all, show whether a column depends on the date.
    some = cases[:: max(1, -(-len(cases) // SHIFTED))]
    pairs = [
        (case.rows, _build_shifted(case))
        for case in track_steps(some, label=say("all instants nineteen weeks later"))
    ]
    if not leaks.has_enough_outcomes(slices):
        untested.append(
            f"columns against the outcome: under {leaks.FEW} eligible customers "
            "of either outcome at every mature as_of"
        )
    yield from leaks.find_revealing_columns(
        slices, names, _contract_features(), has_recorded_at=agreements_dated
    )
    yield from leaks.find_calendar_columns(pairs, names)


def _build_shifted(case: AuditCase) -> pa.Table:
    """The rows when everything, as_of included, happens SHIFT_DAYS later."""
    at = case.at + SHIFT_DAYS * DAY_US
    with case.perturbed_history(perturbations.shift_dates(case.tables, SHIFT_DAYS)) as other:
        learned = case.builder.learn(other, case.settings, at)
        return case.builder.build_rows(other, case.settings, at, learned)


def _contract_features() -> frozenset[str]:
    """Features of contracts alone: what they reveal was agreed, and known."""
    return frozenset(name for name, entry in FEATURES.items() if entry.tables == ("contracts",))


def _mature_slices(cases: Sequence[AuditCase], untested: list[str]) -> list[AsOfSlice]:
    """The cases whose outcome is complete, and the newest as_of with a complete outcome."""
    history, settings = cases[0].history, cases[0].settings
    mature = [case for case in cases if is_mature(case.at, history=history, settings=settings)]
    newest = history.data_until - settings.outcome_window_us
    first = cases[0]
    if newest > first.at and newest not in [case.at for case in mature]:
        mature.append(_make_case(history, settings, first.tables, newest, first.builder, None))
    if not mature:
        untested.append("outcomes: no as_of has a complete outcome window")
    return [_slice(case) for case in mature]


def _slice(case: AuditCase) -> AsOfSlice:
    known, definitions = case.history.as_of(case.at), case.learned.definitions
    outcome = observe_outcomes(
        case.history, known, definitions=definitions, settings=case.settings
    ).rows
    at_risk = case.rows["eligible"].to_numpy()
    if definitions.contractual:
        # Who has cancelled by contract leaves anyway; a column that shows it is no leak.
        agreed = [
            column
            for column in list_columns(definitions, tables=case.history.names)
            if column.name == "cancelled_ending"
        ]
        rows = build(
            known, population=case.learned.population, definitions=definitions, columns=agreed
        )
        at_risk = at_risk & ~(np.nan_to_num(rows["cancelled_ending"].to_numpy()) > 0)
    return AsOfSlice(case.at, case.rows, outcome, at_risk)


def _report(
    settings: Settings,
    cases: Sequence[AuditCase],
    results: Sequence[CheckResult],
    findings: Sequence[Finding],
) -> dict[str, Any]:
    def day(at: int | None) -> str | None:
        return None if at is None else day_text(at, zone=settings.zone)

    differences = [one for result in results for one in result.differences]
    names = _feature_names(cases)
    return {
        "business": settings.business.name,
        "as_of": [day(case.at) for case in cases],
        "columns": len(names),
        "names": names,
        "perturbations": [_result_report(result) for result in results],
        "differences": [asdict(one) | {"as_of": day(one.as_of)} for one in differences],
        "findings": [asdict(one) | {"as_of": day(one.as_of), "fix": one.fix} for one in findings],
        "passed": not differences and all(one.severity != LEAK for one in findings),
    }


def _result_report(result: CheckResult) -> dict[str, Any]:
    return {
        "perturbation": result.perturbation,
        "description": result.description,
        "as_of": result.dates,
        "relearned": result.relearned,
        "rows": result.rows,
        "values": result.values,
        "differences": len(result.differences),
    }
