"""Which campaigns drew their arms, so that who was held out can stand in for who was contacted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.core.instants import DAY_US
from features.core.settings import Settings
from features.tables.history import History
from serving.campaigns import store
from serving.campaigns.store import HELD_OUT
from serving.decisions.hold_out import draw_number
from training.campaigns.balance import LEAST, compare_arms
from training.campaigns.before import BEFORE, known_before
from training.campaigns.campaign_rows import campaign_rows, campaigns_of_table, clear_decisions
from training.stand_ins import COLUMNS, Contacts

TREATED, ONE_ARM, SMALL, CHOSEN = "treated", "no hold-out", "few customers", "chosen arms"


@dataclass(frozen=True)
class DrawnCampaigns:
    """contacts: of the campaigns whose arms were drawn; None without one.

    drawn: the customers of each arm, by campaign; not_drawn: by campaign why nobody can stand in:
    ONE_ARM, SMALL or CHOSEN, and how well the arms are told apart, or None.
    """

    contacts: Contacts | None = None
    drawn: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    not_drawn: Mapping[str, tuple[str, float | None]] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """For JSON: counts, and nothing of single customers."""
        return {
            "drawn": {name: dict(each) for name, each in self.drawn.items()},
            "not_drawn": {
                name: {"why": why, "auroc": auroc} for name, (why, auroc) in self.not_drawn.items()
            },
        }


def drawn_campaigns(history: History, settings: Settings) -> DrawnCampaigns:
    """The campaigns that were known before the data end, of the home folder and of the table.

    ReleaseRefused where a campaign of the home folder is not as it was written.
    """
    names = {*campaigns_of_table(history), *_decided(history.data_until)}
    parts, drawn, not_drawn = [], {}, {}
    for name in sorted(names):
        rows, by_plan = campaign_rows(history, name)
        rows, _ = clear_decisions(rows, settings)
        held_out = pc.equal(pc.fill_null(rows["arm"], TREATED), HELD_OUT)
        count = pc.sum(held_out).as_py() or 0
        if not rows.num_rows or count == rows.num_rows:
            continue  # nobody was contacted
        why: tuple[str, float | None] | None = None
        if not count:
            why = ONE_ARM, None
        elif not by_plan:
            why = _distinguish(history, rows)
        if why is not None:
            not_drawn[name] = why
            continue
        drawn[name] = {TREATED: rows.num_rows - count, HELD_OUT: count}
        parts.append(_contacts(name, rows, held_out))
    if not parts:
        return DrawnCampaigns(not_drawn=not_drawn)
    horizon_us = settings.churn.horizon_days * DAY_US
    return DrawnCampaigns(Contacts(pa.concat_tables(parts), horizon_us), drawn, not_drawn)


def _decided(until: int) -> list[str]:
    """The campaigns of the home folder that were decided before an instant."""
    return [name for name in store.list_campaigns() if store.read_campaign(name).as_of < until]


def _distinguish(history: History, rows: pa.Table) -> tuple[str, float | None] | None:
    """Why the arms of a table were not drawn as far as one can see; None where they could be."""
    at = pc.min(rows["recorded_at"]).as_py()
    known = history.as_of(at)
    before = known_before(known, rows["customer_id"], at)
    is_treated = pc.not_equal(pc.fill_null(rows["arm"], TREATED), HELD_OUT)
    is_treated = is_treated.to_numpy(zero_copy_only=False)
    if min(is_treated.sum(), (~is_treated).sum()) < LEAST:
        return SMALL, None
    balance = compare_arms(is_treated, before, BEFORE)
    if balance is None or balance.is_random:
        return None
    return CHOSEN, balance.auroc


def _contacts(name: str, rows: pa.Table, held_out: pa.ChunkedArray) -> pa.Table:
    stratum = rows["stratum"] if "stratum" in rows.column_names else pa.nulls(rows.num_rows)
    ids = rows["customer_id"].to_pylist()
    columns = {
        "customer_id": rows["customer_id"],
        "contacted_at": rows["occurred_at"],
        "campaign": pa.array([name] * rows.num_rows, pa.string()),
        "stratum": pc.fill_null(stratum.cast(pa.string()), ""),
        "is_treated": pc.invert(held_out),
        "order": pa.array(np.array([draw_number(name, each) for each in ids], dtype=np.uint64)),
    }
    return pa.table({name: columns[name] for name in COLUMNS})
