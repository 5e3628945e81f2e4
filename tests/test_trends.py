"""The second ladder: the direction of activity, by a second implementation and on known worlds."""

from __future__ import annotations

from itertools import combinations
from statistics import median

import numpy as np
import pyarrow as pa
import pytest
import scipy
from hypothesis import given, settings
from hypothesis import strategies as st

from features.core.instants import DAY_US
from features.indicators.indicator_data import IndicatorData
from features.indicators.trends import (
    NAMES,
    PARTS,
    START_GAPS,
    customer_trends,
    direction,
    median_slope,
    trend_table,
)

rows_of_counts = st.lists(
    st.lists(st.integers(0, 9), min_size=PARTS, max_size=PARTS), min_size=1, max_size=6
)


@given(counts=rows_of_counts)
@settings(max_examples=60, deadline=None)
def test_slope_and_direction_are_those_of_a_second_implementation(counts):
    values = np.log1p(np.array(counts, float))
    slopes, ways = median_slope(values), direction(values)
    for k, row in enumerate(values):
        pairs = list(combinations(range(PARTS), 2))
        assert slopes[k] == pytest.approx(
            median((row[j] - row[i]) / (j - i) for i, j in pairs), abs=1e-12
        )
        statistic = sum(int(row[j] > row[i]) - int(row[j] < row[i]) for i, j in pairs)
        _, ties = np.unique(row, return_counts=True)
        whole = PARTS * (PARTS - 1) * (2 * PARTS + 5)
        variance = (whole - sum(t * (t - 1) * (2 * t + 5) for t in ties)) / 18
        reach = scipy.stats.norm.ppf(0.95) * np.sqrt(variance)
        assert ways[k] == (0 if abs(statistic) <= reach else np.sign(statistic))


def test_who_stops_half_way_declines():
    stopped = np.array([[3, 3, 3, 3, 0, 0, 0, 0]])
    assert customer_trends(counts_of(stopped))["trend"].to_pylist() == ["decline"]


def counts_of(activities: np.ndarray) -> pa.Table:
    who, part = np.nonzero(activities)
    n = activities.sum(axis=1)
    return pa.table({"who": who, "n": n[who], "part": part, "activities": activities[who, part]})


def test_a_steady_customer_is_seldom_given_a_direction_and_a_steep_one_is():
    rng = np.random.default_rng(0)
    steady = rng.poisson(4, (3000, PARTS))
    trends = customer_trends(counts_of(steady[steady.sum(axis=1) > START_GAPS + 1]))
    undecided = np.mean(np.array(trends["trend"].to_pylist()) == "maturity")
    assert undecided > 0.88
    rising = rng.poisson(np.geomspace(1, 24, PARTS), (500, PARTS)) + (np.arange(PARTS) == 0)
    for activities, name in ((rising, "growth"), (rising[:, ::-1], "decline")):
        names = customer_trends(counts_of(activities))["trend"].to_pylist()
        assert np.mean([each == name for each in names]) > 0.9


def test_the_level_never_decides_and_few_gaps_are_a_start():
    flat = np.full((3, PARTS), [[1], [5], [50]])
    assert customer_trends(counts_of(flat))["trend"].to_pylist() == ["maturity"] * 3
    few = np.zeros((1, PARTS), int)
    few[0, [0, 3, 7]] = 1
    table = customer_trends(counts_of(few))
    assert table["trend"].to_pylist() == ["start"]
    assert table["slope"].to_pylist() == [None]
    few[0, 5] = 1
    assert customer_trends(counts_of(few))["trend"].to_pylist() != ["start"]


def test_every_customer_is_in_one_trend_of_all_and_of_their_stage(shop):
    _, config, history = shop
    data = IndicatorData(history, config, history.data_until - 100 * DAY_US)
    rows = trend_table(data)["trends"].to_pandas()
    people = data.value("SELECT count(DISTINCT who) FROM activity")
    data.close()
    everybody = rows[rows["stage"] == "all"]
    assert everybody["customers"].sum() == people
    assert (everybody["n"] == people).all()
    assert set(everybody["trend"]) <= set(NAMES)
    stages = rows[rows["stage"] != "all"]
    for trend, row in everybody.set_index("trend").iterrows():
        assert stages[stages["trend"] == trend]["customers"].sum() == row["customers"]
    assert np.allclose(rows["customers"] / rows["n"], rows["share"])
    assert ((rows["low"] <= rows["share"]) & (rows["share"] <= rows["high"])).all()
    total = everybody["money_last_year"].sum()
    assert stages["money_last_year"].sum() == pytest.approx(total)


def test_nobody_is_a_row_that_says_so(shop):
    _, config, history = shop
    data = IndicatorData(history, config, 0)
    [row] = trend_table(data)["trends"].to_pylist()
    data.close()
    assert row["missing"] == "a customer with an activity before as_of"
