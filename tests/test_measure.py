"""What a campaign changed: the difference of drawn arms, its interval, and the verdicts."""

from __future__ import annotations

import json
import re
import tomllib

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.core.action_schema import Acceptance
from features.core.errors import BadSetting, NotEnoughData
from features.core.instants import DAY_US, instant
from features.core.settings import load_settings
from features.tables.history import load_history
from lifecycle.commands.measure import measure_campaign
from lifecycle.simulation.actions import TRIAL
from serving.campaigns import store as campaigns
from serving.decisions.economics import acceptance_interval
from tests.support.campaigns import plan_at
from tests.support.command_line import run_here
from training.campaigns.balance import compare_arms
from training.effects.acceptance import measured_acceptance
from training.effects.difference import (
    Difference,
    adjusted_difference,
    always_valid_interval,
    needed_more,
    usable_strata,
)
from training.effects.measure import EFFECT, HARM, NONE, OPEN, measure, verdict
from training.effects.measure_text import measurement_text


def campaign(rng, size=800, effect=0.0, share=0.3):
    """outcome, arms, strata and what was before: the risk, which tells much of the outcome."""
    risk = rng.beta(1, 2, size)
    strata = [f"{round(each * 3)}" for each in risk]
    is_treated = rng.random(size) > share
    kept = rng.random(size) < np.clip(1 - risk + effect * is_treated, 0, 1)
    return kept.astype(float), is_treated, strata, risk[:, None]


def test_without_strata_and_adjustment_it_is_the_difference_of_two_means():
    outcome, ours, _, _ = campaign(np.random.default_rng(1))
    same = adjusted_difference(outcome, ours, ["x"] * len(ours), np.empty((len(ours), 0)))
    assert same.value == pytest.approx(outcome[ours].mean() - outcome[~ours].mean())
    by_hand = sum(outcome[arm].var(ddof=1) / arm.sum() for arm in (ours, ~ours))
    assert same.error == pytest.approx(np.sqrt(by_hand))


def test_the_adjustment_narrows_the_interval_and_holds_the_effect():
    rng, inside, errors = np.random.default_rng(2), [], []
    for _ in range(300):
        outcome, ours, strata, before = campaign(rng, effect=0.08)
        expected = np.clip(1 - before[:, 0] + 0.08, 0, 1) - (1 - before[:, 0])
        adjusted = adjusted_difference(outcome, ours, strata, before)
        plain = adjusted_difference(outcome, ours, ["x"] * len(ours), before[:, :0])
        inside.append(adjusted.low < expected.mean() < adjusted.high)
        errors.append(adjusted.error / plain.error)
    assert np.mean(errors) < 0.9
    assert 0.92 <= np.mean(inside) <= 0.98


@pytest.mark.long
def test_daily_looks_stop_seldom_where_nothing_changes():
    rng, stops = np.random.default_rng(3), 0
    for _ in range(300):
        outcome, ours, strata, before = campaign(rng, size=1500)
        for seen in range(100, 1501, 100):
            part = slice(0, seen)
            each = adjusted_difference(outcome[part], ours[part], strata[part], before[part])
            low, high = always_valid_interval(each, spread=0.05)
            if low > 0 or high < 0:
                stops += 1
                break
    assert stops / 300 <= 0.05


@given(st.floats(-1, 1), st.floats(1e-6, 1), st.floats(0.001, 1))
def test_an_interval_for_many_looks_is_wider_than_one_for_a_single_look(value, error, spread):
    each = Difference(value, error, 0.5, 0.5, 10, 10)
    low, high = always_valid_interval(each, spread=spread)
    assert low <= each.low
    assert high >= each.high


