"""What is said of a backtest: decay, stability, promises, and what is left out; None where the
dates cannot tell.
"""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from features.core.errors import NotEnoughData
from features.core.instants import DAY_US, day_text
from tests.support import worlds
from tests.support.backtests import quick_backtest
from training.backtest import aging as backtest_aging
from training.backtest import backtest
from training.backtest import coverage as held
from training.backtest import plots as backtest_pictures
from training.backtest import report as backtest_account
from training.backtest import text as backtest_text
from training.backtest.dated_curve import pool_curves, pooled_lines
from training.backtest.predictions_store import DatePredictions


def kept(at, p, y, eligible=None, *, aged=()):
    """A finished date of customers c0 … with p and y; `aged`: (as_of, p) of its model later."""
    count = len(p)
    rows = {
        "customer_id": pa.array([f"c{k}" for k in range(count)], pa.string()),
        "as_of": pa.array([at] * count, pa.int64()),
        "eligible": pa.array(eligible if eligible is not None else [True] * count, pa.bool_()),
        "churned": pa.array(y, pa.bool_()),
        "outcome_stage": pa.array(["churned" if left else "loyal" for left in y], pa.string()),
        "p_churn": pa.array(p, pa.float64()),
    }
    for stage in backtest.STAGES:
        rows[f"p_next_{stage}"] = pa.array(
            [{"churned": x, "loyal": 1 - x}.get(stage, 0.0) for x in p], pa.float64()
        )
    table = pa.table(rows)
    later = [
        pa.table(
            {
                "customer_id": table["customer_id"],
                "as_of": pa.array([then] * count, pa.int64()),
                "p_churn": pa.array(q, pa.float64()),
            }
        )
        for then, q in aged
    ]
    empty = table.select(["customer_id", "as_of", "p_churn"]).slice(0, 0)
    said = backtest_account.score_metrics(
        table,
        table["p_churn"].to_numpy(),
        np.column_stack([table[f"p_next_{s}"].to_numpy() for s in backtest.STAGES]),
    )
    about = {
        "as_of": day_text(at, zone="UTC"),
        "at": at,
        "status": "ok",
        "validation": {"as_of": "before", **said},
    }
    return DatePredictions(about, table, pa.concat_tables([empty, *later]))


def test_decay_and_stability_are_what_they_say(shop):
    y, p = np.arange(100) % 2 == 0, np.linspace(0.05, 0.95, 100)
    later = 60 * DAY_US
    good, bad = np.where(y, 0.9, 0.1), np.where(y, 0.4, 0.6)
    account = backtest_account.build_report(
        [kept(0, p, y, aged=[(later, bad)]), kept(later, good, y)], shop[1], name="x"
    )
    [age] = account["decay"]
    assert (age["age_days"], age["pairs"]) == (60, 1)
    assert age["eligible"]["difference"] == pytest.approx(-math.log(0.4) + math.log(0.9))
    assert (age["eligible"]["auroc"], age["eligible"]["fresh_auroc"]) == (0, 1)
    [move] = account["stability"]
    assert move["eligible"]["customers"] == 100
    assert move["eligible"]["moved"] == pytest.approx((abs(p - good) > 0.2).mean())
    assert move["eligible"]["same_rows"] == pytest.approx(-1)
    assert account["summary"]["churn"]["eligible"]["auroc"]["worst_as_of"] == "1970-01-01"
    assert account["windows"] == 2


def test_measures_of_stability_obey_their_laws():
    rng = np.random.default_rng(1)
    p = rng.random(500)
    assert backtest_aging.top_overlap(p, p) == 1
    assert backtest_aging.top_overlap(p, -p) == 0
    assert backtest_aging.top_overlap(p[:9], p[:9]) is None
    assert backtest_aging.rank_correlation(p, p**3) == pytest.approx(1)
    assert backtest_aging.rank_correlation(p, np.full(500, 0.3)) is None
    assert backtest_aging.stability_index(p, p) == pytest.approx(0)
    assert backtest_aging.stability_index(p, p / 2) > 0.25
    assert backtest_aging.stability_index(p, rng.random(500)) < 0.1


@pytest.mark.parametrize(
    ("y", "eligible"),
    [([True], [True]), ([False] * 5, [True] * 5), ([True, False, True], [False] * 3), ([], [])],
    ids=["one customer", "one class", "nobody eligible", "nobody"],
)
def test_little_to_go_by_is_no_error(shop, tmp_path, y, eligible):
    """One customer, one class, nobody eligible, nobody at all: None where nothing can be said, and
    a text all the same.
    """
    p = [0.5] * len(y)
    dates = [kept(0, p, y, eligible, aged=[(60 * DAY_US, p)]), kept(60 * DAY_US, p, y, eligible)]
    account = backtest_account.build_report(dates, shop[1], name="x")
    json.dumps(account, allow_nan=False)
    assert "backtest of 2 dates" in backtest_text.report_text(account)
    backtest_pictures.draw(account, tmp_path)


