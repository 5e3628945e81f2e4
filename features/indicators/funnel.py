"""From a lead to the first activity and to the second: how many get so far, and by when.

A lead that has not become a customer is only observed until now, so the shares are those of
Kaplan–Meier: a young channel is not worse for being young.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from features.core.instants import DAY_US
from features.indicators.business_table import COUNT, NUMBER, TEXT, TableShape
from features.indicators.channel_costs import CHANNEL_SQL, EVERYBODY
from features.indicators.indicator_data import IndicatorData, load
from features.indicators.survival import survival_curve

Row = dict[str, Any]
DAYS = (7, 30, 90, 180, 365)
STEPS = {"first activity": 1, "second activity": 2}
NO_NEW_LEAD = "a lead before as_of who was no customer yet"
NO_LEADS = "leads (a SELECT under [tables] leads)"
FUNNEL = TableShape(
    "funnel",
    "share: of the leads, those who have got to the step within so many days, those counted who "
    "are observed for a shorter time (Kaplan–Meier; interval of Greenwood on log −log); "
    "done: how many have by now; null where no lead has been observed so long",
    "leads who were no customers yet, by channel",
    {"channel": TEXT, "step": TEXT, "days": COUNT, "share": NUMBER, "done": COUNT},
)
_LEADS = """
SELECT {channel} AS channel, leads.occurred_at,
       min(activity.occurred_at) FILTER (position = 1) AS step_1,
       min(activity.occurred_at) FILTER (position = 2) AS step_2
FROM leads LEFT JOIN people USING (customer_id) LEFT JOIN activity USING (who)
GROUP BY lead_id, leads.channel, leads.occurred_at
HAVING coalesce(min(activity.occurred_at) >= leads.occurred_at, true) ORDER BY lead_id
"""


def funnel_table(data: IndicatorData) -> dict[str, pa.Table]:
    """`funnel`: everybody, then each channel; each step at each number of days."""
    rows = new_leads(data)
    if isinstance(rows, str):
        return {"funnel": FUNNEL.say_missing(rows, as_of=data.as_of)}
    return {"funnel": FUNNEL.fill_rows(list(_rows(rows, data.as_of)), as_of=data.as_of)}


def new_leads(data: IndicatorData) -> pa.Table | str:
    """Leads who were no customers yet: channel, occurred_at, step_1, step_2 (µs; null: not yet).

    Where there is none, what is missing.
    """
    leads = data.known.further.get("leads")
    if leads is None:
        return NO_LEADS
    columns = ("lead_id", "occurred_at", "channel", "customer_id")
    rows = leads.select(*columns).collect(backend="pyarrow").to_native()
    load(data.connection, rows, "CREATE OR REPLACE TABLE leads AS SELECT * FROM incoming")
    rows = data.rows(_LEADS.format(channel=CHANNEL_SQL))
    return rows if rows.num_rows else NO_NEW_LEAD


def _rows(leads: pa.Table, as_of: int) -> Iterator[Row]:
    channel = np.array(leads["channel"].to_pylist())
    begun = leads["occurred_at"].to_numpy()
    for name in (EVERYBODY, *np.unique(channel)):
        mine = np.ones(len(channel), bool) if name == EVERYBODY else channel == name
        for step, number in STEPS.items():
            at = leads[f"step_{number}"].to_numpy().astype(float)
            done = ~np.isnan(at[mine])
            wait = np.where(done, np.nan_to_num(at[mine]), as_of) - begun[mine]
            curve = survival_curve(wait, done, np.array(DAYS) * DAY_US)
            for place, days in enumerate(DAYS):
                yield {
                    "channel": str(name),
                    "step": step,
                    "days": days,
                    "n": int(mine.sum()),
                    "done": int((done & (wait <= days * DAY_US)).sum()),
                    **_share(curve.share[place], curve.low[place], curve.high[place]),
                }


def _share(stays: float, low: float, high: float) -> dict[str, float | None]:
    """The share that has got so far, from that which has not; null where it is not known."""
    if np.isnan(stays):
        return dict.fromkeys(("share", "low", "high"))
    return {"share": 1 - float(stays), "low": 1 - float(high), "high": 1 - float(low)}