def test_the_customers_it_needs_more_would_show_the_difference():
    rng = np.random.default_rng(4)
    outcome, ours, strata, before = campaign(rng, size=600)
    error = adjusted_difference(outcome, ours, strata, before).error
    more = needed_more(error, 600, difference=0.05)
    larger = campaign(rng, size=600 + more)
    assert adjusted_difference(*larger).detectable == pytest.approx(0.05, rel=0.1)
    assert needed_more(error, 600, difference=0.9) == 0


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ((0.01, 0.2), EFFECT),
        ((-0.2, -0.01), HARM),
        ((-0.04, 0.03), NONE),
        ((-0.04, 0.06), OPEN),
        ((0.01, 0.02), EFFECT),
    ],
)
def test_the_verdict_follows_the_interval(interval, expected):
    assert verdict(interval, 0.05) == expected


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from("abcd")), max_size=40).map(
        lambda rows: ([treated for treated, _ in rows], [name for _, name in rows])
    )
)
def test_every_stratum_has_both_arms_or_there_is_no_difference(rows):
    ours = np.array(rows[0], dtype=bool)
    names = usable_strata(ours, rows[1])
    assert (names is None) == (len(ours) > 0 and min(ours.sum(), (~ours).sum()) < 2)
    for name in set(names or []):
        inside = np.array([each == name for each in names])
        assert min((inside & ours).sum(), (inside & ~ours).sum()) >= 2


def test_arms_that_were_chosen_are_told_apart_and_drawn_ones_are_not():
    rng = np.random.default_rng(5)
    before, names = rng.normal(size=(900, 3)), ("a", "b", "c")
    drawn = [compare_arms(rng.random(900) < 0.4, before, names).is_random for _ in range(60)]
    assert np.mean(drawn) > 0.97
    chosen = compare_arms(before[:, 1] + rng.normal(size=900) > 0.5, before, names)
    assert not chosen.is_random
    assert chosen.largest_of == "b"
    assert compare_arms(np.arange(900) < 5, before, names) is None


def test_a_trial_of_the_table_treatments_is_counted_as_by_hand(shop_with_trial):
    folder, settings, history = shop_with_trial
    report = measure(history, settings, TRIAL).report()
    rows = pd.read_csv(folder / "data" / "treatments.csv", dtype={"customer_id": str})
    sales = pd.read_csv(folder / "data" / "transactions.csv", dtype={"customer_id": str})
    decided = pd.to_datetime(rows["recorded_at"].iloc[0])
    at, known = (pd.to_datetime(sales[name]) for name in ("occurred_at", "recorded_at"))
    window = (at >= decided) & (at < decided + pd.Timedelta(days=60))
    in_time = known < decided + pd.Timedelta(days=63)
    bought = sales[window & in_time & (sales["kind"] == "purchase")]
    before = sales[(at < decided) & (known < decided) & (sales["kind"] == "purchase")]
    rows = rows[rows["customer_id"].isin(before["customer_id"])]
    rows["kept"] = rows["customer_id"].isin(bought["customer_id"])
    shares = rows.groupby("arm")["kept"].agg(["mean", "size"])
    assert report["treated"] == shares.loc["treated", "size"]
    assert report["held_out"] == shares.loc["held_out", "size"]
    assert report["kept_as_counted"]["difference"] == pytest.approx(
        shares.loc["treated", "mean"] - shares.loc["held_out", "mean"]
    )
    assert set(report["actions"]) == {"call", "voucher", "reminder"}
    paid = rows[rows["arm"] == "treated"]["cost"].sum()
    assert report["cost"] == pytest.approx(paid, rel=0.05)
    assert json.loads(json.dumps(report)) == report


def test_a_campaign_that_went_to_chosen_customers_is_refused_with_its_numbers(shop_with_trial):
    folder, _, _ = shop_with_trial
    table = folder / "data" / "treatments.csv"
    rows = pd.read_csv(table, dtype={"customer_id": str})
    sales = pd.read_csv(folder / "data" / "transactions.csv", dtype={"customer_id": str})
    counts = sales.groupby("customer_id").size()
    good = counts[counts > counts.median()].index
    rows["arm"] = np.where(rows["customer_id"].isin(good), "treated", "held_out")
    rows["campaign"] = "chosen"
    other = folder / "data" / "chosen.csv"
    rows.to_csv(other, index=False)
    chosen = load_settings(folder / "lifecycle.toml", {"files.treatments": "data/chosen.csv"})
    with pytest.raises(BadSetting, match="AUROC") as refusal:
        measure(load_history(chosen)[0], chosen, "chosen")
    assert "activities" in refusal.value.got
    assert not set(rows["customer_id"]) & set(refusal.value.got.split())


