"""How many customers were kept, by the days after which a customer counts as gone.

Without contracts these are the days without activity, the horizon; with contracts the days of
grace after a term. Each row is the label of the models under that number of days, so that one sees
what moves with the definition.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from features.core.settings import Settings
from features.indicators.business_table import COUNT, NUMBER, TEXT, TableShape
from features.indicators.indicator_data import IndicatorData
from features.indicators.intervals import wilson
from features.labels.event_times import with_horizon

GRACE_DAYS = (0, 3, 7, 14, 30)
WITHOUT_ACTIVITY, OF_GRACE = "days without activity", "days of grace"
_COLUMNS = {"by": TEXT, "days": COUNT, "kept": NUMBER, "configured": TEXT}


def kept_table(data: IndicatorData) -> dict[str, pa.Table]:
    """`kept`: a row for each number of days, where anybody was eligible so long ago."""
    shape, rows = _shape(data.settings), []
    for days, settings, is_configured in _settings_by_days(data.settings):
        churned = np.asarray(
            data.last_outcomes["churned"]
            if is_configured
            else data.outcomes_under(settings)["churned"]
        )
        if not len(churned):
            continue
        stayed, n = int((~churned).sum()), len(churned)
        low, high = wilson(np.array([stayed]), np.array([n]))
        rows.append(
            {
                "by": OF_GRACE if data.settings.contractual else WITHOUT_ACTIVITY,
                "days": days,
                "kept": stayed / n,
                "configured": "yes" if is_configured else "no",
                "n": n,
                "low": low[0],
                "high": high[0],
            }
        )
    if not rows:
        missing = "a customer who was eligible one window before as_of"
        return {"kept": shape.say_missing(missing, as_of=data.as_of)}
    return {"kept": shape.fill_rows(rows, as_of=data.as_of)}


def _settings_by_days(settings: Settings) -> Iterator[tuple[int, Settings, bool]]:
    """The days, ascending, the settings under which they count, and whether they are configured."""
    if not settings.contractual:
        for days in settings.curve_horizons:
            yield days, with_horizon(settings, days), days == settings.churn.horizon_days
        return
    churn = settings.churn
    for days in sorted({*GRACE_DAYS, churn.grace_days}):
        # A renewal within grace must be known.
        latency = max(churn.label_latency_days, days)
        changed = churn.model_copy(update={"grace_days": days, "label_latency_days": latency})
        yield days, settings.model_copy(update={"churn": changed}), days == churn.grace_days


def _shape(settings: Settings) -> TableShape:
    churn = settings.churn
    if settings.contractual:
        definition = (
            f"kept: of the customers with cover {churn.horizon_days} days and the latency "
            f"({churn.label_latency_days} days, and at least those of grace) before as_of, the "
            "share whose cover goes on, were a renewal so many days late still a renewal"
        )
    else:
        definition = (
            f"kept: of the customers eligible so many days and {churn.label_latency_days} of "
            "latency before as_of, the share with activity within these days; eligible: active in "
            f"the {settings.eligible_days} days before"
        )
    return TableShape(
        "kept",
        f"{definition}; the label of the models, with its 95 % Wilson interval; configured: the "
        "days of [churn], whose row is `retention` of `indicators`",
        "customers who were eligible one window before as_of",
        _COLUMNS,
    )
