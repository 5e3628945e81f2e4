"""The curves obey their laws, and every account has pictures that show what it can tell, or
none.
"""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import settings as how
from hypothesis import strategies as st

from features.catalogue import FAMILIES
from features.recipes.stages import STAGES
from serving.scoring.parts import Blend, Linear, design_names, sigmoid
from tests.support.checks import nonempty
from training import metrics
from training.evaluation import curves, importance, reliability
from training.plots import draw as pictures

NAMES = {
    "roc",
    "precision_recall",
    "calibration",
    "gain",
    "lift",
    "importance",
    "transition",
    "stage_calibration",
}


def labelled(seed, rows=400, strength=1.0, digits=12):
    rng = np.random.default_rng(seed)
    p = np.round(sigmoid(rng.normal(0, strength, rows)), digits)
    return rng.random(rows) < p, p


def staged(seed, rows=300):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(len(STAGES), 0.4), rows)
    p[:, 0] = 0
    p /= p.sum(axis=1, keepdims=True)
    return rng.integers(1, 7, rows), np.array([rng.choice(7, p=row) for row in p]), p


@given(st.integers(0, 10_000), st.sampled_from([1, 2, 12]))
@how(max_examples=40, deadline=None)
def test_areas_under_the_curves_are_the_figures(seed, digits):
    from sklearn.metrics import average_precision_score

    y, p = labelled(seed, rows=80, digits=digits)
    assume(y.any() and not y.all())
    alarms, found = curves.roc(y, p)
    assert np.trapezoid(found, alarms) == pytest.approx(metrics.auroc(y, p)[0])
    recall, precision = curves.precision_recall(y, p)
    assert curves.area_in_steps(recall, precision) == pytest.approx(average_precision_score(y, p))
    assert (recall[-1], precision[-1]) == (1, pytest.approx(y.mean()))
    share, gained = curves.gain(y, p)
    for walk in (alarms, found, share, gained):
        assert (walk[0], walk[-1]) == (0, 1)
        assert (np.diff(walk) >= 0).all()


def test_no_curve_or_bin_depends_on_the_order_of_rows():
    y, p = labelled(1, digits=1)
    dealt = np.random.default_rng(2).permutation(len(y))
    assert curves.churn_curves(y, p) == curves.churn_curves(y[dealt], p[dealt])
    one, other = (metrics.churn_metrics(y[at], p[at]) for at in (np.arange(len(y)), dealt))
    assert one == pytest.approx(other, abs=1e-12)
    for mine, theirs in nonempty(
        zip(
            metrics.reliability_bins(y, p),
            metrics.reliability_bins(y[dealt], p[dealt]),
            strict=True,
        )
    ):
        assert mine == pytest.approx(theirs, abs=1e-12)
    stage, outcome, p_next = staged(3)
    dealt = dealt[dealt < len(stage)]
    assert curves.transitions(stage, outcome, p_next) == curves.transitions(
        stage[dealt], outcome[dealt], p_next[dealt]
    )
    assert curves.stage_reliability(outcome, p_next) == curves.stage_reliability(
        outcome[dealt], p_next[dealt]
    )


def test_a_constant_score_is_one_bin_and_no_lift():
    y, _ = labelled(4)
    constant = np.full(len(y), y.mean())
    assert [b["rows"] for b in metrics.reliability_bins(y, constant)] == [len(y)]
    found = metrics.churn_metrics(y, constant)
    assert found["ece"] == pytest.approx(0, abs=1e-12)
    assert found["top_decile_lift"] == pytest.approx(1)
    assert curves.churn_curves(y, constant)["gain"] == {"share": [0, 1], "recall": [0, 1]}


