"""Whether the arms of a campaign are alike: could they have been drawn by chance?

Where a campaign went to chosen customers, a comparison with the others measures the choice. What
was known before is used to tell the arms apart; where that succeeds, the arms were not drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training import metrics

Array = np.ndarray
FOLDS, LEAST = 5, 20
NEVER, ALWAYS = 0.05, 0.95


@dataclass(frozen=True)
class Balance:
    """auroc: how well the arms are told apart by what was before (.5: not at all); limit: the most
    that arms have that were drawn. largest: the largest standardised difference of a
    mean, and what of. without_overlap: the share of the treated whom nobody held out is like.
    """

    auroc: float
    limit: float
    largest: float
    largest_of: str
    without_overlap: float

    @property
    def is_random(self) -> bool:
        """Whether the arms could have been drawn."""
        return self.auroc <= self.limit


def compare_arms(is_treated: Array, before: Array, names: tuple[str, ...]) -> Balance | None:
    """None where an arm has fewer than LEAST customers, or nothing was known before."""
    counts = int(is_treated.sum()), int((~is_treated).sum())
    if min(counts) < LEAST or not before.shape[1]:
        return None
    inputs = np.nan_to_num(np.asarray(before, dtype=float))
    guess = _treatment_probability(inputs, is_treated)
    ours, theirs = inputs[is_treated], inputs[~is_treated]
    spread = np.sqrt((ours.var(axis=0) + theirs.var(axis=0)) / 2)
    gaps = np.abs(ours.mean(axis=0) - theirs.mean(axis=0)) / np.where(spread > 0, spread, np.inf)
    largest = int(gaps.argmax())
    return Balance(
        metrics.auroc(is_treated, guess)[0],
        0.5 + _tolerance(*counts),
        float(gaps[largest]),
        names[largest],
        float(((guess > ALWAYS) | (guess < NEVER))[is_treated].mean()),
    )


def _treatment_probability(inputs: Array, is_treated: Array) -> Array:
    """The probability of having been treated, of each from a model that has not seen them."""
    from sklearn.linear_model import LogisticRegression

    guess = np.empty(len(is_treated))
    # Each fold has its share of both arms.
    folds = np.empty(len(is_treated), dtype=int)
    rng = np.random.default_rng(0)
    for arm in (True, False):
        places = np.flatnonzero(is_treated == arm)
        folds[rng.permutation(places)] = np.arange(len(places)) % FOLDS
    spread = inputs.std(axis=0)
    scaled = (inputs - inputs.mean(axis=0)) / np.where(spread > 1e-12, spread, 1.0)
    for fold in range(FOLDS):
        inside = folds == fold
        model = LogisticRegression(C=1.0, solver="newton-cholesky")
        model.fit(scaled[~inside], is_treated[~inside])
        guess[inside] = model.predict_proba(scaled[inside])[:, 1]
    return guess


def _tolerance(treated: int, held_out: int) -> float:
    """How far above .5 the AUROC of arms that were drawn may lie: three standard errors.

    Source: the variance of the Mann–Whitney statistic without a difference.
    """
    return 3 * float(np.sqrt((treated + held_out + 1) / (12 * treated * held_out)))
