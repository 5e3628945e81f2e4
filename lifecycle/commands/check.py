"""What `lifecycle check` says: every row accounted for, the span, the stages in days, what missing tables cost."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np

from features.core.contract import CONTRACT
from features.core.instants import DAY_US, day_text
from features.core.settings import Settings
from features.engine.build import cover_of
from features.engine.business_columns import columns_for, features_of
from features.engine.columns import absent
from features.labels import grace
from features.recipes.attributes import NOT_ATTRIBUTES
from features.recipes.definitions import Definitions, learn_definitions
from features.recipes.stages import state
from features.tables.history import History
from features.tables.sources import Counts

_LOST = {
    "customers": "prospects and acquisition dates",
    "transactions": "money: amounts, refunds, failed payments",
    "interactions": "engagement: visits, answers to messages, cancel pages",
    "feedback": "satisfaction: scores, silence, complaints",
    "contracts": "cover: days left, renewal (only for contractual businesses)",
}


_SAID = {
    "unused_columns": "",
    "attributes": "",
    "not_features": " (neither versions with valid_from nor [contract] constant_attributes, or too little known)",
}


def account(history: History, counts: dict[str, Counts], settings: Settings) -> dict[str, Any]:
    """The whole account as plain data; `text` renders it."""
    at = history.data_until
    known = history.as_of(at)
    definitions = learn_definitions(known, settings)
    ends = cover_of(known) if definitions.contractual else None
    people = state(known.activity, at=at, definitions=definitions, cover=ends).select(
        "usual_gap", "stage"
    )
    rows = people.collect(backend="pyarrow").to_native()
    usual = float(np.median(rows["usual_gap"].to_numpy())) / DAY_US if rows.num_rows else None
    missing = absent(tables=history.names, own=features_of(settings))
    stages = rows["stage"].to_pylist()
    renewals = grace.account(history, settings) if settings.contractual else None
    return {
        "business": settings.business.name,
        "tables": {
            name: _counted(found, history, name, settings, definitions)
            for name, found in counts.items()
        },
        "data_until": day_text(at, zone=settings.zone),
        "customers": rows.num_rows,
        "stages_now": {stage: stages.count(stage) for stage in sorted(set(stages))},
        "stage_multiples": _multiples(definitions, usual),
        "features": len(columns_for(history, definitions, settings)),
        "missing": {
            name: {"lost": _LOST[name], "features": missing.get(name, [])}
            for name in CONTRACT
            if name not in history.names
        },
        "advice": _advice(definitions, rows.num_rows)
        + (grace.advice(renewals) if renewals else []),
        "renewals": renewals,
    }


def _counted(
    found: Counts, history: History, name: str, settings: Settings, definitions: Definitions
) -> dict[str, Any]:
    out: dict[str, Any] = {"read": found.read, "kept": found.kept, "rejected": found.rejected}
    if name == "customers":
        out |= _attributes(found, definitions)
    elif found.unused_columns:
        out["unused_columns"] = found.unused_columns
    clock = {"customers": None, "contracts": "starts_at"}.get(name, "occurred_at")
    if clock:
        span = history.table(name).select(low=nw.col(clock).min(), high=nw.col(clock).max())
        low, high = (
            value[0].as_py() for value in span.collect(backend="pyarrow").to_native().columns
        )
        out["from"], out["to"] = (
            day_text(low, zone=settings.zone),
            day_text(high, zone=settings.zone),
        )
        late = (
            history.table(name)
            .filter(nw.col("recorded_at") > history.data_until)
            .select(nw.col("customer_id").count())
        )
        out["after_data_until"] = late.collect(backend="pyarrow").to_native()[0][0].as_py()
    if found.clock_changes:
        out["clock_changes"] = found.clock_changes
    if name in history.versioned:
        out["has_versions"] = True
    return out


def _attributes(found: Counts, definitions: Definitions) -> dict[str, list[str]]:
    """Which columns of customers are features, and which are not: those that may be of today, or say nothing yet."""
    kept = [one.name for one in definitions.attributes]
    rest = [
        name
        for name in (*found.attributes, *found.unused_columns)
        if name not in (*kept, *NOT_ATTRIBUTES)
    ]
    return {name: names for name, names in (("attributes", kept), ("not_features", rest)) if names}


def _multiples(definitions: Definitions, usual_days: float | None) -> dict[str, Any]:
    names = ("at_risk", "dormant", "churned")
    return {
        "multiples": dict(zip(names, definitions.multiples, strict=True)),
        "days_for_the_median_customer": {
            name: round(multiple * usual_days, 1) if usual_days else None
            for name, multiple in zip(names, definitions.multiples, strict=True)
        },
        "base_gap_days": round(definitions.base_gap_us / DAY_US, 1),
        "gaps": definitions.gaps,
        "reached_churned": definitions.reached_churned,
        "came_back": None if definitions.came_back is None else round(definitions.came_back, 4),
    }


def _advice(definitions: Definitions, customers: int) -> list[str]:
    said = []
    if definitions.gaps < 500:
        said.append(
            f"{definitions.gaps} completed gaps: under 500, so the multiples are 2, 4, 8 and not learned."
        )
    if customers and definitions.gaps / customers < 0.1:
        said.append(
            'Hardly anybody comes back: state archetype = "one-off" or "low-frequency" if that is the business.'
        )
    if definitions.came_back is not None and definitions.came_back > 0.10:
        said.append(
            "More than 10 % of those called churned came back: a longer history would teach wider multiples."
        )
    return said


def text(found: dict[str, Any]) -> str:
    """The account for people; read = kept + rejected on every line."""
    lines = [
        f"{found['business']}: data until {found['data_until']}, {found['customers']:,} customers with activity",
        "",
    ]
    for name, table in found["tables"].items():
        rejected = sum(table["rejected"].values())
        lines.append(
            f"  {name:<13}{table['read']:>10,} read = {table['kept']:,} kept + {rejected:,} rejected"
            + (f"   {table['from']} … {table['to']}" if "from" in table else "")
        )
        lines += [f"{'':17}{count:>10,} {reason}" for reason, count in table["rejected"].items()]
        lines += [
            f"{'':17}{count:>10,} {reason} by a clock change (kept; read as docs/contract.md says)"
            for reason, count in table.get("clock_changes", {}).items()
        ]
        if table.get("after_data_until"):
            lines.append(
                f"{'':17}{table['after_data_until']:>10,} recorded after data_until (kept, not known yet)"
            )
        for kind, why in _SAID.items():
            if table.get(kind):
                lines.append(f"{'':17}{kind.replace('_', ' ')}: {', '.join(table[kind])}{why}")
    stages = found["stage_multiples"]
    lines += ["", "  stage       from (× usual gap)   days for the median customer"]
    for name, multiple in stages["multiples"].items():
        lines.append(
            f"  {name:<12}{multiple:>10.2f}{stages['days_for_the_median_customer'][name] or 0:>20,.1f}"
        )
    if stages["came_back"] is not None:
        lines.append(
            f"  of {stages['reached_churned']:,} waits that reached churned, {stages['came_back']:.1%} ended with activity"
        )
    lines.append(
        "  (learned at the end of the data; a release learns its own, before its evaluation date)"
    )
    lines += ["", *grace.lines(found["renewals"])] if found["renewals"] else []
    lines += [
        "",
        "  now: " + ", ".join(f"{name} {count:,}" for name, count in found["stages_now"].items()),
    ]
    lines += [
        f"  without {name}: no {gone['lost']} ({len(gone['features'])} features)"
        for name, gone in found["missing"].items()
    ]
    return "\n".join(lines + [f"  note: {advice}" for advice in found["advice"]])
