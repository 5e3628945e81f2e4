"""All tables for the business at one instant."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Literal

import pyarrow as pa

from features.core.language import say
from features.core.progress import track_steps
from features.core.settings import Settings
from features.indicators.acquisition import acquisition_tables
from features.indicators.answering import answering_table
from features.indicators.cohorts import cohort_table
from features.indicators.first_offer import first_offer_table
from features.indicators.funnel import funnel_table
from features.indicators.growth import growth_table
from features.indicators.headline import indicator_table
from features.indicators.indicator_data import IndicatorData
from features.indicators.kept import kept_table
from features.indicators.leaving import leaving_table
from features.indicators.prospects import prospect_table
from features.indicators.pyramid import pyramid_table
from features.indicators.response_times import response_times_table
from features.indicators.retention import retention_table
from features.indicators.rfm import rfm_tables
from features.indicators.satisfaction import satisfaction_table
from features.indicators.serving_cost import serving_cost_tables
from features.indicators.stage_tables import migration_table, stages_now_table
from features.indicators.stages_over_time import stages_over_time_table
from features.indicators.textbook import textbook_table
from features.indicators.tiers import tier_tables
from features.indicators.trends import trend_table
from features.indicators.value_drivers import value_driver_table
from features.tables.currencies import refuse_several_currencies
from features.tables.history import History

Section = Literal[
    "rfm",
    "tiers",
    "serving_cost",
    "value_drivers",
    "pyramid",
    "cohorts",
    "retention",
    "growth",
    "stages_now",
    "migration",
    "stages_over_time",
    "kept",
    "trends",
    "leaving",
    "satisfaction",
    "answering",
    "response_times",
    "acquisition",
    "first_offer",
    "funnel",
    "prospects",
    "textbook",
    "indicators",
]
MakeTables = Callable[[IndicatorData], dict[str, pa.Table]]
# In the order in which they are written.
SECTIONS: dict[Section, MakeTables] = {
    "rfm": rfm_tables,
    "tiers": tier_tables,
    "serving_cost": serving_cost_tables,
    "value_drivers": value_driver_table,
    "pyramid": pyramid_table,
    "cohorts": cohort_table,
    "retention": retention_table,
    "growth": growth_table,
    "stages_now": stages_now_table,
    "migration": migration_table,
    "stages_over_time": stages_over_time_table,
    "kept": kept_table,
    "trends": trend_table,
    "leaving": leaving_table,
    "satisfaction": satisfaction_table,
    "answering": answering_table,
    "response_times": response_times_table,
    "acquisition": acquisition_tables,
    "first_offer": first_offer_table,
    "funnel": funnel_table,
    "prospects": prospect_table,
    "textbook": textbook_table,
    "indicators": indicator_table,
}


def business_tables(
    history: History,
    settings: Settings,
    *,
    as_of: int,
    further: Sequence[MakeTables] = (),
    without: Collection[Section] = (),
) -> dict[str, pa.Table]:
    """The tables by name, from what was known before `as_of` (µs UTC) alone.

    further: sections from elsewhere, which read the same data and come last; a table of theirs that
    is there already adds its rows. without: sections that are not needed.
    Money is in units of the currency, instants are µs UTC. A table whose inputs are not in the data
    has one row that says what is missing. Raises SeveralCurrencies where amounts are in several.
    """
    refuse_several_currencies(history)
    data = IndicatorData(history, settings, as_of)
    try:
        every = [make for name, make in SECTIONS.items() if name not in without] + list(further)
        sections = track_steps(every, label=say("tables"))
        tables: dict[str, pa.Table] = {}
        for make in sections:
            for name, table in make(data).items():
                tables[name] = pa.concat_tables([tables[name], table]) if name in tables else table
        return tables
    finally:
        data.close()
