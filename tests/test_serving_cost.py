"""What it costs to serve, and what customers lack to the best of their like: counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from features.core.errors import BadSetting
from features.core.settings import settings_from_mapping
from features.indicators.serving_cost import FEWEST, NO_COSTS, NO_LIKE
from tests.support.indicator_worlds import day, orders, rows_of, write_business

ORDERS = orders("a 2024-03-01 100", "a 2024-03-02 20 refund", "b 2024-04-01 10", "c 2022-01-01 5")
CONTACTS = {
    "feedback": "customer_id,occurred_at,kind\nb,2024-05-01,complaint\nb,2022-05-01,complaint\n"
    "b,2024-12-05,complaint\nx,2024-05-01,complaint\n",
    "interactions": "customer_id,occurred_at,kind\na,2024-05-01,call\na,2024-05-02,call\n"
    "a,2024-05-02,visit\n",
}
COSTS = {"complaint": 7.5, "call": 2.0}


def tables(tmp_path, transactions=ORDERS, more=None, at="2024-12-01", **sections):
    made = {"transactions": transactions, **(CONTACTS if more is None else more)}
    chosen, history = write_business(tmp_path, made, **sections)
    return rows_of(history, chosen, day(at), "serving_cost")


def test_margin_and_service_of_each_tier_are_those_counted_by_hand(tmp_path):
    tiers = {"gold": [50, float("inf")], "others": [float("-inf"), 50]}
    value = {"service_costs": COSTS, "margin": 0.5, "tiers": tiers}
    rows = {row["tier"]: row for row in tables(tmp_path, value=value)["cost_to_serve"]}
    gold, others, inactive = rows["gold"], rows["others"], rows["inactive"]
    assert (gold["margin"], gold["service_cost"], gold["after_service"]) == (40, 4, 36)
    # One complaint of b in the year before as_of: 5 of margin less 7.5.
    assert (others["margin"], others["service_cost"]) == (5, 7.5)
    assert others["below_zero"] == 1
    assert gold["below_zero"] == 0
    assert (inactive["n"], inactive["margin"], inactive["service_cost"]) == (1, 0, 0)
    everybody = rows["all"]
    assert everybody["n"] == 3  # x has no purchase
    for name in ("margin", "service_cost", "after_service"):
        assert everybody[name] == sum(rows[tier][name] for tier in ("gold", "others", "inactive"))
    assert list(rows)[-1] == "all"


def test_without_costs_and_of_a_kind_that_no_row_has_a_row_says_so(tmp_path):
    [row] = tables(tmp_path)["cost_to_serve"]
    assert row["missing"] == NO_COSTS
    made = tables(tmp_path, value={"service_costs": {"call": 1.0, "letter": 3.0}})["cost_to_serve"]
    assert "letter" in made[-1]["missing"]
    assert "call" not in made[-1]["missing"]
    made = tables(tmp_path, more={}, value={"service_costs": {"call": 1.0}})["cost_to_serve"]
    assert made[0]["service_cost"] == 0
    assert "call" in made[-1]["missing"]


@pytest.mark.parametrize("cost", [-1, "dear", float("nan"), float("inf")])
def test_a_cost_that_is_none_is_refused(cost, tmp_path):
    mapping = {"tables": {"transactions": "SELECT 1"}, "value": {"service_costs": {"call": cost}}}
    with pytest.raises(BadSetting, match="service_costs"):
        settings_from_mapping(mapping, folder=tmp_path, where="test")


def test_potential_is_the_distance_to_the_best_of_the_like(tmp_path):
    rng = np.random.default_rng(3)
    money = rng.integers(1, 100, 30)
    rows = [f"n{k} 2024-06-01 {money[k]}" for k in range(30)]
    rows += [f"o{k} 2022-06-01 1" for k in range(FEWEST - 1)]  # one too few, and of no money now
    rows += [f"o{k} 2024-06-01 9" for k in range(FEWEST - 1)]
    [row] = tables(tmp_path, orders(*rows))["potential"]
    assert (row["segment"], row["customer_for"], row["n"]) == (None, "under 1 year", 30)
    best = np.quantile(money, 0.9)
    assert row["best_money"] == best
    assert row["median_money"] == np.median(money)
    assert row["potential"] == pytest.approx(np.maximum(best - money, 0).sum())


def test_with_nobody_alike_potential_says_so(tmp_path):
    [row] = tables(tmp_path)["potential"]
    assert row["missing"] == NO_LIKE
