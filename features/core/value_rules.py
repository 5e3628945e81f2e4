"""The rules of `[value]`: cuts of RFM scores, and tiers of customers by their money.

Tiers are shares from the top that sum to 1, or ranges of money [from, below] in units of the
currency. Every amount is in exactly one tier: tiers that overlap or leave a gap are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

# The names are those of Zeithaml, Rust & Lemon 2001, the shares those of Curry & Curry 2000.
CURRY_TIERS: dict[str, float | list[float]] = {
    "platinum": 0.01,
    "gold": 0.04,
    "iron": 0.15,
    "lead": 0.80,
}
CUTS = 4  # five scores
LONGEST_NAME = 40
# A tier cannot have the name of what customers without a tier are in.
TAKEN_NAMES = ("inactive", "no purchase", "all")
PARTS = 1_000_000  # shares are counted in millionths, so that they are whole numbers
Tiers = dict[str, float | list[float]]


def check_rfm_cuts(cuts: dict[str, list[float]]) -> dict[str, list[float]]:
    """The cuts; ValueError where they are not four rising numbers each."""
    for name, numbers in cuts.items():
        rising = all(low < high for low, high in pairwise(numbers))
        if len(numbers) != CUTS or not rising or any(abs(each) > 1e12 for each in numbers):
            raise ValueError(f"{name} is four rising numbers, such as [30, 60, 120, 240]")
    return cuts


def check_tiers(tiers: Tiers) -> Tiers:
    """The tiers, ranges from the highest down; ValueError where an amount has no or two tiers."""
    for name in tiers:
        if not 0 < len(name.strip()) <= LONGEST_NAME or name in TAKEN_NAMES:
            raise ValueError(
                f"'{name}' cannot be a tier: a name has 1 to {LONGEST_NAME} characters and is not "
                + " or ".join(TAKEN_NAMES)
            )
    shares = {name: value for name, value in tiers.items() if not isinstance(value, list)}
    if len(shares) == len(tiers):
        _check_shares(shares)
        return tiers
    if shares:
        raise ValueError("tiers are all shares, or all ranges [from, below]")
    return _check_ranges({name: value for name, value in tiers.items() if isinstance(value, list)})


def tier_parts(tiers: Mapping[str, float | list[float]]) -> list[int]:
    """Of tiers that are shares: how many millionths of the customers each one and those above
    have.
    """
    ends, total = [], 0
    for value in tiers.values():
        total += round(value * PARTS) if not isinstance(value, list) else 0
        ends.append(total)
    return ends


def _check_shares(shares: Mapping[str, float]) -> None:
    if not all(1 / PARTS <= share <= 1 for share in shares.values()):
        raise ValueError("the share of a tier is over 0 and at most 1")
    total = tier_parts(dict(shares))[-1]
    if total > PARTS:
        raise ValueError(f"tiers overlap: their shares sum to {total / PARTS:g}, and not to 1")
    if total < PARTS:
        raise ValueError(f"tiers leave a gap: their shares sum to {total / PARTS:g}, and not to 1")


def _check_ranges(ranges: Mapping[str, list[float]]) -> Tiers:
    if not all(len(each) == 2 and each[0] < each[1] for each in ranges.values()):
        raise ValueError("a range of a tier is [from, below], with from < below")
    ordered = sorted(ranges.items(), key=lambda each: -each[1][0])
    for (upper, above), (lower, below) in pairwise(ordered):
        if below[1] > above[0]:
            raise ValueError(
                f"tiers '{upper}' and '{lower}' overlap: {lower} ends at {below[1]:g}, {upper} "
                f"begins at {above[0]:g}"
            )
        if below[1] < above[0]:
            raise ValueError(
                f"tiers leave a gap between '{lower}' and '{upper}': from {below[1]:g} to "
                f"{above[0]:g}"
            )
    if ordered[0][1][1] != float("inf") or ordered[-1][1][0] != float("-inf"):
        raise ValueError("the highest tier ends at inf, and the lowest begins at -inf")
    return dict(ordered)
