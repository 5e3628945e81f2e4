"""The register of campaigns: what each cost, whom it reached, and what it changed.

Only as causal as its arms: a campaign whose arms were not drawn has counts and no effect.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from features.core.errors import BadSetting, NotEnoughData, ReleaseRefused
from features.core.instants import local_date
from features.indicators.business_table import COUNT, NUMBER, TEXT, TableShape
from features.indicators.indicator_data import IndicatorData
from features.tables.history import History
from serving.campaigns import store as campaigns
from serving.campaigns.store import HELD_OUT
from training.campaigns.campaign_rows import campaign_rows, rows_of_table
from training.effects.campaign_actions import CAMPAIGN_ACTIONS, action_table
from training.effects.measure import EFFECT, HARM, NONE, OPEN, measure

NO_CAMPAIGN = "a campaign that was decided before as_of: `lifecycle decide`"
NOT_COMPLETE, NOT_DRAWN, NO_HOLD_OUT = "not complete yet", "not drawn", "nobody held out"
VERDICTS = (EFFECT, HARM, NONE, OPEN, NOT_COMPLETE, NOT_DRAWN, NO_HOLD_OUT)
CAMPAIGNS = TableShape(
    "campaigns",
    "decided: the day of the decision; verdict: as `lifecycle measure`, or why there is none; "
    "reach: of the treated, those of whom the table treatments says so; cost: of the contacts, as "
    "planned or as the table treatments says; expected_profit: as planned; kept_treated, "
    "kept_held_out: the shares kept; difference: that in the share kept, treated less held out, "
    "adjusted, with its 95 % interval; money: the difference in money a customer within the "
    "horizon, times [value] margin; incremental_margin: that of all treated; profit: "
    "incremental_margin less cost; return_on_cost: profit divided by cost. Without arms that were "
    "drawn none of the shares and sums is there",
    "customers of a campaign with complete outcomes; before that all of its customers",
    {
        "campaign": TEXT,
        "decided": TEXT,
        "verdict": TEXT,
        "treated": COUNT,
        "held_out": COUNT,
        "reach": COUNT,
        "cost": NUMBER,
        "expected_profit": NUMBER,
        "kept_treated": NUMBER,
        "kept_held_out": NUMBER,
        "difference": NUMBER,
        "money": NUMBER,
        "incremental_margin": NUMBER,
        "profit": NUMBER,
        "profit_low": NUMBER,
        "profit_high": NUMBER,
        "return_on_cost": NUMBER,
    },
)


def campaign_tables(data: IndicatorData) -> dict[str, pa.Table]:
    """The campaigns that are known at as_of, and the actions of the newest.

    `campaigns`: a row for each, in the order of their decisions. `campaign_actions`.
    """
    names = set(_decided(data))
    known = data.known.further.get("treatments")
    if known is not None:
        rows = known.select("campaign").unique().collect(backend="pyarrow").to_native()
        names |= set(rows["campaign"].to_pylist())
    if not names:
        shapes = (CAMPAIGNS, CAMPAIGN_ACTIONS)
        return {each.name: each.say_missing(NO_CAMPAIGN, as_of=data.as_of) for each in shapes}
    rows_of = [_row(data, name) for name in sorted(names)]
    rows_of.sort(key=lambda row: (row["decided"] or "", row["campaign"]))
    newest = action_table(_known_history(data), data.settings, rows_of[-1]["campaign"], data.as_of)
    campaigns_of = CAMPAIGNS.fill_rows(rows_of, as_of=data.as_of)
    return {"campaigns": campaigns_of, "campaign_actions": newest}


def _decided(data: IndicatorData) -> list[str]:
    """The campaigns of the home folder that were decided by as_of."""
    names = []
    for name in campaigns.list_campaigns():
        try:
            decided = campaigns.read_campaign(name).as_of
        except ReleaseRefused:
            continue  # `lifecycle measure` says that it is damaged
        names += [name] if decided <= data.as_of else []
    return names


def _known_history(data: IndicatorData) -> History:
    """What was recorded later is not known at as_of, so no window may reach beyond it."""
    return replace(data.history, data_until=min(data.history.data_until, data.as_of))


def _row(data: IndicatorData, name: str) -> dict[str, Any]:
    history = _known_history(data)
    row: dict[str, Any] = dict.fromkeys((*CAMPAIGNS.columns, "n", "low", "high", "missing"))
    rows, planned = campaign_rows(history, name)
    is_held_out = pc.fill_null(pc.equal(rows["arm"], HELD_OUT), False)
    held_out = pc.sum(is_held_out).as_py() or 0
    first = pc.min(rows["recorded_at"]).as_py()
    row |= {
        "campaign": name,
        "decided": local_date(first, data.settings.zone).isoformat(),
        "treated": rows.num_rows - held_out,
        "held_out": held_out,
        "n": rows.num_rows,
        "reach": _reach(history, name, rows.filter(pc.invert(is_held_out))),
        "cost": pc.sum(rows["cost"]).as_py(),
    }
    if planned:
        treated = rows.filter(pc.invert(is_held_out))
        row["expected_profit"] = pc.sum(treated["expected_profit"]).as_py()
    elif row["cost"] is not None:
        row["cost"] /= 10**data.settings.minor_digits
    try:
        report = measure(history, data.settings, name).report()
    except NotEnoughData:
        return row | {"verdict": NOT_COMPLETE if held_out else NO_HOLD_OUT}
    except BadSetting:
        return row | {"verdict": NOT_DRAWN if held_out else NO_HOLD_OUT}
    return row | _measured(report)


def _reach(history: History, name: str, treated: pa.Table) -> int | None:
    """Of the treated, how many the table treatments has as contacted; None where it has nobody."""
    table = rows_of_table(history, name)
    if table is None or not table.num_rows:
        return None
    contacted = table.filter(pc.not_equal(pc.fill_null(table["arm"], "treated"), HELD_OUT))
    return len(set(treated["customer_id"].to_pylist()) & set(contacted["customer_id"].to_pylist()))


def _measured(report: Mapping[str, Any]) -> dict[str, Any]:
    money, profit, cost = report["money_per_customer"], report["profit"], report["cost"]
    measured = {
        "verdict": report["verdict"],
        "treated": report["treated"],
        "held_out": report["held_out"],
        "n": report["treated"] + report["held_out"],
        "cost": cost,
        "kept_treated": report["kept"]["treated"],
        "kept_held_out": report["kept"]["held_out"],
        "difference": report["kept"]["difference"],
        "low": report["kept"]["low"],
        "high": report["kept"]["high"],
    }
    if money is not None:
        measured |= {
            "money": money["difference"],
            "incremental_margin": money["difference"] * report["treated"],
        }
    if profit is not None:
        measured |= {
            "profit": profit["value"],
            "profit_low": profit["low"],
            "profit_high": profit["high"],
            "return_on_cost": (report["return_on_cost"] or {}).get("value"),
        }
    return measured
