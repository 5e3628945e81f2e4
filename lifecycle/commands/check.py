"""`lifecycle check`: count every row, show span and stages in days, name what looks wrong."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa

from features.core.contract import ALL_TABLES, CONTRACT
from features.core.instants import DAY_US, current_instant, day_text, end_text
from features.core.language import mark
from features.core.settings import Settings
from features.engine.business_columns import columns_for, custom_features
from features.engine.columns import missing_features
from features.engine.consent import consent_counts, refuse_missing_flags
from features.labels import grace
from features.plausibility import find_implausible
from features.plausibility.ids import id_columns, matched_share
from features.plausibility.rows import refunds_of_orders, superseded_rows
from features.recipes.activity_days import ActivityDays, read_activity_days
from features.recipes.attributes import NOT_ATTRIBUTES, sensitive_left_out
from features.recipes.cover import current_cover
from features.recipes.days_summary import median_gaps, summarise_days
from features.recipes.definitions import Definitions, learn_definitions
from features.recipes.stages import state_of_people
from features.tables.history import History, Known
from features.tables.margins import margin_facts
from features.tables.payment_terms import read_periods
from features.tables.snapshots import refuse_snapshots
from features.tables.sources import RowCounts
from lifecycle.commands.check_targets import target_findings, targets_report
from training.formats import stored_percent

MISSING_TABLE_COSTS = {
    "customers": mark("prospects and acquisition dates"),
    "transactions": mark("money: amounts, refunds, failed payments"),
    "interactions": mark("engagement: visits, answers to messages, cancel pages"),
    "feedback": mark("satisfaction: scores, silence, complaints"),
    "contracts": mark("cover: days left, renewal (only for contractual businesses)"),
}
# Fewer completed gaps leave the stage multiples at their defaults.
MIN_GAPS = 500
FEW_GAPS_A_CUSTOMER = 0.1
MANY_REACTIVATED = 0.10


def build_report(
    history: History, counts: dict[str, RowCounts], settings: Settings, *, now: int | None = None
) -> dict[str, Any]:
    """The report as plain data; `check_text.report_text` renders it.

    Stages and attributes are as of the end of the data, with definitions learned there. `findings`
    is what looks wrong (`features.plausibility`). now: the instant of the call in µs, for dates
    after today; the machine's clock if not given.
    """
    refuse_snapshots(history)
    refuse_missing_flags(history, settings)
    now = current_instant() if now is None else now
    known = history.as_of(history.data_until)
    days = read_activity_days(history, known)
    definitions = learn_definitions(known, settings, days=days)
    rows = _current_stages(history, known, days, definitions)
    usual = float(np.median(rows["usual_gap"].to_numpy())) / DAY_US if rows.num_rows else None
    stages, cancelled = rows["stage"].to_pylist(), rows["has_cancelled"].to_pylist()
    renewals = grace.report(history, settings) if settings.contractual else None
    targets = targets_report(history, settings, definitions)
    findings = [
        *find_implausible(history, known, counts, settings, definitions, now=now),
        *target_findings(targets, history, settings),
    ]
    return {
        "business": settings.business.name,
        "files": {name: asdict(file) for name, file in history.files.items()},
        "tables": {
            name: _table_report(counts, history, name, settings, definitions) for name in counts
        },
        "data_until": end_text(history.data_until, zone=settings.zone),
        "activity_table": settings.activity.table,
        "customers": rows.num_rows,
        "stages_now": {stage: stages.count(stage) for stage in sorted(set(stages))},
        "cancelled": cancelled.count(True),
        "stage_multiples": _multiples(definitions, usual),
        "features": len(columns_for(history, definitions, settings)),
        "missing": _missing_tables(history, settings),
        "advice": _advice(definitions, rows.num_rows)
        + (grace.advice(renewals) if renewals else []),
        "renewals": renewals,
        "periods": _periods(history),
        "acquired": _acquired_view(days, settings),
        "consent": consent_counts(history, settings),
        "targets": targets,
        "findings": [finding.as_dict() for finding in findings],
    }


def nothing_left(report: dict[str, Any]) -> bool:
    """Whether nothing can be trained or scored.

    No customer with activity is known, or none was before the day on which all rows were loaded.
    """
    return any(
        finding["name"] == "nothing_left"
        or (
            finding["name"] == "recorded_at_is_a_load_time"
            and finding["table"] == report["activity_table"]
        )
        for finding in report["findings"]
    )


def _acquired_view(days: ActivityDays, settings: Settings) -> dict[str, Any]:
    """How many customers count as acquired under each value of [stages] acquired, and the gaps."""
    gaps = median_gaps(days)
    return {
        "configured": settings.stages.acquired,
        "first_activity": len(days.customers),
        "second_activity": int((days.counts > 1).sum()),
        # The median of each customer's own, so that a frequent customer counts once.
        "median_gap_days": round(float(np.median(gaps)) / DAY_US, 1) if gaps.size else None,
    }


def _current_stages(
    history: History, known: Known, days: ActivityDays, definitions: Definitions
) -> pa.Table:
    """usual_gap (µs), stage, has_cancelled of everybody with activity or cover, as of `known`."""
    cover = current_cover(known) if definitions.contractual else None
    people = nw.from_native(history.connection.from_arrow(summarise_days(days, definitions)))
    rows = state_of_people(people, at=known.instant, definitions=definitions, cover=cover)
    return rows.select("usual_gap", "stage", "has_cancelled").collect(backend="pyarrow").to_native()


def _missing_tables(history: History, settings: Settings) -> dict[str, Any]:
    features = missing_features(tables=history.names, custom=custom_features(settings))
    return {
        name: {"lost": MISSING_TABLE_COSTS[name], "features": features.get(name, [])}
        for name in CONTRACT
        if name not in history.names
    }


def _table_report(
    all_counts: dict[str, RowCounts],
    history: History,
    name: str,
    settings: Settings,
    definitions: Definitions,
) -> dict[str, Any]:
    """One table: read = kept + rejected, its span, and what is unusual about it."""
    counts = all_counts[name]
    report: dict[str, Any] = {
        "read": counts.read,
        "kept": counts.kept,
        "rejected": counts.rejected,
        "examples": [asdict(example) for example in counts.examples],
    }
    if counts.forgotten:
        report["forgotten"] = counts.forgotten
    others = [each for each in all_counts if each != name and id_columns(each)]
    if others and id_columns(name):
        share = matched_share(history.connection, name, others)
        report["ids_in_other_tables"] = round(share, 4)
    if superseded := superseded_rows(history, name):
        report["superseded"] = superseded
    if name == "transactions" and (refunds := refunds_of_orders(history)):
        report["refunds_of_orders"] = refunds
    if name == "transactions" and "margin" in counts.columns:
        report["margins"] = _margins(history)
    if name == "customers":
        report |= _attributes(counts, definitions, settings)
    else:
        report |= {"unused_columns": counts.unused_columns} if counts.unused_columns else {}
        report |= _span(history, name, settings)
    if counts.clock_changes:
        report["clock_changes"] = counts.clock_changes
    return report


def _margins(history: History) -> dict[str, Any]:
    """How many purchases have a margin, and what share of their amounts it is in all."""
    facts = margin_facts(history.cut("transactions", history.data_until))
    return {
        "purchases": facts.purchases,
        "with_margin": facts.with_margin,
        "share": None if facts.share is None else round(facts.share, 4),
    }


def _span(history: History, name: str, settings: Settings) -> dict[str, Any]:
    """First and last day of a table, and how many rows were recorded after the end of the data."""
    table = history.table(name)
    clock = nw.col(ALL_TABLES[name].happened_at)
    ends = table.select(low=clock.min(), high=clock.max()).collect(backend="pyarrow").to_native()
    low, high = (column[0].as_py() for column in ends.columns)
    late = table.filter(nw.col("recorded_at") >= history.data_until)
    rows = late.select(nw.len()).collect(backend="pyarrow").to_native()
    return {
        "from": day_text(low, zone=settings.zone),
        "to": day_text(high, zone=settings.zone),
        "after_data_until": rows[0][0].as_py(),
    }


def _attributes(
    counts: RowCounts, definitions: Definitions, settings: Settings
) -> dict[str, list[str]]:
    """Columns of customers that are features, may be sensitive, or have no known past values."""
    used = [attribute.name for attribute in definitions.attributes]
    names = (*counts.attributes, *counts.unused_columns)
    sensitive = sensitive_left_out(names, settings)
    others = [name for name in names if name not in (*used, *sensitive, *NOT_ATTRIBUTES)]
    lists = {"attributes": used, "sensitive_left_out": sensitive, "not_features": others}
    return {name: names for name, names in lists.items() if names}


def _multiples(definitions: Definitions, usual_days: float | None) -> dict[str, Any]:
    multiples = dict(zip(("at_risk", "dormant", "churned"), definitions.multiples, strict=True))
    share = definitions.reactivated_share
    return {
        "multiples": multiples,
        "days_for_the_median_customer": {
            name: round(multiple * usual_days, 1) if usual_days else None
            for name, multiple in multiples.items()
        },
        "population_mean_gap_days": round(definitions.population_mean_gap_us / DAY_US, 1),
        "gaps": definitions.gaps,
        "reached_churned": definitions.reached_churned,
        "reactivated_share": None if share is None else round(share, 4),
    }


def _periods(history: History) -> list[dict[str, Any]]:
    """How long the payments of each category pay for, where terms are built from payments."""
    if not history.built_terms:
        return []
    return [asdict(period) for period in read_periods(history.connection)]


def _advice(definitions: Definitions, customers: int) -> list[str]:
    advice = []
    if definitions.gaps < MIN_GAPS:
        advice.append(
            f"{definitions.gaps} completed gaps are under {MIN_GAPS}, so the stage multiples are "
            "the defaults 2, 4, 8 and not learned."
        )
    if customers and definitions.gaps / customers < FEW_GAPS_A_CUSTOMER:
        advice.append(
            'Hardly any customer comes back: set archetype = "one-off" or "low-frequency" under '
            "[business] if that is right."
        )
    share = definitions.reactivated_share
    if share is not None and share > MANY_REACTIVATED:
        advice.append(
            f"{stored_percent(share)} of those called churned came back: a longer history would "
            "give wider stage multiples."
        )
    return advice
