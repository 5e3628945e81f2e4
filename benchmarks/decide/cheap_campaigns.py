"""A thousand campaigns without a model: is the interval right, and how often does it cry wolf?

Each has customers with a risk of their own, strata, and a hold-out as `lifecycle decide` draws it;
a third of the campaigns change nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from serving.decisions.hold_out import draw_hold_out
from training.effects.difference import adjusted_difference, always_valid_interval

CAMPAIGNS, LOOKS = 1_000, 30


def measure() -> dict[str, Any]:
    inside, false_effects, false_stops, without = [], 0, 0, 0
    for seed in range(CAMPAIGNS):
        rng = np.random.default_rng(seed)
        size, effect = int(rng.integers(400, 3_000)), 0.0 if seed % 3 == 0 else rng.normal(0, 0.05)
        risk = rng.beta(rng.uniform(0.5, 2), rng.uniform(1, 4), size)
        strata = [f"{int(each * 3)}" for each in risk]
        ids = [f"{number:06d}" for number in range(size)]
        drawn = draw_hold_out(
            f"c{seed}", ids, strata, share=rng.uniform(0.1, 0.5), risk=risk.mean()
        )
        ours = ~drawn.held_out
        chance = np.clip(1 - risk + effect, 0, 1)
        kept = (rng.random(size) < np.where(ours, chance, 1 - risk)).astype(float)
        before = np.column_stack([risk, rng.normal(size=size)])
        difference = adjusted_difference(kept, ours, drawn.strata, before)
        true = float((chance - (1 - risk)).mean())
        inside.append(difference.low <= true <= difference.high)
        if effect == 0.0:
            without += 1
            false_effects += difference.low > 0 or difference.high < 0
            false_stops += stops(kept, ours, drawn.strata, before)
    coverage = float(np.mean(inside))
    effects, looked = false_effects / without, false_stops / without
    return {
        "coverage_of_campaigns": between(coverage, 0.93, 0.97),
        "false_effects": at_most(effects, 0.065),
        "false_stops_of_daily_looks": at_most(looked, 0.065),
    }


def stops(kept: np.ndarray, ours: np.ndarray, strata: list[str], before: np.ndarray) -> bool:
    """Whether somebody who looks every day, as outcomes come in, ever sees an effect."""
    order = np.random.default_rng(len(kept)).permutation(len(kept))
    for seen in np.linspace(len(kept) / LOOKS, len(kept), LOOKS).astype(int):
        part = order[:seen]
        difference = adjusted_difference(
            kept[part], ours[part], [strata[at] for at in part], before[part]
        )
        if difference is not None and difference.error > 0:
            low, high = always_valid_interval(difference, spread=0.05)
            if low > 0 or high < 0:
                return True
    return False


def at_most(value: float, most: float) -> dict[str, Any]:
    return {"value": round(value, 4), "wanted": f"≤ {most}", "holds": value <= most}


def at_least(value: float, least: float) -> dict[str, Any]:
    return {"value": round(value, 4), "wanted": f"≥ {least}", "holds": value >= least}


def between(value: float, least: float, most: float) -> dict[str, Any]:
    wanted = f"{least} … {most}"
    return {"value": round(value, 4), "wanted": wanted, "holds": least <= value <= most}
