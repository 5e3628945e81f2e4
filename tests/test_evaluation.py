"""The evaluation itself: laws, a second source for each number, and no skill where there is
none.
"""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import settings as how
from hypothesis import strategies as st

from features.recipes.stages import STAGES
from serving.scoring.parts import sigmoid
from serving.scoring.scorer import Calibration, Scorer, stage_index
from tests.support.checks import nonempty
from tests.support.constant_rates import constant_rate
from training import examples, metrics, plan, splits
from training.evaluation import baseline_comparison, baselines, slices
from training.evaluation.evaluate import evaluate
from training.models import churn, fit_calibration, next_stage
from training.reports import summary


def labelled(seed, rows=400, strength=1.0):
    rng = np.random.default_rng(seed)
    margin = rng.normal(0, strength, rows)
    return rng.random(rows) < sigmoid(margin), sigmoid(margin)


@given(st.integers(0, 10_000))
@how(max_examples=40, deadline=None)
def test_auroc_is_the_share_of_pairs_in_order_and_agrees_with_sklearn(seed):
    from sklearn.metrics import roc_auc_score

    y, p = labelled(seed, rows=60)
    p = np.round(p, 1)  # with ties
    assume(y.any() and not y.all())
    value, error = metrics.auroc(y, p)
    pairs = [(a > b) + 0.5 * (a == b) for a in p[y] for b in p[~y]]
    assert value == pytest.approx(np.mean(pairs))
    assert value == pytest.approx(roc_auc_score(y, p))
    assert metrics.auroc(y, -p)[0] == pytest.approx(1 - value)
    assert error >= 0


def test_the_auroc_s_error_is_what_new_samples_show():
    found = [metrics.auroc(*labelled(seed)) for seed in range(300)]
    assert np.std([value for value, _ in found]) == pytest.approx(
        np.mean([error for _, error in found]), rel=0.15
    )


def test_the_paired_interval_covers_nothing_when_nothing_is_there():
    rng = np.random.default_rng(1)
    outside = 0
    for seed in range(60):
        customers = rng.integers(0, 80, 300)
        own = rng.normal(0, 1, 80)[customers]  # all rows of one customer move together
        pair = metrics.paired_difference(
            own + rng.normal(0, 0.1, 300), np.zeros(300), customers, seed=seed
        )
        outside += not pair["low"] <= 0 <= pair["high"]
    assert outside <= 9  # 5 % of 60 are 3; rows taken for independent would leave out about half


def test_a_perfect_score_and_a_constant_one():
    y, _ = labelled(2)
    perfect = metrics.churn_metrics(y, np.where(y, 1 - 1e-9, 1e-9))
    assert perfect["auroc"] == 1
    assert perfect["log_loss"] < 1e-8
    assert perfect["ece"] < 1e-8
    constant = metrics.churn_metrics(y, np.full(len(y), y.mean()))
    assert constant["auroc"] == 0.5
    assert not metrics.has_skill({"eligible": constant, "everyone": perfect})
    assert metrics.has_skill({"eligible": perfect, "everyone": constant})


@pytest.mark.parametrize("y", [np.zeros(20, bool), np.ones(20, bool), np.zeros(0, bool)])
def test_one_class_or_nobody_has_no_auroc_and_no_error(y):
    found = metrics.churn_metrics(y, np.full(len(y), 0.3))
    assert found["auroc"] is None
    assert found["rows"] == len(y)


def test_losing_a_realised_stage_is_infinite_and_the_truth_is_best():
    p = np.eye(7)[[0, 1, 2]] * 0.94 + 0.01 - 0.01 * np.eye(7)[[0, 1, 2]]
    truth, other = np.array([0, 1, 2]), np.array([6, 6, 6])
    assert metrics.stage_metrics(truth, p)["log_loss"] < metrics.stage_metrics(other, p)["log_loss"]
    assert (
        metrics.stage_metrics(truth, p)["ranked_probability_score"]
        < metrics.stage_metrics(other, p)["ranked_probability_score"]
    )
    assert np.isinf(metrics.stage_log_losses(np.array([3]), np.eye(7)[[0]])).all()


