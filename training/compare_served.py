"""A new release beside the one that is served: what the gate says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from features.core.errors import ReleaseRefused
from features.core.language import say
from features.core.progress import print_status
from features.core.settings import Settings
from features.tables.history import History
from serving.release.release import Release, current_release_folder, load_release
from serving.release.release_store import served_release_id
from serving.scoring.scorer import Scorer
from training.evaluation.gate import REFUSED, judge, not_comparable
from training.examples import Examples
from training.fitting import fitting_for, specs_of, with_status
from training.models.fit_reasons import reason_reference
from training.plan import Plan


def gate_section(
    final_scorer: Scorer,
    eval_scorer: Scorer,
    examples: Examples,
    plan: Plan,
    history: History,
    settings: Settings,
) -> dict[str, Any]:
    """{"gate": …}: the comparison with the release that is served.

    Where this training made the served release once more, the section of that release. A served
    release that cannot be loaded (an old format, a damaged file) is not compared, and this is said.
    """
    served = served_release_id()
    try:
        champion = load_release(current_release_folder()) if served else None
    except ReleaseRefused as error:
        return {"gate": not_comparable(str(served), f"the served release has {error.got}")}
    if champion and (why := other_estimators(champion, settings)):
        return {"gate": {"champion": champion.id, "verdict": REFUSED, "why": [why]}}
    if champion and _same_scores(final_scorer, champion.scorer, examples.rows_at(plan.evaluate)):
        return {"gate": champion.evaluation["gate"]} if "gate" in champion.evaluation else {}

    def fit(release: Release, rows: pa.Table, examples: Examples) -> Scorer:
        examples = replace(examples, modelled=release.scorer.columns)
        scorer = fitting_for(specs_of(release, settings), examples, settings).fit_models(rows)
        scorer = replace(scorer, reason_reference=reason_reference(scorer, rows, examples.columns))
        return with_status(release.scorer.status, scorer, rows)

    if champion:
        print_status(say("gate: comparing with the release that is served"))
    challenger = with_status(final_scorer.status, eval_scorer, examples.rows_at(plan.train))
    verdict = judge(challenger, champion, examples, plan, history, settings, fit=fit)
    return {"gate": verdict}


def other_estimators(champion: Release, settings: Settings) -> str:
    """Why the served model cannot be fitted as it was: its own estimators; '' where it can.

    A release holds no code, so the estimator comes from the file of today.
    """
    spec = specs_of(champion, settings)["churn"] if "models" in champion.evaluation else None
    served = [part for part in spec.own if part.weight] if spec else []
    if not spec or all(part.file_digest == spec.estimators.digest for part in served):
        return ""
    names = ", ".join(part.name for part in served)
    return (
        f"the served release holds {names} of another file than [training] estimators names "
        "today, so it cannot be fitted again and compared"
    )


def _same_scores(one: Scorer, other: Scorer, rows: pa.Table) -> bool:
    ours = (one.definitions, one.columns, one.status)
    if ours != (other.definitions, other.columns, other.status):
        return False
    pairs = zip(one.score(rows), other.score(rows), strict=True)
    return all(np.array_equal(mine, theirs) for mine, theirs in pairs)
