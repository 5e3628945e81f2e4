"""Each of a business's own estimators on the folds of our own search: its loss, and what it needs.

An estimator without a space is tried as it is written. One with a space gets the trials of
`[training] trials`; the first is as written. It is fitted on the rows of a fold before its check
date and answers for that date: no outcome that was not known then is in what it gets.
"""

from __future__ import annotations

import json
import time
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from features.catalogue.custom import error_line
from features.core.language import say
from features.core.progress import print_status
from serving.scoring.parts import Part
from training import parallel
from training.models.estimators.estimators_file import OwnEstimator, OwnEstimators, file_error
from training.models.estimators.fitted_estimator import FittedEstimator, fit_estimator
from training.models.estimators.not_servable import NotServable
from training.models.estimators.servable import to_part
from training.models.fold_task import FoldTask
from training.models.remembered_fits import remembered
from training.models.studies import digest

ANSWERS = (
    "An estimator learns labels 0 and 1, and predict_proba answers with two columns: the "
    "probabilities of 0 and of 1, from 0 to 1."
)
FIX = "Correct the estimator, or take it out of the file: one that fails ends the training."
NULLS = "A feature that is not known is null (NaN), and some estimators take no null."
FILL_NULLS = (
    'Fill them first: from sklearn.impute import SimpleImputer, and "{}": '
    "make_pipeline(SimpleImputer(), …)."
)


@dataclass(frozen=True)
class OwnPart:
    """What the search found of one estimator, JSON-ready.

    `params`: the best of the trials, beyond what the file sets. `loss`: its mean log loss over the
    folds. `weight`: in the blend. `not_servable`: why no release can hold it; None where one can.
    `file_digest`: of the file that it is in. `trials`: those that were done of `trials_wanted`.
    """

    name: str
    params: dict[str, Any]
    loss: float
    weight: float = 0.0
    not_servable: str | None = None
    file_digest: str = ""
    trials: tuple[dict[str, Any], ...] = field(default=())
    trials_wanted: int = 1


@dataclass(frozen=True)
class SearchedEstimator:
    """An estimator's `OwnPart`, and its margins (rows, 1) on the check rows of every fold."""

    part: OwnPart
    margins: list[np.ndarray]


def search_estimator(
    estimators: OwnEstimators,
    own: OwnEstimator,
    task: FoldTask,
    *,
    trials: int,
    until: float,
) -> SearchedEstimator:
    """The best of up to `trials` settings of one estimator on the folds of the task.

    Ends at `until` (time.monotonic) even if trials are left; the first is always done. Errors:
    BadSetting where the estimator or its space fails, with the reason.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(seed=task.seed, n_startup_trials=6)
    study, done, best = optuna.create_study(sampler=sampler), [], None
    wanted = trials if own.space else 1
    for number in range(wanted):
        parallel.check_cancelled()
        if number and time.monotonic() > until:
            break
        trial = study.ask() if number else None
        params = _params(own, trial, estimators.file)
        margins = [
            _fold_margins(own, params, task, fold, estimators.file) for fold in task.folds.pairs
        ]
        loss = task.mean_log_loss(margins)
        if trial is not None:
            study.tell(trial, loss)
        done.append({"settings": params, "loss": loss, "state": "COMPLETE"})
        print_status(
            say(
                "{name}: trial {number} of {wanted}, log loss {loss:.4f}",
                name=own.name,
                number=number + 1,
                wanted=wanted,
                loss=loss,
            )
        )
        if best is None or loss < best[0]:
            best = loss, params, margins
    assert best is not None  # the first trial is always done
    loss, params, margins = best
    part = OwnPart(
        own.name,
        params,
        loss,
        not_servable=_why_not_servable(own, params, task, estimators.file),
        file_digest=estimators.digest,
        trials=tuple(done),
        trials_wanted=wanted,
    )
    return SearchedEstimator(part, margins)


def _fold_margins(
    own: OwnEstimator,
    params: dict[str, Any],
    task: FoldTask,
    fold: tuple[np.ndarray, np.ndarray],
    file: str,
) -> np.ndarray:
    """The margins (check rows, 1) of a fit on the fold's fit rows."""
    fit, check = fold
    fitted = fit_own(
        own,
        params,
        task.matrix[fit],
        task.labels[fit],
        names=task.names,
        seed=task.seed,
        file=file,
    )
    return _margins(own, fitted, task.matrix[check], file)


