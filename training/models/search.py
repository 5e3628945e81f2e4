"""The search for booster settings with Optuna: seeded, pruned, bounded by trials and by seconds.

Only this file knows Optuna. The settings stay where boosters are small (at most 15 leaves) and
learn slowly (docs/decisions/020). A leaf's smallest weight is a sum of p(1 − p), not of rows: 5 are
some 30 rows at a rate of .2, and more where outcomes are nearly certain.

A search is stored on disk and continued where it ended. The next settings depend only on the seed
and on the finished trials, so a search that was killed and continued finds what an undisturbed one
finds.
"""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from features.core.language import say, term
from features.core.progress import print_status, print_step
from training import parallel
from training.models import boosters, studies
from training.models.booster_space import DEFAULT_SPACE, BoosterSpace
from training.models.boosters import LabelledRows

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.distributions import FloatDistribution, IntDistribution
    from optuna.samplers import TPESampler
    from optuna.trial import FrozenTrial
    from xgboost.callback import TrainingCallback

# Part of a study's name. Raise it when the search itself changes, so that no old study is reused.
SEARCH_VERSION = 4

Fold = tuple[LabelledRows, LabelledRows]  # to fit on, to check on


@dataclass(frozen=True)
class SearchResult:
    """The best settings, their rounds and mean log loss over the folds.

    `trials`: every finished trial as {settings, loss, state}, for tracking.
    """

    settings: dict[str, Any]
    rounds: int
    loss: float
    trials: tuple[dict[str, Any], ...] = field(default=())


@dataclass(frozen=True)
class SearchTask:
    """What is minimised: the mean log loss over the folds."""

    folds: list[Fold]
    seed: int
    label: str
    space: BoosterSpace = DEFAULT_SPACE

    @property
    def study_name(self) -> str:
        """The label and a digest over everything that decides the result.

        Equal tasks share a study, different ones never do.
        """
        rows = [part.digest for fold in self.folds for part in fold]
        bounds = [boosters.ROUNDS, boosters.PATIENCE, boosters.BINS]
        search = [self.seed, SEARCH_VERSION, self.space.ranges, self.space.first, bounds]
        digest = studies.digest([*rows, *search, *_library_versions()])
        return f"{self.label.replace(' ', '-')}-{digest}"


class TrialTimeout(Exception):
    """The time was up during a trial; nothing is known about its settings."""


def tune_boosters(
    folds: list[Fold],
    *,
    trials: int,
    seconds: float,
    seed: int,
    label: str,
    space: BoosterSpace = DEFAULT_SPACE,
) -> SearchResult:
    """The settings of `space` with the least mean log loss over `folds`.

    Ends after `trials` finished trials or `seconds` of work on this task, whichever comes first.
    Both count the work of earlier runs, so a finished search returns at once, and a larger bound
    continues it. The first trial is a fixed good guess and always completes. Equal seeds and a
    bound in trials give equal results.
    """
    task = SearchTask(folds, seed, label, space)
    began = time.monotonic()
    try:
        with studies.open_study(task.study_name) as path:
            return _search(_read_study(path, task), task, trials, seconds)
    except parallel.Cancelled:
        raise
    except studies.StudyLocked:
        print_status(
            say(
                "{job}: another run does the same search; this one searches in memory",
                job=term(label),
            )
        )
    except Exception as error:
        # The search works without its file, so a problem with the disk does not end it. An error
        # of the search itself happens again below, and is raised there.
        reason = type(error).__name__
        print_status(
            say(
                "{job}: the search cannot be stored ({why}); it continues in memory",
                job=term(label),
                why=reason,
            )
        )
    return _search(_create_study(None, task), task, trials, seconds - (time.monotonic() - began))


def _search(study: Study, task: SearchTask, trials: int, seconds: float) -> SearchResult:
    from optuna.trial import TrialState

    for interrupted in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        _requeue(study, task, interrupted.number, interrupted.params)
    finished = _finished_trials(study)
    if finished:
        done = f"{len(finished)} trials of {study.study_name}"
        print_status(
            say("{job}: the search continues after {done}", job=term(task.label), done=done)
        )
    now = time.monotonic()
    until = now + seconds - _seconds_spent(study)
    while len(finished) < trials and (not finished or now < until):
        now = _run_trial(study, task, len(finished), now, until)
        finished = _finished_trials(study)
    return _result(finished[:trials], task)


def _seconds_spent(study: Study) -> float:
    return sum(trial.user_attrs.get("seconds", 0) for trial in study.get_trials(deepcopy=False))


def _result(finished: list[FrozenTrial], task: SearchTask) -> SearchResult:
    completed = [trial for trial in finished if trial.state.name == "COMPLETE"]
    best = min(completed, key=_loss_of)
    trials = tuple(
        {"settings": task.space.settings(t.params), "loss": t.value, "state": t.state.name}
        for t in finished
    )
    return SearchResult(
        task.space.settings(best.params), best.user_attrs["rounds"], _loss_of(best), trials
    )


def _loss_of(trial: FrozenTrial) -> float:
    """The loss of a completed trial."""
    assert trial.value is not None
    return float(trial.value)


