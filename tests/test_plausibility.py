"""Figures that do not flatter: of what is served, for those it is about, and no praise for no
skill.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from features.recipes.stages import STAGES
from serving.scoring.parts import Blend, Rate, log_odds
from serving.scoring.scorer import Calibration, Scorer
from tests.support.definitions import definitions_of
from training import metrics, promote
from training.evaluation import baselines, plausibility
from training.evaluation.baseline_comparison import OURS, baseline_comparison, recommendation
from training.evaluation.gate_comparison import PASSES, REFUSED

DAY_US = 86_400_000_000


def rows(count, *, eligible, rate, other_rate, seed=0):
    """Labelled rows of customers; `eligible`: the share that is."""
    rng = np.random.default_rng(seed)
    is_eligible = rng.random(count) < eligible
    churned = rng.random(count) < np.where(is_eligible, rate, other_rate)
    as_of = np.full(count, 400 * DAY_US)
    last = as_of - (np.where(is_eligible, 20, 200) + np.arange(count) % 5) * DAY_US
    stages = np.where(is_eligible, "growing", "churned")
    return pa.table(
        {
            "customer_id": [f"c{k}" for k in range(count)],
            "as_of": as_of,
            "first_at": last - 30 * DAY_US,
            "last_at": last,
            "recency_from": last,
            "n": np.full(count, 2),
            "eligible": is_eligible,
            "churned": churned,
            "stage": stages,
            "stage_if_inactive": np.where(is_eligible, "dormant", "churned"),
            "outcome_stage": np.where(churned, "dormant", "growing"),
            "overdue_state": np.ones(count),
            "recency": np.where(is_eligible, 20.0, 200.0),
        }
    )


def constant(p):
    q = Blend(((1.0, Rate((0.0,))),))
    churn = Blend(((1.0, Rate((float(log_odds(p)),))),))
    return Scorer(
        definitions_of(), ("recency",), churn, Calibration(), q, ("growing",), 10**6, 10**6
    )


def better(early, late):
    about = {"outcome_window_us": 90 * DAY_US, "contractual": False}
    return baselines.better_baselines(early, late, definitions_of(), **about)


def test_baselines_of_the_eligible_are_fitted_on_the_eligible_where_that_is_better():
    """One in twenty eligible customers leaves, and nearly all of the others have left."""
    early, late = (
        rows(2000, eligible=0.5, rate=0.05, other_rate=0.95, seed=seed) for seed in (1, 2)
    )
    both = better(early, late)
    everyone, theirs = both["everyone"], both["eligible"]
    eligible = late["eligible"].to_numpy()
    y = late["churned"].to_numpy()
    assert everyone.churn["base rate"][0] == pytest.approx(0.5, abs=0.05)
    assert everyone.churn_fitted_on["base rate"] == "everyone"
    assert theirs.churn["base rate"] == pytest.approx(np.full(eligible.sum(), 0.05), abs=0.02)
    assert theirs.churn_fitted_on["base rate"] == "eligible"
    loss = metrics.log_losses(y[eligible], theirs.churn["base rate"]).mean()
    assert (
        loss < metrics.log_losses(y[eligible], everyone.churn["base rate"][eligible]).mean() - 0.3
    )
    each = (*theirs.churn.values(), *theirs.stages.values())
    assert all(len(p) == eligible.sum() for p in each)
    dormant = theirs.stages["marginal"][:, STAGES.index("dormant")]
    assert dormant == pytest.approx(np.full(eligible.sum(), 0.05), abs=0.03)
    assert theirs.stages_fitted_on["marginal"] == "eligible"


def test_a_baseline_is_shown_as_fitted_on_the_population_where_it_loses_less():
    """Whom the eligible of the training say little of: nine in ten of them left, later half."""
    early = rows(1000, eligible=0.5, rate=0.9, other_rate=0.1)
    late = rows(1000, eligible=0.5, rate=0.5, other_rate=0.5, seed=2)
    both = better(early, late)
    assert both["eligible"].churn["base rate"][0] == pytest.approx(0.5, abs=0.05)
    assert both["eligible"].churn_fitted_on["base rate"] == "everyone"
    y = late["churned"].to_numpy()
    for who, mask in (
        ("everyone", np.ones(len(y), bool)),
        ("eligible", late["eligible"].to_numpy()),
    ):
        fits = [
            baselines.all_baselines(
                part,
                late,
                definitions_of(),
                outcome_window_us=90 * DAY_US,
                contractual=False,
                past=early,
            )[0]
            for part in (early, early.filter(early["eligible"]))
        ]
        for name, p in both[who].churn.items():
            losses = [metrics.log_losses(y[mask], each[name][mask]).sum() for each in fits]
            assert metrics.log_losses(y[mask], p).sum() == min(losses), (who, name)


def test_where_all_eligible_left_there_is_one_fit():
    early = rows(400, eligible=0.5, rate=0.0, other_rate=0.9)
    both = better(early, rows(400, eligible=0.5, rate=0.2, other_rate=0.9, seed=2))
    assert set(both["eligible"].churn_fitted_on.values()) == {"everyone"}


def test_the_own_past_counts_what_happened_while_a_customer_was_not_eligible():
    early = rows(300, eligible=0.5, rate=0.4, other_rate=0.9)
    late = early.set_column(
        early.column_names.index("as_of"), "as_of", pa.array(np.full(300, 800 * DAY_US))
    )
    all_eligible = late.set_column(
        late.column_names.index("eligible"), "eligible", pa.array([True] * 300)
    )
    own = better(early, all_eligible)["eligible"].churn["own past rate"]
    left = early["churned"].to_numpy()
    assert own[left].min() > own[~left].max()


def test_the_calibration_printed_is_that_of_the_scores_that_are_served():
    late = rows(1000, eligible=0.6, rate=0.3, other_rate=0.3)
    y = late["churned"].to_numpy()
    flattering = {"auroc": 0.5, "ece": 0.0, "log_loss": 0.6}
    report = plausibility.served_churn_report(
        {"everyone": flattering, "eligible": flattering}, constant(0.55), late
    )
    assert report["everyone"]["ece"] == pytest.approx(0.55 - y.mean(), abs=1e-9)
    assert report["everyone"]["log_loss"] == 0.6  # the model's own figures stay
    assert report["everyone"]["calibration"]["predicted"] == pytest.approx(0.55)
    eligible = late["eligible"].to_numpy()
    assert report["eligible"]["ece"] == pytest.approx(0.55 - y[eligible].mean(), abs=1e-9)


@pytest.mark.parametrize(
    ("rows", "error", "is_refused"),
    [
        (3000, 0.15, True),
        (3000, 0.08, False),
        (130, 0.15, False),  # so few rows may miss by so much
        (90, 0.5, False),  # too few to judge
    ],
)
def test_scores_that_are_surely_off_by_over_ten_percent_are_refused(rows, error, is_refused):
    rng = np.random.default_rng(3)
    p = rng.uniform(0.3, 0.5, rows)
    y = rng.random(rows) < p + error
    low = plausibility.ece_lower_bound(y, p, np.arange(rows).astype(str))
    assert (low is not None and low > plausibility.MAX_ECE) == is_refused
    churn = {
        who: {"auroc": 0.7, "ece": metrics.ece(y, p), "ece_low": low}
        for who in ("eligible", "everyone")
    }
    gate = plausibility.with_own_objections(
        {"champion": None, "verdict": PASSES, "why": ["nothing is served yet"]}, churn
    )
    assert (gate["verdict"] == REFUSED) == is_refused
    if is_refused:
        assert gate["own"] == gate["why"]
        assert "more than 10.0 % is not served" in gate["own"][0]


def test_true_probabilities_are_hardly_ever_surely_off():
    """One customer's rows move together: rows taken for independent would often be refused."""
    lows, alone = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        p = rng.uniform(0.1, 0.6, 100)
        left = rng.random(100) < p
        y, p, ids = np.repeat(left, 8), np.repeat(p, 8), np.repeat(np.arange(100), 8)
        lows.append(plausibility.ece_lower_bound(y, p, ids))
        alone.append(plausibility.ece_lower_bound(y, p, np.arange(800)))
    assert np.mean(np.array(lows) > 0) < 0.5
    assert np.quantile(lows, 0.95) < plausibility.MAX_ECE < np.quantile(alone, 0.95)


