"""Calibration is told beside what chance leaves, what a moved rate leaves, and the rate's own
history.
"""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from features.core.instants import DAY_US
from features.recipes.stages import STAGES
from serving.scoring.parts import sigmoid
from tests.support.checks import nonempty
from training import metrics
from training.evaluation import reliability
from training.formats import decimals
from training.plots import draw as pictures


def world(rows=3000, *, seed=0, slope=1.0, shift=0.0):
    """(y, p): p is what is said, and y comes true at log-odds slope · log-odds of p + shift."""
    rng = np.random.default_rng(seed)
    margin = rng.normal(-0.5, 1.5, rows)
    return rng.random(rows) < sigmoid(slope * margin + shift), sigmoid(margin)


@pytest.mark.parametrize("rows", [120, 1500, 30_000])
def test_the_floor_is_what_true_probabilities_miss_by(rows):
    _, p = world(rows)
    rng = np.random.default_rng(1)
    missed = [metrics.ece(rng.random(rows) < p, p) for _ in range(150)]
    found = reliability.ece_floor(np.zeros(rows, bool), p)
    assert found["mean"] == pytest.approx(np.mean(missed), rel=0.08)
    assert found["high"] == pytest.approx(np.quantile(missed, 0.95), rel=0.15)


def test_the_floor_is_the_same_every_time_and_in_any_order_and_of_any_outcome():
    y, p = world()
    dealt = np.random.default_rng(2).permutation(len(p))
    assert reliability.ece_floor(y, p) == reliability.ece_floor(~y[dealt], p[dealt])
    certain = np.repeat([0.0, 1.0], 500)
    assert reliability.ece_floor(y[:1000], certain) == {"mean": 0, "high": 0}


def test_true_probabilities_stand_near_the_floor_and_no_oracle_finds_much():
    found = reliability.calibration_figures(*world(20_000))
    assert found["ece"] < 1.5 * found["floor"]["high"]
    assert abs(found["after_shift"]["shift"]) < 0.05
    assert found["after_platt"]["slope"] == pytest.approx(1, abs=0.05)
    assert found["low"] < found["predicted"] < found["high"]


def test_a_moved_rate_is_seen_as_a_shift_and_a_wrong_slope_is_not_mended_by_one():
    moved = reliability.calibration_figures(*world(20_000, shift=0.8))
    assert moved["ece"] > 5 * moved["floor"]["high"]
    assert moved["after_shift"]["shift"] == pytest.approx(0.8, abs=0.06)
    assert moved["after_shift"]["ece"] < 1.5 * moved["floor"]["high"]
    flat = reliability.calibration_figures(*world(20_000, slope=0.4))
    assert flat["after_shift"]["ece"] > 5 * flat["floor"]["high"]
    assert flat["after_platt"]["slope"] == pytest.approx(0.4, abs=0.03)
    assert flat["after_platt"]["ece"] < 1.5 * flat["floor"]["high"]


def test_intervals_are_wilson_s():
    low, high = reliability.wilson_interval(np.array([0, 5, 10]), np.array([10, 10, 10]))
    assert low == pytest.approx([0, 0.2366, 0.7225], abs=1e-4)
    assert high == pytest.approx([0.2775, 0.7634, 1], abs=1e-4)


def test_bins_are_those_of_the_error_with_intervals_that_hold_their_share():
    y, p = world()
    told = reliability.reliability_bins(y, p)
    assert [
        {k: b[k] for k in ("predicted", "observed", "rows")} for b in told
    ] == metrics.reliability_bins(y, p)
    assert all(0 <= b["low"] < b["observed"] < b["high"] <= 1 for b in nonempty(told))
    assert sum(abs(b["observed"] - b["predicted"]) * b["rows"] for b in told) / len(
        y
    ) == pytest.approx(metrics.ece(y, p))
    inside = sum(
        b["low"] <= b["predicted"] <= b["high"]
        for seed in range(40)
        for b in reliability.reliability_bins(*world(800, seed=seed))
    )
    assert 0.92 <= inside / 400 <= 0.98