def _run_trial(study: Study, task: SearchTask, finished: int, began: float, until: float) -> float:
    """One trial after `finished` others: completed, pruned, or requeued when the time is up.

    Gives the time at which it ended.
    """
    import optuna
    from optuna.trial import TrialState

    trial = _next_trial(study, task, finished)
    loss, state, outcome = None, TrialState.PRUNED, say("hopeless")
    try:
        loss, rounds = _mean_loss(trial, task, until if finished else None)
        trial.set_user_attr("rounds", rounds)
        state, outcome = TrialState.COMPLETE, say("log loss {loss:.4f}", loss=loss)
    except optuna.TrialPruned:
        pass
    except TrialTimeout:
        state, outcome = TrialState.FAIL, say("stopped, the time is up")
    now = time.monotonic()
    trial.set_user_attr("seconds", now - began)
    if state == TrialState.FAIL:
        _requeue(study, task, trial.number, trial.params)
    else:
        study.tell(trial.number, loss, state)
    print_step(
        term(task.label), say("trial {number}, {outcome}", number=finished + 1, outcome=outcome)
    )
    return now


def _next_trial(study: Study, task: SearchTask, finished: int) -> Trial:
    from optuna.trial import TrialState

    study.sampler = _seeded_sampler(task.seed, finished)
    if not finished and not study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        study.enqueue_trial(task.space.first)
    return study.ask(fixed_distributions=dict(_distributions(task.space)))


def _mean_loss(trial: Trial, task: SearchTask, until: float | None) -> tuple[float, int]:
    """(mean log loss, mean rounds) over the folds.

    TrialPruned or TrialTimeout where the trial was cut short.
    """
    losses, used = [], []
    for at, (fit, check) in enumerate(task.folds):
        pruning = _pruning_callback(trial, at * boosters.ROUNDS, until)
        rounds, loss = boosters.fit_until_no_better(
            fit,
            check,
            settings=task.space.settings(trial.params),
            seed=task.seed,
            callbacks=[pruning],
        )
        losses.append(loss)
        used.append(rounds)
    return float(np.mean(losses)), int(np.mean(used))


def _pruning_callback(trial: Trial, offset: int, until: float | None) -> TrainingCallback:
    """Stops a hopeless trial and, given `until`, any trial once the time is up."""
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


def _requeue(study: Study, task: SearchTask, number: int, settings: dict[str, Any]) -> None:
    """Mark an interrupted trial as failed and try its settings first next time.

    A kill or the end of the time says nothing about the settings. Where the kill came before all
    settings were written, the sampler suggests the same ones again.
    """
    from optuna.trial import TrialState

    study.tell(number, state=TrialState.FAIL)
    if settings.keys() == task.space.ranges.keys():
        study.enqueue_trial(settings)


def _finished_trials(study: Study) -> list[FrozenTrial]:
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def _seeded_sampler(seed: int, finished: int) -> TPESampler:
    """A sampler with a new seed for every trial: it has no hidden state that a kill could lose."""
    import optuna

    own = int.from_bytes(hashlib.sha256(f"{seed}:{finished}".encode()).digest()[:4])
    return optuna.samplers.TPESampler(seed=own, n_startup_trials=6)


def _distributions(space: BoosterSpace) -> dict[str, IntDistribution | FloatDistribution]:
    from optuna.distributions import FloatDistribution, IntDistribution

    return {
        name: IntDistribution(low, int(high), log=log)
        if isinstance(low, int)
        else FloatDistribution(low, high, log=log)
        for name, (low, high, log) in space.ranges.items()
    }


def _create_study(path: Path | None, task: SearchTask) -> Study:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(
        storage=None if path is None else JournalStorage(JournalFileBackend(str(path))),
        study_name=None if path is None else task.study_name,
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=20),
    )


def _read_study(path: Path, task: SearchTask) -> Study:
    """The study in this journal; a new one where the lines are not a study of this search."""
    try:
        study = _create_study(path, task)
        if all(_is_sound(trial, task.space) for trial in _finished_trials(study)):
            return study
    except Exception:  # Optuna raises errors of many types on a damaged journal
        pass
    print_status(
        say(
            "{job}: the study on disk cannot be read; the search begins again",
            job=term(task.label),
        )
    )
    os.truncate(path, 0)
    return _create_study(path, task)


def _is_sound(trial: FrozenTrial, space: BoosterSpace) -> bool:
    """Whether a finished trial can be one of this search.

    Its settings lie in the space; if it completed, it has a finite loss and rounds.
    """
    inside = trial.params.keys() == space.ranges.keys() and all(
        low <= trial.params[name] <= high for name, (low, high, _) in space.ranges.items()
    )
    if not inside or trial.state.name != "COMPLETE":
        return inside
    return bool(np.isfinite(_loss_of(trial))) and 1 <= trial.user_attrs["rounds"] <= boosters.ROUNDS


def _library_versions() -> list[str]:
    import xgboost

    return [f"optuna {version('optuna')}", f"xgboost {xgboost.__version__}"]
