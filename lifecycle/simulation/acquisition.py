"""How the customers of a simulated shop came: what each channel cost, and who referred whom.

costs       a row for each channel and month: euros for each customer it brought (COST_CENTS),
            with noise, and a tenth as much in every month for being there at all
referrals   each customer of the channel `referral` was referred on the day of acquisition by a
            customer who was there; of two drawn the more content one
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from lifecycle.simulation.world import (
    ACQUISITION_CHANNELS,
    START,
    People,
    Rng,
    money_column,
    timestamps,
)

COST_CENTS = {"search": 2_500, "referral": 500, "social": 1_800, "store": 3_000}
KINDS = {"search": "advertising", "referral": "promotion", "social": "advertising"}


def acquisition_tables(rng: Rng, people: People, level: np.ndarray) -> dict[str, pa.Table]:
    """`costs` and `referrals`. level (days, customers): satisfaction at the end of each day."""
    return {
        "costs": _costs(rng, people, days=len(level)),
        "referrals": _referrals(rng, people, level),
    }


def _costs(rng: Rng, people: People, *, days: int) -> pa.Table:
    months = np.array([np.datetime64(START, "D") + day for day in range(days)], "datetime64[M]")
    of_customer = months[people.acquired]
    rows = []
    for place, channel in enumerate(ACQUISITION_CHANNELS):
        usual = np.mean([(of_customer == month).sum() for month in np.unique(months)])
        for month in np.unique(months):
            brought = int(((of_customer == month) & (people.channel == place)).sum())
            cents = COST_CENTS[channel] * (brought + 0.1 * usual) * rng.uniform(0.8, 1.2)
            rows.append((channel, str(month), round(cents), KINDS.get(channel, "labour")))
    channels, named, cents, kinds = zip(*rows, strict=True)
    return pa.table(
        {
            "channel": pa.array(channels),
            "month": pa.array(named),
            "amount": money_column(np.array(cents)),
            "kind": pa.array(kinds),
        }
    )


def _referrals(rng: Rng, people: People, level: np.ndarray) -> pa.Table:
    referred = np.flatnonzero(people.channel == ACQUISITION_CHANNELS.index("referral"))
    referred = referred[people.acquired[referred] > people.acquired.min()]
    # Customers stand in the order of their acquisition: whoever came on an earlier day.
    earlier = np.searchsorted(people.acquired, people.acquired[referred], side="left")
    drawn = rng.integers(0, earlier[:, None], (referred.size, 2))
    moods = level[people.acquired[referred][:, None] - 1, drawn]
    referrer = drawn[np.arange(referred.size), moods.argmax(axis=1)]
    ids = people.ids
    return pa.table(
        {
            "referrer_id": ids.take(pa.array(referrer)),
            "referred_id": ids.take(pa.array(referred)),
            "occurred_at": timestamps(people.acquired_at[referred]),
        }
    )
