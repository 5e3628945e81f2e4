"""Simulated businesses of full size, and what their tables show of who left."""

import pandas as pd
import pytest

from lifecycle.simulation import MODES, simulate

HORIZON, END = pd.Timedelta(days=60), pd.Timestamp("2025-01-01")
LATENCY = {"retail": pd.Timedelta(days=3), "subscription": pd.Timedelta(days=10)}


@pytest.fixture(scope="session", params=MODES)
def simulation(request):
    """Both kinds, one after the other."""
    return request.getfixturevalue(f"{request.param}_simulation")


@pytest.fixture(scope="session")
def retail_simulation():
    return simulate()


@pytest.fixture(scope="session")
def subscription_simulation():
    return simulate(mode="subscription")


@pytest.fixture(scope="session")
def outcomes(simulation):
    """One row for each customer and mature as_of: p_leave, left, eligible, and the outcome the
    tables show.
    """
    tables = {name: table.to_pandas() for name, table in simulation.tables.items()}
    truth = simulation.truth.to_pandas().assign(as_of=lambda rows: pd.to_datetime(rows["as_of"]))
    mature = truth[truth["as_of"] + HORIZON + LATENCY[simulation.mode] <= END]
    look = in_retail if simulation.mode == "retail" else in_subscription
    return pd.concat([look(tables, as_of, known) for as_of, known in mature.groupby("as_of")])


def in_retail(tables, as_of, known):
    bought = tables["transactions"].query("kind == 'purchase'")
    before = bought[(bought["occurred_at"] < as_of) & (bought["recorded_at"] < as_of)]
    window = bought[bought["occurred_at"].between(as_of, as_of + HORIZON, inclusive="left")]
    recency = (
        as_of - known["customer_id"].map(before.groupby("customer_id")["occurred_at"].max())
    ).dt.days
    churned = ~known["customer_id"].isin(window["customer_id"])
    return known.assign(
        recency=recency, eligible=recency < HORIZON.days, settled=True, churned=churned
    )


def in_subscription(tables, as_of, known):
    versions = tables["contracts"]
    terms = versions.groupby(["customer_id", "starts_at"], as_index=False).agg(
        {"ends_at": "first", "cancelled_at": "max"}
    )
    following = terms.groupby("customer_id")["starts_at"].shift(-1)
    renewed = following - terms["ends_at"] < pd.Timedelta(days=7)
    inside = {"left": as_of, "right": as_of + HORIZON, "inclusive": "left"}
    leaves = terms["cancelled_at"].between(**inside) | (
        terms["ends_at"].between(**inside) & ~renewed
    )
    covered = (terms["starts_at"] < as_of) & (terms["ends_at"] >= as_of)
    eligible = known["customer_id"].isin(terms.loc[covered, "customer_id"])
    churned = known["customer_id"].isin(terms.loc[leaves, "customer_id"])
    # Who lapsed or ran out before as_of has left (p_leave = 1) without doing so in the window.
    return known.assign(eligible=eligible, settled=eligible | ~known["left"], churned=churned)
