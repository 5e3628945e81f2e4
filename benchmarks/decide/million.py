"""A million customers decided: three actions, a budget, a capacity, a hold-out, learned effects."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.decide.cheap_campaigns import at_most
from features.core.action_schema import Action
from serving.campaigns import store as campaigns
from serving.decisions.effect_model import ActionEffect, EffectModel, learn_inputs
from serving.decisions.plan import Rules, make_plan

CUSTOMERS, AS_OF = 1_000_000, 1_735_689_600_000_000
ACTIONS = {
    "call": Action(when="risk >= 0.2", channel="phone", contact_cost=6, acceptance=0.3),
    "voucher": Action(
        when="value > 5", channel="email", contact_cost=0.2, incentive=5, acceptance=0.2
    ),
    "letter": Action(when="not stage = churned", channel="post", contact_cost=1, acceptance=0.1),
}


def measure() -> dict[str, Any]:
    customers = random_customers(CUSTOMERS)
    inputs = learn_inputs(customers)
    size = len(inputs.names)
    rng = np.random.default_rng(1)
    learned = ActionEffect(
        [0.0] * (size + 1),
        rng.normal(0, 0.1, size + 1).tolist(),
        [0.0] * size,
        [1.0] * size,
        (np.eye(2 * size + 2) * 1e-4).tolist(),
    )
    effects = EffectModel("trial", inputs, {"call": learned})
    rules = Rules("spring", ACTIONS, 0.1, 0.02, 14, 60, 300_000.0, {"phone": 20_000}, effects)
    began = time.perf_counter()
    plan = make_plan(customers, campaigns.SCHEMA.empty_table(), rules, AS_OF)
    seconds = time.perf_counter() - began
    return {
        "seconds_for_a_million": at_most(round(seconds, 1), 60.0)
        | {"chosen": plan.chosen.num_rows, "held_out": int(plan.hold_out.held_out.sum())}
    }


def random_customers(size: int) -> pa.Table:
    """Candidates as `load_candidates` gives them."""
    rng = np.random.default_rng(0)
    risk = rng.beta(1, 3, size)
    stages = np.array(["new", "growing", "loyal", "at_risk", "dormant", "churned"])
    value = rng.lognormal(3.5, 1, size)
    text = pa.nulls(size, pa.string())
    return pa.table(
        {
            "customer_id": [f"{number:08d}" for number in range(size)],
            "stage": stages[rng.integers(0, 6, size)],
            "eligible": rng.random(size) < 0.6,
            "tier": np.array(["gold", "silver", "iron"])[rng.integers(0, 3, size)],
            "channel": np.array(["web", "store"])[rng.integers(0, 2, size)],
            "segment": np.array(["private", "business"])[rng.integers(0, 2, size)],
            "rfm_segment": text,
            "risk": risk,
            "p_low": risk * 0.9,
            "p_high": np.minimum(risk * 1.1, 1),
            "value": value,
            "at_stake": value * risk,
            "reason": text,
            **{f"reason_{k}": text for k in (1, 2, 3)},
            "days_since_activity": rng.exponential(40, size),
            "days_since_complaint": np.where(rng.random(size) < 0.9, np.nan, 20.0),
            "days_since_contact": pa.nulls(size, pa.float64()),
            "days_without_contact": pa.nulls(size, pa.float64()),
        }
    )
