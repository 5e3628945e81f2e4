"""Campaigns in a test: actions, settings with them, plans, and a shop with a campaign."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from features.core.action_schema import Action
from features.core.settings import Settings, load_settings
from features.tables.history import load_history
from lifecycle import simulation
from serving.campaigns import store as campaigns
from serving.campaigns.store import HELD_OUT
from tests.support.businesses import Business, Simulated

ACTIONS = {
    "call": Action(when="risk >= 0.2", channel="phone", contact_cost=6, acceptance=0.3),
    "voucher": Action(
        when="not stage = churned",
        channel="email",
        contact_cost=0.2,
        incentive=5,
        acceptance={"mean": 0.2, "n": 150},
    ),
}


def settings_of(business: Business, **decisions: object) -> Settings:
    settings = business.settings
    of_decisions = settings.decisions.model_copy(update=decisions)
    return settings.model_copy(update={"actions": ACTIONS, "decisions": of_decisions})


def no_contacts() -> pa.Table:
    return campaigns.SCHEMA.empty_table()


@pytest.fixture(scope="session")
def shop_with_trial(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    """A simulated shop with a campaign of three actions: (folder, settings, history)."""
    folder = tmp_path_factory.mktemp("actions")
    business = simulation.simulate(customers=900, seed=3, actions=True)
    simulation.write(business, folder=folder)
    settings = load_settings(folder / "lifecycle.toml")
    history, _ = load_history(settings)
    return folder, settings, history


def plan_at(at: int, customers: list[str], rng: np.random.Generator) -> pa.Table:
    """A campaign of one action, decided at an instant (µs): three of ten are held out."""
    size = len(customers)
    held_out = rng.random(size) < 0.3
    columns = {each.name: pa.nulls(size, each.type) for each in campaigns.SCHEMA}
    columns |= {
        "customer_id": pa.array(customers, pa.string()),
        "occurred_at": pa.array([at] * size, pa.int64()),
        "recorded_at": pa.array([at] * size, pa.int64()),
        "campaign": pa.array(["spring"] * size),
        "arm": pa.array(np.where(held_out, HELD_OUT, "treated").tolist(), pa.string()),
        "action": pa.array(["call"] * size),
        "stratum": pa.array(["x"] * size),
        "risk": pa.array(rng.random(size)),
        "value": pa.array(rng.random(size)),
        "cost": pa.array(np.where(held_out, 0.0, 6.0)),
        "expected_profit": pa.array(np.full(size, 2.0)),
    }
    return pa.table(columns, schema=campaigns.SCHEMA)
