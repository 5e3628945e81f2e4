"""The search for booster settings: Optuna, seeded, pruned, bounded by trials and by seconds. Only this file knows it.

Boosters stay small (at most 15 leaves, many rows a leaf) and learn slowly: on customer tables the default depth loses,
and a fast learner that won on one fold is mostly luck (docs/decisions/020).

A search is kept on disk and taken up where it ended. The next settings depend on the seed and on the finished trials
alone, so a search that was killed and taken up finds what an undisturbed one finds.
"""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from features.core.progress import say
from serving.scoring.parts import Boosted
from training import parallel
from training.models import studies

ROUNDS, PATIENCE, BINS = 600, 25, 64
FIRST_GUESS = {
    "max_leaves": 8,
    "learning_rate": 0.05,
    "min_child_weight": 30.0,
    "reg_lambda": 10.0,
    "subsample": 0.8,
    "colsample_bytree": 0.5,
}
# (low, high, even in logarithms)
SPACE = {
    "max_leaves": (4, 15, False),
    "learning_rate": (0.03, 0.1, True),
    "min_child_weight": (15.0, 200.0, True),
    "reg_lambda": (3.0, 100.0, True),
    "subsample": (0.5, 1.0, False),
    "colsample_bytree": (0.2, 0.8, False),
}
# Part of a study's name: raise it when the way of searching changes, so that no old study answers a new question.
SEARCH_VERSION = 2

Fold = tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Found:
    """The best settings, their rounds and loss, and every finished trial as (settings, loss, state) for tracking."""

    settings: dict[str, Any]
    rounds: int
    loss: float
    trials: tuple[dict[str, Any], ...] = field(default=())


@dataclass(frozen=True)
class SearchTask:
    """What is searched for: the least mean loss over the folds ((fit matrix, labels), (check matrix, labels))."""

    folds: list[Fold]
    names: tuple[str, ...]
    outputs: int
    seed: int
    label: str

    @property
    def study(self) -> str:
        """The job and a digest over all that decides the result: equal questions share a study, others never do."""
        arrays = [array for fold in self.folds for pair in fold for array in pair]
        how = [
            list(self.names),
            self.outputs,
            self.seed,
            SEARCH_VERSION,
            SPACE,
            FIRST_GUESS,
            [ROUNDS, PATIENCE, BINS],
        ]
        return f"{self.label.replace(' ', '-')}-{studies.digest([*arrays, *how, *_versions()])}"


class TrialTimeout(Exception):
    """The clock ended a trial; nothing is known about its settings."""


def objective_of(outputs: int) -> dict[str, Any]:
    if outputs == 1:
        return {"objective": "binary:logistic", "eval_metric": "logloss"}
    return {"objective": "multi:softprob", "eval_metric": "mlogloss", "num_class": outputs}


def boost(
    matrix: np.ndarray,
    labels: np.ndarray,
    *,
    names: tuple[str, ...],
    outputs: int,
    settings: dict[str, Any],
    rounds: int,
    seed: int,
    check: tuple[np.ndarray, np.ndarray] | None = None,
    callbacks: list[Any] | None = None,
) -> tuple[Boosted, int, float]:
    """One booster: (part, rounds used, loss on `check`); with `check` it stops early, without it runs `rounds`."""
    import xgboost

    def matrix_of(x: np.ndarray, y: np.ndarray) -> Any:
        return xgboost.DMatrix(x.astype(np.float32), label=y, feature_names=list(names), nthread=1)

    stated = {
        **objective_of(outputs),
        "tree_method": "hist",
        "grow_policy": "lossguide",
        "max_depth": 0,
        "max_bin": BINS,
        "nthread": 1,
        "seed": seed,
        "verbosity": 0,
        **settings,
    }
    watched = [(matrix_of(*check), "check")] if check is not None else []
    stop = PATIENCE if check is not None else None
    model = xgboost.train(
        stated,
        matrix_of(matrix, labels),
        rounds,
        evals=watched,
        early_stopping_rounds=stop,
        verbose_eval=False,
        callbacks=callbacks,
    )
    best = model.best_iteration + 1 if check is not None else rounds
    loss = float(model.best_score) if check is not None else float("nan")
    return Boosted(bytes(model[:best].save_raw("ubj")), names), best, loss


def tune(
    folds: list[Fold],
    *,
    names: tuple[str, ...],
    outputs: int,
    trials: int,
    seconds: float,
    seed: int,
    label: str,
) -> Found:
    """The settings with the least mean loss over `folds` ((fit matrix, labels), (check matrix, labels)).

    Ends after `trials` finished trials or `seconds` of work on this question, whichever comes first; both count what
    earlier runs did, so a finished search is answered at once, and a larger bound goes on from there. The first trial
    is a fixed good guess and always completes. Equal seeds and a bound in trials give equal results.
    """
    question = SearchTask(folds, names, outputs, seed, label)
    began = time.monotonic()
    try:
        with studies.held(question.study) as path:
            return _search(_read(path, question), question, trials, seconds)
    except parallel.Cancelled:
        raise
    except studies.StudyLocked:
        say(f"{label}: another run searches for the same; this one searches in memory")
    except Exception as error:
        # The search does not need its study: whatever is wrong with the disk, it goes on without. A fault of the
        # search's own comes again below, and is raised there.
        say(
            f"{label}: the search cannot be kept on disk ({type(error).__name__}); it goes on in memory"
        )
    return _search(_study(None, question), question, trials, seconds - (time.monotonic() - began))


