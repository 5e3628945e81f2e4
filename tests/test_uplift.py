"""Whom an action moves: learned from drawn arms, judged on customers it has not seen."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import numpy as np
import pyarrow as pa
import pytest

from features.core.errors import LeakSuspected, NotEnoughData, ReleaseRefused
from features.core.instants import DAY_US
from features.indicators.indicator_data import IndicatorData
from features.labels.outcomes import observe_outcomes
from features.recipes.definitions import learn_definitions
from lifecycle.commands.decide import decide
from lifecycle.commands.decide_rules import read_rules
from lifecycle.commands.measure import learn_effects
from serving.batch.run_folders import score_batch
from serving.campaigns import store as campaigns
from serving.campaigns.store import HELD_OUT
from serving.decisions.candidates import load_candidates
from serving.decisions.effect_model import (
    ActionEffect,
    EffectModel,
    Inputs,
    effects_at,
    effects_path,
    kept_probability,
    learn_inputs,
    log_hazard,
    read_effect_model,
)
from serving.decisions.plan import make_plan, price_options
from tests.support.campaigns import ACTIONS, no_contacts, settings_of
from training.effects.learn_effects import fit_line, learn_effect, unbiased_guess
from training.effects.other_learners import other_effects
from training.effects.qini import effect_deciles, qini, qini_area
from training.effects.uplift import is_as_good, learn_campaign

of_the_shop = pytest.mark.parametrize("business", ["trained_shop"], indirect=True)


def trial(seed: int, size: int = 6000, moved: float = 1.2):
    """inputs, hazard, arms and outcomes: customers whose first input is above 0 are moved alone.

    The effect is one of log-odds, so the model does not have the form of the truth.
    """
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(size, 5))
    odds = rng.normal(1, 1.5, size)
    is_treated = rng.random(size) < 0.6
    change = moved * (inputs[:, 0] > 0)
    plain, treated = (1 / (1 + np.exp(-each)) for each in (odds, odds + change))
    hazard = np.log(-np.log(plain))
    kept = rng.random(size) < np.where(is_treated, treated, plain)
    folds = rng.integers(0, 5, size)
    return inputs, hazard, is_treated, kept.astype(float), treated - plain, folds


def test_it_finds_who_is_moved():
    inputs, hazard, ours, kept, effect, folds = trial(1)
    learned = learn_effect(inputs, hazard, ours, kept, folds)
    assert np.corrcoef(learned.effect, effect)[0, 1] > 0.75
    assert learned.effect[inputs[:, 0] > 0].mean() > learned.effect[inputs[:, 0] < 0].mean() + 0.05
    assert learned.guess.mean() == pytest.approx(effect.mean(), abs=0.03)
    order = qini(learned.effect, ours, kept)
    assert order.low > 0
    best, worst = (lambda rows: (rows[0], rows[-1]))(effect_deciles(learned.effect, learned.guess))
    assert best.measured > worst.measured + 0.05


def test_where_everybody_is_moved_alike_no_order_is_claimed():
    areas = []
    for seed in range(12):
        inputs, hazard, ours, kept, _, folds = trial(seed, size=2500, moved=0.0)
        learned = learn_effect(inputs, hazard, ours, kept, folds)
        areas.append(qini(learned.effect, ours, kept))
        assert np.abs(learned.effect).mean() < 0.03
    assert sum(each.low > 0 for each in areas) <= 1


def test_the_guess_is_right_in_the_mean_whatever_the_model_says():
    _, _, ours, kept, effect, _ = trial(3, size=40_000)
    wrong = np.full(len(kept), 0.5), np.full(len(kept), 0.9)
    guess = unbiased_guess(*wrong, ours, kept, ours.mean())
    assert guess.mean() == pytest.approx(effect.mean(), abs=0.02)


def test_no_prediction_knows_its_own_outcome():
    inputs, hazard, ours, kept, _, folds = trial(4, size=1500)
    learned = learn_effect(inputs, hazard, ours, kept, folds)
    changed = kept.copy()
    changed[folds == 2] = 1 - changed[folds == 2]
    fold = folds == 2
    rest, _ = fit_line(inputs[~fold], hazard[~fold], ours[~fold], kept[~fold], learned.strength)
    alone, _ = rest.effect(inputs[fold], hazard[fold])
    assert alone == pytest.approx(learned.effect[fold], abs=1e-9)


def test_the_order_of_the_rows_changes_nothing_beyond_rounding():
    inputs, hazard, ours, kept, _, folds = trial(5, size=1200)
    places = np.random.default_rng(1).permutation(len(kept))
    first = learn_effect(inputs, hazard, ours, kept, folds)
    moved = (each[places] for each in (inputs, hazard, ours, kept, folds))
    again = learn_effect(*moved)
    assert again.effect == pytest.approx(first.effect[places], abs=1e-9)


def test_the_error_covers_the_effect():
    inside = []
    for seed in range(30):
        inputs, hazard, ours, kept, effect, _ = trial(seed, size=3000, moved=0.8)
        each, _ = fit_line(inputs, hazard, ours, kept, 10.0)
        ones = np.ones(len(kept))
        error = each.error_of_sum(inputs, hazard, ones)
        total = each.effect(inputs, hazard)[0].sum()
        inside.append(abs(total - effect.sum()) < 1.96 * error)
    assert 0.8 <= np.mean(inside) <= 1.0


@pytest.fixture
def planned(own_home):
    """A home with a campaign whose outcomes are complete: everybody drawn, and that day scored."""
    settings = settings_of(own_home)
    at = own_home.run.as_of - 100 * DAY_US
    run = score_batch(own_home.history, settings, own_home.release, as_of=at, in_sample=True)
    # As if a release of that day had scored it; what is tested here is not the model.
    manifest = run.folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"in_sample": true', '"in_sample": false'))
    known = own_home.history.as_of(at)
    definitions = learn_definitions(known, settings)
    outcomes = observe_outcomes(
        own_home.history, known, definitions=definitions, settings=settings
    ).rows
    ids = outcomes["customer_id"].to_pylist()
    rng = np.random.default_rng(1)
    arms = [HELD_OUT if each else "treated" for each in rng.random(len(ids)) < 0.4]
    columns = {each.name: pa.nulls(len(ids), each.type) for each in campaigns.SCHEMA}
    columns |= {
        "customer_id": pa.array(ids),
        "occurred_at": pa.array([at] * len(ids)),
        "recorded_at": pa.array([at] * len(ids)),
        "campaign": pa.array(["spring"] * len(ids)),
        "arm": pa.array(arms),
        "action": pa.array(["call"] * len(ids)),
        "stratum": pa.array(["x"] * len(ids)),
    }
    plan = pa.table(columns, schema=campaigns.SCHEMA)
    campaigns.write_campaign("spring", plan, {"as_of": at})
    return own_home, settings


@of_the_shop
def test_a_campaign_teaches_its_action_and_decide_uses_what_is_better(planned):
    business, settings = planned
    report, text = learn_effects(business.history, settings, "spring")
    action = report["actions"]["call"]
    assert action["treated"] + action["held_out"] > 200
    assert action["gain_over_risk"]["low"] <= action["gain_over_risk"]["value"]
    gain = action["gain_over_risk"]
    assert action["served"] == is_as_good((gain["value"], gain["low"], gain["high"]))
    assert effects_path().is_file() == action["served"]
    assert "call:" in text
    assert json.loads(json.dumps(report)) == report


@of_the_shop
def test_learned_effects_replace_the_acceptance_and_nothing_else(planned):
    business, settings = planned
    customers = learn_campaign(business.history, settings, "spring")
    size = len(customers.model.inputs.names)
    nothing = np.zeros(size + 1).tolist()
    moved = [-1.0, *nothing[1:]]
    flat = np.zeros((2 * size + 2, 2 * size + 2)).tolist()
    effect = ActionEffect(nothing, moved, nothing[1:], np.ones(size).tolist(), flat)
    model = EffectModel("spring", customers.model.inputs, {"call": effect})
    model.write(effects_path())
    assert read_effect_model(effects_path()) == model
    assert effects_at(0) == model
    rules = read_rules(settings, "summer", budget=None, capacity={})
    rules = dataclasses.replace(rules, effects=model)
    data = IndicatorData(business.history, settings, business.run.as_of)
    rows = load_candidates(data, no_contacts()).rows
    data.close()
    options = price_options(rows, no_contacts(), rules, business.run.as_of)
    plain = price_options(
        rows, no_contacts(), dataclasses.replace(rules, effects=None), business.run.as_of
    )
    place = options.names.index("call")
    hazard = log_hazard(rows)
    kept_more = kept_probability(hazard - 1) - kept_probability(hazard)
    expected = kept_more * rows["value"].to_numpy() - ACTIONS["call"].contact_cost
    known = np.isfinite(options.profit[:, place])
    assert known.any()
    assert options.profit[known, place] == pytest.approx(expected[known])
    other = options.names.index("voucher")
    assert np.array_equal(options.profit[:, other], plain.profit[:, other], equal_nan=True)
    assert make_plan(rows, no_contacts(), rules, business.run.as_of).chosen.num_rows > 0


@of_the_shop
def test_a_second_row_of_a_customer_teaches_nothing_twice(planned):
    business, settings = planned
    once = learn_campaign(business.history, settings, "spring").report()["actions"]["call"]
    plan = campaigns.read_campaign("spring").plan
    campaigns.write_campaign("twice", pa.concat_tables([plan, plan.slice(0, 90)]), {"as_of": 0})
    twice = learn_campaign(business.history, settings, "twice").report()["actions"]["call"]
    assert [twice[name] for name in ("treated", "held_out")] == [
        once[name] for name in ("treated", "held_out")
    ]


@of_the_shop
def test_effects_are_not_known_before_their_outcomes(planned):
    business, settings = planned
    learned = learn_campaign(business.history, settings, "spring")
    decided = campaigns.read_campaign("spring").as_of
    assert learned.model.known_from == decided + settings.outcome_window_us
    learned.model.write(effects_path())
    assert effects_at(learned.model.known_from - 1) is None
    assert effects_at(learned.model.known_from) == learned.model


@of_the_shop
def test_scores_that_have_learned_the_outcomes_teach_and_decide_nothing(planned):
    business, settings = planned
    at = campaigns.read_campaign("spring").as_of
    for manifest in (business.home / "scores").glob("*/*/manifest.json"):
        text = manifest.read_text()
        manifest.write_text(text.replace('"in_sample": false', '"in_sample": true'))
    with pytest.raises(LeakSuspected, match="backfill"):
        learn_campaign(business.history, settings, "spring")
    rules = read_rules(settings, "summer", budget=None, capacity={})
    with pytest.raises(LeakSuspected, match="backfill"):
        decide(business.history, settings, rules, at)


@pytest.mark.parametrize(
    ("gain", "as_good"),
    [
        ((1.0, -1.0, 3.0), True),
        ((-0.9, -2.86, 1.06), True),
        ((-1.1, -3.06, 0.86), False),
        ((-1.0, -2.0, 0.0), False),
    ],
)
def test_effects_are_served_unless_sending_by_risk_is_better_by_a_standard_error(gain, as_good):
    assert is_as_good(gain) == as_good


@of_the_shop
def test_a_campaign_without_scores_of_its_day_says_what_to_type(planned):
    business, settings = planned
    plan = campaigns.read_campaign("spring").plan
    at = pa.array([business.run.as_of - 120 * DAY_US] * plan.num_rows)
    plan = plan.set_column(plan.column_names.index("recorded_at"), "recorded_at", at)
    campaigns.write_campaign("older", plan, {"as_of": 0})
    with pytest.raises(NotEnoughData, match="lifecycle score"):
        learn_campaign(business.history, settings, "older")


@pytest.mark.parametrize(
    "damage",
    [
        lambda read: read.pop("inputs"),
        lambda read: read["actions"]["call"].update(change=[1.0]),
        lambda read: read["actions"]["call"].update(
            scale=[0.0] * len(read["actions"]["call"]["scale"])
        ),
        lambda read: read["actions"]["call"].update(more=1),
        lambda read: read["actions"]["call"].update(
            change=["x"] * len(read["actions"]["call"]["change"])
        ),
        lambda read: read.clear(),
    ],
)
def test_a_damaged_file_of_effects_is_refused(home, damage):
    names = len(Inputs({}).names)
    effect = ActionEffect(
        [0.0] * (names + 1),
        [0.0] * (names + 1),
        [0.0] * names,
        [1.0] * names,
        np.zeros((2 * names + 2, 2 * names + 2)).tolist(),
    )
    EffectModel("spring", Inputs({}), {"call": effect}).write(effects_path())
    assert read_effect_model(effects_path()).campaign == "spring"
    read = json.loads(effects_path().read_text())
    del read["sha256"]
    damage(read)
    # With the hash of what it has: it is the content that is refused.
    digest = hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest()
    effects_path().write_text(json.dumps({**read, "sha256": digest}))
    with pytest.raises(ReleaseRefused, match="no effects that"):
        read_effect_model(effects_path())


def test_effects_that_were_changed_or_have_no_hash_are_refused_by_name(home):
    EffectModel("spring", Inputs({}), {}, known_from=5).write(effects_path())
    read = json.loads(effects_path().read_text())
    effects_path().write_text(json.dumps({**read, "known_from": 4}))
    with pytest.raises(ReleaseRefused, match="effects that were changed"):
        read_effect_model(effects_path())
    del read["sha256"]
    effects_path().write_text(json.dumps(read))
    with pytest.raises(ReleaseRefused, match="effects without a hash"):
        read_effect_model(effects_path())


def test_inputs_are_numbers_whatever_is_not_known():
    rows = pa.table(
        {
            "risk": [0.0, 1.0, 0.5],
            "value": [None, -5.0, 1e12],
            "days_since_activity": [None, 0.0, 1e6],
            "days_since_complaint": [None, 0.0, 1e9],
            "stage": ["new", None, "odd"],
            "segment": pa.array([None, None, None], pa.string()),
            "channel": ["a", "b", "c"],
        }
    )
    inputs = learn_inputs(pa.concat_tables([rows] * 60))
    assert np.isfinite(inputs.matrix(rows)).all()
    assert inputs.matrix(rows).shape == (3, len(inputs.names))
    assert inputs.matrix(rows.slice(0, 0)).shape == (0, len(inputs.names))


def test_the_usual_learners_order_customers_too_and_none_has_seen_them():
    inputs, hazard, ours, kept, effect, folds = trial(1)
    learned = learn_effect(inputs, hazard, ours, kept, folds)
    others = other_effects(inputs, hazard, ours, kept, learned.guess, folds)
    assert set(others) == {"T-learner", "DR-learner"}
    for each in others.values():
        assert np.corrcoef(each, effect)[0, 1] > 0.4
        assert qini_area(each, ours, kept) == qini(each, ours, kept).area
    # A customer's own outcome does not reach the customer's own effect.
    changed = kept.copy()
    changed[folds == 0] = 1 - changed[folds == 0]
    guess = learned.guess.copy()
    guess[folds == 0] += 5
    again = other_effects(inputs, hazard, ours, changed, guess, folds)
    for name, each in others.items():
        assert np.allclose(each[folds == 0], again[name][folds == 0], atol=1e-9)
        assert not np.allclose(each[folds == 1], again[name][folds == 1], atol=1e-3)


def test_an_arm_with_one_outcome_has_an_effect():
    inputs, hazard, ours, _, _, folds = trial(2, size=600)
    kept = np.ones(600)
    others = other_effects(inputs, hazard, ours, kept, np.zeros(600), folds)
    assert all(np.allclose(each, 0) for each in others.values())
