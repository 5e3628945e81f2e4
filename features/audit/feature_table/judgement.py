"""The judgement of a feature table: what matches, what is cleared, and what looks like a leak."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict
from typing import Any

import numpy as np

from features.audit.feature_table import constants, signs, time_travel
from features.audit.feature_table.matching import MatchedRows, match_rows
from features.audit.feature_table.reading import FeatureTable
from features.audit.feature_table.time_travel import Comparison, Likeness
from features.audit.findings import LEAK, Finding, keep_worst
from features.core.instants import day_text
from features.core.settings import Settings
from features.tables.history import History
from features.tables.snapshots import refuse_snapshots

DATES, SEED, MAX_CUSTOMERS = 6, 7, 2_000
TIME_TRAVEL = "time travel"
_FIX = {
    TIME_TRAVEL: "Compute it from rows known before as_of alone: lifecycle features gives ours.",
    constants.AS_OF_EXPORT: "Compute it at each as_of, or leave it out.",
}
_OTHER_FIX = "Find out when its values were written; leave it out if that was after as_of."


def audit_table(
    table: FeatureTable,
    history: History,
    settings: Settings,
    *,
    dates: int = DATES,
    seed: int = SEED,
    max_customers: int = MAX_CUSTOMERS,
) -> dict[str, Any]:
    """Judge a feature table made elsewhere, on the customers and instants of this business.

    `dates`, `max_customers`: of more instants or customers, as many are looked at, drawn by `seed`.

    Returns plain data for `table_text` and JSON: business, rows (what became of every row of the
    file), as_of, columns (one entry each: name, equals, share, auroc with low and high, `cleared`),
    best (our best column alone), findings (severity, kind, where, reason, figure, fix), unchecked,
    seed, seconds, passed (no finding of severity leak). No customer ids and no values.

    Errors: EmptyTable where no row matches; SnapshotRefused for contracts that were overwritten.
    """
    started, rng = time.perf_counter(), np.random.default_rng(seed)
    refuse_snapshots(history)
    matched = match_rows(table, history, settings, dates=dates, customers=max_customers, rng=rng)
    with closing(matched.ours):
        report = _judge(matched, settings)
    seconds = round(time.perf_counter() - started, 1)
    return report | {"seed": seed, "seconds": seconds}


def _judge(matched: MatchedRows, settings: Settings) -> dict[str, Any]:
    comparison = time_travel.compare_with_ours(matched)
    columns = matched.table.values_at(matched.table.as_of)
    open_columns = {
        name: column
        for name, column in columns.items()
        if not {name, name.partition(" = ")[0]} & comparison.cleared
    }
    evidence = signs.collect_evidence(matched)
    findings = _of_later_instants(matched, comparison, open_columns)
    unchecked = [*matched.table.unchecked, *_unchecked(matched, evidence)]
    if evidence is not None:
        findings += signs.find_signs(matched, evidence, open_columns)
    findings = keep_worst(findings)
    best = None
    if evidence is not None:
        best = {"name": evidence.best_name, **_figures(evidence.best)}
    zone = settings.zone
    return {
        "business": settings.business.name,
        "rows": dict(matched.counts),
        "as_of": [day_text(int(at), zone=zone) for at in np.unique(matched.table.as_of)],
        "columns": [_column(name, columns, comparison, evidence) for name in matched.table.names],
        "best": best,
        "findings": [
            asdict(one)
            | {
                "as_of": None if one.as_of is None else day_text(one.as_of, zone=zone),
                "fix": _FIX.get(one.kind, _OTHER_FIX) if one.severity == LEAK else "",
            }
            for one in findings
        ],
        "unchecked": unchecked,
        "passed": all(one.severity != LEAK for one in findings),
    }


def _of_later_instants(
    matched: MatchedRows, comparison: Comparison, columns: Mapping[str, np.ndarray]
) -> list[Finding]:
    """One finding for each column that is of a later instant, with its strongest evidence."""
    equal = {name for name, one in comparison.later.items() if one.is_equal}
    others = {name: column for name, column in columns.items() if name not in equal}
    exported = constants.find_constants(matched, others)
    constant = {one.where for one in exported}
    travels = [
        _time_travel(name, one) for name, one in comparison.later.items() if name not in constant
    ]
    return [*travels, *exported]


def _time_travel(name: str, one: Likeness) -> Finding:
    equal = (
        f"it equals {one.ours} {one.when} in {one.equal_later:.1%} of {one.rows:,} rows, and no "
        f"column of ours at as_of in more than {one.equal_then:.1%}"
    )
    ranked = (
        f"it ranks {one.rows:,} rows like {one.ours} {one.when} (ρ {one.rank_later:.3f}); no "
        f"column of ours at as_of comes nearer than ρ {one.rank_then:.3f}"
    )
    return Finding(LEAK, TIME_TRAVEL, name, equal if one.is_equal else ranked, one.equal_later)


def _column(
    name: str,
    columns: Mapping[str, np.ndarray],
    comparison: Comparison,
    evidence: signs.Evidence | None,
) -> dict[str, Any]:
    """One column: the one of ours that it equals at as_of, and what it tells alone."""
    ours, share = comparison.equals.get(name, (None, None))
    figures: dict[str, float | None] = {"auroc": None, "low": None, "high": None}
    if evidence is not None and name in columns:
        column = columns[name][evidence.at_risk]
        if not np.isnan(column).all():
            figures = _figures(evidence.alone(columns[name]))
    return {
        "name": name,
        "equals": ours,
        "share": share,
        "cleared": name in comparison.cleared,
        **figures,
    }


def _figures(alone: Any) -> dict[str, float | None]:
    return {"auroc": alone.value, "low": alone.low, "high": alone.high}


def _unchecked(matched: MatchedRows, evidence: signs.Evidence | None) -> list[str]:
    lines = []
    if evidence is None:
        lines.append(
            f"columns against the outcome: under {signs.FEW} rows of customers at risk who left, "
            "or who stayed, at instants whose outcome is known"
        )
    if matched.counts["instants_looked_at"] < 2:
        lines.append("columns over time: the file has one instant alone")
    return lines