def test_a_look_before_all_outcomes_are_complete_widens_every_later_one(shop_with_trial, home):
    _, settings, history = shop_with_trial
    rng, end = np.random.default_rng(1), history.data_until
    everybody = sorted(history.as_of(end).activity.select("customer_id").collect()["customer_id"])
    everybody = list(dict.fromkeys(everybody))
    half = len(everybody) // 2
    early = plan_at(end - 200 * DAY_US, everybody[:half], rng)
    late = plan_at(end - 10 * DAY_US, everybody[half:], rng)
    campaigns.write_campaign("spring", pa.concat_tables([early, late]), {"as_of": 0})
    report, text = measure_campaign(history, settings, "spring", None)
    assert report["left_out"]["outcome not complete"] == late.num_rows
    assert report["looked_early"]
    assert "looked before" in text
    single = report["kept"]["low"] - report["kept"]["difference"]
    assert abs(single) > 1.96 * report["detectable"] / 2.802
    # With newer data all are complete, and the look is remembered.
    assert campaigns.was_looked_at("spring")
    assert report["accepted"] is not None


def test_without_complete_outcomes_or_a_hold_out_it_says_so(shop_with_trial, home):
    _, settings, history = shop_with_trial
    with pytest.raises(BadSetting, match="nobody decided"):
        measure(history, settings, "autumn")
    late = plan_at(history.data_until - DAY_US, ["000001"], np.random.default_rng(1))
    campaigns.write_campaign("spring", late, {"as_of": 0})
    with pytest.raises(NotEnoughData, match="not complete"):
        measure(history, settings, "spring")
    with pytest.raises(BadSetting, match="--margin"):
        measure(history, settings, TRIAL, margin=2.0)


def test_a_plan_without_a_hold_out_is_compared_with_nobody(shop_with_trial, home):
    _, settings, history = shop_with_trial
    at = history.data_until - 200 * DAY_US
    rows = history.as_of(at).activity.select("customer_id").unique().collect()
    plan = plan_at(at, sorted(rows["customer_id"]), np.random.default_rng(1))
    treated = pa.array(["treated"] * plan.num_rows)
    plan = plan.set_column(plan.column_names.index("arm"), "arm", treated)
    campaigns.write_campaign("spring", plan, {"as_of": at})
    with pytest.raises(NotEnoughData, match="of a decision with one arm"):
        measure(history, settings, "spring")


def test_what_happens_later_changes_no_measurement(shop_with_trial, tmp_path):
    folder, settings, history = shop_with_trial
    report = measure(history, settings, TRIAL).report()
    rows = pd.read_csv(folder / "data" / "treatments.csv", dtype={"customer_id": str})
    decided = instant(rows["recorded_at"].iloc[0].replace(" ", "T")[:19] + "Z", zone="UTC")
    sales = pd.read_csv(folder / "data" / "transactions.csv", dtype={"customer_id": str})
    known = pd.to_datetime(sales["recorded_at"]).astype("int64") // 1000
    later = known >= decided + 63 * DAY_US
    sales.loc[later, "amount"] = 999
    changed = folder / "data" / "later.csv"
    sales.to_csv(changed, index=False)
    other = load_settings(folder / "lifecycle.toml", {"files.transactions": "data/later.csv"})
    assert measure(load_history(other)[0], other, TRIAL).report() == report