def _params(own: OwnEstimator, trial: Any, file: str) -> dict[str, Any]:
    """The parameters of a trial; none in the first, which takes the estimator as written."""
    if own.space is None or trial is None:
        return {}
    try:
        params = own.space(trial)
        return _plain(params)
    except (Exception, SystemExit) as error:
        raise file_error(
            file, error_line(error, file, 0), f"the space of {own.name}: {_words(error)}"
        ) from error


def _plain(params: dict[str, Any]) -> dict[str, Any]:
    """The parameters, if they are names with numbers, texts, true, false or nothing."""
    unfit = [
        key
        for key, value in params.items()
        if not (value is None or isinstance(value, bool | int | float | str))
    ]
    if unfit:
        raise TypeError(f"{', '.join(unfit)} is no number, text, true, false or None")
    return dict(json.loads(json.dumps(params)))


def fit_own(
    own: OwnEstimator,
    params: dict[str, Any],
    matrix: np.ndarray,
    labels: np.ndarray,
    *,
    names: tuple[str, ...],
    seed: int,
    file: str,
) -> FittedEstimator:
    """The estimator with these parameters, fitted. BadSetting where it fails, with its reason."""

    def fit() -> FittedEstimator:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of its library; they would repeat for every fit
                return fit_estimator(
                    own.estimator, matrix, labels, names=names, params=params, seed=seed
                )
        except parallel.Cancelled:
            raise
        except (Exception, SystemExit) as error:
            raise _failed(own, "fit", error, file) from error

    key = [digest([matrix, labels, list(names)]), "own", own.name, file, params, seed]
    return remembered(key, fit)


def _margins(
    own: OwnEstimator, fitted: FittedEstimator, matrix: np.ndarray, file: str
) -> np.ndarray:
    try:
        margins = fitted.margins(matrix)
    except (Exception, SystemExit) as error:
        raise _failed(own, "predict_proba", error, file) from error
    return margins


def _failed(own: OwnEstimator, method: str, error: BaseException, file: str) -> Exception:
    got = f"{own.name} failed in {method}: {_words(error)}"
    line = error_line(error, file, 0)
    if "NaN" in got:
        return file_error(file, line, got, rule=NULLS, fix=FILL_NULLS.format(own.name))
    return file_error(file, line, got, rule=ANSWERS, fix=FIX)


def _words(error: BaseException) -> str:
    """The type and the first line of an error's text."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def _why_not_servable(
    own: OwnEstimator, params: dict[str, Any], task: FoldTask, file: str
) -> str | None:
    """Why no release can hold the fit on the newest fold; None where one can."""
    rows = task.matrix[task.folds.pairs[0][0]]
    labels = task.labels[task.folds.pairs[0][0]]
    try:
        to_part(
            fit_own(own, params, rows, labels, names=task.names, seed=task.seed, file=file), rows
        )
    except NotServable as reason:
        return str(reason)
    return None


def part_of(
    estimators: OwnEstimators,
    searched: OwnPart,
    matrix: np.ndarray,
    labels: np.ndarray,
    *,
    names: tuple[str, ...],
    seed: int,
) -> Part | FittedEstimator:
    """The part of a blend on these rows: exported where a release can hold it.

    BadSetting where that goes on the folds and not on these rows.
    """
    own, file = estimators.named(searched.name), estimators.file
    fitted = fit_own(own, searched.params, matrix, labels, names=names, seed=seed, file=file)
    if searched.not_servable:
        return fitted
    try:
        return to_part(fitted, matrix)
    except NotServable as reason:
        why = f"{own.name} can be exported on the folds, and not on other rows: {reason}"
        raise file_error(file, None, why, rule=ANSWERS, fix=FIX) from reason
