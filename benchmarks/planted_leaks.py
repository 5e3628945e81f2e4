"""Leaks to plant in the tables of a simulated business: written back, foretelling, overwritten.

`plant(tables, name, mode, rng)` gives the tables (Arrow, as the simulation writes them) with one
leak; `NAMES` are the ten kinds of each mode, and `table_of` names the table that an audit must
accuse.
"""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa

SHARE = 0.7  # of the leavers have the trace
DAY = pd.Timedelta(days=1)
Tables = dict[str, pa.Table]

# name -> the table that holds the leak
WRITTEN = {
    "exit call": "interactions",
    "cancel page": "interactions",
    "complaint": "feedback",
    "refund": "transactions",
    "failed payment": "transactions",
    "last survey": "feedback",
    "closing channel": "transactions",
}
OTHERS = {
    "left on": "customers",
    "copied channel": "interactions",
    "copied score": "feedback",
}
NAMES = {**WRITTEN, **OTHERS}


def frames_of(tables: Tables) -> dict[str, pd.DataFrame]:
    return {name: table.to_pandas() for name, table in tables.items()}


def leavers(frames, mode: str, horizon_days: int) -> pd.Series:
    """The last activity of customers who have been silent for two horizons, by customer."""
    table, kind = ("transactions", "purchase") if mode == "retail" else ("interactions", "usage")
    rows = frames[table]
    last = rows[rows.kind == kind].groupby("customer_id").occurred_at.max()
    end = last.max()
    return last[last < end - 2 * horizon_days * DAY]


def plant(tables: Tables, name: str, *, mode: str, horizon_days: int, seed: int) -> Tables:
    """The tables with the leak `name`; every other table stays as it is."""
    rng, frames = np.random.default_rng(seed), frames_of(tables)
    last = leavers(frames, mode, horizon_days)
    last = last[rng.random(len(last)) < SHARE]
    near = last + pd.to_timedelta(rng.uniform(-0.4, 0.9, len(last)), unit="D")
    near = near.dt.floor("s")
    table = NAMES[name]
    frame = frames[table]
    rows = pd.DataFrame({"customer_id": last.index, "occurred_at": near.to_numpy()})
    if name in ("exit call", "cancel page"):
        kind = "call" if name == "exit call" else "cancel_page"
        rows = rows.assign(kind=kind, channel="phone" if kind == "call" else "web")
    elif name == "complaint":
        rows = rows.assign(kind="complaint", topic="price")
    elif name == "last survey":
        rows = rows.assign(kind="csat", score=1, answered_at=rows.occurred_at)
    elif name in ("refund", "failed payment"):
        kind = "refund" if name == "refund" else "payment_failed"
        rows = rows.assign(
            transaction_id=[f"L{k}" for k in range(len(rows))],
            recorded_at=rows.occurred_at,
            amount=Decimal("-5.00" if kind == "refund" else "5.00"),
            kind=kind,
            discount=Decimal("0.00"),
        )
    if name in WRITTEN and name != "closing channel":
        frames[table] = pd.concat([frame, rows], ignore_index=True)
    elif name == "closing channel":
        newest = frame[frame.customer_id.isin(last.index)].groupby("customer_id").occurred_at
        frame.loc[newest.idxmax(), "channel"] = "closing"
    elif name == "left on":
        gone = last + pd.to_timedelta(rng.uniform(1, 20, len(last)), unit="D")
        frame["left_on"] = frame.customer_id.map(gone).dt.strftime("%Y-%m-%d")
    elif name == "copied channel":
        frame.loc[frame.customer_id.isin(last.index), "channel"] = "dormant"
    elif name == "copied score":
        surveys = frame.customer_id.isin(last.index) & frame.score.notna()
        frame.loc[surveys, "score"] = 1
    return {
        key: tables[key] if key != table else pa.Table.from_pandas(value, preserve_index=False)
        for key, value in frames.items()
    }
