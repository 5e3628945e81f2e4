"""The ladder: what is recommended, and that no better is said to be no better."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st

from lifecycle import cli as door
from tests.support.checks import nonempty
from training.evaluation.baseline_comparison import OURS, baseline_comparison, lines, recommendation

NAMES = ("base rate", "recency", "RFM logistic")


def customers(count):
    return np.array([f"c{k}" for k in range(count)])


def lost(*means, rows=400, noise=0.1, seed=0):
    """Losses of models, by mean; every row's own luck is common to all of them, so differences are
    sure.
    """
    rng = np.random.default_rng(seed)
    luck = rng.exponential(1, rows)
    return [mean + luck + rng.normal(0, noise, rows) for mean in means]


def climbed(ours, *theirs, rows=400, **stated):
    first, *others = lost(ours, *theirs, rows=rows, **stated)
    return baseline_comparison(first, dict(zip(NAMES, others, strict=True)), customers(rows))


def test_our_model_is_recommended_where_it_beats_the_best_simpler_one():
    found = climbed(0.1, 0.5, 0.4, 0.3)
    assert found["recommended"] == OURS
    assert found["best_simpler"] == "RFM logistic"
    assert found["verdict"].startswith("our model is better than RFM logistic by 0.1")
    assert [rung["name"] for rung in found["candidates"]] == [*NAMES, OURS]
    assert [rung["beaten_by"] for rung in found["candidates"]] == [
        ["recency", "RFM logistic", OURS],
        ["RFM logistic", OURS],
        [OURS],
        [],
    ]


def test_a_model_no_better_than_recency_is_told_so_and_recency_is_recommended():
    found = climbed(0.3, 0.5, 0.3, 0.4, seed=1)
    assert found["verdict"].startswith("our model is no better than recency: ")
    assert found["recommended"] == "recency"
    assert found["difference"]["low"] < 0 < found["difference"]["high"]


def test_a_worse_one_is_worse_and_among_equals_the_simplest_is_enough():
    found = climbed(0.9, 0.5, 0.3, 0.3, seed=2)
    assert (
        found["recommended"] == "recency"
    )  # the logistic may lose a little less, but not beyond its interval
    assert "our model is worse than" in found["verdict"]
    if found["best_simpler"] != "recency":
        assert found["verdict"].endswith("no better than recency, which is simpler")


@pytest.mark.parametrize("same", [0, 1, 2])
def test_a_model_equal_to_a_baseline_is_no_better_than_it(same):
    theirs = lost(0.5, 0.4, 0.3)
    theirs[same] = theirs[same] - 1  # the best of them by far
    found = baseline_comparison(
        theirs[same].copy(), dict(zip(NAMES, theirs, strict=True)), customers(400)
    )
    assert (
        found["verdict"] == f"our model is no better than {NAMES[same]}: 0.0000 (0.0000 … 0.0000)"
    )
    assert found["recommended"] == NAMES[same]
    nearly = baseline_comparison(
        theirs[same] - 1e-13, dict(zip(NAMES, theirs, strict=True)), customers(400)
    )
    assert nearly["recommended"] == NAMES[same]  # what arithmetic does by itself is no gain


@given(st.integers(0, 2**32 - 1), st.lists(st.floats(0.1, 0.4), min_size=4, max_size=4))
@how(max_examples=25, deadline=None)
def test_the_order_of_rows_and_of_names_says_nothing_and_what_is_recommended_is_unbeaten(
    seed, means
):
    rng = np.random.default_rng(seed)
    ours, *theirs = lost(*means, rows=120, noise=0.3, seed=seed)
    ids, named = customers(40)[rng.integers(0, 40, 120)], dict(zip(NAMES, theirs, strict=True))
    found = baseline_comparison(ours, named, ids)
    dealt, turned = rng.permutation(120), dict(reversed(named.items()))
    again = baseline_comparison(
        ours[dealt], {name: each[dealt] for name, each in turned.items()}, ids[dealt]
    )
    assert (again["recommended"], again["best_simpler"], again["candidates"]) == (
        found["recommended"],
        found["best_simpler"],
        found["candidates"],
    )
    assert again["difference"] == pytest.approx(found["difference"], abs=1e-9)
    unbeaten = [rung["name"] for rung in found["candidates"] if not rung["beaten_by"]]
    assert found["recommended"] in unbeaten
    if found["recommended"] != OURS:
        assert found["recommended"] == unbeaten[0]


def test_few_customers_tell_nothing_and_the_simplest_is_enough():
    found = climbed(0.0, 5.0, 5.0, 5.0, rows=29)
    assert found["recommended"] == "base rate"
    assert found["verdict"].startswith("29 customers are too few to tell our model from ")
    rows = np.zeros(500)
    one = baseline_comparison(rows, dict.fromkeys(NAMES, rows + 1), np.repeat("one", 500))
    assert (one["customers"], one["recommended"]) == (1, "base rate")


def test_nobody_has_no_ladder():
    nobody = np.zeros(0)
    found = baseline_comparison(nobody, dict.fromkeys(NAMES, nobody), np.zeros(0, dtype=str))
    assert (found["candidates"], found["recommended"], found["verdict"]) == ([], None, None)


def account(churn, stages, **stated):
    out = {
        "churn": {
            "everyone": {"auroc": 0.8, "auroc_low": 0.7, "baseline_comparison": churn},
            "eligible": {"auroc": None, "baseline_comparison": churn},
        },
        "next_stage": {
            who: {"log_loss": 0.4, "baseline_comparison": stages}
            for who in ("everyone", "eligible")
        },
    }
    return {**out, "recommendation": recommendation(out), "status": "ok", **stated}


def test_what_is_said_of_a_release_is_what_it_serves():
    good, bad = climbed(0.1, 0.5, 0.4, 0.3), climbed(0.3, 0.5, 0.3, 0.4, seed=1)
    first, second = lines(account(good, bad))
    # Among eligible customers nothing is known of this AUROC: it is judged among everyone.
    assert first.startswith(
        "recommended for churn: our model (everyone: our model is better than RFM logistic by "
    )
    assert second.startswith(
        "recommended for the next stage: recency (eligible: our model is no better than recency: "
    )
    assert second.endswith("this one serves our model")
    assert lines(account(bad, good, status="no_skill"))[0].endswith("This release serves rates")
    assert lines(account(bad, bad, models={"next-stage": "frequencies"}))[1].endswith(
        "serves frequencies"
    )
    assert lines({"status": "not_enough_data"}) == []
    nobody = baseline_comparison(np.zeros(0), dict.fromkeys(NAMES, np.zeros(0)), np.zeros(0))
    assert recommendation(account(nobody, good))["churn"] is None


@pytest.mark.parametrize("business", ["trained_shop"], indirect=True)
def test_a_training_says_what_it_recommends_in_its_account_and_promote_repeats_it(own_home, capsys):
    evaluation = own_home.trained.evaluation
    for model, sections in (
        ("churn", evaluation["churn"]),
        ("next_stage", evaluation["next_stage"]),
    ):
        for section in nonempty(sections.values()):
            rungs = [rung["name"] for rung in section["baseline_comparison"]["candidates"]]
            assert sorted(rungs) == sorted([*section["baselines"], OURS])
            best = min(section["baselines"].values(), key=lambda each: each["log_loss"])
            assert section["baselines"][section["baseline_comparison"]["best_simpler"]] == best
            wins = section["baseline_comparison"]["difference"]["high"] < 0
            assert (section["baseline_comparison"]["recommended"] == OURS) == wins
        stated = evaluation["recommendation"][model]
        assert (
            stated["recommended"]
            == sections[stated["population"]]["baseline_comparison"]["recommended"]
        )
    door.train.promote(own_home.release.id)
    printed = capsys.readouterr().out.splitlines()
    assert [line.strip() for line in printed[1:3]] == lines(own_home.release.evaluation)
    assert len(lines(own_home.release.evaluation)) == 2
    json.dumps(evaluation["recommendation"], allow_nan=False)
