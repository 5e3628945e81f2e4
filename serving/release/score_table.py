"""What a release says of feature rows: the score columns of the architecture, one row a customer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from features.recipes.stages import STAGES
from serving.release.release import Release
from serving.scoring.evidence import GRADES, grades
from serving.scoring.prediction_sets import named
from serving.scoring.reasons import REASONS, reasons

REFUSED_ARCHETYPES = ("one-off",)


def score_table(
    rows: pa.Table, release: Release, *, extra: list[str], as_of: int, stale: bool
) -> pa.Table:
    """The score columns of the architecture, by customer_id; `extra` are prospects: a stage, and null scores."""
    refused = release.made_for["business"]["archetype"] in REFUSED_ARCHETYPES
    p, p_next = release.scorer.score(rows)
    if refused:
        p, p_next = np.full(len(p), np.nan), np.full(p_next.shape, np.nan)
    why = (
        [[None] * REASONS] * rows.num_rows
        if refused
        else reasons(release.scorer, rows, release.columns)
    )
    sure = _sureness(rows, release, p, p_next)
    scored = {
        "customer_id": rows["customer_id"].to_pylist() + extra,
        "as_of": [as_of] * (rows.num_rows + len(extra)),
        "horizon_days": [release.scorer.definitions.horizon_days] * (rows.num_rows + len(extra)),
        "eligible": rows["eligible"].to_pylist() + [False] * len(extra),
        "stage": rows["stage"].to_pylist() + ["prospect"] * len(extra),
        "stage_rule": rows["stage_rule"].to_pylist() + [2] * len(extra),
        "p_churn": _nullable(p, len(extra)),
        **{
            name: sure[name] + [None] * len(extra)
            for name in ("p_churn_low", "p_churn_high", "evidence")
        },
        "stage_if_inactive": rows["stage_if_inactive"].to_pylist() + [None] * len(extra),
    }
    scored |= {
        f"p_next_{stage}": _nullable(p_next[:, k], len(extra)) for k, stage in enumerate(STAGES)
    }
    scored["next_stages"] = sure["next_stages"] + [None] * len(extra)
    scored |= {f"reason_{k + 1}": [w[k] for w in why] + [None] * len(extra) for k in range(REASONS)}
    scored["warnings"] = _warnings(rows, release, stale) + [["prospect:no_activity_yet"]] * len(
        extra
    )
    scored["release_id"] = [release.id] * (rows.num_rows + len(extra))
    return pa.table(
        {name: pa.array(values, type=SCORE_TYPES.get(name)) for name, values in scored.items()}
    ).sort_by("customer_id")


SCORE_TYPES = {
    "as_of": pa.int64(),
    "horizon_days": pa.int64(),
    "stage_rule": pa.int64(),
    "eligible": pa.bool_(),
    **dict.fromkeys(("p_churn", "p_churn_low", "p_churn_high"), pa.float64()),
    **dict.fromkeys(("evidence", "next_stages"), pa.string()),
    "stage": pa.string(),
    "stage_if_inactive": pa.string(),
    "warnings": pa.list_(pa.string()),
    "customer_id": pa.string(),
    **{f"p_next_{stage}": pa.float64() for stage in STAGES},
    **{f"reason_{k + 1}": pa.string() for k in range(REASONS)},
}


def _sureness(
    rows: pa.Table, release: Release, p: np.ndarray, p_next: np.ndarray
) -> dict[str, list[Any]]:
    """How sure the scores are, a list a column: null where there is no score, or nothing to measure it by."""
    scorer, scored = release.scorer, ~np.isnan(p)
    empty: list[Any] = [None] * len(p)
    out = dict.fromkeys(("p_churn_low", "p_churn_high", "evidence", "next_stages"), empty)
    if not scored.all():
        return out
    grade = grades(rows, scorer.definitions)
    out["evidence"] = [GRADES[number] for number in grade]
    if scorer.spread is not None:
        out["p_churn_low"], out["p_churn_high"] = (
            side.tolist() for side in scorer.spread.interval(p, grade)
        )
    if scorer.sets is not None:
        out["next_stages"] = named(scorer.sets.sets(p_next, rows["eligible"].to_numpy()))
    return out


def _nullable(values: np.ndarray, extra: int) -> list[float | None]:
    return [None if np.isnan(v) else float(v) for v in values] + [None] * extra


def _warnings(rows: pa.Table, release: Release, stale: bool) -> list[list[str]]:
    archetype, at_most = (
        release.made_for["business"]["archetype"],
        release.made_for["contract"]["max_staleness_days"],
    )
    everybody = [f"as_of_after_data_until:{at_most}d_at_most"] if stale else []
    if release.scorer.status != "ok":
        everybody.append(release.scorer.status)
    if archetype in REFUSED_ARCHETYPES:
        everybody.append(f"archetype_refused:{archetype}")
    if release.scorer.definitions.contractual:
        why = "ineligible:no_running_cover"
    else:
        why = f"ineligible:no_activity_in_{release.scorer.definitions.eligible_days}_days"
    rates = [[f"rate_of:{level}"] if level else [] for level in release.scorer.rate_of(rows)]
    return [
        everybody + rate + ([] if eligible else [why])
        for rate, eligible in zip(rates, rows["eligible"].to_pylist(), strict=True)
    ]
