"""Each of a business's own estimators on the folds of our own search: its loss, and what it needs.

An estimator without a space is tried as it is written. One with a space gets the trials of
`[training] trials`; the first is as written. It is fitted on the rows of a fold before its check
date and answers for that date: no outcome that was not known then is in what it gets.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from features.core.progress import print_status
from serving.scoring.parts import Part
from training import metrics, parallel
from training.models.estimators.estimators_file import (
    OwnEstimator,
    OwnEstimators,
    error_line,
    file_error,
)
from training.models.estimators.fitted_estimator import FittedEstimator, fit_estimator
from training.models.estimators.not_servable import NotServable
from training.models.estimators.servable import to_part
from training.models.remembered_fits import remembered
from training.models.studies import digest
from training.splits import Folds

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
    `file_digest`: of the file that it is in.
    """

    name: str
    params: dict[str, Any]
    loss: float
    weight: float = 0.0
    not_servable: str | None = None
    file_digest: str = ""
    trials: tuple[dict[str, Any], ...] = field(default=())


@dataclass(frozen=True)
class SearchedEstimator:
    """An estimator's `OwnPart`, and its margins (rows, 1) on the check rows of every fold."""

    part: OwnPart
    margins: list[np.ndarray]


def search_estimator(
    estimators: OwnEstimators,
    own: OwnEstimator,
    matrix: np.ndarray,
    labels: np.ndarray,
    *,
    names: tuple[str, ...],
    folds: Folds,
    trials: int,
    seconds: float,
    seed: int,
) -> SearchedEstimator:
    """The best of up to `trials` settings of one estimator, on rows (rows, columns).

    Ends after `seconds` even if trials are left. Errors: BadSetting where the estimator or its
    space fails, with the reason.
    """
    import optuna

    file = estimators.file
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=6))
    until, done, best = time.monotonic() + seconds, [], None
    for number in range(trials if own.space else 1):
        parallel.check_cancelled()
        if number and time.monotonic() > until:
            print_status(f"{own.name}: the time is up after {number} of {trials} trials")
            break
        trial = study.ask() if number else None
        params = _params(own, trial, file)
        fitted = [
            fit_own(own, params, matrix[fit], labels[fit], names=names, seed=seed, file=file)
            for fit, _ in folds.pairs
        ]
        checks = [check for _, check in folds.pairs]
        margins = [
            _margins(own, part, matrix[check], file)
            for part, check in zip(fitted, checks, strict=True)
        ]
        losses = [
            metrics.log_losses(labels[check] == 1, 1 / (1 + np.exp(-margin[:, 0]))).mean()
            for margin, check in zip(margins, checks, strict=True)
        ]
        loss = float(np.mean(losses))
        if trial is not None:
            study.tell(trial, loss)
        done.append({"settings": params, "loss": loss, "state": "COMPLETE"})
        print_status(f"{own.name}: trial {number + 1}, log loss {loss:.4f}")
        if best is None or loss < best[0]:
            best = loss, params, margins, fitted[0]
    assert best is not None  # the first trial is always run
    loss, params, margins, newest = best
    why = _why_not_servable(newest, matrix[folds.pairs[0][0]])
    return SearchedEstimator(
        OwnPart(
            own.name,
            params,
            loss,
            not_servable=why,
            file_digest=estimators.digest,
            trials=tuple(done),
        ),
        margins,
    )


def _params(own: OwnEstimator, trial: Any, file: str) -> dict[str, Any]:
    """The parameters of a trial; none in the first, which takes the estimator as written."""
    if own.space is None or trial is None:
        return {}
    try:
        params = own.space(trial)
        return _plain(params)
    except (Exception, SystemExit) as error:
        raise file_error(
            file, error_line(error, file), f"the space of {own.name}: {_words(error)}"
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
    line = error_line(error, file)
    if "NaN" in got:
        return file_error(file, line, got, rule=NULLS, fix=FILL_NULLS.format(own.name))
    return file_error(file, line, got, rule=ANSWERS, fix=FIX)


def _words(error: BaseException) -> str:
    """The type and the first line of an error's text."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def _why_not_servable(fitted: FittedEstimator, matrix: np.ndarray) -> str | None:
    try:
        to_part(fitted, matrix)
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
    """The part of a blend on these rows: exported where a release can hold it."""
    own, file = estimators.named(searched.name), estimators.file
    fitted = fit_own(own, searched.params, matrix, labels, names=names, seed=seed, file=file)
    return fitted if searched.not_servable else to_part(fitted, matrix)


def blend_weights(
    blended: Sequence[np.ndarray],
    searched: Sequence[SearchedEstimator],
    labels: np.ndarray,
    folds: Folds,
) -> list[OwnPart]:
    """Every estimator with its weight beside our own blend of ridge and boosters.

    `blended`: our margins (rows, 1) on every fold's check rows. Those that a release can hold come
    in, the best first, where they lower the loss; as with our own parts, the weight is moved
    halfway to an equal share, because two folds show it only roughly.
    """

    def loss(margins: Sequence[np.ndarray]) -> float:
        each = [
            metrics.log_losses(labels[check] == 1, 1 / (1 + np.exp(-margin[:, 0]))).mean()
            for margin, (_, check) in zip(margins, folds.pairs, strict=True)
        ]
        return float(np.mean(each))

    def mixed(share: float, theirs: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [(1 - share) * a + share * b for a, b in zip(current, theirs, strict=True)]

    current, weights = list(blended), dict.fromkeys((one.part.name for one in searched), 0.0)
    servable = [one for one in searched if one.part.not_servable is None]
    parts = 2  # the ridge and the boosters
    for one in sorted(servable, key=lambda each: each.part.loss):
        by_share = {share: loss(mixed(share, one.margins)) for share in np.linspace(0, 1, 11)}
        best = float(min(by_share, key=by_share.__getitem__))
        if not best:
            continue
        parts += 1
        share = round((best + 1 / parts) / 2, 3)
        weights = {name: weight * (1 - share) for name, weight in weights.items()}
        weights[one.part.name] = share
        current = mixed(share, one.margins)
    return [
        OwnPart(**{**vars(one.part), "weight": round(weights[one.part.name], 6)})
        for one in searched
    ]
