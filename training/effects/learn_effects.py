"""Whom an action moves: the effect on each customer, learned from drawn arms.

    P(kept) = exp(−exp(o + c(x) + treated · t(x)))

o: the log of the hazard of leaving as it was known before (of the score), c: a correction of it, t:
what the action changes; both are lines in the inputs, with a ridge penalty whose strength is the
one under which the outcomes are most likely (the evidence, by Laplace). An action multiplies the
hazard, so nobody is moved who would surely stay, and those who would surely leave hardly; one
campaign could not learn that otherwise. Whether it is right is judged without this form: by
`unbiased_guess`, on customers that the model has not seen.

Source: Kennedy, "Towards optimal doubly robust estimation of heterogeneous causal effects"
(Electronic Journal of Statistics 2023), for the guess; Prentice and Gloeckler, "Regression analysis
of grouped survival data" (Biometrics 1978), for the complementary log-log line of a hazard in one
interval; it is fitted by Fisher scoring.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from serving.decisions.effect_model import HAZARDS, ActionEffect, kept_probability

Array = np.ndarray
STRENGTHS = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10_000.0, 100_000.0)
# The mean change has a penalty of its own (a spread of a fifth of the log hazard), so that
# the largest strengths move everybody alike. The correction is trusted less than the change.
OF_MEAN, OF_CORRECTION = 25.0, 3.0
STEPS, PRECISION, LEAST_STEP = 60, 1e-9, 1e-4


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

    inputs (n, k): finite numbers. offset (n,): the log hazard of leaving as known before; zeros
    where nothing was. kept (n,) of 0 and 1. folds (n,): the fold of each row.
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
    weights, curve = _most_likely(both, offset, kept, penalty)
    evidence = _penalised_likelihood(both, offset, kept, penalty, weights)
    evidence += (np.log(penalty).sum() - np.linalg.slogdet(curve)[1]) / 2
    parts = (*weights.reshape(2, size), centre, scale, np.linalg.inv(curve))
    return ActionEffect(*(each.tolist() for each in parts)), float(evidence)


def _most_likely(columns: Array, offset: Array, kept: Array, penalty: Array) -> tuple[Array, Array]:
    """The weights with the largest penalised likelihood, and its expected curvature there.

    Fisher scoring; a step that makes it worse is halved.
    """
    weights = np.zeros(columns.shape[1])
    best = _penalised_likelihood(columns, offset, kept, penalty, weights)
    for _ in range(STEPS):
        slope, curve = _slope_and_curve(columns, offset, kept, penalty, weights)
        step = np.linalg.solve(curve, slope)
        share = 1.0
        while share > LEAST_STEP:
            likelihood = _penalised_likelihood(
                columns, offset, kept, penalty, weights + share * step
            )
            if likelihood >= best - PRECISION:
                break
            share /= 2
        weights, best = weights + share * step, likelihood
        if np.abs(share * step).max() < PRECISION:
            break
    return weights, _slope_and_curve(columns, offset, kept, penalty, weights)[1]


def _penalised_likelihood(
    columns: Array, offset: Array, kept: Array, penalty: Array, weights: Array
) -> float:
    chance = kept_probability(offset + columns @ weights)
    return float(np.log(np.where(kept > 0, chance, 1 - chance)).sum() - penalty @ weights**2 / 2)


def _slope_and_curve(
    columns: Array, offset: Array, kept: Array, penalty: Array, weights: Array
) -> tuple[Array, Array]:
    """The gradient of the penalised log likelihood, and the Fisher information of the weights."""
    hazard = np.exp(np.clip(offset + columns @ weights, *HAZARDS))
    odds_of_leaving = np.expm1(hazard)
    slope = np.where(kept > 0, -hazard, hazard / odds_of_leaving)
    curve = (columns * (hazard**2 / odds_of_leaving)[:, None]).T @ columns + np.diag(penalty)
    return columns.T @ slope - penalty * weights, curve


def _choose_strength(inputs: Array, offset: Array, is_treated: Array, kept: Array) -> float:
    """The strength with the largest evidence: log likelihood, less what the fit chose freely.

    Source: MacKay, "Bayesian interpolation" (Neural Computation 1992). On held-out rows the
    strengths differ by less than the noise of a campaign; the evidence uses all rows.
    """
    evidence = [fit_line(inputs, offset, is_treated, kept, each)[1] for each in STRENGTHS]
    return STRENGTHS[int(np.argmax(evidence))]