def test_every_stage_and_third_of_tenure_has_its_figures_or_says_why_not():
    y, p = world(1000)
    stage = np.repeat([1, 2, 3], [500, 401, 99])
    y[stage == 2] = False
    tenure = np.arange(1000.0)
    tenure[:10] = np.nan
    found = reliability.calibration_by_group(y, p, stage=stage, tenure=tenure)
    assert found["rows"] == 1000
    assert {name: part["status"] for name, part in found["stages"].items()} == {
        STAGES[1]: "ok",
        STAGES[2]: "one outcome",
        STAGES[3]: "too few",
    }
    assert found["stages"][STAGES[1]]["ece"] == pytest.approx(
        metrics.ece(y[:500], p[:500]), abs=1e-6
    )
    assert found["stages"][STAGES[3]]["ece"] is None
    assert found["stages"][STAGES[3]]["observed"] == pytest.approx(y[901:].mean(), abs=1e-6)
    assert [part["rows"] for part in found["tenure"].values()] == [330, 330, 330]
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize(
    ("y", "p", "told"),
    [
        (np.zeros(0, bool), np.zeros(0), "too few"),
        (np.array([True]), np.array([0.4]), "too few"),
        (np.ones(200, bool), np.full(200, 0.4), "one outcome"),
        (np.arange(200) < 50, np.full(200, 0.4), "ok"),
        (np.arange(200) < 50, np.repeat([0.0, 1.0], 100), "ok"),
        (np.arange(200) < 1, np.full(200, 1 - 1e-9), "ok"),
    ],
)
def test_populations_with_little_to_tell_are_told_all_the_same(y, p, told):
    found = reliability.calibration_by_group(
        y, p, stage=np.full(len(y), 3), tenure=np.full(len(y), 7.0)
    )
    assert found["status"] == told
    assert (found["ece"] is not None) == (told == "ok")
    assert sum(part["rows"] for part in found["tenure"].values()) == len(
        y
    )  # one tenure: one third holds them all
    json.dumps(found, allow_nan=False)


def history(*, dates=8, rows=600):
    """Labelled rows whose rate of churn rises from a tenth to a half; nobody is eligible at the
    first date.
    """
    rng = np.random.default_rng(3)
    return pa.concat_tables(
        _rows_at(rng, at, rows, share=0.1 + 0.4 * at / (dates - 1)) for at in range(dates)
    )


def _rows_at(rng, at, rows, *, share):
    even = np.arange(rows) % 2 == 0
    return pa.table(
        {
            "as_of": np.full(rows, (19_000 + 30 * at) * DAY_US),
            "split": ["train" if at < 6 else "evaluate"] * rows,
            "churned": rng.random(rows) < share,
            "eligible": even & (at > 0),
        }
    )


def test_the_history_of_the_rate_shows_that_it_moves():
    told = reliability.rates_by_date(history(), zone="UTC")
    assert [entry["as_of"] for entry in told][:2] == ["2022-01-08", "2022-02-07"]
    assert [entry["split"] for entry in told] == ["train"] * 6 + ["evaluate"] * 2
    assert told[0]["eligible"] == {"rows": 0, "rate": None, "low": None, "high": None}
    assert told[1]["eligible"]["rows"] == 300
    assert told[-1]["everyone"]["low"] > told[0]["everyone"]["high"]
    assert all(
        entry["everyone"]["low"] <= entry["everyone"]["rate"] <= entry["everyone"]["high"]
        for entry in nonempty(told)
    )
    dealt = history().take(np.random.default_rng(4).permutation(8 * 600))
    assert reliability.rates_by_date(dealt, zone="UTC") == told
    assert reliability.rates_by_date(history().slice(0, 0), zone="UTC") == []
    assert reliability.rates_by_date(history(), zone="America/New_York")[0]["as_of"].startswith(
        "2022-01-07T19:00"
    )
    json.dumps(told, allow_nan=False)


@pytest.mark.parametrize("known", ["all", "no rates", "no floor"])
def test_the_picture_says_in_words_how_much_is_chance(tmp_path, monkeypatch, known):
    y, p = world(shift=0.5)
    found = metrics.churn_metrics(y, p) | {"reliability": reliability.reliability_bins(y, p)}
    if known != "no floor":
        found["calibration"] = reliability.calibration_by_group(
            y, p, stage=np.full(len(y), 3), tenure=np.arange(len(y)) * 1.0
        )
    words = []
    monkeypatch.setattr(
        "matplotlib.figure.Figure.supxlabel", lambda _, text, **__: words.append(text)
    )
    rates = reliability.rates_by_date(history(), zone="UTC") if known == "all" else []
    assert pictures.draw({"churn": {"everyone": found}, "rates": rates}, tmp_path) == [
        tmp_path / "calibration.png"
    ]
    expected = f"everyone: calibration error (ECE) {decimals(found['ece'])}"
    if known != "no floor":
        left, chance = found["calibration"]["after_shift"]["ece"], found["calibration"]["floor"]
        expected += (
            f", {decimals(left)} had the rate been known; by chance alone "
            f"{decimals(chance['mean'])}, rarely over {decimals(chance['high'])}"
        )
    assert words == [expected]