def test_the_command_measures_and_names_what_was_decided(shop_with_trial, home):
    folder, _, _ = shop_with_trial
    config = folder / "lifecycle.toml"
    done = run_here("measure", "-c", config, "--campaign", TRIAL, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["campaign"] == TRIAL
    named = run_here("measure", "-c", config, "--json")
    assert json.loads(named.stdout) == {"campaigns": [TRIAL]}


def test_the_text_says_the_acceptance_of_each_action_as_the_configuration_has_it(shop_with_trial):
    _, settings, history = shop_with_trial
    report = measure(history, settings, TRIAL).report()
    for each in report["actions"].values():
        accepted, risk = each["accepted"], 1 - each["held_out"]
        assert accepted["share"] == pytest.approx(each["difference"] / risk)
        assert accepted["low"] < accepted["share"] < accepted["high"]
    sure = measured_acceptance(Difference(0.1, 0.02, 0.8, 0.7, 900, 900), None).report()
    unsure = measured_acceptance(Difference(0.01, 0.02, 0.71, 0.7, 900, 900), None).report()
    report["actions"]["call"]["accepted"], report["actions"]["voucher"]["accepted"] = sure, unsure
    lines = measurement_text(report).splitlines()
    after = {line.split(",")[0].strip(): lines[at + 1] for at, line in enumerate(lines[:-1])}
    assert "of 100 who would have left, 33 were kept" in after["call"]
    written = re.search(r"acceptance = (\{.*\})", after["call"])[1]
    setting = Acceptance.model_validate(tomllib.loads(f"acceptance = {written}")["acceptance"])
    low, high = acceptance_interval(setting)
    assert high - low == pytest.approx(sure["high"] - sure["low"], rel=0.1)
    # What may be nothing is no measurement to decide by.
    assert "of 100 who would have left, 3 were kept" in after["voucher"]
    assert "acceptance = " not in after["voucher"]


def test_an_acceptance_by_a_counted_risk_has_an_interval_that_holds_it():
    rng, inside = np.random.default_rng(7), []
    none = np.empty((900, 0))
    for _ in range(300):
        ours = rng.random(900) < 0.6
        would_leave = rng.random(900) < 0.5
        kept = ~would_leave | (ours & (rng.random(900) < 0.3))
        each = adjusted_difference(kept.astype(float), ours, ["x"] * 900, none)
        accepted = measured_acceptance(each, None)
        inside.append(accepted.low < 0.3 < accepted.high)
    assert np.mean(inside) >= 0.94
    assert measured_acceptance(Difference(0.0, 0.1, 1.0, 1.0, 9, 9), None) is None


def test_money_counts_as_the_margin_that_is_left_of_it(shop_with_trial):
    _, settings, history = shop_with_trial
    whole = measure(history, settings, TRIAL).report()["money_per_customer"]["difference"]
    half = settings.value.model_copy(update={"margin": settings.value.margin_share / 2})
    less = measure(history, settings.model_copy(update={"value": half}), TRIAL).report()
    assert less["money_per_customer"]["difference"] == pytest.approx(whole / 2)


def test_a_few_treated_without_anybody_named_as_held_out_show_no_effect(shop_with_trial):
    folder, _, history = shop_with_trial
    rows = pd.read_csv(folder / "data" / "treatments.csv", dtype={"customer_id": str})
    at = instant(rows["recorded_at"].iloc[0].replace(" ", "T")[:19] + "Z", zone="UTC")
    active = history.as_of(at).activity.select("customer_id").unique().collect()["customer_id"]
    few = rows[rows["arm"] == "treated"].head(15).assign(campaign="few", arm=None)
    drawn = np.random.default_rng(1).choice(sorted(active), 60, replace=False)
    some = rows.head(60).assign(campaign="some", arm=None, customer_id=drawn)
    pd.concat([few, some]).to_csv(folder / "data" / "others.csv", index=False)
    changed = {"files.treatments": "data/others.csv"}
    settings = load_settings(folder / "lifecycle.toml", changed)
    history = load_history(settings)[0]
    with pytest.raises(NotEnoughData, match="nobody who is named as held out"):
        measure(history, settings, "few")
    text = measurement_text(measure(history, settings, "some").report())
    assert "nobody is named as held out" in text
