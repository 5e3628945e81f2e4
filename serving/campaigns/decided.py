"""What campaigns decided for single customers, as answers and pages have it.

A decision counts from the instant of its scores until its horizon has passed. Of several the last
one counts, but who is held out of any is left alone by all. Then the answer names no action and no
profit, so that nobody is contacted by mistake.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from features.core.errors import LifecycleError
from features.core.instants import DAY_US
from serving.campaigns.store import (
    HELD_OUT,
    SCHEMA,
    campaigns_folder,
    list_campaigns,
    read_campaign,
)

NOT_READABLE = "decisions_not_readable"
_COLUMNS = ("customer_id", "campaign", "arm", "action", "channel", "expected_profit")


@dataclass(frozen=True)
class Decided:
    """The rows of all campaigns by customer and time, `until` among them: when a decision ends.

    ids: the customers of the rows. `unreadable`: how many campaigns could not be read.
    """

    ids: list[str]
    rows: pa.StructArray
    unreadable: int = 0

    def without(self, customers: Collection[str]) -> Decided:
        """The decisions of all others."""
        stays = [name not in customers for name in self.ids]
        if all(stays):
            return self
        ids = [name for name, is_left in zip(self.ids, stays, strict=True) if is_left]
        return Decided(ids, self.rows.filter(pa.array(stays, pa.bool_())), self.unreadable)

    def of_customer(self, customer: str, as_of: int) -> dict[str, Any] | None:
        """The decision that counts at as_of (µs UTC); None where there is none.

        Keys: campaign, decided_at (µs UTC), action, channel, expected_profit, hold_out. For who is
        held out, action, channel and expected_profit are None.
        """
        place, open_rows = bisect_left(self.ids, customer), []
        while place < len(self.ids) and self.ids[place] == customer:
            row = self.rows[place].as_py()
            if row["decided_at"] <= as_of < row["until"]:
                open_rows.append(row)
            place += 1
        if not open_rows:
            return None
        left_alone = [row for row in open_rows if row["arm"] == HELD_OUT]
        last, hold_out = (left_alone or open_rows)[-1], bool(left_alone)
        return {
            "campaign": last["campaign"],
            "decided_at": last["decided_at"],
            "action": None if hold_out else last["action"],
            "channel": None if hold_out else last["channel"],
            "expected_profit": None if hold_out else last["expected_profit"],
            "hold_out": hold_out,
        }


def read_decided() -> Decided:
    """What all campaigns of the home folder decided; one that cannot be read is counted."""
    plans, unreadable = [_rows(SCHEMA.empty_table(), 0, 0)], 0
    for name in list_campaigns():
        try:
            campaign = read_campaign(name)
            until = campaign.as_of + int(campaign.about["horizon_days"]) * DAY_US
            plans.append(_rows(campaign.plan, campaign.as_of, until))
        except (LifecycleError, KeyError, TypeError, ValueError):
            unreadable += 1
    order = [(name, "ascending") for name in ("customer_id", "decided_at", "campaign")]
    rows = pa.concat_tables(plans).sort_by(order).combine_chunks()
    columns = [rows[name].combine_chunks() for name in rows.column_names]
    structs = pa.RecordBatch.from_arrays(columns, names=rows.column_names).to_struct_array()
    return Decided(rows["customer_id"].to_pylist(), structs, unreadable)


def decisions_mark() -> str:
    """A text that changes when a campaign is decided, or its folder is removed."""
    manifests = sorted(campaigns_folder().glob("campaign=*/manifest.json"))
    parts = []
    for path in manifests:
        try:
            about = path.stat()
        except OSError:  # removed meanwhile
            continue
        parts.append(f"{path.parent.name}:{about.st_ctime_ns}:{about.st_size}")
    return ",".join(parts)


def _rows(plan: pa.Table, decided_at: int, until: int) -> pa.Table:
    size = plan.num_rows
    rows = plan.select(list(_COLUMNS))
    rows = rows.append_column("decided_at", pa.repeat(pa.scalar(decided_at, pa.int64()), size))
    return rows.append_column("until", pa.repeat(pa.scalar(until, pa.int64()), size))
