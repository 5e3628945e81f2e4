"""Stage definitions as a release freezes them, with plain numbers."""

from __future__ import annotations

from features.core.instants import DAY_US
from features.recipes.definitions import Definitions


def definitions_of(**changed):
    frozen = {
        "population_mean_gap_us": 30 * DAY_US,
        "median_gap_days": 30.0,
        "multiples": (1.7, 3.5, 7.0),
        "windows_days": (30, 90),
        "half_lives_days": (30.0, 90.0, 180.0),
        "horizon_days": 90,
        "eligible_days": 90,
        "contractual": False,
        "activity_table": "transactions",
        "minor_units": 100,
        "scales": (),
        "acquired": "first_activity",
        "learned_as_of": 0,
        "gaps": 1000,
        "reactivated_share": 0.1,
        "reached_churned": 10,
    }
    return Definitions(**(frozen | changed))
