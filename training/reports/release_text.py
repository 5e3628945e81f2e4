"""What a training says at its end: the figures, how to serve the release, and its warnings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from features.core.language import say
from training.evaluation import gate
from training.reports.summary import training_text
from training.stored_texts import say_stored

Report = dict[str, Any]


def cut_searches(evaluation: Report) -> list[str]:
    """A sentence for each model whose search the guard `seconds` ended before its trials.

    In English: they are part of the JSON.
    """
    models = evaluation.get("models") or {}
    done = {
        job: (spec.get("trials_done", 0), spec.get("trials_wanted", 0))
        for job, spec in models.items()
        if isinstance(spec, Mapping)
    }
    own = models.get("churn", {}).get("own", ()) if isinstance(models.get("churn"), Mapping) else ()
    done |= {each["name"]: (each["trials"], each["trials_wanted"]) for each in own}
    cut = {name: each for name, each in done.items() if each[0] < each[1]}
    return [
        f"the search for {job} ended after {tried} of {wanted} trials, because [training] seconds "
        "was up: another run may find another model. Set a larger seconds or fewer trials"
        for job, (tried, wanted) in cut.items()
    ]


def release_text(name: str, status: str, evaluation: Report, runs: Mapping[str, str | None]) -> str:
    """What `train` prints: the evaluation, and the release, which is not served yet."""
    refused = (evaluation.get("gate") or {}).get("verdict") == gate.REFUSED
    how = say("to serve it: lifecycle promote")
    if refused:
        how = say(
            "the gate refuses it, see above; to serve it all the same: lifecycle promote --force "
            '"reason"'
        )
    lines = [
        training_text(evaluation),
        "",
        say(
            "  release {name} ({status}) is not served yet; {how}",
            name=name,
            status=status,
            how=how,
        ),
    ]
    warnings = cut_searches(evaluation)
    missing = [job for job, run_id in runs.items() if run_id is None]
    if missing:
        warnings.append(f"not recorded in MLflow yet: {pending_text(missing)}")
    return "\n".join(
        [*lines, *(say("  warning: {text}", text=say_stored(text)) for text in warnings)]
    )


def pending_text(jobs: Iterable[str]) -> str:
    """The jobs that MLflow does not have yet, and where their records are."""
    return (
        f"{', '.join(jobs)}. The records are under mlruns/pending; `lifecycle runs` writes them "
        "once the store answers"
    )
