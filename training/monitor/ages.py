"""How old the data, the model and each table are, and what has fallen silent."""

from __future__ import annotations

from typing import Any

from features.core.instants import DAY_US, day_text
from features.core.settings import Settings
from features.tables.freshness import measure_freshness
from features.tables.history import History
from serving.release.manifest import creation_time
from serving.release.release import Release
from training.monitor.scored_run import ScoredRun


def read_ages(
    run: ScoredRun, release: Release, history: History, settings: Settings, *, today: int
) -> dict[str, Any]:
    """Days at `today` (µs UTC, a local midnight), and the tables that are silent at the run.

    data: since the end of the data; run: since its as_of; trained: since the release was written,
    None where it does not say when; learned: since the end of the newest outcome it learned.
    """
    written = creation_time(release.folder)
    trained = None if written is None else (today - int(written.timestamp() * 1_000_000)) / DAY_US
    end = history.data_until
    return {
        "data_days": _days(today - end),
        "data_until": day_text(end, zone=settings.zone),
        "run_days": _days(today - run.as_of),
        "trained_days": None if trained is None else max(round(trained, 1), 0.0),
        "learned_days": _days(run.as_of - release.seen.outcomes_until),
        "most_days": settings.contract.max_staleness_days,
        "tables": {
            name: {
                "quiet_days": round(each.quiet_days, 2),
                "allowed_days": each.allowed_days,
                "stale": bool(each.is_stale),
            }
            for name, each in sorted(measure_freshness(history, settings, run.as_of).items())
        },
    }


def _days(span_us: int) -> float:
    return max(round(span_us / DAY_US, 1), 0.0)
