"""`lifecycle decide`: limits, rests and consent are kept, both arms are written, nothing leaks."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from features.core.errors import BadSetting, NotEnoughData, ReleaseRefused
from features.core.instants import DAY_US
from features.indicators.indicator_data import IndicatorData
from lifecycle.commands.decide import decide, keep
from lifecycle.commands.decide_rules import read_capacities, read_rules
from lifecycle.commands.decision import answer_of, campaign_rows
from serving.campaigns import store as campaigns
from serving.campaigns.store import HELD_OUT
from serving.decisions.candidates import known_contacts, load_candidates
from serving.decisions.economics import expected_cost, expected_profit
from serving.decisions.plan import TREATED, make_plan
from tests.support.campaigns import ACTIONS, no_contacts, settings_of
from tests.support.command_line import run_here

SECTIONS = """
[actions.call]
when = "risk >= 0.2"
channel = "phone"
contact_cost = 6
acceptance = 0.3
"""


def decided(business, campaign="spring", *, budget=None, capacity=(), **decisions):
    settings = settings_of(business, **decisions)
    rules = read_rules(settings, campaign, budget=budget, capacity=read_capacities(capacity))
    return decide(business.history, settings, rules, business.run.as_of)


@pytest.fixture
def customers(at_home):
    data = IndicatorData(at_home.history, at_home.settings, at_home.run.as_of)
    yield load_candidates(data, no_contacts()).rows
    data.close()


def test_every_customer_is_counted_once(at_home):
    decision = decided(at_home, budget=500)
    everybody = at_home.history.as_of(at_home.run.as_of).customers.collect(backend="pyarrow")
    counts = decision.report()["counts"]
    assert sum(counts.values()) == everybody.to_native().num_rows
    assert counts["chosen"] == decision.plan.chosen.num_rows > 0


def test_what_is_said_of_a_customer_is_the_formula_of_the_score(at_home):
    rows = decided(at_home).plan.chosen.to_pylist()
    scores = pq.read_table(at_home.run.folder / "scores.parquet")
    scores = {each["customer_id"]: each for each in scores.to_pylist()}
    for row in rows[:50]:
        score, action = scores[row["customer_id"]], ACTIONS[row["action"]]
        money = {
            "acceptance": action.acceptance.mean,
            "incentive": action.incentive,
            "contact": action.contact_cost,
        }
        profit = float(expected_profit(score["p_churn"], score["clv_if_stays"], **money))
        assert row["expected_profit"] == pytest.approx(profit)
        assert row["expected_cost"] == pytest.approx(
            float(expected_cost(score["p_churn"], **money))
        )
        low, high = row["expected_profit_low"], row["expected_profit_high"]
        assert low - 1e-9 <= profit <= high + 1e-9
        assert profit > 0


@pytest.mark.parametrize("share", [0.0, 0.1, 0.4])
def test_those_contacted_stay_within_all_limits(at_home, share):
    decision = decided(at_home, budget=80, capacity=["phone=10"], hold_out=share)
    treated = decision.plan.chosen.filter(pc.equal(decision.plan.chosen["arm"], TREATED))
    assert 0 < pc.sum(treated["expected_cost"]).as_py() <= 80 + 1e-6
    assert pc.sum(pc.equal(treated["action"], "call")).as_py() <= 10
    assert (decision.plan.chosen.num_rows > treated.num_rows) == (share > 0)
    # The budget is spent on those who are contacted, not on those who are held out.
    assert pc.sum(treated["expected_cost"]).as_py() > 50


def test_more_are_held_out_where_the_effect_needs_them(at_home):
    plain = decided(at_home)
    difference = 0.8 * plain.plan.hold_out.detectable
    wanted = decided(at_home, detectable_effect=difference)
    assert wanted.plan.share_wanted > plain.plan.share_wanted
    assert wanted.plan.hold_out.detectable <= difference * 1.02
    few = decided(at_home, detectable_effect=0.001)
    assert few.report()["customers_needed"] > few.plan.chosen.num_rows


def test_who_was_contacted_lately_rests_and_a_hold_out_of_another_campaign_is_left_alone(
    at_home, customers
):
    as_of = at_home.run.as_of
    rules = read_rules(settings_of(at_home), "spring", budget=None, capacity={})
    free = make_plan(customers, no_contacts(), rules, as_of)
    first, second, third = free.chosen["customer_id"].to_pylist()[:3]

    def row(customer, days, arm, action, campaign="winter"):
        at = as_of - round(days * DAY_US)
        cells = dict.fromkeys(campaigns.SCHEMA.names)
        return {
            **cells,
            "customer_id": customer,
            "occurred_at": at,
            "recorded_at": at,
            "campaign": campaign,
            "arm": arm,
            "action": action,
        }

    def chosen(*rows) -> dict[str, str]:
        table = pa.Table.from_pylist(list(rows), schema=campaigns.SCHEMA)
        plan = make_plan(customers, table, rules, as_of)
        ids, actions = plan.chosen["customer_id"].to_pylist(), plan.chosen["action"].to_pylist()
        return dict(zip(ids, actions, strict=True))

    rest, horizon = 14, at_home.settings.churn.horizon_days
    assert first not in chosen(row(first, rest - 1, TREATED, None))
    assert first in chosen(row(first, rest + 1, TREATED, None))
    assert second not in chosen(row(second, horizon - 1, HELD_OUT, "call"))
    assert second in chosen(row(second, horizon + 1, HELD_OUT, "call"))
    # The same action cools down for longer than any contact rests.
    same = dict(
        zip(*(free.chosen[name].to_pylist() for name in ("customer_id", "action")), strict=True)
    )
    again = chosen(row(third, 30, TREATED, same[third]))
    assert again.get(third) != same[third]


def test_the_order_of_the_customers_changes_nothing(at_home, customers):
    rules = read_rules(settings_of(at_home), "spring", budget=200.0, capacity={"phone": 5})
    plan = make_plan(customers, no_contacts(), rules, at_home.run.as_of)
    places = np.random.default_rng(2).permutation(customers.num_rows)
    moved = make_plan(customers.take(pa.array(places)), no_contacts(), rules, at_home.run.as_of)
    assert moved.chosen.equals(plan.chosen)
    assert moved.counts == plan.counts


def test_a_campaign_is_decided_once(own_home, tmp_path):
    settings = settings_of(own_home)
    decision = decided(own_home)
    assert keep(decision, settings)
    assert not keep(decided(own_home), settings)
    with pytest.raises(BadSetting, match="decided otherwise"):
        keep(decided(own_home, budget=100), settings)
    kept = campaigns.read_campaign("spring")
    assert kept.plan.equals(campaign_rows(decision))
    # Another campaign on the next day leaves all of them alone: they rest, or are held out.
    other = decided(own_home, "summer")
    both = set(other.plan.chosen["customer_id"].to_pylist())
    assert not both & set(kept.plan["customer_id"].to_pylist())


def test_a_plan_is_known_from_its_decision_on_and_not_before(own_home):
    keep(decided(own_home), settings_of(own_home))
    as_of, plans = own_home.run.as_of, campaigns.read_plans()
    assert known_contacts(own_home.history, as_of - 1, plans).num_rows == 0
    # At the same instant another campaign knows it: it was decided before that one.
    assert known_contacts(own_home.history, as_of, plans).num_rows == plans.num_rows > 0


def test_a_damaged_plan_is_refused(own_home):
    keep(decided(own_home), settings_of(own_home))
    path = campaigns.campaigns_folder() / "campaign=spring" / campaigns.PLAN
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ReleaseRefused, match="not as it was written"):
        campaigns.read_campaign("spring")
    with pytest.raises(ReleaseRefused, match="no campaign of this name"):
        campaigns.read_campaign("autumn")


def test_without_scores_or_actions_it_says_what_to_do(at_home):
    settings = settings_of(at_home)
    rules = read_rules(settings, "spring", budget=None, capacity={})
    with pytest.raises(NotEnoughData, match="lifecycle score"):
        decide(at_home.history, settings, rules, at_home.run.as_of - 30 * DAY_US)
    with pytest.raises(BadSetting, match=r"\[actions.call\]"):
        decide(at_home.history, settings, dataclasses.replace(rules, actions={}), None)


@pytest.mark.parametrize("name", ["", "Spring", "a b", "../x", "a" * 65, "-a", "ü", "a\n"])
def test_a_name_that_no_folder_may_have_is_refused(at_home, name):
    with pytest.raises(BadSetting, match="--campaign"):
        read_rules(settings_of(at_home), name, budget=None, capacity={})


@pytest.mark.parametrize("text", ["phone", "=3", "phone=", "phone=-1", "phone=1.5", "phone=¹"])
def test_what_is_no_capacity_is_refused(text):
    with pytest.raises(BadSetting, match="--capacity"):
        read_capacities([text])


@pytest.mark.parametrize("budget", [-1.0, float("nan"), float("inf")])
def test_what_is_no_budget_is_refused(at_home, budget):
    with pytest.raises(BadSetting, match="--budget"):
        read_rules(settings_of(at_home), "spring", budget=budget, capacity={})
    with pytest.raises(BadSetting, match="Channels here: email, phone"):
        read_rules(settings_of(at_home), "spring", budget=None, capacity={"fax": 3})


def test_a_budget_of_nothing_contacts_nobody_and_says_so(at_home):
    decision = decided(at_home, budget=0)
    assert decision.plan.chosen.num_rows == 0
    assert decision.report()["counts"]["beyond the limits"] > 0
    assert "0 customers to contact" in answer_of(decision, 0)[1]


def test_the_command_writes_lists_for_people_and_treatments(own_home, tmp_path):
    config = tmp_path / "lifecycle.toml"
    text = (own_home.folder / "lifecycle.toml").read_text(encoding="utf-8")
    config.write_text(text.replace('"data/', f'"{own_home.folder}/data/') + SECTIONS)
    out = tmp_path / "lists"
    done = run_here(
        *("decide", "-c", config, "--campaign", "spring", "--out", out, "--json"),
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["contacted"] + report["held_out"] == report["counts"]["chosen"]
    assert {each.name for each in out.iterdir()} == {
        "campaign.txt",
        *("contacts.csv", "contacts.parquet", "let_go.csv", "let_go.parquet", "scores.parquet"),
        "treatments.csv",
    }


def test_the_profit_curve_ends_at_everybody_and_is_highest_where_a_plan_without_limits_ends(
    at_home,
):
    decision = decided(at_home, hold_out=0.0)
    curve = decision.report()["profit_curve"]
    assert curve["best"] == decision.report()["counts"]["chosen"]
    assert curve["best_profit"] == pytest.approx(decision.report()["expected_profit"])
    steps = np.diff(curve["expected_profit"])
    grows = np.array(curve["contacted"])[1:] <= curve["best"]
    assert (steps[grows] >= 0).all()
    assert (steps[~grows] <= 0).all()
    assert curve["contacted"][-1] == curve["everybody"] >= curve["best"]
    budget = decided(at_home, hold_out=0.0, budget=50).report()
    assert budget["profit_curve"] == curve


def test_who_was_never_contacted_is_due_by_the_first_activity(at_home, customers):
    contacts = no_contacts()
    rows = {row["customer_id"]: row for row in customers.to_pylist()}
    since = [row["days_without_contact"] for row in rows.values()]
    assert all(
        each is None or each >= row["days_since_activity"]
        for each, row in zip(since, rows.values(), strict=True)
    )
    name = next(iter(rows))
    contact = {
        "customer_id": [name],
        "occurred_at": [at_home.run.as_of - 3 * DAY_US],
        "campaign": ["earlier"],
        "arm": ["treated"],
        "action": ["call"],
    }
    columns = ["customer_id", "occurred_at", "campaign", "arm", "action"]
    types = contacts.select(columns).schema
    data = IndicatorData(at_home.history, at_home.settings, at_home.run.as_of)
    again = load_candidates(data, pa.table(contact, schema=types)).rows
    data.close()
    row = next(row for row in again.to_pylist() if row["customer_id"] == name)
    assert row["days_without_contact"] == row["days_since_contact"] == 3
