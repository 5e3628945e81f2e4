"""The score table of feature rows under a release: one row per customer."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from features.recipes.stages import STAGES
from serving.release.reference_file import null_shares
from serving.release.release import Release
from serving.release.seen_future import IN_SAMPLE
from serving.scoring.evidence import GRADES, grades
from serving.scoring.over_time import OverTime, time_columns
from serving.scoring.prediction_sets import stage_lists
from serving.scoring.reasons import REASON_COUNT, reasons
from serving.scoring.scorer import Scorer
from serving.scoring.sub_releases import EVIDENCE_CAP, SubRelease, choose_sub_release
from serving.scoring.targets import TargetAnswers, answer_targets, score_columns
from serving.scoring.unusual_values import unusual_warnings

REFUSED_ARCHETYPES = ("one-off",)
UNCERTAINTY_COLUMNS = ("p_churn_low", "p_churn_high", "evidence", "next_stages")
# The warning of customers whose cover still runs and who have cancelled: nobody can keep them by
# preventing a cancellation.
CANCELLED = "cancelled"
WITHOUT = "without:"  # and the table that a score does without
REASON_COLUMNS = tuple(f"reason_{k + 1}" for k in range(REASON_COUNT))
Values = dict[str, list[Any]]

# In the order of the table's columns.
SCORE_TYPES = {
    "customer_id": pa.string(),
    "as_of": pa.int64(),
    "horizon_days": pa.int64(),
    "eligible": pa.bool_(),
    "stage": pa.string(),
    "stage_rule": pa.string(),
    "p_churn": pa.float64(),
    "p_churn_low": pa.float64(),
    "p_churn_high": pa.float64(),
    "evidence": pa.string(),
    "stage_if_inactive": pa.string(),
    **{f"p_next_{stage}": pa.float64() for stage in STAGES},
    "next_stages": pa.list_(pa.string()),
    **dict.fromkeys(REASON_COLUMNS, pa.string()),
    "warnings": pa.list_(pa.string()),
    "release_id": pa.string(),
}


def scorer_without(release: Release, missing: Collection[str]) -> SubRelease:
    """What scores rows for which the tables `missing` are stale or were not sent."""
    whole = SubRelease((), release.scorer, release.targets)
    return choose_sub_release(whole, release.sub_releases, missing)


def score_types(release: Release) -> dict[str, pa.DataType]:
    """The types of the columns by name, in order.

    Those of the curve, of value and then of targets come after `next_stages`.
    """
    types: dict[str, pa.DataType] = {}
    for name, kind in SCORE_TYPES.items():
        types[name] = kind
        if name == "next_stages":
            further = (*time_columns(release.config), *score_columns(release.targets))
            types |= dict.fromkeys(further, pa.float64())
    return types


def score_table(
    rows: pa.Table,
    release: Release,
    *,
    prospects: list[str],
    as_of: int,
    stale: bool,
    missing: Collection[str] = (),
) -> pa.Table:
    """The score columns, sorted by customer_id; `as_of` is int64 µs UTC.

    `prospects` are without activity and cover: they have a stage and null scores. `stale`: as_of
    lies after the end of the data, which every row's warnings then say. `missing`: the tables that
    are stale or were not sent; the scorer has learned from none of them, and every row says so.
    """
    values = _scored_values(rows, release, stale=stale, missing=missing)
    types = score_types(release)
    for name, empty in _prospect_values(len(prospects), types, _seen_marks(release, as_of)).items():
        values[name] = values[name] + empty
    count = rows.num_rows + len(prospects)
    values["customer_id"] = rows["customer_id"].to_pylist() + prospects
    values["as_of"] = [as_of] * count
    values["horizon_days"] = [release.scorer.definitions.horizon_days] * count
    values["release_id"] = [release.id] * count
    arrays = {name: pa.array(values[name], type=kind) for name, kind in types.items()}
    return pa.table(arrays).sort_by("customer_id")


def score_rows(rows: pa.Table, release: Release) -> pa.Table:
    """The score columns of feature rows in their order, each at its own `as_of` (int64 µs UTC)."""
    values = _scored_values(rows, release, stale=False, missing=())
    values["customer_id"] = rows["customer_id"].to_pylist()
    values["as_of"] = rows["as_of"].to_pylist()
    values["horizon_days"] = [release.scorer.definitions.horizon_days] * rows.num_rows
    values["release_id"] = [release.id] * rows.num_rows
    types = score_types(release)
    return pa.table({name: pa.array(values[name], type=kind) for name, kind in types.items()})


def _scored_values(
    rows: pa.Table, release: Release, *, stale: bool, missing: Collection[str]
) -> Values:
    """The columns that differ between customers, for customers with a feature row."""
    chosen = scorer_without(release, missing)
    scorer, lacks = chosen.scorer, tuple(sorted({*chosen.lacks, *release.silent}))
    p, p_next = scorer.score(rows)
    targets = answer_targets(chosen.targets, rows)
    sentences: list[list[str | None]] = [[None] * REASON_COUNT] * rows.num_rows
    if release.config["business"]["archetype"] in REFUSED_ARCHETYPES:
        p, p_next = np.full(len(p), np.nan), np.full(p_next.shape, np.nan)
        targets = TargetAnswers({name: np.full(len(p), np.nan) for name in targets.values}, ())
    else:
        sentences = reasons(scorer, rows, release.columns)
    over_time = OverTime(release.curve, release.value)
    times = over_time.answers(rows, p, release.config, scorer.definitions, missing)
    of_times = over_time.warnings(rows, times, release.config)
    unusual = unusual_warnings(scorer, rows, null_shares(release.reference))
    marks = [[*one, *other] for one, other in zip(of_times, unusual, strict=True)]
    state = ("eligible", "stage", "stage_rule", "stage_if_inactive")
    return {
        **{name: rows[name].to_pylist() for name in state},
        "p_churn": _null_where_nan(p),
        **{f"p_next_{stage}": _null_where_nan(p_next[:, k]) for k, stage in enumerate(STAGES)},
        **_uncertainty(rows, scorer, p, p_next, best_grade=EVIDENCE_CAP if lacks else GRADES[-1]),
        **{name: _null_where_nan(each) for name, each in (times | targets.values).items()},
        **{name: [texts[k] for texts in sentences] for k, name in enumerate(REASON_COLUMNS)},
        "warnings": _warnings(rows, release, scorer, stale, lacks, targets.warnings, marks),
    }


def _seen_marks(release: Release, as_of: int) -> list[str]:
    """The warning of a row whose `as_of` (µs UTC) lies before what the release has learned."""
    return [IN_SAMPLE] if as_of < release.seen.earliest_as_of else []


def _prospect_values(count: int, names: Iterable[str], marks: list[str]) -> Values:
    """The columns `names` for prospects: null but for what is known of them."""
    values: Values = {name: [None] * count for name in names}
    for name in ("customer_id", "as_of", "horizon_days", "release_id"):
        del values[name]
    return values | {
        "eligible": [False] * count,
        "stage": ["prospect"] * count,
        "stage_rule": ["no_activity"] * count,
        "warnings": [[*marks, "prospect:no_activity_yet"]] * count,
    }


def _uncertainty(
    rows: pa.Table, scorer: Scorer, p: np.ndarray, p_next: np.ndarray, *, best_grade: str
) -> Values:
    """Interval, evidence and next stages; null without a score, or where none was measured."""
    result: Values = {name: [None] * len(p) for name in UNCERTAINTY_COLUMNS}
    # Scores are refused for all rows or for none.
    if np.isnan(p).any():
        return result
    grade = np.minimum(grades(rows, scorer.definitions), GRADES.index(best_grade))
    result["evidence"] = [GRADES[number] for number in grade]
    if scorer.rate_spread is not None:
        low, high = scorer.rate_spread.interval(p, grade)
        result["p_churn_low"], result["p_churn_high"] = low.tolist(), high.tolist()
    if scorer.prediction_sets is not None:
        members = scorer.prediction_sets.membership(p_next, rows["eligible"].to_numpy())
        result["next_stages"] = stage_lists(members)
    return result


def _null_where_nan(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]


def _warnings(
    rows: pa.Table,
    release: Release,
    scorer: Scorer,
    stale: bool,
    lacks: Collection[str],
    of_targets: Collection[str],
    of_rows: list[list[str]],
) -> list[list[str]]:
    archetype = release.config["business"]["archetype"]
    at_most = release.config["contract"]["max_staleness_days"]
    of_everybody = [f"as_of_after_data_until:{at_most}d_at_most"] if stale else []
    of_everybody += [f"{WITHOUT}{table}" for table in lacks]
    if scorer.status != "ok":
        of_everybody.append(scorer.status)
    if archetype in REFUSED_ARCHETYPES:
        of_everybody.append(f"archetype_refused:{archetype}")
    of_everybody += of_targets
    if scorer.definitions.contractual:
        ineligible = "ineligible:no_running_cover"
    else:
        days = scorer.definitions.eligible_days
        ineligible = f"ineligible:no_activity_in_{days}_days"
    levels = scorer.rate_levels(rows)
    if archetype in REFUSED_ARCHETYPES:
        of_rows = [[] for _ in of_rows]
    return [
        [
            *_seen_marks(release, as_of),
            *of_everybody,
            *([f"rate_of:{level}"] if level else []),
            *([] if eligible else [ineligible]),
            *([CANCELLED] if cancelled else []),
            *others,
        ]
        for as_of, level, eligible, cancelled, others in zip(
            rows["as_of"].to_pylist(),
            levels,
            rows["eligible"].to_pylist(),
            rows["has_cancelled"].to_pylist(),
            of_rows,
            strict=True,
        )
    ]
