"""XGBoost as an experienced data scientist would tune it: 50 trials of Optuna, forward in time.

Early stopping and no class weights. The search ends after a number of trials and stops bad ones
early. The best settings are fitted on all training rows with the number of rounds that was best on
the folds.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmarks.models import cache
from benchmarks.models.sets import Case
from features.core.progress import print_status
from training.splits import GROUPS, customer_groups, tuning_folds

TRIALS, ROUNDS, PATIENCE, SEED, THREADS = 50, 2000, 50, 7, 2
FIXED = {
    "objective": "binary:logistic",
    "eval_metric": "logloss",
    "tree_method": "hist",
    "nthread": THREADS,
    "seed": SEED,
    "verbosity": 0,
}
# (low, high, on a log scale)
SPACE = {
    "max_depth": (3, 8, False),
    "learning_rate": (0.01, 0.3, True),
    "min_child_weight": (1.0, 100.0, True),
    "subsample": (0.5, 1.0, False),
    "colsample_bytree": (0.3, 1.0, False),
    "gamma": (1e-3, 5.0, True),
    "reg_lambda": (0.01, 100.0, True),
    "reg_alpha": (1e-3, 10.0, True),
}
Pairs = tuple[tuple[np.ndarray, np.ndarray], ...]


def answer(case: Case) -> cache.Answer:
    pairs = tuning_folds(case.early, outcome_window_us=case.settings.outcome_window_us).pairs
    folds = cache.digest_of_arrays([rows for pair in pairs for rows in pair])
    of = [
        case.digest,
        folds,
        TRIALS,
        ROUNDS,
        PATIENCE,
        FIXED,
        SPACE,
        cache.versions("xgboost", "optuna"),
    ]
    return cache.cached_answer("xgboost", of, lambda: _tune(case, pairs))


def _tune(case: Case, pairs: Pairs) -> cache.Answer:
    began, (matrix, late) = time.monotonic(), case.matrices
    labels = case.early["churned"].to_numpy().astype(int)
    settings, rounds, loss = _search(case, matrix, labels, pairs)
    p = _predict(_fit(matrix, labels, settings, rounds), late)
    took = time.monotonic() - began
    group, left_out = customer_groups(case.early), np.full(len(labels), np.nan)
    for number in range(GROUPS):
        mine, others = group == number, group != number
        if mine.any() and len(np.unique(labels[others])) == 2:
            left_out[mine] = _predict(
                _fit(matrix[others], labels[others], settings, rounds), matrix[mine]
            )
    details = {"seconds": took, "settings": settings, "rounds": rounds, "loss": loss}
    return {"p": p, "left_out": left_out}, details


def _search(
    case: Case, matrix: np.ndarray, labels: np.ndarray, pairs: Pairs
) -> tuple[dict[str, Any], int, float]:
    """(settings, rounds, mean loss on the folds) of the best of TRIALS trials."""
    import optuna
    import xgboost

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    folds = []
    for fit, check in pairs:
        ours = xgboost.QuantileDMatrix(
            matrix[fit].astype(np.float32), label=labels[fit], nthread=THREADS
        )
        theirs = xgboost.QuantileDMatrix(
            matrix[check].astype(np.float32), label=labels[check], ref=ours, nthread=THREADS
        )
        folds.append((ours, theirs))
    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=SEED),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=10, n_warmup_steps=50),
    )

    def objective(trial: Any) -> float:
        settings = {name: _suggest(trial, name) for name in SPACE}
        results = [_fold(trial, settings, number, *fold) for number, fold in enumerate(folds)]
        trial.set_user_attr("rounds", round(float(np.mean([rounds for rounds, _ in results]))))
        print_status(f"XGBoost: {case.name}, trial {trial.number + 1} of {TRIALS}")
        return float(np.mean([loss for _, loss in results]))

    study.optimize(objective, n_trials=TRIALS)
    best = study.best_trial
    return best.params, best.user_attrs["rounds"], float(best.value)


def _suggest(trial: Any, name: str) -> float:
    low, high, log = SPACE[name]
    suggest = trial.suggest_int if isinstance(low, int) else trial.suggest_float
    return suggest(name, low, high, log=log)


def _fold(
    trial: Any, settings: dict[str, Any], number: int, fit: Any, check: Any
) -> tuple[int, float]:
    import optuna
    import xgboost

    class Hopeless(xgboost.callback.TrainingCallback):
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            if epoch % 10 == 9:
                trial.report(evals_log["check"]["logloss"][-1], number * ROUNDS + epoch)
                if trial.should_prune():
                    raise optuna.TrialPruned
            return False

    model = xgboost.train(
        FIXED | settings,
        fit,
        ROUNDS,
        evals=[(check, "check")],
        early_stopping_rounds=PATIENCE,
        verbose_eval=False,
        callbacks=[Hopeless()],
    )
    return model.best_iteration + 1, float(model.best_score)


def _fit(matrix: np.ndarray, labels: np.ndarray, settings: dict[str, Any], rounds: int) -> Any:
    import xgboost

    rows = xgboost.QuantileDMatrix(matrix.astype(np.float32), label=labels, nthread=THREADS)
    return xgboost.train(FIXED | settings, rows, rounds)


def _predict(model: Any, matrix: np.ndarray) -> np.ndarray:
    """P(churned), clipped away from 0 and 1 as our own is."""
    import xgboost

    p = model.predict(xgboost.DMatrix(matrix.astype(np.float32), nthread=THREADS)).astype(
        np.float64
    )
    return np.clip(p, 1e-6, 1 - 1e-6)