def test_verdicts_say_better_worse_or_neither():
    said = [
        metrics.verdict("recency", {"difference": (a + b) / 2, "low": a, "high": b})
        for a, b in ((-2, -1), (1, 2), (-1, 1))
    ]
    assert [text.split(" recency")[0] for text in said] == [
        "better than",
        "worse than",
        "no better than",
    ]


def test_calibration_mends_a_shift_and_leaves_few_rows_alone():
    rng = np.random.default_rng(3)
    margin = rng.normal(0, 1.5, 20_000)
    y = rng.random(20_000) < sigmoid(0.7 * margin + 0.5)
    found = fit_calibration.fit_kind(margin, y)
    assert (found.slope, found.shift) == (
        pytest.approx(0.7, abs=0.05),
        pytest.approx(0.5, abs=0.05),
    )
    few = fit_calibration.fit_kind(margin[:4], y[:4])
    assert abs(few.slope - 1) < 0.3
    assert (
        fit_calibration.fit_kind(margin, -margin > rng.logistic(size=20_000)).slope > 0
    )  # even where the order is wrong
    assert fit_calibration.fit_kind(margin[:5], np.ones(5, bool)) == fit_calibration.Calibration()


@pytest.fixture(scope="module")
def made(shop):
    _, settings, history = shop
    quick = settings.training.model_copy(update={"evaluate": [], "max_dates": 5, "step_days": 60})
    settings = settings.model_copy(update={"training": quick})
    dates = plan.make_plan(history, settings)
    return settings, dates, examples.make_examples(history, settings, dates)


def test_shuffled_labels_score_one_half(made):
    """Labels dealt anew to customers, in training and evaluation alike: whatever is found then is a
    leak.
    """
    settings, dates, found = made
    rng = np.random.default_rng(4)
    dealt = found.rows.set_column(
        found.rows.column_names.index("churned"),
        "churned",
        pa.array(rng.permutation(found.rows["churned"].to_numpy())),
    )
    early, late = (
        dealt.filter(pa.array(np.isin(dealt["as_of"].to_numpy(), at)))
        for at in (dates.train, dates.evaluate)
    )
    ingredients = churn.search_churn_model(early, found.modelled, settings, seconds=1)
    blend, _ = churn.fit_churn_model(
        ingredients,
        early,
        found.modelled,
        outcome_window_us=settings.outcome_window_us,
        seed=settings.training.seed,
        contractual=settings.contractual,
    )
    from serving.scoring.parts import design_matrix

    value, error = metrics.auroc(
        late["churned"].to_numpy(), blend.margins(design_matrix(late, found.modelled))[:, 0]
    )
    assert abs(value - 0.5) < 3 * error


def test_baselines_are_probabilities_and_distributions(made):
    settings, dates, found = made
    early, late = found.rows_at(dates.train), found.rows_at(dates.evaluate)
    p = baselines.churn_baselines(
        early, late, outcome_window_us=settings.outcome_window_us, contractual=settings.contractual
    )
    assert set(p) == {"base rate", "recency", "own past rate", "RFM logistic", "BG/NBD"}
    assert all(((v > 0) & (v < 1)).all() for v in nonempty(p.values()))
    nexts = baselines.stage_baselines(
        early, late, found.definitions, p_base=p["base rate"], p_logistic=p["RFM logistic"]
    )
    assert set(nexts) == {
        "marginal",
        "persistence",
        "Markov",
        "semi-Markov",
        "hurdle, constant p",
        "hurdle, logistic p",
    }
    outcome = stage_index(late["outcome_stage"].to_numpy())
    for name, q in nonempty(nexts.items()):
        assert np.allclose(q.sum(axis=1), 1), name
        assert np.isfinite(metrics.stage_log_losses(outcome, q)).all(), name
        assert q.shape[1] == len(STAGES)


def test_the_own_past_rate_reads_closed_windows_only(made):
    settings, dates, found = made
    late = found.rows_at(dates.evaluate)
    first = baselines._own_past_rate(found.rows, late, 0.3, settings.outcome_window_us)
    window = settings.churn.horizon_days + settings.churn.label_latency_days
    open_ones = found.rows["as_of"].to_numpy() + window * 86_400_000_000 > dates.evaluate[0]
    assert open_ones.any()
    flipped = np.where(
        open_ones, ~found.rows["churned"].to_numpy(), found.rows["churned"].to_numpy()
    )
    other = found.rows.set_column(
        found.rows.column_names.index("churned"), "churned", pa.array(flipped)
    )
    assert np.array_equal(
        first, baselines._own_past_rate(other, late, 0.3, settings.outcome_window_us)
    )
    assert len(np.unique(first)) > 2


