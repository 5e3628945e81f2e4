"""Thresholds of the next-stage sets from rows whose customer was left out, and how often the sets held later.

A row's nonconformity is 1 − P(next = its outcome stage), or 0 where that was the likeliest stage (which is always in
the set). A stage's threshold is the ⌈(n + 1) · LEVEL⌉-th smallest of the n rows that ended at it: were those rows and
the next one exchangeable, the set would hold the stage with probability LEVEL at least. Dates differ, so the newest
mature ones are taken, and `account` tells what came of it on later ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from features.recipes.stages import STAGES
from serving.scoring.prediction_sets import Conformal
from serving.scoring.scorer import Scorer, stage_index
from training import metrics

LEVEL = 0.90
FEWEST = 30  # rows: fewer give no threshold worth the name
ENOUGH, DATES = (
    200,
    4,
)  # older dates are taken in until a stage has so many rows, and at most so many dates
SURE, WANTED = 200, 0.85  # a stage of so many evaluation rows is wanted to be held so often


def fit(
    p_next: np.ndarray,
    outcome: np.ndarray,
    as_of: np.ndarray,
    eligible: np.ndarray,
    *,
    level: float = LEVEL,
) -> Conformal | None:
    """Thresholds from left-out P(next stage) (rows, 7), outcome stages (index in STAGES), instants, eligible: (rows,).

    Where fewer than FEWEST eligible (or other) rows ended at a stage, they take the stage's threshold over both; where
    fewer than FEWEST of both did, the threshold of all rows together. None for fewer than FEWEST rows in all.
    """
    if len(outcome) < FEWEST:
        return None
    off = nonconformity(p_next, outcome)

    def of(mask: np.ndarray, behind: float | None) -> float | None:
        mine = np.flatnonzero(mask)
        mine = mine[_newest(as_of[mine], among=as_of)] if len(mine) else mine
        return behind if len(mine) < FEWEST else threshold(off[mine], level)

    together = threshold(off[_newest(as_of, among=as_of)], level)
    by_stage = [of(outcome == at, None) for at in range(len(STAGES))]
    pooled = tuple(stage for stage, found in zip(STAGES, by_stage, strict=True) if found is None)
    both = [
        tuple(
            of((outcome == at) & part, together if found is None else found)
            for at, found in enumerate(by_stage)
        )
        for part in (eligible, ~eligible)
    ]
    return Conformal(*both, level, pooled, _why(outcome, pooled))


def nonconformity(p_next: np.ndarray, stage: np.ndarray) -> np.ndarray:
    """How strange `stage` (rows,) is beside P(next stage) (rows, 7): 0 … 1, 0 for the likeliest stage."""
    return np.where(p_next.argmax(axis=1) == stage, 0.0, 1 - p_next[np.arange(len(stage)), stage])


def threshold(off: np.ndarray, level: float) -> float:
    """The ⌈(n + 1) · level⌉-th smallest nonconformity, 1 where there are too few to tell."""
    place = int(np.ceil((len(off) + 1) * level - 1e-12))
    return float(np.sort(off)[max(place, 1) - 1]) if place <= len(off) else 1.0


def _newest(as_of: np.ndarray, *, among: np.ndarray) -> np.ndarray:
    """Row numbers of the newest dates: as many dates as give ENOUGH rows, of the DATES newest of `among`."""
    dates = np.unique(among)[::-1][:DATES]
    for count in range(1, len(dates) + 1):
        taken = np.flatnonzero(as_of >= dates[count - 1])
        if len(taken) >= ENOUGH:
            break
    return taken


def _why(outcome: np.ndarray, pooled: tuple[str, ...]) -> str:
    came = [stage for stage in pooled if (outcome == STAGES.index(stage)).any()]
    few = f"; too few rows ended at {', '.join(came)}: no threshold of their own" if came else ""
    return f"fitted on customers left out, at up to {DATES} of the newest mature dates{few}"


def account(scorer: Scorer, late: pa.Table, p_next: np.ndarray) -> dict[str, Any] | None:
    """How often the sets held what came at the evaluation dates; None where there are no sets.

    Per population: `coverage` with its 95 % interval by customers, mean `size`, `accuracy` of the likeliest stage alone,
    and the same per stage that came (`stages`). All None where nobody is there.
    """
    if scorer.sets is None:
        return None
    outcome, held = (
        stage_index(late["outcome_stage"].to_numpy()),
        scorer.sets.sets(p_next, late["eligible"].to_numpy()),
    )
    ids = np.array(late["customer_id"].to_pylist(), dtype=str)
    everyone = np.ones(late.num_rows, dtype=bool)
    masks = {"everyone": everyone, "eligible": late["eligible"].to_numpy()}
    told: dict[str, Any] = {
        who: _held(outcome[mask], p_next[mask], held[mask], ids[mask])
        for who, mask in masks.items()
    }
    thresholds = {"eligible": list(scorer.sets.eligible), "others": list(scorer.sets.others)}
    return told | {
        "level": scorer.sets.level,
        "pooled": list(scorer.sets.pooled),
        "why": scorer.sets.why,
        "thresholds": thresholds,
    }


def _held(
    outcome: np.ndarray, p_next: np.ndarray, held: np.ndarray, ids: np.ndarray
) -> dict[str, Any]:
    inside, right = held[np.arange(len(outcome)), outcome], p_next.argmax(axis=1) == outcome
    stages = []
    for at in np.unique(outcome):
        mine = outcome == at
        row = {
            "stage": STAGES[at],
            **_coverage(inside[mine], ids[mine]),
            "accuracy": float(right[mine].mean()),
        }
        stages.append(
            row | {"reached": bool(row["coverage"] >= WANTED) if row["rows"] >= SURE else None}
        )
    empty = {"size": None, "accuracy": None, "stages": []}
    if not len(outcome):
        return _coverage(inside, ids) | empty
    return _coverage(inside, ids) | {
        "size": float(held.sum(axis=1).mean()),
        "accuracy": float(right.mean()),
        "stages": stages,
    }


def _coverage(inside: np.ndarray, ids: np.ndarray) -> dict[str, Any]:
    if not len(inside):
        return {"rows": 0, "coverage": None, "low": None, "high": None}
    low, high = np.quantile(metrics.resampled(inside[:, None].astype(float), ids), (0.025, 0.975))
    return {
        "rows": len(inside),
        "coverage": float(inside.mean()),
        "low": float(low),
        "high": float(high),
    }


def lines(account: dict[str, Any]) -> list[str]:
    """What the command line says of the sets, a line a population and one of the stages that were held too seldom."""
    found = account.get("sets")
    if not found:
        return (
            ["  no sets of next stages: too few rows to fit them on"] if "sets" in account else []
        )
    out = []
    for who in metrics.POPULATIONS:
        one = found[who]
        if one["rows"]:
            out.append(
                f"  sets of next stages, {who}: hold what came {one['coverage']:.1%} ({one['low']:.1%} … {one['high']:.1%}; "
                f"wanted {found['level']:.0%}) with {one['size']:.2f} stages; the likeliest alone {one['accuracy']:.1%}"
            )
    seldom = [
        f"{one['stage']} {one['coverage']:.1%}"
        for one in found["everyone"]["stages"]
        if one["reached"] is False
    ]
    came = [one["stage"] for one in found["everyone"]["stages"] if one["stage"] in found["pooled"]]
    own = [f"too few rows for a threshold of their own: {', '.join(came)}"] if came else []
    return (
        out
        + [f"    held less often than {WANTED:.0%}: {', '.join(seldom)}"] * bool(seldom)
        + [f"    {x}" for x in own]
    )
