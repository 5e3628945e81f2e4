"""The search for booster settings: Optuna, seeded, pruned, bounded by trials and by seconds. Only this file knows it.

Boosters stay small (at most 15 leaves, many rows a leaf): on customer tables the default depth loses.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from features.progress import say
from serving.parts import Boosted

ROUNDS, PATIENCE, BINS = 600, 25, 64
FIRST_GUESS = {"max_leaves": 8, "learning_rate": 0.08, "min_child_weight": 30.0, "reg_lambda": 10.0,
               "subsample": 0.8, "colsample_bytree": 0.5}  # fmt: skip


@dataclass(frozen=True)
class Found:
    """The best settings, their rounds and loss, and every trial as (settings, loss, state) for tracking."""

    settings: dict[str, Any]
    rounds: int
    loss: float
    trials: tuple[dict[str, Any], ...] = field(default=())


def objective_of(outputs: int) -> dict[str, Any]:
    if outputs == 1:
        return {"objective": "binary:logistic", "eval_metric": "logloss"}
    return {"objective": "multi:softprob", "eval_metric": "mlogloss", "num_class": outputs}


def boost(
    matrix: np.ndarray, labels: np.ndarray, *, names: tuple[str, ...], outputs: int, settings: dict[str, Any],
    rounds: int, seed: int, check: tuple[np.ndarray, np.ndarray] | None = None, callbacks: list[Any] | None = None,
) -> tuple[Boosted, int, float]:  # fmt: skip
    """One booster: (part, rounds used, loss on `check`); with `check` it stops early, without it runs `rounds`."""
    import xgboost

    def matrix_of(x: np.ndarray, y: np.ndarray) -> Any:
        return xgboost.DMatrix(x.astype(np.float32), label=y, feature_names=list(names), nthread=1)

    stated = {**objective_of(outputs), "tree_method": "hist", "grow_policy": "lossguide", "max_depth": 0,
              "max_bin": BINS, "nthread": 1, "seed": seed, "verbosity": 0, **settings}  # fmt: skip
    watched = [(matrix_of(*check), "check")] if check is not None else []
    stop = PATIENCE if check is not None else None
    model = xgboost.train(stated, matrix_of(matrix, labels), rounds, evals=watched, early_stopping_rounds=stop,
                          verbose_eval=False, callbacks=callbacks)  # fmt: skip
    best = model.best_iteration + 1 if check is not None else rounds
    loss = float(model.best_score) if check is not None else float("nan")
    return Boosted(bytes(model[:best].save_raw("ubj")), names), best, loss


def tune(
    folds: list[tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]], *, names: tuple[str, ...],
    outputs: int, trials: int, seconds: float, seed: int, label: str,
) -> Found:  # fmt: skip
    """The settings with the least mean loss over `folds` ((fit matrix, labels), (check matrix, labels)).

    The first trial is a fixed good guess and always completes; equal seeds and a bound in trials give equal results.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=6),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=20),
    )
    study.enqueue_trial(FIRST_GUESS)
    until = time.monotonic() + seconds

    def run(trial: Any) -> float:
        settings, losses, used = _suggested(trial), [], []
        for at, (fit, check) in enumerate(folds):
            watch = [_pruning(trial, at * ROUNDS, until if trial.number else None)]
            _, rounds, loss = boost(*fit, names=names, outputs=outputs, settings=settings, rounds=ROUNDS, seed=seed,
                                    check=check, callbacks=watch)  # fmt: skip
            losses.append(loss)
            used.append(rounds)
        trial.set_user_attr("rounds", int(np.mean(used)))
        say(
            f"{label}: trial {trial.number + 1}, log loss {np.mean(losses):.4f}, {max(0, until - time.monotonic()):.0f} s left"
        )
        return float(np.mean(losses))

    study.optimize(run, n_trials=trials, timeout=seconds)
    best = study.best_trial
    account = tuple({"settings": t.params, "loss": t.value, "state": t.state.name} for t in study.trials)
    return Found(best.params, best.user_attrs["rounds"], float(best.value), account)


def _suggested(trial: Any) -> dict[str, Any]:
    return {
        "max_leaves": trial.suggest_int("max_leaves", 4, 15),
        "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.2, log=True),
        "min_child_weight": trial.suggest_float("min_child_weight", 5, 200, log=True),
        "reg_lambda": trial.suggest_float("reg_lambda", 1, 100, log=True),
        "subsample": trial.suggest_float("subsample", 0.5, 1.0),
        "colsample_bytree": trial.suggest_float("colsample_bytree", 0.3, 1.0),
    }


def _pruning(trial: Any, offset: int, until: float | None) -> Any:
    """Stops a hopeless trial, and any but the first once the time is up."""
    import optuna
    import xgboost

    class Pruning(xgboost.callback.TrainingCallback):
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            if epoch % 10 == 9:
                metric = next(iter(evals_log["check"].values()))
                trial.report(metric[-1], offset + epoch)
                if trial.should_prune() or (until is not None and time.monotonic() > until):
                    raise optuna.TrialPruned()
            return False

    return Pruning()
