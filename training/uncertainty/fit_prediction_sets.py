"""Thresholds of the next-stage prediction sets, and their coverage on later rows.

The thresholds come from rows that the fit had not seen: later rows where there are any, otherwise
those of customers who were left out. A row's nonconformity is 1 − P(next = its outcome
stage), or 0 where that was the likeliest stage (which is always in the set). A stage's threshold is
the ⌈(n + 1) · LEVEL⌉-th smallest of the n rows that ended at it. If those rows and the next one
were exchangeable, the set would contain the stage with probability LEVEL or more (Vovk 2012, see
`serving.scoring.prediction_sets`). Dates differ, so the newest mature ones are used, and
`sets_report` measures the coverage on later ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from features.core.language import join_words, say, term
from features.recipes.stages import STAGES
from serving.scoring.prediction_sets import PredictionSets
from serving.scoring.scorer import Scorer, stage_index
from training import metrics

LEVEL = 0.90
MIN_ROWS = 30  # fewer rows give no useful threshold
# Older dates are added until a stage has so many rows, up to so many dates.
ENOUGH_ROWS, MAX_DATES = 200, 4
# A stage with so many evaluation rows is expected to have so much coverage.
MIN_STAGE_ROWS, TARGET_COVERAGE = 200, 0.85


def fit_prediction_sets(
    p_next: np.ndarray,
    outcome: np.ndarray,
    as_of: np.ndarray,
    eligible: np.ndarray,
    *,
    level: float = LEVEL,
    forward: bool = False,
) -> PredictionSets | None:
    """Thresholds by stage, for eligible customers and for the others.

    `p_next`: P(next stage) of rows that the fit had not seen, (rows, 7); `forward` says that these
    are later rows. `outcome` (index in STAGES), `as_of` (µs) and
    `eligible` (bool) are (rows,). Where fewer than MIN_ROWS eligible (or other) rows ended at a
    stage, they take the stage's threshold over both; where fewer than MIN_ROWS of both did, the
    threshold of all rows together. None for fewer than MIN_ROWS rows in all.
    """
    if len(outcome) < MIN_ROWS:
        return None
    scores = nonconformity(p_next, outcome)

    def stage_threshold(mask: np.ndarray) -> float | None:
        mine = np.flatnonzero(mask)
        mine = mine[_newest(as_of[mine], among=as_of)] if len(mine) else mine
        return None if len(mine) < MIN_ROWS else threshold(scores[mine], level)

    together = threshold(scores[_newest(as_of, among=as_of)], level)
    by_stage = [stage_threshold(outcome == at) for at in range(len(STAGES))]
    pooled = tuple(stage for stage, own in zip(STAGES, by_stage, strict=True) if own is None)

    def thresholds(part: np.ndarray) -> tuple[float, ...]:
        fallbacks = [together if own is None else own for own in by_stage]
        own = [stage_threshold((outcome == at) & part) for at in range(len(STAGES))]
        return tuple(b if a is None else a for a, b in zip(own, fallbacks, strict=True))

    note = _note(outcome, pooled, forward)
    return PredictionSets(thresholds(eligible), thresholds(~eligible), level, pooled, note)


def nonconformity(p_next: np.ndarray, stage: np.ndarray) -> np.ndarray:
    """How unusual `stage` (rows,) is under P(next stage) (rows, 7): 0 … 1, 0 for the likeliest."""
    return np.where(p_next.argmax(axis=1) == stage, 0.0, 1 - p_next[np.arange(len(stage)), stage])


def threshold(scores: np.ndarray, level: float) -> float:
    """The ⌈(n + 1) · level⌉-th smallest nonconformity; 1 where there are too few rows."""
    place = int(np.ceil((len(scores) + 1) * level - 1e-12))
    return float(np.sort(scores)[max(place, 1) - 1]) if place <= len(scores) else 1.0


def _newest(as_of: np.ndarray, *, among: np.ndarray) -> np.ndarray:
    """Row numbers of the newest dates: as many as give ENOUGH_ROWS rows, at most MAX_DATES.

    The dates are the newest of `among`.
    """
    dates = np.unique(among)[::-1][:MAX_DATES]
    for oldest in dates:
        rows = np.flatnonzero(as_of >= oldest)
        if len(rows) >= ENOUGH_ROWS:
            break
    return rows


def _note(outcome: np.ndarray, pooled: tuple[str, ...], forward: bool) -> str:
    observed = [stage for stage in pooled if (outcome == STAGES.index(stage)).any()]
    few = (
        f"; too few rows ended at {', '.join(observed)}: no threshold of their own"
        if observed
        else ""
    )
    how = "forward in time" if forward else "on customers who were left out"
    return f"fitted {how}, at up to {MAX_DATES} of the newest mature dates{few}"


def sets_report(scorer: Scorer, late: pa.Table, p_next: np.ndarray) -> dict[str, Any] | None:
    """The coverage of the sets on the evaluation rows `late`; None where there are no sets.

    Per population: `coverage` with its 95 % interval by customers, `mean_size`, `accuracy` of the
    likeliest stage alone, and the same per observed stage (`stages`). None without rows.
    """
    sets = scorer.prediction_sets
    if sets is None:
        return None
    eligible = late["eligible"].to_numpy()
    outcome = stage_index(late["outcome_stage"].to_numpy())
    membership = sets.membership(p_next, eligible)
    ids = np.array(late["customer_id"].to_pylist(), dtype=str)
    masks = {"everyone": np.ones(late.num_rows, dtype=bool), "eligible": eligible}
    report: dict[str, Any] = {
        who: _population_report(outcome[mask], p_next[mask], membership[mask], ids[mask])
        for who, mask in masks.items()
    }
    return report | {
        "level": sets.level,
        "pooled": list(sets.pooled),
        "why": sets.note,
        "thresholds": {"eligible": list(sets.eligible), "others": list(sets.others)},
    }


def _population_report(
    outcome: np.ndarray, p_next: np.ndarray, membership: np.ndarray, ids: np.ndarray
) -> dict[str, Any]:
    covered = membership[np.arange(len(outcome)), outcome]
    right = p_next.argmax(axis=1) == outcome
    if not len(outcome):
        return _coverage(covered, ids) | {"mean_size": None, "accuracy": None, "stages": []}
    return _coverage(covered, ids) | {
        "mean_size": float(membership.sum(axis=1).mean()),
        "accuracy": float(right.mean()),
        "stages": [
            _stage_report(STAGES[at], covered[mine], right[mine], ids[mine])
            for at in np.unique(outcome)
            for mine in [outcome == at]
        ],
    }


def _stage_report(
    stage: str, covered: np.ndarray, right: np.ndarray, ids: np.ndarray
) -> dict[str, Any]:
    row = {"stage": stage, **_coverage(covered, ids), "accuracy": float(right.mean())}
    enough = row["rows"] >= MIN_STAGE_ROWS
    return row | {"meets_target": bool(row["coverage"] >= TARGET_COVERAGE) if enough else None}


def _coverage(covered: np.ndarray, ids: np.ndarray) -> dict[str, Any]:
    if not len(covered):
        return {"rows": 0, "coverage": None, "low": None, "high": None}
    means = metrics.bootstrap_means(covered[:, None].astype(float), ids)
    low, high = np.quantile(means, (0.025, 0.975))
    return {
        "rows": len(covered),
        "coverage": float(covered.mean()),
        "low": float(low),
        "high": float(high),
    }


def lines(evaluation: dict[str, Any]) -> list[str]:
    """The sets in words: a line per population, and the stages with too little coverage.

    Empty where the evaluation does not know of sets.
    """
    sets = evaluation.get("sets")
    if not sets:
        no_sets = [say("  no prediction sets of the next stage: too few rows to fit them on")]
        return no_sets if "sets" in evaluation else []
    stages = sets["everyone"]["stages"]
    low = [
        f"{term(one['stage'])} {one['coverage']:.1%}"
        for one in stages
        if one["meets_target"] is False
    ]
    few = [term(one["stage"]) for one in stages if one["stage"] in sets["pooled"]]
    out = [
        _population_line(who, sets[who], sets["level"])
        for who in metrics.POPULATIONS
        if sets[who]["rows"]
    ]
    if low:
        out.append(
            say(
                "    coverage under {target:.0%}: {stages}",
                target=TARGET_COVERAGE,
                stages=join_words(low),
            )
        )
    if few:
        out.append(
            say("    too few rows for a threshold of their own: {stages}", stages=join_words(few))
        )
    return out


def _population_line(who: str, one: dict[str, Any], level: float) -> str:
    return say(
        "  next-stage sets, {who}: coverage {coverage:.1%} ({low:.1%} … {high:.1%}; target "
        "{level:.0%}), mean size {mean_size:.2f}; top-1 accuracy {accuracy:.1%}",
        who=term(who),
        level=level,
        **{name: one[name] for name in ("coverage", "low", "high", "mean_size", "accuracy")},
    )
