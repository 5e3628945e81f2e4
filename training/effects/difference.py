"""The difference that a treatment made: between arms, within strata, adjusted by what was before.

Intention to treat: every customer counts in the arm that was drawn, whatever happened then. The
adjustment leaves the expected difference as it is and takes away the part of the noise that was
known before (CUPED: Deng, Xu, Kohavi, Walker, "Improving the sensitivity of online controlled
experiments by utilizing pre-experiment data", WSDM 2013). It is learned without the arms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from features.indicators.intervals import Z
from serving.decisions.hold_out import DETECTED, LEVEL

Array = np.ndarray
LEAST_OF_ARM = 2  # of a stratum: with fewer there is no spread


@dataclass(frozen=True)
class Difference:
    """treated − held out of a mean, its standard error, and the means and sizes of the arms."""

    value: float
    error: float
    treated: float
    held_out: float
    n_treated: int
    n_held_out: int

    @property
    def low(self) -> float:
        return self.value - Z * self.error

    @property
    def high(self) -> float:
        return self.value + Z * self.error

    @property
    def detectable(self) -> float:
        """The difference that such data show in 8 of 10 cases."""
        return DETECTED * self.error


def adjusted_difference(
    outcome: Array, is_treated: Array, strata: Sequence[str], before: Array
) -> Difference | None:
    """The difference of the means of `outcome` (n,), weighed by the sizes of the strata.

    before (n, k): what was known before the decision; without columns nothing is adjusted. Strata
    with fewer than LEAST_OF_ARM of an arm are taken together. None where an arm has fewer.
    """
    names = usable_strata(is_treated, strata) if len(outcome) else None
    if names is None:
        return None
    rest = outcome - _explained(outcome, names, before)
    value = variance = treated = held_out = 0.0
    codes = _codes(names)
    for code in range(codes.max() + 1):
        inside = codes == code
        ours, theirs = rest[inside & is_treated], rest[inside & ~is_treated]
        weight = inside.mean()
        value += weight * (ours.mean() - theirs.mean())
        variance += weight**2 * (ours.var(ddof=1) / len(ours) + theirs.var(ddof=1) / len(theirs))
        treated += weight * outcome[inside & is_treated].mean()
        held_out += weight * outcome[inside & ~is_treated].mean()
    count = int(is_treated.sum())
    return Difference(
        float(value), math.sqrt(variance), treated, held_out, count, len(is_treated) - count
    )


def usable_strata(is_treated: Array, strata: Sequence[str]) -> list[str] | None:
    """The strata, those with too few of an arm as one; None where that has too few as well."""
    names = list(strata)
    small = {name for name in set(names) if not _has_both(is_treated, names, {name})}
    while small and not _has_both(is_treated, names, small):
        others = sorted(set(names) - small)
        if not others:
            return None
        small.add(min(others, key=lambda name: (names.count(name), name)))
    return ["others" if name in small else name for name in names]


def _codes(names: Sequence[str]) -> Array:
    """A number for each stratum, by name."""
    return np.unique(np.array(names), return_inverse=True)[1]


def _has_both(is_treated: Array, names: list[str], some: set[str]) -> bool:
    inside = np.isin(np.array(names, dtype=object), list(some))
    ours = int((inside & is_treated).sum())
    return min(ours, int(inside.sum()) - ours) >= LEAST_OF_ARM


def _explained(outcome: Array, names: list[str], before: Array) -> Array:
    """The part of the outcome that a line in `before` explains, the same in both arms."""
    if not before.shape[1]:
        return np.zeros(len(outcome))
    inputs = np.nan_to_num(np.asarray(before, dtype=float))
    codes = _codes(names)
    for code in range(codes.max() + 1):
        inside = codes == code
        inputs[inside] -= inputs[inside].mean(axis=0)
    spread = inputs.std(axis=0)
    inputs = inputs[:, spread > 0] / spread[spread > 0]
    centred = outcome - outcome.mean()
    slopes, *_ = np.linalg.lstsq(inputs, centred, rcond=None)
    return inputs @ slopes


def needed_more(error: float, n: int, *, difference: float) -> int:
    """How many customers more, in the same shares, show the difference in 8 of 10 cases."""
    return max(0, math.ceil(n * (DETECTED * error / difference) ** 2) - n)


def always_valid_interval(difference: Difference, *, spread: float) -> tuple[float, float]:
    """An interval that holds the true difference however often one looked (95 of 100 campaigns).

    The mixture sequential probability ratio test with a normal mixture of standard deviation
    `spread` around 0: it is narrowest where true differences are about as large. Source: Johari,
    Koomen, Pekelis, Walsh, "Always valid inference: continuous monitoring of A/B tests"
    (Operations Research 2022), equation 8, solved for the interval.
    """
    variance, mixed = difference.error**2, spread**2
    if variance == 0:
        return difference.value, difference.value
    total = variance + mixed
    half = math.sqrt(variance * total / mixed * (math.log(total / variance) - 2 * math.log(LEVEL)))
    return difference.value - half, difference.value + half
