"""Boosters by XGBoost: small trees that learn slowly, on values that are binned once.

On customer tables the default depth loses, and a fast learner that wins on one fold is mostly luck
(docs/decisions/020).
"""

from __future__ import annotations

import threading
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from serving.scoring.parts import Boosted
from training.models.remembered_fits import recall, remembered
from training.models.studies import digest
from training.models.variation import varying

if TYPE_CHECKING:
    from xgboost import DMatrix, QuantileDMatrix
    from xgboost.callback import TrainingCallback

ROUNDS, PATIENCE, BINS = 600, 25, 64


class LabelledRows:
    """A matrix (rows, columns) with labels (rows,), binned once for all boosters that learn on it.

    Labels: 0 … outputs − 1, or 0 and 1 where `outputs` is 1.
    """

    def __init__(
        self, matrix: np.ndarray, labels: np.ndarray, *, names: tuple[str, ...], outputs: int
    ) -> None:
        self.matrix, self.labels, self.names, self.outputs = matrix, labels, names, outputs
        self._binned: QuantileDMatrix | None = None
        self._lock = threading.Lock()

    @property
    def binned(self) -> QuantileDMatrix:
        """The values in BINS quantiles, to learn on."""
        import xgboost

        with self._lock:  # several threads learn on these rows, but one of them bins
            if self._binned is None:
                values = self.matrix.astype(np.float32)
                values[:, ~varying(self.matrix)] = 0  # no tree splits on what hardly varies
                self._binned = xgboost.QuantileDMatrix(
                    values,
                    label=self.labels,
                    feature_names=list(self.names),
                    nthread=1,
                    max_bin=BINS,
                )
        return self._binned

    @cached_property
    def exact(self) -> DMatrix:
        """The values as they are, to predict on."""
        import xgboost

        return xgboost.DMatrix(
            self.matrix.astype(np.float32),
            label=self.labels,
            feature_names=list(self.names),
            nthread=1,
        )

    @cached_property
    def digest(self) -> str:
        """16 hex digits over everything that a fit on these rows depends on."""
        return digest([self.matrix, self.labels, list(self.names), self.outputs])


def fit_booster(rows: LabelledRows, *, settings: dict[str, Any], rounds: int, seed: int) -> Boosted:
    """One booster of `rounds` rounds."""
    import xgboost

    def fit() -> Boosted:
        longer = recall(_longest_key(rows, settings, seed))
        if longer is not None and longer.num_boosted_rounds() >= rounds:
            # The first rounds of a longer fit are the fit of so many rounds.
            return Boosted(bytes(longer[:rounds].save_raw("ubj")), rows.names)
        params = _params(rows.outputs, seed, settings)
        model = xgboost.train(params, rows.binned, rounds, verbose_eval=False)
        return Boosted(bytes(model.save_raw("ubj")), rows.names)

    return remembered([rows.digest, settings, rounds, seed], fit)


def fit_until_no_better(
    rows: LabelledRows,
    check: LabelledRows,
    *,
    settings: dict[str, Any],
    seed: int,
    callbacks: list[TrainingCallback],
) -> tuple[int, float]:
    """(rounds, log loss on `check`): the rounds after which PATIENCE more are no better.

    At most ROUNDS.
    """
    import xgboost

    model = xgboost.train(
        _params(rows.outputs, seed, settings),
        rows.binned,
        ROUNDS,
        evals=[(check.exact, "check")],
        early_stopping_rounds=PATIENCE,
        verbose_eval=False,
        callbacks=callbacks,
    )
    remembered(_longest_key(rows, settings, seed), lambda: model)
    return model.best_iteration + 1, float(model.best_score)


def _longest_key(rows: LabelledRows, settings: dict[str, Any], seed: int) -> list[object]:
    """Of the fit that went on until it was no better."""
    return [rows.digest, settings, "until no better", seed]


def _params(outputs: int, seed: int, settings: dict[str, Any]) -> dict[str, Any]:
    # One thread: the sums, and so the trees, must not depend on the number of cores.
    return {
        **_objective(outputs),
        "tree_method": "hist",
        "grow_policy": "lossguide",
        "max_depth": 0,
        "max_bin": BINS,
        "nthread": 1,
        "seed": seed,
        "verbosity": 0,
        **settings,
    }


def _objective(outputs: int) -> dict[str, Any]:
    if outputs == 1:
        return {"objective": "binary:logistic", "eval_metric": "logloss"}
    return {"objective": "multi:softprob", "eval_metric": "mlogloss", "num_class": outputs}
