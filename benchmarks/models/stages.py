"""The next stage: q of customers who stayed, the composed distribution, and macro-F1.

The hurdle's p is that of the RFM logistic, the better one of two. Its q is computed back from P = p
· [s = s₀] + (1 − p) · q. Persistence predicts the current stage.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.models import comparison, ours
from benchmarks.models.comparison import OURS, Answers, SetResult
from benchmarks.models.part import Options, figure, round_interval
from benchmarks.models.sets import cases
from serving.scoring.scorer import inactive_index, stage_index
from training import metrics
from training.evaluation import baselines

HURDLE, SEMI_MARKOV, PERSISTENCE = "hurdle, logistic p", "semi-Markov", "persistence"
Q_RATIO, SEMI_RATIO, F1_OVER = 0.90, 0.70, 0.15


def measure(options: Options) -> dict[str, Any]:
    every = [_answers(options, case) for case in cases(options.sets, customers=options.customers)]
    return {
        "composed": [comparison.judge(name, every, _composed) for name in options.sets],
        "q": [comparison.judge(name, every, _q, only=_stayed) for name in options.sets],
        "stage": [comparison.judge(name, every, _stages) for name in options.sets],
    }


def _answers(options: Options, case: Any) -> Answers:
    answer, details = ours.train(case, seconds=options.seconds)
    early, late = case.early, case.late
    churn, stages = baselines.all_baselines(
        early,
        late,
        case.examples.definitions,
        outcome_window_us=case.settings.outcome_window_us,
        contractual=case.settings.contractual,
    )
    arrays = {OURS: {"p_next": answer["p_next"], "q": answer["q"]}}
    arrays |= {name: {"p_next": p_next} for name, p_next in stages.items()}
    arrays[HURDLE]["q"] = _without_leaving(
        stages[HURDLE], churn["RFM logistic"], inactive_index(late)
    )
    return Answers(case, arrays, {OURS: details})


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
        name: metrics.stage_log_losses(_outcome(one), arrays["p_next"])
        for name, arrays in one.arrays.items()
    }


def _q(one: Answers) -> dict[str, np.ndarray]:
    """Losses that count among stayers alone; those of others may be infinite."""
    return {
        name: metrics.stage_log_losses(_outcome(one), arrays["q"])
        for name, arrays in one.arrays.items()
        if "q" in arrays
    }


def _stages(one: Answers) -> dict[str, np.ndarray]:
    """The most likely stage, the current stage, and the stage at the end of the horizon."""
    now = stage_index(one.case.late["stage"].to_numpy())
    return {
        OURS: one.arrays[OURS]["p_next"].argmax(axis=1),
        PERSISTENCE: now,
        "outcome": _outcome(one),
    }


def _f1(part: SetResult, model: str) -> float:
    return metrics.macro_f1(part.values["outcome"], part.values[model])


def figures(result: dict[str, Any]) -> dict[str, Any]:
    q, composed, stages = result["q"], result["composed"], result["stage"]
    q_ratio, semi = _ratio(q, HURDLE), _ratio(composed, SEMI_MARKOV)
    pair = comparison.difference(composed, OURS, HURDLE)
    over = float(np.mean([_f1(part, OURS) - _f1(part, PERSISTENCE) for part in stages]))
    return {
        "q_of_the_hurdle": figure(q_ratio, q_ratio <= Q_RATIO, f"<= {Q_RATIO}"),
        "next_stage_over_the_hurdle": figure(
            pair["difference"],
            pair["low"] <= 0,
            "no worse, by its interval",
            interval=round_interval(pair),
        ),
        "next_stage_of_semi_markov": figure(semi, semi <= SEMI_RATIO, f"<= {SEMI_RATIO}"),
        "macro_f1_over_persistence": figure(over, over >= F1_OVER, f">= {F1_OVER}"),
    }


def _ratio(sets: list[SetResult], other: str) -> float:
    """The ratio of the means over the sets, with equal weights."""
    return float(
        np.mean([part.mean(OURS) for part in sets]) / np.mean([part.mean(other) for part in sets])
    )


def report_text(result: dict[str, Any]) -> str:
    lines = [
        f"{'':28}{'q ours':>9}{'hurdle':>9}{'ratio':>7}{'next':>9}{'hurdle':>9}{'semi-M.':>9}"
        f"{'ratio':>7}{'F1':>7}{'now':>7}"
    ]
    for q, composed, stage in zip(result["q"], result["composed"], result["stage"], strict=True):
        lines.append(
            f"{q.name:28}{q.mean(OURS):9.4f}{q.mean(HURDLE):9.4f}{_ratio([q], HURDLE):7.3f}"
            f"{composed.mean(OURS):9.4f}{composed.mean(HURDLE):9.4f}"
            f"{composed.mean(SEMI_MARKOV):9.4f}{_ratio([composed], SEMI_MARKOV):7.3f}"
            f"{_f1(stage, OURS):7.3f}{_f1(stage, PERSISTENCE):7.3f}"
        )
        lines.append(f"    ours − {HURDLE}: {comparison.format_pair([composed], OURS, HURDLE)}")
    lines.append(
        f"all, equal weights: ours − {HURDLE}: "
        f"{comparison.format_pair(result['composed'], OURS, HURDLE)}"
    )
    others = [name for name in result["composed"][0].values if name != OURS]
    lines += [
        f"    ours − {name:22}{comparison.format_pair(result['composed'], OURS, name)}"
        for name in others
    ]
    return "\n".join(lines)