@pytest.mark.parametrize("rows", [2, 30, 59, 60, 61, 5000])
def test_thin_curves_are_small_and_keep_their_ends_and_their_area(rows):
    y, p = labelled(5, rows=rows, strength=2)
    y[:2] = (True, False)
    thin = curves.churn_curves(y, p)
    assert {len(points) for points in thin["roc"].values()} == {
        len(thin["roc"]["true_positive_rate"])
    }
    for name, (x, height) in {
        "roc": ("false_positive_rate", "true_positive_rate"),
        "gain": ("share", "recall"),
        "precision_recall": ("recall", "precision"),
    }.items():
        assert 2 <= len(thin[name][x]) <= curves.POINTS
        assert (thin[name][x][-1], thin[name][height][-1]) == (
            1,
            1 if name != "precision_recall" else round(y.mean(), 5),
        )
    area = np.trapezoid(thin["roc"]["true_positive_rate"], thin["roc"]["false_positive_rate"])
    assert area == pytest.approx(metrics.auroc(y, p)[0], abs=0.01)


def test_the_average_precision_s_interval_covers_the_truth():
    from sklearn.metrics import average_precision_score

    truth = average_precision_score(*labelled(6, rows=200_000))
    covered = 0
    for seed in range(200):
        y, p = labelled(1000 + seed, rows=300)
        low, high = curves.average_precision_interval(
            average_precision_score(y, p), positives=int(y.sum())
        )
        assert 0 < low < high < 1
        covered += low <= truth <= high
    assert covered >= 180  # 95 % of 200 are 190
    assert curves.average_precision_interval(1.0, positives=3)[0] < 0.9


def test_rows_of_the_transition_table_sum_to_one_and_to_their_customers():
    stage, outcome, p_next = staged(7)
    table = curves.transitions(stage, outcome, p_next)
    assert [row["stage"] for row in table] == list(STAGES[1:])
    for row in nonempty(table):
        assert sum(row["predicted"]) == pytest.approx(1, abs=1e-4)
        assert sum(row["observed"]) == row["rows"]
    happened = np.sum([row["observed"] for row in table], axis=0)
    assert np.array_equal(happened, np.bincount(outcome, minlength=7))
    # What is said is what is drawn from here, so over all rows it must come true.
    said = np.sum([np.multiply(row["predicted"], row["rows"]) for row in table], axis=0)
    assert np.abs(said - happened).max() < 4 * np.sqrt(len(stage) / 4)


def test_an_account_of_a_training_has_what_is_drawn_and_is_small(trained_shop):
    account = json.loads((trained_shop.trained.folder / "evaluation.json").read_text())
    assert (trained_shop.trained.folder / "evaluation.json").stat().st_size < 100_000
    moved = account["importance"]
    for entries in (moved["families"], moved["columns"]):
        ranked = [entry["eligible"] for entry in entries]
        assert ranked == sorted(ranked, reverse=True)
        assert ranked[0] > 0
    assert {entry["name"] for entry in moved["families"]} <= {"stage", *FAMILIES}
    assert len(moved["columns"]) <= 20
    assert account["calibration"]["why"].startswith(f"{account['calibration']['kind']}: ")
    assert {entry["as_of"] for entry in account["rates"]} >= {
        *account["as_of"]["train"],
        *account["as_of"]["evaluate"],
    }
    assert account["churn"]["everyone"]["calibration"]["ece"] == pytest.approx(
        account["churn"]["everyone"]["ece"], abs=1e-6
    )
    assert not {entry["name"] for entry in moved["columns"]} - set(
        design_names(trained_shop.release.scorer.columns)
    )
    for who, found in nonempty(account["churn"].items()):
        assert moved["rows"][who] == found["rows"]
        assert (
            sum(row["rows"] for row in account["next_stage"][who]["transitions"]) == found["rows"]
        )


