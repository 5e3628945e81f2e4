"""Satisfaction adjusted for who answers: simulated worlds, what it cannot tell, and the engine."""

from __future__ import annotations

import numpy as np
import pytest

from features.core.instants import DAY_US
from features.indicators.answering import (
    FEWEST_SENT,
    MOST_WEIGHT,
    adjusted_mean,
    answering_table,
    response_rates,
)
from features.indicators.indicator_data import IndicatorData
from tests.support.indicator_worlds import day as day_of
from tests.support.indicator_worlds import orders, rows_of, write_business

SENT = 4000


def world(seed: int, *, hidden: bool = False):
    """Active customers are happier, and answer more; `hidden`: the happy answer more often."""
    rng = np.random.default_rng(seed)
    activity = rng.normal(0, 1, SENT)
    known = np.column_stack([activity, rng.normal(0, 1, (SENT, 3))])
    happy = rng.random(SENT) < 1 / (1 + np.exp(-(0.2 + 1.2 * activity)))
    cause = 2.0 * happy - 1 if hidden else 1.1 * activity
    answered = rng.random(SENT) < 1 / (1 + np.exp(-(-0.4 + cause)))
    values = np.where(answered, happy.astype(float), np.nan)
    return known, answered, values, happy.mean()


def test_two_thirds_of_the_bias_are_gone_in_nine_of_ten_worlds():
    better, covered = [], []
    for seed in range(200):
        known, answered, values, true = world(seed)
        result = adjusted_mean(known, answered, values)
        better.append(abs(result["adjusted"] - true) <= abs(result["value"] - true) / 3)
        covered.append(result["low"] <= true <= result["high"])
        assert result["largest_weight"] <= MOST_WEIGHT
    assert np.mean(better) >= 0.9
    assert np.mean(covered) >= 0.9


def test_what_nothing_shows_is_not_corrected_and_the_definition_says_so():
    known, answered, values, true = world(1, hidden=True)
    result = adjusted_mean(known, answered, values)
    assert result["adjusted"] - true > 0.1


def test_everybody_alike_is_the_raw_mean_and_the_order_says_nothing():
    rng = np.random.default_rng(0)
    answered = rng.random(300) < 0.4
    values = np.where(answered, (rng.random(300) < 0.7).astype(float), np.nan)
    result = adjusted_mean(np.zeros((300, 4)), answered, values)
    assert result["adjusted"] == pytest.approx(result["value"])
    assert response_rates(np.zeros((300, 4)), answered) == pytest.approx(answered.mean(), abs=1e-4)


def test_it_counts_the_surveys_of_the_year_that_have_settled(shop):
    _, config, history = shop
    at = history.data_until - 100 * DAY_US
    data = IndicatorData(history, config, at)
    rows = {row["measure"]: row for row in answering_table(data)["answers_adjusted"].to_pylist()}
    known = history.as_of(at).tables["feedback"].collect(backend="pandas").to_native()
    data.close()
    known = known[known["kind"] == "csat"]
    known = known[(known["occurred_at"] >= at - 365 * DAY_US)]
    known = known[known["occurred_at"] < at - 14 * DAY_US]
    assert rows["csat"]["sent"] == len(known)
    assert rows["csat"]["n"] == known["score"].notna().sum()
    assert rows["csat"]["value"] == pytest.approx((known["score"].dropna() >= 4).mean())
    assert rows["csat"]["low"] <= rows["csat"]["adjusted"] <= rows["csat"]["high"]


def test_too_few_surveys_or_no_silence_say_so(tmp_path):
    header = "customer_id,occurred_at,kind,score,answered_at\n"
    few = header + "".join(f"a,2024-01-{k:02d},csat,5,2024-01-{k:02d}\n" for k in range(1, 20))
    many = header + "".join(
        f"a,2024-01-01T{k // 60:02d}:{k % 60:02d}:00Z,csat,5,2024-01-02\n"
        for k in range(FEWEST_SENT + 5)
    )
    for feedback, word in ((few, "100 surveys"), (many, "not answered")):
        made = write_business(
            tmp_path, {"transactions": orders("a 2023-12-01 5"), "feedback": feedback}
        )
        chosen, history = made
        [csat, nps] = rows_of(history, chosen, day_of("2024-04-01"), "answering")[
            "answers_adjusted"
        ]
        assert word in csat["missing"]
        assert nps["missing"]
