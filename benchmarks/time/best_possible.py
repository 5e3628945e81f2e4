"""The curve beside the Bayesian filter, which knows the simulator and reads the same tables.

The filter (`benchmarks.models.observer`) is the most that the tables contain. The share is of the
AUROC gain over .5 among the eligible, from the means of the dates.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.models import observer
from benchmarks.models.latent import customer_numbers, day_number
from benchmarks.models.sets import DATES, Case
from benchmarks.time import fits
from features.core.progress import print_status
from features.labels.event_times import NOT_KNOWN, YES, event_matrix
from training import metrics
from training.curve import curve_of

HORIZONS = (7, 14, 30, 60, 90)
SHARE = 0.95


def measure(customers: int) -> dict[int, dict[str, Any]]:
    """{days: {"ours", "filter" (mean AUROC), "share", "dates"}} of the simulated shop."""
    areas: dict[int, list[tuple[float, float]]] = {days: [] for days in HORIZONS}
    for day in DATES["simulation"]:
        case = Case("simulation", day, customers)
        print_status(f"beside the filter: {case.name}")
        p = fits.churn_answer(case)[0]
        curve = curve_of(
            case.early,
            p["p_train"],
            fits.known_events(case),
            case.settings,
            case.examples.modelled,
        )
        within = curve.event_within(case.late, p["p_test"])
        events = event_matrix(case.late, curve.horizons)
        silent = observer.p_silent(
            customers,
            customer_numbers(case.late),
            day=day_number(case.plan.evaluate[0]),
            horizons=HORIZONS,
        )
        eligible = case.late["eligible"].to_numpy()
        for place, days in enumerate(HORIZONS):
            at = curve.horizons.index(days)
            use = eligible & (events[:, at] != NOT_KNOWN)
            if not use.any():  # not known by now at this date
                continue
            y = events[use, at] == YES
            ours = metrics.auroc(y, within[use, at])[0]
            areas[days].append((ours, metrics.auroc(y, 1 - silent[use, place])[0]))
    return {days: _shares(np.array(pairs)) for days, pairs in areas.items() if pairs}


def _shares(pairs: np.ndarray) -> dict[str, Any]:
    ours, best = pairs.mean(axis=0)
    share = float((ours - 0.5) / (best - 0.5))
    return {"ours": float(ours), "filter": float(best), "share": share, "dates": len(pairs)}


def figures(shares: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """{figure: {value, wanted, holds}}."""
    return {
        f"share_of_filter_{days}d": {
            "value": round(each["share"], 4),
            "wanted": SHARE,
            "holds": each["share"] >= SHARE,
        }
        for days, each in shares.items()
    }


def report_text(shares: dict[int, dict[str, Any]]) -> str:
    """A line for each horizon."""
    return "\n".join(
        f"  within {days:>3} days: AUROC {each['ours']:.4f}, the filter {each['filter']:.4f}: "
        f"{each['share']:.1%} of its gain over {each['dates']} dates"
        for days, each in shares.items()
    )