def test_an_objection_of_its_own_holds_though_nothing_is_served(own_home):
    release = own_home.release
    gate = {"champion": None, "verdict": REFUSED, "why": ["off"], "own": ["off"]}
    object.__setattr__(release, "evaluation", release.evaluation | {"gate": gate})
    assert promote.check_promotion(release).objections == ("off",)


def comparison(ours, best, count=400):
    rng = np.random.default_rng(0)
    luck = rng.exponential(1, count)
    ids = np.array([f"c{k}" for k in range(count)])
    theirs = {"base rate": best + luck, "recency": best + 0.1 + luck}
    return baseline_comparison(ours + luck + rng.normal(0, 0.01, count), theirs, ids)


def churn_section(low, *, ours=0.5, base=0.6):
    figures = {
        "auroc": 0.6,
        "auroc_low": low,
        "log_loss": ours,
        "baselines": {"base rate": {"log_loss": base}},
        "paired_log_loss": {
            "base rate": {
                "difference": ours - base,
                "low": ours - base - 0.001,
                "high": ours - base + 0.001,
            }
        },
        "baseline_comparison": comparison(0.2, 0.3),
    }
    stages = {"log_loss": 0.4, "baseline_comparison": comparison(0.2, 0.3)}
    return {
        "churn": dict.fromkeys(("everyone", "eligible"), figures),
        "next_stage": dict.fromkeys(("everyone", "eligible"), stages),
    }


def test_a_model_without_skill_is_never_recommended():
    assert recommendation(churn_section(0.51))["churn"]["recommended"] == OURS
    churn = recommendation(churn_section(0.49))["churn"]
    assert churn["recommended"] == "base rate"
    assert "no skill" in churn["verdict"]
    assert recommendation(churn_section(0.49))["next_stage"]["recommended"] == OURS


@pytest.mark.parametrize(
    ("low", "ours", "says"),
    [
        (0.49, 0.5, "No skill: "),
        (0.51, 0.595, "Nearly no skill: the log loss of eligible is .5950, only 0.8 % below"),
        (0.51, 0.5995, None),  # not surely better: the verdict says so
        (0.51, 0.58, None),
    ],
)
def test_little_skill_is_a_sentence(low, ours, says):
    note = plausibility.skill_note(churn_section(low, ours=ours))
    assert note is None if says is None else note.startswith(says)