def _search(study: Any, question: SearchTask, trials: int, seconds: float) -> Found:
    from optuna.trial import TrialState

    for left in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        _put_back(study, left.number, left.params)
    finished = _finished(study)
    if finished:
        say(f"{question.label}: taken up after {len(finished)} trials of {study.study_name}")
    now = time.monotonic()
    until = (
        now
        + seconds
        - sum(trial.user_attrs.get("seconds", 0) for trial in study.get_trials(deepcopy=False))
    )
    while len(finished) < trials and (not finished or now < until):
        now = _try(study, question, len(finished), now, until)
        finished = _finished(study)
    finished = finished[:trials]
    best = min((t for t in finished if t.state == TrialState.COMPLETE), key=lambda t: t.value)
    account = tuple(
        {"settings": t.params, "loss": t.value, "state": t.state.name} for t in finished
    )
    return Found(best.params, best.user_attrs["rounds"], float(best.value), account)


def _try(study: Any, question: SearchTask, finished: int, began: float, until: float) -> float:
    """One trial after `finished` others: completed, pruned, or put back because the time was up. The time it ended."""
    import optuna
    from optuna.trial import TrialState

    study.sampler = _sampler(question.seed, finished)
    if not finished and not study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        study.enqueue_trial(FIRST_GUESS)
    trial, loss, state, told = (
        study.ask(fixed_distributions=_space()),
        None,
        TrialState.PRUNED,
        "hopeless",
    )
    try:
        loss, rounds = _mean_loss(trial, question, until if finished else None)
        trial.set_user_attr("rounds", rounds)
        state, told = TrialState.COMPLETE, f"log loss {loss:.4f}"
    except optuna.TrialPruned:
        pass
    except TrialTimeout:
        state, told = TrialState.FAIL, "stopped by the clock"
    now = time.monotonic()
    trial.set_user_attr("seconds", now - began)
    if state == TrialState.FAIL:
        _put_back(study, trial.number, trial.params)
    else:
        study.tell(trial.number, loss, state)
    say(f"{question.label}: trial {finished + 1}, {told}, {max(0, until - now):.0f} s left")
    return now


def _mean_loss(trial: Any, question: SearchTask, until: float | None) -> tuple[float, int]:
    """(mean loss, mean rounds) over the folds; TrialPruned or OutOfTime where it was cut short."""
    losses, used = [], []
    for at, (fit, check) in enumerate(question.folds):
        watch = [_pruning(trial, at * ROUNDS, until)]
        _, rounds, loss = boost(
            *fit,
            names=question.names,
            outputs=question.outputs,
            settings=trial.params,
            rounds=ROUNDS,
            seed=question.seed,
            check=check,
            callbacks=watch,
        )
        losses.append(loss)
        used.append(rounds)
    return float(np.mean(losses)), int(np.mean(used))


def _pruning(trial: Any, offset: int, until: float | None) -> Any:
    """Stops a hopeless trial, and, given `until`, any trial once the time is up."""
    import optuna
    import xgboost

    class Pruning(xgboost.callback.TrainingCallback):
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            if epoch % 10 == 9:
                parallel.check_cancelled()
                metric = next(iter(evals_log["check"].values()))
                trial.report(metric[-1], offset + epoch)
                if trial.should_prune():
                    raise optuna.TrialPruned
                if until is not None and time.monotonic() > until:
                    raise TrialTimeout
            return False

    return Pruning()


def _put_back(study: Any, number: int, settings: dict[str, Any]) -> None:
    """What a kill or the clock cut short is no verdict on its settings: it failed, and they are tried first next time.

    Where the kill came before all settings were written, the same ones are suggested again.
    """
    from optuna.trial import TrialState

    study.tell(number, state=TrialState.FAIL)
    if settings.keys() == SPACE.keys():
        study.enqueue_trial(settings)


def _finished(study: Any) -> list[Any]:
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def _sampler(seed: int, finished: int) -> Any:
    """A sampler seeded anew for every trial: no hidden state that a kill could lose."""
    import optuna

    own = int.from_bytes(hashlib.sha256(f"{seed}:{finished}".encode()).digest()[:4])
    return optuna.samplers.TPESampler(seed=own, n_startup_trials=6)


def _space() -> dict[str, Any]:
    from optuna.distributions import FloatDistribution, IntDistribution

    return {
        name: (IntDistribution if isinstance(low, int) else FloatDistribution)(low, high, log=log)
        for name, (low, high, log) in SPACE.items()
    }


def _study(path: Path | None, question: SearchTask) -> Any:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(
        storage=None if path is None else JournalStorage(JournalFileBackend(str(path))),
        study_name=path and question.study,
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=20),
    )


def _read(path: Path, question: SearchTask) -> Any:
    """The study in this journal; begun anew where the lines do not make one, or not one of this search."""
    try:
        study = _study(path, question)
        if all(_sound(trial) for trial in _finished(study)):
            return study
    except Exception:  # what optuna meets in a spoilt journal is not of one kind
        pass
    say(f"{question.label}: the study on disk cannot be read; the search begins anew")
    os.truncate(path, 0)
    return _study(path, question)


def _sound(trial: Any) -> bool:
    """Whether a finished trial could have come from here: its settings in the space, a loss and rounds if it completed."""
    inside = trial.params.keys() == SPACE.keys() and all(
        low <= trial.params[name] <= high for name, (low, high, _) in SPACE.items()
    )
    if not inside or trial.state.name != "COMPLETE":
        return inside
    return bool(np.isfinite(trial.value)) and 1 <= trial.user_attrs["rounds"] <= ROUNDS


def _versions() -> list[str]:
    found = [f"optuna {version('optuna')}"]
    import xgboost

    return [*found, f"xgboost {xgboost.__version__}"]