def test_a_family_counts_as_a_whole_and_a_column_by_itself(trained_shop):
    names = ("a", "b", "c")
    weights = np.zeros((1, len(design_names(names))))
    weights[0, :3] = (2, -2, 1)
    flat = np.zeros_like(weights[0])
    linear = Linear(
        mean=flat, scale=flat + 1, weights=weights, missing=0 * weights, intercept=np.zeros(1)
    )
    scorer = replace(trained_shop.release.scorer, columns=names, churn=Blend(((1.0, linear),)))
    value, slope = (
        np.array([np.expm1(1), -np.expm1(3), np.expm1(2)]),
        scorer.calibration.slope,
    )  # logged: 1, -3, 2
    rows = pa.table(
        {
            **dict.fromkeys(names, value),
            "stage": ["loyal"] * 3,
            "stage_if_inactive": ["loyal"] * 3,
            "eligible": [True, False, False],
        }
    )
    columns = [
        SimpleNamespace(name=n, feature=SimpleNamespace(family=f))
        for n, f in zip(names, "xxy", strict=True)
    ]
    found = importance.importance(scorer, rows, columns)
    assert found["rows"] == {"everyone": 3, "eligible": 1}
    # a and b are two views of one thing that cancel: their family moves nothing, and is not told.
    assert found["families"] == [
        {"name": "y", "everyone": pytest.approx(2 * slope), "eligible": pytest.approx(slope)}
    ]
    assert {c["name"]: c["everyone"] for c in found["columns"]} == pytest.approx(
        {"a": 4 * slope, "b": 4 * slope, "c": 2 * slope}
    )
    assert importance.importance(scorer, rows.slice(1), columns)["families"][0]["eligible"] is None


def drawn(account, folder):
    found = pictures.draw(account, folder)
    assert sorted(folder.glob("*.png")) == sorted(found)
    return {path.stem for path in found}


@pytest.mark.slow
@pytest.mark.long
def test_every_picture_is_there_and_shows_something(trained_shop, trained_subscriptions, tmp_path):
    from matplotlib import image

    for name, business in {"shop": trained_shop, "subscriptions": trained_subscriptions}.items():
        folder = tmp_path / name
        folder.mkdir()
        account = json.loads((business.trained.folder / "evaluation.json").read_text())
        assert drawn(account, folder) == NAMES
        for path in nonempty(folder.iterdir()):
            pixels = image.imread(path)
            assert pixels.shape[0] > 400
            assert 0.005 < (pixels[..., :3].min(axis=-1) < 0.8).mean() < 0.6, path.name


def _nobody_eligible(account):
    account["churn"]["eligible"] = metrics.churn_metrics(np.zeros(0, bool), np.zeros(0))
    account["next_stage"]["eligible"] = metrics.stage_metrics(np.zeros(0, int), np.zeros((0, 7)))
    for entry in [*account["importance"]["families"], *account["importance"]["columns"]]:
        entry["eligible"] = None
    account["importance"]["rows"]["eligible"] = 0


def _one_class(account):
    for who, found in account["churn"].items():
        y = np.zeros(30 if who == "everyone" else 1, bool)
        p = np.full(len(y), 0.2)
        found.update(
            metrics.churn_metrics(y, p), reliability=reliability.reliability_bins(y, p), curves={}
        )


def _nothing_moves(account):
    account["importance"].update(families=[], columns=[])


def _no_points(account):
    for who in metrics.POPULATIONS:
        for key in ("curves", "reliability"):
            del account["churn"][who][key]
        for key in ("transitions", "reliability"):
            del account["next_stage"][who][key]
    del account["importance"]


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(
    ("degrade", "left"),
    [
        (_nobody_eligible, NAMES),
        (_one_class, NAMES - {"roc", "precision_recall", "gain", "lift"}),
        (_nothing_moves, NAMES - {"importance"}),
        (_no_points, set()),
        (lambda account: account.update(churn={}, next_stage={}, importance={}), set()),
        (dict.clear, set()),
    ],
)
def test_what_an_account_cannot_tell_is_left_out(trained_shop, tmp_path, degrade, left):
    account = copy.deepcopy(trained_shop.trained.evaluation)
    degrade(account)
    assert drawn(account, tmp_path) == left


def test_not_enough_data_has_no_pictures(tmp_path):
    account = {"status": "not_enough_data", "why": {"got": "", "rule": "", "do": ""}, "rows": 7}
    assert drawn(account, tmp_path) == set()
