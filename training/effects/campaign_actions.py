"""What a campaign does, by action: for how many, with what expected profit, and who is held out."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from features.core.settings import Settings
from features.indicators.business_table import COUNT, NUMBER, TEXT, TableShape
from features.tables.history import History
from serving.campaigns.store import HELD_OUT
from training.campaigns.campaign_rows import campaign_rows

# The action of those who are held out of no action in particular.
NO_ACTION = "(none)"
NOTHING = "a campaign with an action"
CAMPAIGN_ACTIONS = TableShape(
    "campaign_actions",
    "of the newest campaign, by action: treated: who is to be contacted; held_out: who is left "
    "alone beside them; cost: of the treated, as planned or as the table treatments says; "
    "expected_profit: of the treated, as planned",
    "customers of the newest campaign",
    {
        "campaign": TEXT,
        "action": TEXT,
        "channel": TEXT,
        "treated": COUNT,
        "held_out": COUNT,
        "cost": NUMBER,
        "expected_profit": NUMBER,
    },
)


def action_table(history: History, settings: Settings, campaign: str, as_of: int) -> pa.Table:
    """`campaign_actions` of one campaign: its actions, those for most customers first."""
    rows, planned = campaign_rows(history, campaign)
    action = pc.if_else(pc.equal(pc.fill_null(rows["action"], ""), ""), NO_ACTION, rows["action"])
    rows = rows.set_column(rows.column_names.index("action"), "action", action)
    table = [
        _row(campaign, name, rows.filter(pc.equal(rows["action"], name)), settings, planned)
        for name in pc.unique(action).to_pylist()
    ]
    if all(each["action"] == NO_ACTION for each in table):
        return CAMPAIGN_ACTIONS.say_missing(NOTHING, as_of=as_of)
    table.sort(key=lambda each: (each["action"] == NO_ACTION, -each["n"], each["action"]))
    return CAMPAIGN_ACTIONS.fill_rows(table, as_of=as_of)


def _row(
    campaign: str, action: str, rows: pa.Table, settings: Settings, planned: bool
) -> dict[str, Any]:
    is_held_out = pc.fill_null(pc.equal(rows["arm"], HELD_OUT), False)
    treated = rows.filter(pc.invert(is_held_out))
    cost = pc.sum(treated["cost"]).as_py()
    if not planned and cost is not None:
        cost /= 10**settings.minor_digits
    return {
        "campaign": campaign,
        "action": action,
        "channel": pc.first(rows["channel"]).as_py() if planned else None,
        "treated": treated.num_rows,
        "held_out": rows.num_rows - treated.num_rows,
        "n": rows.num_rows,
        "cost": cost,
        "expected_profit": pc.sum(treated["expected_profit"]).as_py() if planned else None,
    }
