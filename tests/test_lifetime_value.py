"""Lifetime value: laws of its models, doors that agree, and what cannot be known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import scipy
from hypothesis import given, settings
from hypothesis import strategies as st

from features.core.instants import DAY_US, instant
from features.labels.later_money import (
    money_column,
    money_matrix,
)
from serving.scoring.cover_money import CoverMoney
from serving.scoring.lifetime_value import (
    Expected,
    MoneySpread,
    ValueTerms,
    months_touched,
    spread_shape,
)
from serving.scoring.over_time import OverTime
from serving.scoring.spending import PurchaseModels, Purchases
from serving.scoring.value_columns import (
    EXTRAPOLATED,
    NOT_KNOWN,
    UNSEEN_SEASON,
    VALUE_COLUMNS,
    answer_value,
    value_warnings,
)
from tests.support.businesses import scores
from tests.support.values import answers_of, changed_amounts, fit_on, refitted, with_price

ALL_MONTHS = tuple(range(1, 13))


def terms_of(days: int = 90, **changes: object) -> ValueTerms:
    return replace(ValueTerms(days, 1.0, 0.0, 90, True, ALL_MONTHS), **changes)


def test_a_score_composes_from_who_stays_and_who_leaves(business):
    run = scores(business).to_pandas()
    run = run[run["clv"].notna()]
    assert len(run) > 100
    assert (run["clv"] <= run["clv_if_stays"] * (1 + 1e-12)).all()
    assert (run["clv"] >= (1 - run["p_churn"]) * run["clv_if_stays"] * (1 - 1e-9)).all()
    assert (run["clv_low"] <= run["clv"]).all()
    assert (run["clv"] <= run["clv_high"]).all()
    assert (run["clv_low"] >= 0).all()


def test_without_discount_and_margin_it_is_the_money_that_was_learned(business):
    days = business.release.value.terms.learned_days
    value, rows, p = refitted(business, days=days, margin=1.0, annual_discount=0.0)
    assert value.terms.learned_days == days
    within = business.release.curve.event_within(rows, p)
    expected = value.model.expect(rows, p, within, value.terms)
    known = ~np.isnan(expected.learned)
    np.testing.assert_allclose(expected.discounted[known], expected.learned[known], rtol=1e-9)
    # What was learned has the level of what came.
    money = money_matrix(rows, business.settings.money_horizons)
    came = money[:, business.settings.money_horizons.index(days)]
    seen = known & ~np.isnan(came)
    assert expected.learned[seen].sum() == pytest.approx(came[seen].sum(), rel=0.1)


def test_a_margin_scales_and_a_discount_lowers(business):
    plain, rows, p = refitted(business, margin=1.0, annual_discount=0.0)
    quarter, *_ = refitted(business, margin=0.25, annual_discount=0.0)
    later, *_ = refitted(business, margin=1.0, annual_discount=0.5)
    one, two, three = (answers_of(business, each, rows, p) for each in (plain, quarter, later))
    known = ~np.isnan(one["clv"])
    for name in VALUE_COLUMNS:
        np.testing.assert_allclose(two[name][known], one[name][known] / 4, rtol=1e-12)
    assert (three["clv"][known] < one["clv"][known]).all()
    # A year at a half more each year is worth at least two thirds of its sum.
    assert (three["clv"][known] > one["clv"][known] / 1.5).all()


def test_the_order_of_rows_and_their_company_say_nothing(business):
    value, rows, p = business.release.value, *refitted(business)[1:]
    together = answers_of(business, value, rows, p)
    order = np.random.default_rng(0).permutation(rows.num_rows)[:50]
    shuffled = answers_of(business, value, rows.take(pa.array(order)), p[order])
    alone = answers_of(business, value, rows.slice(7, 1), p[7:8])
    for name in VALUE_COLUMNS:
        np.testing.assert_array_equal(shuffled[name], together[name][order])
        np.testing.assert_array_equal(alone[name], together[name][7:8])


def test_money_that_is_stale_or_was_not_sent_gives_no_value(business):
    value, rows, p = business.release.value, *refitted(business)[1:]
    table = "contracts" if business.settings.contractual else "transactions"
    within = business.release.curve.event_within(rows, p)
    of = (value, within, rows, p, business.release.scorer.definitions)
    assert all(np.isnan(each).all() for each in answer_value(*of, [table]).values())
    assert not np.isnan(answer_value(*of)["clv"]).all()
    refused = answer_value(*of[:3], np.full(len(p), np.nan), of[4])
    assert all(np.isnan(each).all() for each in refused.values())


def test_the_days_if_one_stays_and_if_one_leaves_make_up_all():
    models = PurchaseModels(0.3, 20.0, 0.8, 2.4, 6.0, 4.0, 15.0)
    rng = np.random.default_rng(1)
    count = 200
    n = rng.integers(1, 30, count)
    as_of = instant("2024-06-01", zone="UTC")
    age = rng.uniform(1, 900, count)
    recency = np.where(n > 1, rng.uniform(0, 1, count) * age, age)
    rows = pa.table(
        {
            "n": n,
            "as_of": np.full(count, as_of),
            "first_at": (as_of - age * DAY_US).astype(np.int64),
            "last_at": (as_of - recency * DAY_US).astype(np.int64),
            "amount_all": rng.gamma(2, 30, count) * n,
        }
    )
    purchases = Purchases(rows, models, 60, reads_refunds=False)
    none = purchases._none
    for until in (20.0, 60.0, 200.0, 2000.0):
        both = (1 - none) * purchases.days_if_stays(until) + none * purchases.days_if_left(until)
        np.testing.assert_allclose(both, purchases.days_expected(until), rtol=1e-6, atol=1e-8)
    assert (purchases.days_if_left(60.0) == 0).all()
    assert (np.diff([purchases.days_if_stays(d) for d in (60.0, 90.0, 365.0)], axis=0) >= 0).all()
    # Money of a day lies between the customer's own mean and that of everybody.
    own, everybody = rows["amount_all"].to_numpy() / n, 6 * 15 / 3
    low, high = np.minimum(own, everybody), np.maximum(own, everybody)
    assert ((purchases.per_day >= low - 1e-9) & (purchases.per_day <= high + 1e-9)).all()


@given(seed=st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_days_of_cover_are_the_integral_of_the_curve(seed):
    rng = np.random.default_rng(seed)
    horizons, count = (30, 60, 90, 180), 12
    within = np.sort(rng.uniform(0, 0.99, (count, 4)), axis=1)
    covered = rng.random(count) < 0.6
    p = np.where(covered, within[:, 1], 1 - within[:, 1])
    rows = pa.table({"eligible": covered, "price_per_day": rng.uniform(0.1, 3, count)})
    model = CoverMoney(horizons, 60, 1.0, 1.0, 2.0, 100.0)
    days = int(rng.integers(20, 400))
    terms = ValueTerms(days, 1.0, 0.2, 60, True, ALL_MONTHS)
    expected = model.expect(rows, p, within, terms)
    for k in range(count):

        def survives(t: float, k: int = k) -> float:
            """Between two horizons log S is linear; after the last it goes on as before."""
            ends = np.array([0, *horizons], float)
            logs = np.log(np.maximum([1.0, *(1 - within[k])], 1e-12))
            if t <= ends[-1]:
                return float(np.exp(np.interp(t, ends, logs)))
            slope = (logs[-1] - logs[-2]) / (ends[-1] - ends[-2])
            return float(np.exp(logs[-1] + slope * (t - ends[-1])))

        def worth(t: float, k: int = k) -> float:
            cover = survives(t, k) if covered[k] else 1 - survives(t, k)
            return cover * float(terms.discount(t))

        price = rows["price_per_day"][k].as_py() if covered[k] else 2.0
        slow, _ = scipy.integrate.quad(worth, 0, days, points=[30, 60, 90, 180], limit=200)
        assert expected.discounted[k] == pytest.approx(price * slow, rel=1e-6)
    assert (expected.if_stays >= expected.discounted).all()


def test_who_has_cover_without_a_price_of_a_day_has_no_value(trained_subscriptions):
    value, rows, p = trained_subscriptions.release.value, *refitted(trained_subscriptions)[1:]
    without = pa.array([None] * rows.num_rows, pa.float64())
    rows = rows.set_column(rows.column_names.index("price_per_day"), "price_per_day", without)
    answers = answers_of(trained_subscriptions, value, rows, p)
    covered = rows["eligible"].to_numpy()
    assert np.isnan(answers["clv"][covered]).all()
    assert not np.isnan(answers["clv"][~covered]).any()
    marks = value_warnings(value, rows, answers)
    assert all(
        (NOT_KNOWN in each) == is_covered for each, is_covered in zip(marks, covered, strict=True)
    )


def test_in_another_unit_every_value_is_that_many_times_as_much(trained_shop):
    rows = trained_shop.examples.rows_at(trained_shop.dates.refit)
    p = trained_shop.release.scorer.p_churn(rows)
    horizons = trained_shop.settings.money_horizons
    v = trained_shop.examples.population_stats[-1].money_v
    dear = changed_amounts(rows, horizons, 1000.0)
    one, two = fit_on(trained_shop, rows, p), fit_on(trained_shop, dear, p, money_v=v * 1000)
    before, after = answers_of(trained_shop, one, rows, p), answers_of(trained_shop, two, dear, p)
    for name in VALUE_COLUMNS:
        np.testing.assert_allclose(after[name], before[name] * 1000, rtol=1e-4)


def test_too_little_money_is_no_value(trained_shop):
    rows = trained_shop.examples.rows_at(trained_shop.dates.refit)
    horizons = trained_shop.settings.money_horizons
    assert fit_on(trained_shop, rows.slice(0, 0)) is None
    assert fit_on(trained_shop, rows.slice(0, 20)) is None
    assert fit_on(trained_shop, changed_amounts(rows, horizons, 0.0)) is None
    assert fit_on(trained_shop, changed_amounts(rows, horizons, -1.0)) is None
    one = pa.array(np.asarray(rows["customer_id"].to_pylist()) == rows["customer_id"][0].as_py())
    assert fit_on(trained_shop, rows.filter(one)) is None
    assert fit_on(trained_shop, rows, money_v=0.0) is None


@pytest.mark.parametrize("odd", ["all alike", "one whale", "more given back", "very regular"])
def test_odd_money_gives_finite_values(trained_shop, odd):
    rows = trained_shop.examples.rows_at(trained_shop.dates.refit)
    name = money_column(trained_shop.settings.money_horizons[0])
    money, stats = rows[name].to_numpy().copy(), {}
    if odd == "all alike":
        money[:] = 10.0
    elif odd == "one whale":
        money[np.argmax(money)] = 1e9
    elif odd == "more given back":
        money[::3] = -50.0
    else:
        stats = {"r": 1e3, "alpha": 1e4, "a": 1e-4, "b": 1e3}
    place = rows.column_names.index(name)
    rows = rows.set_column(place, name, pa.array(money))
    for days in trained_shop.settings.money_horizons[1:]:
        at = rows.column_names.index(money_column(days))
        rows = rows.set_column(at, money_column(days), pa.nulls(rows.num_rows, pa.float64()))
    value = fit_on(trained_shop, rows, **stats)
    answers = answers_of(trained_shop, value, rows, trained_shop.release.scorer.p_churn(rows))
    for each in answers.values():
        assert np.isfinite(each).all()
        assert (each >= 0).all()


def test_what_goes_beyond_the_history_is_marked_and_wider():
    risk, grade = np.array([0.1, 0.4]), np.array([3, 2])
    shape = spread_shape()
    spread = MoneySpread(np.full(shape, 0.5), np.full(shape, 2.0), np.zeros(shape, int))
    money = np.array([100.0, 10.0])
    expected = Expected(money, money, money)
    low, high = spread.interval(expected, risk, grade, terms_of(90))
    np.testing.assert_allclose(low, [50, 5])
    np.testing.assert_allclose(high, [200, 20])
    low, high = spread.interval(expected, risk, grade, terms_of(360))
    np.testing.assert_allclose(low, [25, 2.5])
    np.testing.assert_allclose(high, [400, 40])
    assert not terms_of(90).extrapolated
    assert terms_of(91).extrapolated
    assert terms_of(30, learned_twice=False).extrapolated


def test_the_months_of_a_season():
    assert months_touched(instant("2024-11-15", zone="UTC"), 30) == (11, 12)
    assert months_touched(instant("2024-11-15", zone="UTC"), 60) == (1, 11, 12)
    assert months_touched(instant("2024-02-01", zone="UTC"), 29) == (2,)
    assert months_touched(instant("2024-02-01", zone="UTC"), 3650) == ALL_MONTHS
    summer = terms_of(30, months=(6, 7, 8))
    assert summer.has_unseen_season(instant("2024-08-10", zone="UTC"))
    assert not summer.has_unseen_season(instant("2024-07-10", zone="UTC"))


def test_warnings_say_what_is_not_known(business):
    value, rows, p = business.release.value, *refitted(business)[1:]
    answers = answers_of(business, value, rows, p)
    terms = value.terms
    assert terms.extrapolated
    assert value_warnings(value, rows, answers)[0][0] == f"{EXTRAPOLATED}{terms.learned_days}d"
    unseen = replace(value, terms=replace(terms, months=(1,)))
    assert UNSEEN_SEASON in value_warnings(unseen, rows, answers)[0]
    assert set(map(tuple, value_warnings(None, rows, answers))) == {(NOT_KNOWN,)}
    over_time, config = OverTime(business.release.curve, None), business.release.config
    empty = over_time.answers(rows, p, config, business.release.scorer.definitions)
    assert all(NOT_KNOWN in each for each in over_time.warnings(rows, empty, config))


def test_who_sends_everything_back_is_worth_less_than_who_keeps_it(trained_shop):
    """One of two customers gets all money back; what they will bring is known from the others."""
    rows = trained_shop.examples.rows_at(trained_shop.dates.refit)
    ids = np.asarray(rows["customer_id"].to_pylist())
    returns = np.isin(ids, np.unique(ids)[::2])
    for days in trained_shop.settings.money_horizons:
        place = rows.column_names.index(money_column(days))
        money = np.where(returns, 0.0, rows[place].to_numpy().astype(float))
        rows = rows.set_column(place, money_column(days), pa.array(money, from_pandas=True))
    share = pa.array(np.where(returns, 0.9, 0.0))
    if "refund_share" in rows.column_names:
        rows = rows.set_column(rows.column_names.index("refund_share"), "refund_share", share)
    else:
        rows = rows.append_column("refund_share", share)
    value = fit_on(trained_shop, rows)
    assert value.columns == ("amount_all", "refund_share")
    answers = answers_of(trained_shop, value, rows, trained_shop.release.scorer.p_churn(rows))
    eligible = rows["eligible"].to_numpy()
    back, kept = (answers["clv"][eligible & mask].mean() for mask in (returns, ~returns))
    assert back < 0.15 * kept
    assert (answers["clv"] <= answers["clv_if_stays"] * (1 + 1e-12)).all()


def test_a_price_that_nobody_pays_and_one_below_zero_are_no_values(trained_subscriptions):
    value, rows, p = trained_subscriptions.release.value, *refitted(trained_subscriptions)[1:]
    usual = rows["price_per_day"].to_numpy().astype(float)
    covered = rows["eligible"].to_numpy()
    dear = answers_of(
        trained_subscriptions, value, with_price(rows, np.where(covered, 1e7, usual)), p
    )
    plain = answers_of(trained_subscriptions, value, rows, p)
    assert np.nanmax(dear["clv"]) <= 10 * np.nanmax(plain["clv"])
    below = answers_of(
        trained_subscriptions, value, with_price(rows, np.where(covered, -1.0, usual)), p
    )
    assert np.isnan(below["clv"][covered]).all()


def test_beyond_what_was_seen_cover_may_end_at_once_or_never(trained_subscriptions):
    """A year is asked for and less was seen: the interval is as wide as the later days."""
    value, rows, p = trained_subscriptions.release.value, *refitted(trained_subscriptions)[1:]
    terms = value.terms
    assert terms.days > terms.learned_days
    answers = answers_of(trained_subscriptions, value, rows, p)
    covered = rows["eligible"].to_numpy()
    price = rows["price_per_day"].to_numpy().astype(float)[covered]
    later = sum(float(terms.discount(day)) for day in range(terms.learned_days, terms.days))
    width = (answers["clv_high"] - answers["clv_low"])[covered]
    assert (width >= 0.98 * price * later).all()
    whole = sum(float(terms.discount(day)) for day in range(terms.days))
    assert (answers["clv"][covered] <= price * whole * 1.01).all()
