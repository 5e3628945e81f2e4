"""Who of the chosen customers is left alone, so that the effect of a campaign can be told.

Within strata of stage × tier, the customers with the smallest BLAKE2b(campaign, 0, customer_id) are
held out: everybody can repeat the draw, it depends on no order of rows, and it is another one in
each campaign. Strata of fewer than LEAST customers are drawn from together.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

LEAST = 10
TOGETHER = "others"
LEVEL, POWER = 0.05, 0.80
# So many standard errors is a difference that is found in POWER of the cases, at LEVEL.
DETECTED = float(ndtri(1 - LEVEL / 2) + ndtri(POWER))


@dataclass(frozen=True)
class HoldOut:
    """held_out (customers,): who is left alone. strata: the stratum of each. share: as drawn.

    detectable: the difference in the share kept that such a campaign shows in POWER of the cases,
    at LEVEL; NaN without a hold-out.
    """

    held_out: np.ndarray
    strata: list[str]
    share: float
    detectable: float

    def of(self, stays: np.ndarray, *, risk: float) -> HoldOut:
        """The same draw, of some of the customers alone."""
        held_out = self.held_out[stays]
        strata = [name for name, is_kept in zip(self.strata, stays, strict=True) if is_kept]
        count = int(held_out.sum())
        detectable = detectable_difference(len(held_out) - count, count, risk=risk)
        return HoldOut(held_out, strata, self.share, detectable)


def draw_hold_out(
    campaign: str, ids: Sequence[str], strata: Sequence[str], *, share: float, risk: float
) -> HoldOut:
    """At least `share` of each stratum. risk: the mean probability of leaving, for `detectable`."""
    merged = merge_strata(strata)
    numbers = [draw_number(campaign, each) for each in ids]
    held_out = np.zeros(len(ids), dtype=bool)
    order = sorted(range(len(ids)), key=lambda at: (merged[at], numbers[at], ids[at]))
    sizes, taken = Counter(merged), Counter[str]()
    for at in order:
        name = merged[at]
        if sizes[name] >= LEAST and taken[name] < math.ceil(share * sizes[name] - 1e-9):
            held_out[at], taken[name] = True, taken[name] + 1
    count = int(held_out.sum())
    return HoldOut(
        held_out, merged, share, detectable_difference(len(ids) - count, count, risk=risk)
    )


def draw_number(campaign: str, customer: str) -> int:
    """The number of 64 bits by which a customer is drawn in a campaign."""
    text = campaign.encode() + b"\0" + customer.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def merge_strata(strata: Sequence[str]) -> list[str]:
    """The strata, those of fewer than LEAST customers together, with the next one if need be."""
    sizes = Counter(strata)
    small = {name for name, size in sizes.items() if size < LEAST}
    if 0 < sum(sizes[name] for name in small) < LEAST and len(small) < len(sizes):
        others = (name for name in sizes if name not in small)
        small.add(min(others, key=lambda name: (sizes[name], name)))
    return [TOGETHER if name in small else name for name in strata]


def detectable_difference(treated: int, held_out: int, *, risk: float) -> float:
    """The difference of two shares that is found in POWER of the cases, at LEVEL two-sided.

    Source: Fleiss, Levin, Paik, "Statistical Methods for Rates and Proportions" (3rd ed., 2003),
    chapter 4, with the variance of `risk` in both arms.
    """
    if not treated or not held_out:
        return float("nan")
    return DETECTED * math.sqrt(risk * (1 - risk) * (1 / treated + 1 / held_out))


def needed_hold_out(chosen: int, *, risk: float, difference: float) -> int | None:
    """The smallest hold-out of `chosen` customers that shows the difference; None where half of
    them would not."""
    variance = risk * (1 - risk) * (DETECTED / difference) ** 2
    if variance == 0:
        return 1
    # variance · (1 / (chosen − k) + 1 / k) ≤ 1, solved for the smaller k.
    root = chosen * chosen - 4 * variance * chosen
    if root < 0:
        return None
    return max(1, math.ceil((chosen - math.sqrt(root)) / 2))


def needed_customers(*, risk: float, difference: float) -> int:
    """How many customers a campaign with half of them held out needs to show the difference."""
    return math.ceil(4 * risk * (1 - risk) * (DETECTED / difference) ** 2)