def test_tuning_checks_forward_in_time_and_else_by_customer(made):
    settings, dates, found = made
    early = found.rows_at(dates.train)
    folds = splits.tuning_folds(early, outcome_window_us=settings.outcome_window_us)
    at = early["as_of"].to_numpy()
    window = (settings.churn.horizon_days + settings.churn.label_latency_days) * 86_400_000_000
    for fit, check in nonempty(folds.pairs):
        assert (at[fit] + window <= at[check].min()).all()
    one_date = found.rows_at(dates.train[-1:])
    grouped = splits.tuning_folds(one_date, outcome_window_us=settings.outcome_window_us)
    assert grouped.kind == "grouped by customer"
    ids = np.array(one_date["customer_id"].to_pylist())
    assert all(not set(ids[fit]) & set(ids[check]) for fit, check in nonempty(grouped.pairs))


@pytest.mark.slow
@pytest.mark.long
def test_long_windows_are_modelled_only_when_the_history_is_long(made):
    _, dates, found = made
    day = 86_400_000_000
    few = examples.supported_columns(
        found.columns, first=dates.train[0] - 40 * day, dates=dates.train[:1]
    )
    assert few
    assert not [name for name in few if name.endswith(("_60d", "_90d", "_180d", "_365d"))]
    assert len(
        examples.supported_columns(
            found.columns, first=dates.train[0] - 4000 * day, dates=dates.train
        )
    ) == len(found.names)


def _nobody_eligible(late):
    return late.set_column(
        late.column_names.index("eligible"),
        "eligible",
        pa.array(np.zeros(late.num_rows, dtype=bool)),
    )


def _everybody_stayed(late):
    return late.filter(pa.array(~late["churned"].to_numpy()))


@pytest.mark.parametrize(
    "degrade",
    [
        _nobody_eligible,
        _everybody_stayed,
        lambda late: late.slice(0, 1),
        lambda late: late.slice(0, 0),
    ],
)
def test_what_cannot_be_told_is_none_and_the_account_is_still_printed(made, degrade):
    settings, dates, found = made
    early, late = found.rows_at(dates.train), degrade(found.rows_at(dates.evaluate))
    q, classes = next_stage.fit_frequencies(early)
    scorer = Scorer(
        found.definitions,
        found.modelled,
        constant_rate(early),
        Calibration(),
        q,
        classes,
        early.num_rows,
        9,
    )
    account = evaluate(scorer, early, late, found, settings)
    json.dumps(account, allow_nan=False)
    told = {
        "status": "no_skill",
        "as_of": {"train": ["2024-01-01"], "evaluate": ["2024-06-01"]},
        "unused_features": [],
        "models": {"churn": {}, "next-stage": "frequencies"},
    }
    text = summary.training_text({**account, **told})
    assert "None" not in text
    assert "nan" not in text
    few = [
        account[model][who]
        for model in ("churn", "next_stage")
        for who in metrics.POPULATIONS
        if account[model][who]["rows"] < slices.LEAST_ROWS
    ]
    assert not [each["worst_slice"] for each in few if each["worst_slice"]]
    best = account["recommendation"]["churn"]
    assert (
        best is None or best["recommended"] != baseline_comparison.OURS
    )  # base rates and frequencies are nobody's skill


def test_gain_counts_the_leavers_among_the_riskiest():
    y, p = np.repeat([True, False], [4, 16]), np.linspace(0.9, 0.1, 20)
    found = metrics.churn_metrics(y, p)
    assert [found[f"gain_{percent}"] for percent in (10, 20, 30)] == pytest.approx([0.5, 1, 1])
    assert found["top_decile_lift"] == pytest.approx(5)
    alike = metrics.churn_metrics(y, np.full(20, 0.2))
    assert [alike[f"gain_{percent}"] for percent in (10, 20, 30)] == pytest.approx([0.1, 0.2, 0.3])
