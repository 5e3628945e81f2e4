"""The effect on each customer by the two usual learners, to compare ours with.

Neither has seen the customer.

T-learner: one model of the outcome for each arm, and their difference (Künzel, Sekhon, Bickel, Yu,
"Metalearners for estimating heterogeneous treatment effects", PNAS 2019). DR-learner: a regression
of the unbiased guesses (Kennedy 2023). Both are scikit-learn's, with penalties chosen by
cross-validation.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray
STRENGTHS = (0.001, 0.01, 0.1, 1.0)
ALPHAS = (1.0, 10.0, 100.0, 1_000.0, 10_000.0)
T_LEARNER, DR_LEARNER = "T-learner", "DR-learner"


def other_effects(
    inputs: Array, offset: Array, is_treated: Array, kept: Array, guess: Array, folds: Array
) -> dict[str, Array]:
    """By learner the effect on each customer (n,).

    inputs (n, k); offset (n,): log-odds of being kept, an input as the others; guess (n,): of
    `learn_effects`. An arm with one outcome alone in a fold has that outcome for everybody.
    """
    known = _scale(np.column_stack([inputs, offset]))
    by_arm, by_guess = np.empty(len(kept)), np.empty(len(kept))
    for fold in np.unique(folds):
        inside = folds == fold
        parts = [
            _kept_probability(known, kept, ~inside & arm, inside)
            for arm in (is_treated, ~is_treated)
        ]
        by_arm[inside] = parts[0] - parts[1]
        by_guess[inside] = _regression(known, guess, ~inside, inside)
    return {T_LEARNER: by_arm, DR_LEARNER: by_guess}


def _scale(inputs: Array) -> Array:
    spread = inputs.std(axis=0)
    return (inputs - inputs.mean(axis=0)) / np.where(spread > 1e-12, spread, 1.0)


def _kept_probability(known: Array, kept: Array, fit: Array, predict: Array) -> Array:
    from sklearn.linear_model import LogisticRegressionCV

    outcomes = kept[fit].astype(int)
    if min(outcomes.sum(), len(outcomes) - outcomes.sum()) < 10:
        return np.full(predict.sum(), outcomes.mean())
    model = LogisticRegressionCV(
        Cs=list(STRENGTHS),
        l1_ratios=(0.0,),
        cv=3,
        scoring="neg_log_loss",
        solver="newton-cholesky",
        use_legacy_attributes=False,
    )
    model.fit(known[fit], outcomes)
    return model.predict_proba(known[predict])[:, 1]


def _regression(known: Array, guess: Array, fit: Array, predict: Array) -> Array:
    from sklearn.linear_model import RidgeCV

    return RidgeCV(alphas=list(ALPHAS)).fit(known[fit], guess[fit]).predict(known[predict])
