"""Whom an action moves: the effect on each customer, learned from drawn arms.

    logit P(kept) = o + c(x) + treated · t(x)

o: the log-odds of being kept as they were known before (of the score), c: a correction of them, t:
what the action changes; both are lines in the inputs, with a ridge penalty whose strength is the
one under which the outcomes are most likely (the evidence, by Laplace). On the scale of log-odds
nobody is moved who would surely stay or surely leave, which one campaign could not learn otherwise.
Whether it is right is judged without this form: by `unbiased_guess`, on customers that the model
has not seen.

Source: Kennedy, "Towards optimal doubly robust estimation of heterogeneous causal effects"
(Electronic Journal of Statistics 2023), for the guess; the ridge logistic regression is the usual
one, fitted by Newton's method.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from serving.decisions.effect_model import ActionEffect

Array = np.ndarray
STRENGTHS = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10_000.0, 100_000.0)
# The mean change has a penalty of its own (a spread of a fifth on the scale of log-odds), so that
# the largest strengths move everybody alike. The correction is trusted less than the change.
OF_MEAN, OF_CORRECTION = 25.0, 3.0
STEPS, PRECISION = 60, 1e-9


@dataclass(frozen=True)
class LearnedEffect:
    """guess (n,): unbiased, of each customer's effect. effect (n,): as a model says that has not
    seen the customer. line: of all customers.
    """

    guess: Array
    effect: Array
    strength: float
    line: ActionEffect


def learn_effect(
    inputs: Array, offset: Array, is_treated: Array, kept: Array, folds: Array
) -> LearnedEffect:
    """The effect of one action beside nothing.

    inputs (n, k): finite numbers. offset (n,): log-odds of being kept as known before; zeros where
    nothing was. kept (n,) of 0 and 1. folds (n,): the fold of each row.
    """
    strength = _choose_strength(inputs, offset, is_treated, kept)
    guess, effect = np.empty(len(kept)), np.empty(len(kept))
    for fold in np.unique(folds):
        inside = folds == fold
        rest = [each[~inside] for each in (inputs, offset, is_treated, kept)]
        line, _ = fit_line(rest[0], rest[1], rest[2], rest[3], strength)
        plain, treated = line.probabilities(inputs[inside], offset[inside])
        effect[inside] = treated - plain
        share = is_treated[~inside].mean()
        guess[inside] = unbiased_guess(plain, treated, is_treated[inside], kept[inside], share)
    whole, _ = fit_line(inputs, offset, is_treated, kept, strength)
    return LearnedEffect(guess, effect, strength, whole)


def unbiased_guess(
    plain: Array, treated: Array, is_treated: Array, kept: Array, share: float
) -> Array:
    """The effect on each customer but for noise, whatever plain and treated are worth.

    share: of the treated. plain, treated: what both arms would expect, of a model that has not seen
    these customers.
    """
    own = np.where(is_treated, treated, plain)
    weight = np.where(is_treated, 1 / share, -1 / (1 - share))
    return treated - plain + weight * (kept - own)


def fit_line(
    inputs: Array, offset: Array, is_treated: Array, kept: Array, strength: float
) -> tuple[ActionEffect, float]:
    """The lines with the least penalised log loss, and their evidence.

    The evidence is the log probability of the outcomes under the penalty, but for a constant.
    """
    centre, scale = inputs.mean(axis=0), inputs.std(axis=0)
    scale = np.where(scale > 1e-12, scale, 1.0)
    scaled = np.column_stack([np.ones(len(inputs)), (inputs - centre) / scale])
    both = np.hstack([scaled, scaled * is_treated[:, None]])
    size = scaled.shape[1]
    penalty = np.full(2 * size, float(strength))
    penalty[:size] *= OF_CORRECTION
    penalty[0], penalty[size] = 1e-6, OF_MEAN
    weights = np.zeros(2 * size)
    for _ in range(STEPS):
        chance = expit(offset + both @ weights)
        slope = both.T @ (kept - chance) - penalty * weights
        curve = (both * (chance * (1 - chance))[:, None]).T @ both + np.diag(penalty)
        step = np.linalg.solve(curve, slope)
        weights += step
        if np.abs(step).max() < PRECISION:
            break
    chance = np.clip(expit(offset + both @ weights), 1e-12, 1 - 1e-12)
    likelihood = np.log(np.where(kept > 0, chance, 1 - chance)).sum()
    evidence = likelihood - (penalty @ weights**2) / 2
    evidence += (np.log(penalty).sum() - np.linalg.slogdet(curve)[1]) / 2
    parts = (*weights.reshape(2, size), centre, scale, np.linalg.inv(curve))
    return ActionEffect(*(each.tolist() for each in parts)), float(evidence)


def _choose_strength(inputs: Array, offset: Array, is_treated: Array, kept: Array) -> float:
    """The strength with the largest evidence: log likelihood, less what the fit chose freely.

    Source: MacKay, "Bayesian interpolation" (Neural Computation 1992). On held-out rows the
    strengths differ by less than the noise of a campaign; the evidence uses all rows.
    """
    evidence = [fit_line(inputs, offset, is_treated, kept, each)[1] for each in STRENGTHS]
    return STRENGTHS[int(np.argmax(evidence))]