@pytest.mark.slow
@pytest.mark.long
def test_a_date_with_too_few_rows_is_left_out_and_named(shop):
    """So few customers that a training on the first date is refused, and one on the second is
    not.
    """
    _, settings, history = shop
    settings = quick_backtest(settings)
    few = every_nth_customer(history, 2)
    every_date = backtest.choose_dates(few, settings)
    dates = [every_date[0], every_date[-1]]
    walked = backtest.walk_dates(few, settings, as_of=dates)
    [skipped] = walked.report["skipped"]
    names = [day_text(at, zone=settings.zone) for at in dates]
    assert skipped["as_of"] == names[0]
    assert re.fullmatch(
        r"\d+ rows: \d+ left \(\d+ customers\), \d+ stayed \(\d+ customers\), \d+ eligible",
        skipped["why"],
    )
    assert walked.report["warnings"][0] == f"{names[0]} is skipped: {skipped['why']}"
    assert [one["as_of"] for one in walked.report["dates"]] == names[1:]
    assert set(walked.predictions["as_of"].to_pylist()) == {dates[1]}


def test_where_every_date_is_left_out_the_backtest_is_refused(shop):
    _, settings, history = shop
    settings = quick_backtest(settings)
    few = every_nth_customer(history, 10)
    with pytest.raises(NotEnoughData, match=r"\d+ rows: \d+ left"):
        backtest.walk_dates(few, settings, as_of=backtest.choose_dates(few, settings)[:2])


def every_nth_customer(history, step):
    """The history of some of the customers: early ones and late ones."""
    tables = worlds.read_tables(history)
    ids = pa.array(sorted(tables["customers"]["customer_id"].to_pylist())[::step])
    mine = {
        name: table.filter(pc.is_in(table["customer_id"], ids)) for name, table in tables.items()
    }
    return worlds.rebuild_history(history, mine)


def test_how_often_sets_and_intervals_held_is_told_over_the_dates():
    def date(day, coverage, groups, inside):
        sets = {
            who: {"rows": rows, "coverage": coverage, "mean_size": 1.5, "accuracy": 0.7}
            for who, rows in (("everyone", 9), ("eligible", 0))
        }
        found = {"groups": groups, "coverage": inside, "coverage_with_sampling": 1.0, "level": 0.9}
        return {"as_of": day, "coverage": {"sets": sets, "evidence": found}}

    without = {"as_of": "2024-03-01", "coverage": {"sets": None, "evidence": {"groups": 0}}}
    told = held.summarise_coverage(
        [date("2024-01-01", 0.8, 10, 0.5), date("2024-02-01", 0.9, 30, 0.9), without]
    )
    assert told["sets"]["eligible"] is None  # nobody was there
    assert told["sets"]["everyone"] == {
        "dates": 2,
        "mean": pytest.approx(0.85),
        "worst": 0.8,
        "worst_as_of": "2024-01-01",
        "mean_size": 1.5,
        "accuracy": pytest.approx(0.7),
    }
    assert told["intervals"] == {
        "dates": 2,
        "groups": 40,
        "level": 0.9,
        "coverage": pytest.approx(0.8),
        "coverage_with_sampling": 1.0,
    }
    nothing = held.summarise_coverage([without, {"as_of": "2024-04-01"}])
    assert nothing == {"sets": {"everyone": None, "eligible": None}, "intervals": None}
    assert [*held.set_lines(nothing, "everyone"), *held.interval_lines(nothing)] == []


def test_curves_are_pooled_by_rows_over_the_dates():
    def date(rows, loss, baselines, auroc=0.8):
        each = {"rows": rows, "rate": 0.5, "mean_p": 0.4, "log_loss": loss, "brier": 0.2}
        each |= {"auroc": auroc, "ece": 0.1, "baselines": baselines}
        return {"curve": {"groups": {"gone": {"horizons": {"30d": each, "7d": each}}}}}

    dates = [
        date(100, 0.3, {"Kaplan-Meier": 0.4, "BG/NBD": 0.1}),
        date(300, 0.5, {"Kaplan-Meier": 0.6}, auroc=None),
        {},
    ]
    pooled = pool_curves(dates)
    assert list(pooled["gone"]) == ["7d", "30d"]
    assert pooled["gone"]["7d"] == {
        "dates": 2,
        "rows": 400,
        "rate": pytest.approx(0.5),
        "mean_p": pytest.approx(0.4),
        "log_loss": pytest.approx(0.45),
        "brier": pytest.approx(0.2),
        "auroc": 0.8,
        "ece": pytest.approx(0.1),
        "baselines": {"Kaplan-Meier": pytest.approx(0.55)},  # the other one lacks a date
        "best_baseline": {"name": "Kaplan-Meier", "difference": pytest.approx(-0.1)},
    }
    [*_, last] = pooled_lines(pooled)
    cells = "within 30d 2 400 50.0 % 40.0 % .800 .4500 −.1000 (Kaplan-Meier)"
    assert " ".join(last.split()) == cells
    assert pool_curves([{}]) == {}
    assert list(pooled_lines({})) == []


def test_bias_is_told_from_windows_that_do_not_overlap():
    flat = {"low": None, "high": None}
    assert backtest_account.bias_text(flat).startswith("too few")
    assert backtest_account.bias_text({"low": -1, "high": 1}) == "without a visible bias"
    assert "too optimistic" in backtest_account.bias_text({"low": 0.1, "high": 0.2})
    low, high = backtest_account._interval(np.array([1.0, 2.0, 3.0]), 3)
    assert (low, high) == (
        pytest.approx(2 - 4.3027 / math.sqrt(3), abs=1e-3),
        pytest.approx(2 + 4.3027 / math.sqrt(3), abs=1e-3),
    )
