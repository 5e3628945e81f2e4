"""The next stage: q among those who stayed, the composed distribution, and macro-F1, beside the baselines.

The hurdle's p is the RFM logistic's, the stronger of the two. Its q is read back from what it says:
P = p · [s = s₀] + (1 − p) · q. Saying the stage of today again is what persistence predicts.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.models import judged, ours
from benchmarks.models.judged import OURS, Answers, Judged
from benchmarks.models.part import Asked, figure, rounded
from benchmarks.models.sets import cases
from serving.scoring.scorer import inactive_index, stage_index
from training import metrics
from training.evaluation import baselines

HURDLE, SEMI_MARKOV, PERSISTENCE = "hurdle, logistic p", "semi-Markov", "persistence"
Q_RATIO, SEMI_RATIO, F1_OVER = 0.90, 0.70, 0.15


def measured(asked: Asked) -> dict[str, Any]:
    every = [_answers(asked, case) for case in cases(asked.sets, customers=asked.customers)]
    return {
        "composed": [judged.judged(name, every, _composed) for name in asked.sets],
        "q": [judged.judged(name, every, _q, only=_stayed) for name in asked.sets],
        "stage": [judged.judged(name, every, _stages) for name in asked.sets],
    }


def _answers(asked: Asked, case: Any) -> Answers:
    found, said = ours.learned(case, seconds=asked.seconds)
    early, late = case.early, case.late
    churn = baselines.churn(early, late, case.settings)
    stages = baselines.next_stage(
        early,
        late,
        case.made.definitions,
        p_base=churn["base rate"],
        p_logistic=churn["RFM logistic"],
    )
    arrays = {OURS: {"p_next": found["p_next"], "q": found["q"]}}
    arrays |= {name: {"p_next": p_next} for name, p_next in stages.items()}
    arrays[HURDLE]["q"] = _without_leaving(
        stages[HURDLE], churn["RFM logistic"], inactive_index(late)
    )
    return Answers(case, arrays, {OURS: said})


def _without_leaving(p_next: np.ndarray, p: np.ndarray, inactive: np.ndarray) -> np.ndarray:
    q = p_next.copy()
    q[np.arange(len(p)), inactive] -= p
    return np.maximum(q, 0) / (1 - p)[:, None]


def _outcome(one: Answers) -> np.ndarray:
    return stage_index(one.case.late["outcome_stage"].to_numpy())


def _stayed(one: Answers) -> np.ndarray:
    return ~one.case.late["churned"].to_numpy()


def _composed(one: Answers) -> dict[str, np.ndarray]:
    return {
        name: metrics.stage_losses(_outcome(one), found["p_next"])
        for name, found in one.arrays.items()
    }


def _q(one: Answers) -> dict[str, np.ndarray]:
    """Among stayers alone; of others the loss may be without end, and is not kept."""
    return {
        name: metrics.stage_losses(_outcome(one), found["q"])
        for name, found in one.arrays.items()
        if "q" in found
    }


def _stages(one: Answers) -> dict[str, np.ndarray]:
    """The stage said, the stage of today, the stage that came."""
    now = stage_index(one.case.late["stage"].to_numpy())
    return {
        OURS: one.arrays[OURS]["p_next"].argmax(axis=1),
        PERSISTENCE: now,
        "came": _outcome(one),
    }


def _f1(part: Judged, model: str) -> float:
    return metrics.macro_f1(part.values["came"], part.values[model])


def figures(found: dict[str, Any]) -> dict[str, Any]:
    q, composed, stages = found["q"], found["composed"], found["stage"]
    q_ratio, semi = _ratio(q, HURDLE), _ratio(composed, SEMI_MARKOV)
    pair = judged.difference(composed, OURS, HURDLE)
    over = float(np.mean([_f1(part, OURS) - _f1(part, PERSISTENCE) for part in stages]))
    return {
        "q_of_the_hurdle": figure(q_ratio, q_ratio <= Q_RATIO, f"<= {Q_RATIO}"),
        "next_stage_over_the_hurdle": figure(
            pair["difference"],
            pair["low"] <= 0,
            "no worse, by its interval",
            interval=rounded(pair),
        ),
        "next_stage_of_semi_markov": figure(semi, semi <= SEMI_RATIO, f"<= {SEMI_RATIO}"),
        "macro_f1_over_persistence": figure(over, over >= F1_OVER, f">= {F1_OVER}"),
    }


def _ratio(sets: list[Judged], other: str) -> float:
    """Of the means over the sets, each alike."""
    return float(
        np.mean([part.mean(OURS) for part in sets]) / np.mean([part.mean(other) for part in sets])
    )


def text(found: dict[str, Any]) -> str:
    lines = [
        f"{'':28}{'q ours':>9}{'hurdle':>9}{'ratio':>7}{'next':>9}{'hurdle':>9}{'semi-M.':>9}{'ratio':>7}{'F1':>7}{'today':>7}"
    ]
    for q, composed, stage in zip(found["q"], found["composed"], found["stage"], strict=True):
        lines.append(
            f"{q.name:28}{q.mean(OURS):9.4f}{q.mean(HURDLE):9.4f}{_ratio([q], HURDLE):7.3f}{composed.mean(OURS):9.4f}"
            f"{composed.mean(HURDLE):9.4f}{composed.mean(SEMI_MARKOV):9.4f}{_ratio([composed], SEMI_MARKOV):7.3f}"
            f"{_f1(stage, OURS):7.3f}{_f1(stage, PERSISTENCE):7.3f}"
        )
        lines.append(
            f"    ours − {HURDLE}: {judged.words(judged.difference([composed], OURS, HURDLE))}"
        )
    lines.append(
        f"all, each set alike: ours − {HURDLE}: {judged.words(judged.difference(found['composed'], OURS, HURDLE))}"
    )
    others = [name for name in found["composed"][0].values if name != OURS]
    lines += [
        f"    ours − {name:22}{judged.words(judged.difference(found['composed'], OURS, name))}"
        for name in others
    ]
    return "\n".join(lines)
