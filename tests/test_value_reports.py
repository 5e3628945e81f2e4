"""What is said of lifetime value: figures by a second computation, texts, backtest and records."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import scipy

from features.labels.later_money import (
    money_column,
    money_matrix,
    with_money_columns,
)
from lifecycle.commands.answer import _worth
from tests.support.businesses import scores
from tests.support.values import answers_of
from training.backtest.dated_value import pool_values, pooled_metrics, pooled_value_lines
from training.evaluation.value import evaluate_value
from training.reports.value_text import money as money_text
from training.reports.value_text import value_lines, value_section
from training.value import value_of


def test_the_interval_holds_nine_of_ten_of_new_customers_of_the_same_world(trained_shop):
    """Half of the customers teach, the other half is judged."""
    rows = trained_shop.examples.rows_at(trained_shop.dates.refit)
    ids = np.asarray(rows["customer_id"].to_pylist())
    half = np.isin(ids, np.unique(ids)[::2])
    days = trained_shop.settings.churn.horizon_days
    curve, examples = trained_shop.release.curve, trained_shop.examples
    teach, judge = rows.filter(pa.array(half)), rows.filter(pa.array(~half))
    p = trained_shop.release.scorer.p_churn
    money = money_matrix(teach, trained_shop.settings.money_horizons)
    value = value_of(days, teach, p(teach), curve, examples, trained_shop.settings, money=money)
    report = evaluate_value(lambda _: value, curve, judge, p(judge), examples.definitions, (days,))[
        f"{days}d"
    ]
    assert 0.8 <= report["coverage_likely"] <= 0.97
    assert report["expected"] == pytest.approx(report["mean"], rel=0.25)


def test_the_figures_of_an_evaluation_are_those_of_a_second_computation(trained_shop):
    rows = trained_shop.examples.rows_at(trained_shop.dates.evaluate)
    value = trained_shop.release.value
    curve, definitions = trained_shop.release.curve, trained_shop.release.scorer.definitions
    p = trained_shop.release.scorer.p_churn(rows)
    days = trained_shop.settings.churn.horizon_days
    plain = replace(value, terms=replace(value.terms, days=days, margin=1.0, annual_discount=0.0))
    report = evaluate_value(lambda _: plain, curve, rows, p, definitions, (days,))[f"{days}d"]
    answers = answers_of(trained_shop, plain, rows, p)
    came = rows[money_column(days)].to_numpy()
    assert report["rank"] == pytest.approx(scipy.stats.spearmanr(answers["clv"], came)[0])
    past = scipy.stats.spearmanr(rows["amount_all"].to_numpy(), came)[0]
    assert report["baselines"]["past money"]["rank"] == pytest.approx(past)
    difference = report["less_baseline"]["past money"]
    assert difference["difference"] == pytest.approx(report["rank"] - past)
    assert difference["low"] <= difference["difference"] <= difference["high"]
    best = np.argsort(-answers["clv"], kind="stable")[: round(len(came) / 10)]
    positive = np.maximum(came, 0)
    assert report["top_share"] == pytest.approx(positive[best].sum() / positive.sum(), abs=0.02)
    assert report["mean"] == pytest.approx(came.mean())


def test_nobody_and_nothing_to_judge_are_no_figures(trained_shop):
    rows = trained_shop.examples.rows_at(trained_shop.dates.evaluate)
    curve, definitions = trained_shop.release.curve, trained_shop.release.scorer.definitions
    days = trained_shop.settings.churn.horizon_days
    p = trained_shop.release.scorer.p_churn(rows)
    value = trained_shop.release.value
    assert evaluate_value(lambda _: None, curve, rows, p, definitions, (days,)) == {}
    few_rows = rows.slice(0, 5)
    assert evaluate_value(lambda _: value, curve, few_rows, p[:5], definitions, (days,)) == {}
    nothing = with_money_columns(
        rows.drop_columns([money_column(days)]), np.zeros((rows.num_rows, 1)), (days,)
    )
    assert evaluate_value(lambda _: value, curve, nothing, p, definitions, (days,)) == {}


def test_the_answer_of_a_run_says_what_customers_are_worth_or_why_not(business):
    run = scores(business).to_pandas()
    [line] = _worth(business.trained.evaluation, business.run.folder)
    stake = (run["clv_if_stays"] - run["clv"])[run["eligible"]].sum()
    assert f"{money_text(run['clv'].sum())} " in line
    assert f"{money_text(stake)} more if no" in line
    assert "extrapolated from" in line
    assert _worth({}, business.run.folder) == []


def test_a_report_says_why_there_is_no_value_and_from_what_it_is_extrapolated(trained_shop):
    report = {"days": 365, "currency": "EUR", "margin": 1.0, "annual_discount": 0.0}
    none = {"value": {**report, "horizons": {}, "unknown": "a table of transactions is missing"}}
    assert "there is no value: a table of transactions" in "\n".join(value_lines(none))
    assert "There is no value" in "\n".join(value_section(none))
    far = "\n".join(value_lines(trained_shop.trained.evaluation))
    assert re.search(r"value of 365 days is extrapolated from \d+: no two training dates", far)
    assert value_lines({}) == value_section({}) == []


def test_with_contracts_those_with_cover_are_judged(trained_subscriptions):
    report = trained_subscriptions.trained.evaluation["value"]["horizons"]
    days = trained_subscriptions.settings.churn.horizon_days
    rows = trained_subscriptions.examples.rows_at(trained_subscriptions.dates.evaluate)
    covered = rows.filter(rows["eligible"])
    priced = covered["price_per_day"].to_numpy() >= 0
    assert report[f"{days}d"]["rows"] == priced.sum() < rows.num_rows
    came = covered[money_column(days)].to_numpy()[priced]
    assert report[f"{days}d"]["mean"] == pytest.approx(came.mean())
    assert {"past money", "price × days"} == set(report[f"{days}d"]["baselines"])


def test_dates_are_pooled_by_rows_and_ranks_by_dates():
    def date(rows, mean, rank, likely):
        figures = {
            "rows": rows,
            "mean": mean,
            "expected": mean + 1,
            "coverage": 0.9,
            "rank": rank,
            "top_share": 0.3,
            "deciles": 8,
            "coverage_likely": likely,
            "less_baseline": {"past money": {"difference": rank / 10}},
        }
        return {"value": {"horizons": {"90d": figures}}}

    pooled = pool_values([date(100, 10.0, 0.5, 0.8), date(300, 20.0, 0.7, None), {}])["90d"]
    assert (pooled["dates"], pooled["rows"], pooled["mean"]) == (2, 400, 17.5)
    assert pooled["rank"] == pytest.approx(0.6)
    assert pooled["coverage_likely"] == 0.8
    assert pooled["less_baseline"] == {"past money": pytest.approx(0.06)}
    lines = "\n".join(pooled_value_lines({"90d": pooled}))
    assert "within 90d" in lines
    assert "+.0600 (past money)" in lines
    assert pooled_metrics({"90d": pooled})["value.90d.rank"] == pytest.approx(0.6)
    assert list(pooled_value_lines({})) == []
