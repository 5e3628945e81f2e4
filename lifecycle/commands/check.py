"""`lifecycle check`: count every row, show span and stages in days, list what is missing."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa

from features.core.contract import CONTRACT
from features.core.instants import DAY_US, day_text
from features.core.settings import Settings
from features.engine.business_columns import columns_for, custom_features
from features.engine.columns import missing_features
from features.labels import grace
from features.recipes.attributes import NOT_ATTRIBUTES
from features.recipes.cover import current_cover
from features.recipes.definitions import Definitions, learn_definitions
from features.recipes.stages import state
from features.tables.history import History, Known
from features.tables.snapshots import refuse_snapshots
from features.tables.sources import RowCounts
from training.formats import percent

MISSING_TABLE_COSTS = {
    "customers": "prospects and acquisition dates",
    "transactions": "money: amounts, refunds, failed payments",
    "interactions": "engagement: visits, answers to messages, cancel pages",
    "feedback": "satisfaction: scores, silence, complaints",
    "contracts": "cover: days left, renewal (only for contractual businesses)",
}
# Lists of columns of a table, each with the reason that the text adds.
COLUMN_LISTS = {
    "unused_columns": "",
    "attributes": "",
    "not_features": " (neither versions with valid_from nor [contract] constant_attributes, "
    "or too few known values)",
}
# Fewer completed gaps leave the stage multiples at their defaults.
MIN_GAPS = 500
FEW_GAPS_A_CUSTOMER = 0.1
MANY_REACTIVATED = 0.10


def build_report(
    history: History, counts: dict[str, RowCounts], settings: Settings
) -> dict[str, Any]:
    """The report as plain data; `report_text` renders it.

    Stages and attributes are as of the end of the data, with definitions learned there.
    """
    refuse_snapshots(history)
    known = history.as_of(history.data_until)
    definitions = learn_definitions(known, settings)
    rows = _current_stages(known, history.data_until, definitions)
    usual = float(np.median(rows["usual_gap"].to_numpy())) / DAY_US if rows.num_rows else None
    stages, cancelled = rows["stage"].to_pylist(), rows["has_cancelled"].to_pylist()
    renewals = grace.report(history, settings) if settings.contractual else None
    return {
        "business": settings.business.name,
        "tables": {
            name: _table_report(table_counts, history, name, settings, definitions)
            for name, table_counts in counts.items()
        },
        "data_until": day_text(history.data_until, zone=settings.zone),
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
    }


def _current_stages(known: Known, at: int, definitions: Definitions) -> pa.Table:
    """usual_gap (µs), stage, has_cancelled of everybody with activity or cover, at `at`."""
    cover = current_cover(known) if definitions.contractual else None
    rows = state(known.activity, at=at, definitions=definitions, cover=cover)
    return rows.select("usual_gap", "stage", "has_cancelled").collect(backend="pyarrow").to_native()


def _missing_tables(history: History, settings: Settings) -> dict[str, Any]:
    features = missing_features(tables=history.names, custom=custom_features(settings))
    return {
        name: {"lost": MISSING_TABLE_COSTS[name], "features": features.get(name, [])}
        for name in CONTRACT
        if name not in history.names
    }


def _table_report(
    counts: RowCounts, history: History, name: str, settings: Settings, definitions: Definitions
) -> dict[str, Any]:
    """One table: read = kept + rejected, its span, and what is unusual about it."""
    report: dict[str, Any] = {
        "read": counts.read,
        "kept": counts.kept,
        "rejected": counts.rejected,
    }
    if name == "customers":
        report |= _attributes(counts, definitions)
    else:
        report |= {"unused_columns": counts.unused_columns} if counts.unused_columns else {}
        report |= _span(history, name, settings)
    if counts.clock_changes:
        report["clock_changes"] = counts.clock_changes
    if name in history.versioned:
        report["has_versions"] = True
    return report


def _span(history: History, name: str, settings: Settings) -> dict[str, Any]:
    """First and last day of a table, and how many rows were recorded after the end of the data."""
    table = history.table(name)
    clock = nw.col("starts_at" if name == "contracts" else "occurred_at")
    ends = table.select(low=clock.min(), high=clock.max()).collect(backend="pyarrow").to_native()
    low, high = (column[0].as_py() for column in ends.columns)
    late = table.filter(nw.col("recorded_at") > history.data_until)
    rows = late.select(nw.col("customer_id").count()).collect(backend="pyarrow").to_native()
    return {
        "from": day_text(low, zone=settings.zone),
        "to": day_text(high, zone=settings.zone),
        "after_data_until": rows[0][0].as_py(),
    }


def _attributes(counts: RowCounts, definitions: Definitions) -> dict[str, list[str]]:
    """Columns of customers that are features, and those whose past values are not known."""
    used = [attribute.name for attribute in definitions.attributes]
    others = [
        name
        for name in (*counts.attributes, *counts.unused_columns)
        if name not in (*used, *NOT_ATTRIBUTES)
    ]
    lists = {"attributes": used, "not_features": others}
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
            f"{percent(share)} of those called churned came back: a longer history would give "
            "wider stage multiples."
        )
    return advice


def rows_text(report: dict[str, Any]) -> str:
    """`12,345 rows read, 12 of them rejected` over all tables."""
    tables = report["tables"].values()
    read = sum(table["read"] for table in tables)
    rejected = sum(sum(table["rejected"].values()) for table in tables)
    return f"{read:,} rows read, {rejected:,} of them rejected"


def report_text(report: dict[str, Any]) -> str:
    """The report for a terminal; read = kept + rejected on every line."""
    stages = (f"{name} {count:,}" for name, count in report["stages_now"].items())
    who = "activity or cover" if report["renewals"] else "activity"
    lines = [
        f"{report['business']}: data until {report['data_until']}, "
        f"{report['customers']:,} customers with {who}",
        "",
        *(line for name, table in report["tables"].items() for line in _table_lines(name, table)),
        "",
        *_stage_lines(report["stage_multiples"], report["activity_table"]),
    ]
    if report["renewals"]:
        lines += ["", *grace.report_lines(report["renewals"])]
    lines += ["", f"  now: {', '.join(stages)}"]
    if report["cancelled"]:
        lines.append(f"  of them {report['cancelled']:,} have cancelled; their cover still runs")
    lines += [
        f"  without {name}: no {missing['lost']} ({len(missing['features'])} features)"
        for name, missing in report["missing"].items()
    ]
    return "\n".join([*lines, *(f"  note: {advice}" for advice in report["advice"])])


def _table_lines(name: str, table: dict[str, Any]) -> list[str]:
    def counted(rows: int, words: str) -> str:
        return f"{'':17}{rows:>10,} {words}"

    rejected = sum(table["rejected"].values())
    span = f"   {table['from']} … {table['to']}" if "from" in table else ""
    lines = [
        f"  {name:<13}{table['read']:>10,} read = {table['kept']:,} kept + "
        f"{rejected:,} rejected{span}"
    ]
    lines += [counted(rows, reason) for reason, rows in table["rejected"].items()]
    lines += [
        counted(rows, f"{reason} by a clock change (kept; read as docs/contract.md says)")
        for reason, rows in table.get("clock_changes", {}).items()
    ]
    if table.get("after_data_until"):
        words = "recorded after data_until (kept, not known yet)"
        lines.append(counted(table["after_data_until"], words))
    for kind, reason in COLUMN_LISTS.items():
        if table.get(kind):
            lines.append(f"{'':17}{kind.replace('_', ' ')}: {', '.join(table[kind])}{reason}")
    return lines


def _stage_lines(stages: dict[str, Any], activity_table: str) -> list[str]:
    lines = ["  stage       from (× usual gap)   days for the median customer"]
    for name, multiple in stages["multiples"].items():
        days = stages["days_for_the_median_customer"][name] or 0
        lines.append(f"  {name:<12}{multiple:>10.2f}{days:>20,.1f}")
    if stages["reactivated_share"] is not None:
        returned = "bought again" if activity_table == "transactions" else "were active again"
        lines.append(
            f"  {percent(stages['reactivated_share'])} of those called churned {returned} later "
            f"({stages['reached_churned']:,} cases)"
        )
    note = "learned at the end of the data; a release learns its own before its evaluation date"
    return [*lines, f"  ({note})"]
