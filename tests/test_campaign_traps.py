"""What people really have in their tables of campaigns, and what strangers did to plans."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import shutil

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pyarrow.csv
import pytest

from features.core.action_schema import Action
from features.core.errors import BadSetting, NotEnoughData, ReleaseRefused
from features.core.instants import DAY_US
from features.core.settings import load_settings
from features.engine.consent import consent_counts
from features.indicators.indicator_data import IndicatorData
from features.tables.cut_history import cut_history
from features.tables.history import load_history
from lifecycle.commands.decide import decide, decide_campaign, keep
from lifecycle.commands.decide_rules import read_rules
from lifecycle.commands.measure import measure_campaign, name_campaigns, rejected_rows
from lifecycle.simulation.actions import TRIAL
from serving.campaigns import store as campaigns
from serving.campaigns.store import HELD_OUT
from serving.decisions.candidates import load_candidates
from serving.decisions.plan import price_options
from tests.support.campaigns import no_contacts, settings_of
from training.effects.difference import adjusted_difference
from training.effects.harmful import harmful_actions
from training.effects.measure import EFFECT, HARM, NONE, measure, safe_difference, verdict

of_the_shop = pytest.mark.parametrize("business", ["trained_shop"], indirect=True)


@pytest.fixture
def with_rows(shop_with_trial, tmp_path):
    """(settings, history, counts) of the shop with other rows of treatments."""
    folder, _, _ = shop_with_trial

    def load(change):
        rows = pd.read_csv(folder / "data" / "treatments.csv", dtype={"customer_id": str})
        changed = tmp_path / "treatments.csv"
        change(rows).to_csv(changed, index=False)
        settings = load_settings(folder / "lifecycle.toml", {"files.treatments": str(changed)})
        return settings, *load_history(settings)

    return load


def report_of(loaded):
    settings, history, counts = loaded
    return measure_campaign(history, settings, TRIAL, None, rejected=rejected_rows(counts))[0]


@pytest.mark.parametrize("size", [2, 4])
def test_a_few_customers_show_nothing_and_no_interval_is_a_point(with_rows, size):
    for seed in range(2):
        report = report_of(
            with_rows(lambda rows, n=size, s=seed: rows.groupby("arm").sample(n, random_state=s))
        )
        kept = report["kept"]
        assert kept["high"] - kept["low"] > 0.3
        assert report["verdict"] == "not enough data"
        for each in report["actions"].values():
            assert each["high"] - each["low"] > 0.3


def test_one_row_of_another_day_is_left_out_and_changes_no_arm(with_rows):
    plain = report_of(with_rows(lambda rows: rows))

    def move_one(rows):
        first = rows.index[rows["arm"] == "treated"][0]
        rows.loc[first, ["occurred_at", "recorded_at"]] = "2024-07-06 00:00:00"
        return rows

    report = report_of(with_rows(move_one))
    assert report["left_out"]["of a decision with one arm"] == 1
    assert report["treated"] == plain["treated"] - 1
    assert report["held_out"] == plain["held_out"]


def test_a_second_contact_costs_and_is_no_second_customer(with_rows):
    plain = report_of(with_rows(lambda rows: rows))

    def again(rows):
        second = rows[rows["arm"] == "treated"].copy()
        second["occurred_at"] = second["recorded_at"] = "2024-07-20 00:00:00"
        return pd.concat([rows, second])

    report = report_of(with_rows(again))
    assert report["treated"] == plain["treated"]
    assert report["cost"] == pytest.approx(2 * plain["cost"])
    assert report["kept"] == plain["kept"]


def test_costs_are_those_of_the_customers_who_are_compared(with_rows):
    plain = report_of(with_rows(lambda rows: rows))

    def strangers(rows):
        more = rows[rows["arm"] == "treated"].head(50).copy()
        more["customer_id"] = [f"x{number}" for number in range(50)]
        return pd.concat([rows, more])

    report = report_of(with_rows(strangers))
    assert report["left_out"]["no stage at the decision"] == 50
    assert report["cost"] == pytest.approx(plain["cost"])
    unknown = report_of(with_rows(lambda rows: rows.assign(cost=None)))
    assert (unknown["cost"], unknown["profit"]) == (None, None)


def test_a_decision_that_was_written_down_late_was_made_before_its_contact(with_rows):
    plain = report_of(with_rows(lambda rows: rows.assign(recorded_at=rows["occurred_at"])))
    late = report_of(with_rows(lambda rows: rows.assign(recorded_at="2024-08-20 00:00:00")))
    assert late["kept"] == plain["kept"]
    assert late["decided"] == plain["decided"]


def test_a_contact_after_the_horizon_is_no_treatment_yet(with_rows):
    with pytest.raises(NotEnoughData, match="contact after the horizon"):
        report_of(with_rows(lambda rows: rows.assign(occurred_at="2024-12-20 00:00:00")))


def test_customers_in_both_arms_are_counted_and_left_out(with_rows):
    def both(rows):
        more = rows[rows["arm"] == "treated"].sample(30, random_state=3).assign(arm=HELD_OUT)
        return pd.concat([rows, more])

    assert report_of(with_rows(both))["left_out"]["in both arms"] == 30


def test_rejected_rows_are_counted_where_they_would_be_missed(with_rows):
    def misspelt(rows):
        rows.loc[rows.index[:40], "arm"] = "heldout"
        return rows

    settings, history, counts = with_rows(misspelt)
    report, text = measure_campaign(history, settings, TRIAL, None, rejected=rejected_rows(counts))
    assert report["rejected_treatments"] == 40
    assert "40 rows of treatments were rejected" in text


def test_ids_that_lost_their_zeros_are_an_answer_and_no_crash(with_rows):
    with pytest.raises(NotEnoughData, match="leading zeros"):
        report_of(
            with_rows(lambda rows: rows.assign(customer_id=rows["customer_id"].str.lstrip("0")))
        )


def test_campaigns_of_the_table_are_named_too(shop_with_trial, home):
    _, _, history = shop_with_trial
    assert name_campaigns(history) == [TRIAL]


def test_the_past_has_the_tables_that_no_feature_reads(shop_with_trial):
    _, settings, history = shop_with_trial
    for at in (history.data_until - 400 * DAY_US, history.data_until - 10 * DAY_US):
        past = cut_history(history, settings, at)
        rows = past.as_of(at).further["treatments"].collect(backend="pyarrow").to_native()
        then = history.as_of(at).further["treatments"].collect(backend="pyarrow").to_native()
        assert rows.num_rows == then.num_rows


def test_what_harms_is_what_the_newest_measurement_says(shop_with_trial):
    _, settings, history = shop_with_trial
    verdicts = {
        name: each["verdict"]
        for name, each in measure(history, settings, TRIAL).report()["actions"].items()
    }
    expected = {name: TRIAL for name, each in verdicts.items() if each == HARM}
    assert harmful_actions(history, settings, history.data_until) == expected
    assert harmful_actions(history, settings, history.data_until - 300 * DAY_US) == {}


@of_the_shop
def test_an_action_that_harms_is_for_nobody(at_home):
    settings = settings_of(at_home)
    rules = read_rules(settings, "spring", budget=None, capacity={})
    rules = dataclasses.replace(rules, harmful={"call": "winter"})
    data = IndicatorData(at_home.history, at_home.settings, at_home.run.as_of)
    rows = load_candidates(data, no_contacts()).rows
    data.close()
    options = price_options(rows, no_contacts(), rules, at_home.run.as_of)
    place = options.names.index("call")
    assert np.isnan(options.profit[:, place]).all()
    assert not options.fits[:, place].any()


@of_the_shop
def test_treatments_of_a_plan_are_read_again_without_a_loss(own_home, tmp_path):
    settings = settings_of(own_home)
    rules = read_rules(settings, "spring", budget=None, capacity={})
    out = tmp_path / "spring"
    decision = decide_campaign(own_home.history, settings, rules, own_home.run.as_of, out)
    written = pyarrow.csv.read_csv(
        out / "treatments.csv",
        convert_options=pyarrow.csv.ConvertOptions(column_types={"customer_id": "string"}),
    )
    assert written.num_rows == decision.plan.chosen.num_rows
    assert "action" in written.column_names
    cents = pc.multiply(written["cost"], 100)
    assert pc.max(pc.abs(pc.subtract(cents, pc.round(cents)))).as_py() < 1e-6
    for path in out.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path.name


@of_the_shop
def test_a_folder_of_another_campaign_is_not_overwritten(own_home, tmp_path):
    settings = settings_of(own_home)
    first = read_rules(settings, "spring", budget=50.0, capacity={})
    decide_campaign(own_home.history, settings, first, own_home.run.as_of, tmp_path / "out")
    before = (tmp_path / "out" / "contacts.csv").read_bytes()
    second = read_rules(settings, "summer", budget=None, capacity={})
    with pytest.raises(BadSetting, match="another campaign"):
        decide_campaign(own_home.history, settings, second, own_home.run.as_of, tmp_path / "out")
    assert (tmp_path / "out" / "contacts.csv").read_bytes() == before
    assert campaigns.list_campaigns() == ["spring"]


@of_the_shop
def test_two_campaigns_at_once_share_no_customer(own_home, tmp_path):
    settings = settings_of(own_home)

    def one(name: str) -> set[str]:
        history, _ = load_history(settings)
        rules = read_rules(settings, name, budget=60.0, capacity={})
        decision = decide_campaign(history, settings, rules, own_home.run.as_of, tmp_path / name)
        return set(decision.plan.chosen["customer_id"].to_pylist())

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        first, second = pool.map(one, ("spring", "summer"))
    assert first
    assert second
    assert not first & second


@of_the_shop
def test_nobody_chosen_leaves_the_name_free(own_home):
    settings = settings_of(own_home)
    rules = read_rules(settings, "spring", budget=0.0, capacity={})
    decision = decide(own_home.history, settings, rules, own_home.run.as_of)
    with pytest.raises(NotEnoughData, match="decide --check"):
        keep(decision, settings)
    assert campaigns.list_campaigns() == []


@of_the_shop
def test_who_had_the_action_lately_is_not_let_go(own_home):
    settings = settings_of(own_home, contact_days=0)
    only = {"call": Action(channel="phone", contact_cost=0.1, acceptance=0.3)}
    settings = settings.model_copy(update={"actions": only})
    rules = read_rules(settings, "spring", budget=None, capacity={})
    keep(decide(own_home.history, settings, rules, own_home.run.as_of), settings)
    rules = read_rules(settings, "summer", budget=None, capacity={})
    counts = decide(own_home.history, settings, rules, own_home.run.as_of).plan.counts
    first = campaigns.read_campaign("spring").plan["arm"].to_pylist()
    assert counts["had the action lately"] == first.count("treated")
    assert counts["held out of another campaign"] == first.count(HELD_OUT)


@of_the_shop
def test_a_campaign_whose_manifest_is_gone_is_no_campaign_that_was_not(own_home):
    settings = settings_of(own_home)
    rules = read_rules(settings, "spring", budget=None, capacity={})
    keep(decide(own_home.history, settings, rules, own_home.run.as_of), settings)
    (campaigns.campaigns_folder() / "campaign=spring" / campaigns.MANIFEST).unlink()
    rules = read_rules(settings, "summer", budget=None, capacity={})
    with pytest.raises(ReleaseRefused, match="campaign=spring"):
        decide(own_home.history, settings, rules, own_home.run.as_of)
    shutil.rmtree(campaigns.campaigns_folder() / "campaign=spring")
    assert decide(own_home.history, settings, rules, own_home.run.as_of).plan.chosen.num_rows


@pytest.mark.parametrize("has_column", [True, False])
def test_a_column_of_consent_that_is_empty_is_the_consent_of_nobody(
    shop_with_trial, tmp_path, has_column
):
    folder, _, _ = shop_with_trial
    rows = pd.read_csv(folder / "data" / "customers.csv", dtype=str)
    rows = rows.assign(consent="") if has_column else rows
    rows.to_csv(tmp_path / "customers.csv", index=False)
    changes = {"files.customers": str(tmp_path / "customers.csv")}
    settings = load_settings(folder / "lifecycle.toml", changes)
    history, _ = load_history(settings)
    for each in (history, cut_history(history, settings, history.data_until)):
        data = IndicatorData(each, settings, history.data_until)
        listed = data.value("SELECT count(*) FILTER (listed) FROM people")
        assert listed == (0 if has_column else len(rows))
        data.close()
    counts = consent_counts(history, settings)
    assert (counts is not None) == has_column
    if counts is not None:
        assert (counts["yes"], counts["no"], counts["unknown"]) == (0, 0, len(rows))


def test_no_interval_of_four_and_four_is_a_point():
    for kept in range(5):
        outcome = np.array([1.0] * kept + [0.0] * (4 - kept) + [1.0, 1.0, 1.0, 0.0])
        ours = np.arange(8) < 4
        each = adjusted_difference(outcome, ours, ["x"] * 8, np.empty((8, 0)))
        each = safe_difference(each, outcome, ours)
        assert verdict((each.low, each.high), 0.05) not in (EFFECT, NONE)
        assert each.high - each.low > 0.3
