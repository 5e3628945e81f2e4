"""Backtests that take seconds a date."""

from __future__ import annotations

from features.core.settings import Settings
from tests.support.businesses import with_features_off, with_training

OFF = [
    "rhythm",
    "trend",
    "streaks",
    "engagement",
    "sessions",
    "channels",
    "breadth",
    "satisfaction",
    "complaints",
    "value",
    "attributes",
]


def quick_backtest(settings: Settings, **training: object) -> Settings:
    """One trial and one training date; the search is bound in trials, so equal runs are equal."""
    quick = {"trials": 1, "seconds": 600, "evaluate": [], "max_dates": 1, "step_days": 60}
    return with_training(with_features_off(settings, OFF), **quick | training)
