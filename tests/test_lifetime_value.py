"""Lifetime value: labels by a second implementation, laws of the models, doors that agree."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import scipy
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from features.core import errors
from features.core.contract import OPEN_END_US
from features.core.instants import DAY_US, instant
from features.core.settings import settings_from_mapping
from features.labels.event_times import with_horizon
from features.labels.later_money import (
    money_column,
    money_known_before,
    money_matrix,
    observe_money,
    with_money_columns,
)
from features.recipes.population_stats import PopulationStats
from lifecycle.commands.answer import _worth
from serving.release.json_files import read_json, write_json
from serving.release.value_file import FILE, read_value, write_value
from serving.scoring.cover_money import CoverMoney
from serving.scoring.lifetime_value import (
    Expected,
    LifetimeValue,
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
from tests.support import oracle
from tests.support.businesses import scores
from tests.support.oracle_worlds import world
from training.evaluation.value import evaluate_value
from training.models.fit_value import fit_value
from training.reports.value_text import money as money_text
from training.reports.value_text import value_lines, value_section
from training.value import released_value, value_of

few = settings(max_examples=2, deadline=None, phases=(Phase.explicit, Phase.generate))
ALL_MONTHS = tuple(range(1, 13))


def terms_of(days: int = 90, **changes: object) -> ValueTerms:
    return replace(ValueTerms(days, 1.0, 0.0, 90, True, ALL_MONTHS), **changes)


def slow_money(made, now, customer: str, days: int) -> float:
    """What a customer brought within so many days, row by row; `now`: what is known then."""
    config, at = made.settings, made.as_of
    end = at + days * oracle.DAY
    if not config.contractual:
        total = 0
        for row in oracle.of(customer, now, "transactions"):
            if at <= row["occurred_at"] < end and row["kind"] in ("purchase", "refund"):
                total += -abs(row["amount"]) if oracle.is_refund(row) else row["amount"]
        return total / 10**config.minor_digits
    money = 0.0
    for term in oracle.terms_of(oracle.of(customer, now, "contracts"), config):
        begins, ends = term["starts_at"], term["ends_at"]
        overlap = min(ends, end) - max(begins, at)
        if term["price"] is not None and ends < OPEN_END_US and overlap > 0:
            money += term["price"] * overlap / (ends - begins)
    return money / 10**config.minor_digits


@pytest.mark.parametrize("archetype", ["non-contractual", "contractual"])
@few
@given(seed=st.integers(0, 2**32))
def test_money_of_every_horizon_is_that_of_a_second_implementation(archetype, seed):
    made = world(seed, archetype)
    history, config = made.history(), made.settings
    people = pa.chunked_array([sorted({row["customer_id"] for row in made.tables["transactions"]})])
    money = observe_money(history, history.as_of(made.as_of), people, config)
    for at, days in enumerate(config.money_horizons):
        part = with_horizon(config, days)
        if made.as_of + part.outcome_window_us > history.data_until:
            assert np.isnan(money[:, at]).all()
            continue
        now = oracle.known(made.tables, made.as_of + part.outcome_window_us)
        expected = [slow_money(made, now, each, days) for each in people.to_pylist()]
        # With contracts each term is rounded to a thousandth of a minor unit.
        np.testing.assert_allclose(money[:, at], expected, rtol=0, atol=2e-3)


def test_money_that_comes_later_changes_no_label_that_was_known(trained_shop):
    """The labels as of an instant are those of data that end there."""
    rows, config = trained_shop.examples.rows, trained_shop.settings
    at = trained_shop.dates.evaluate[0]
    horizons = config.money_horizons
    money = money_known_before(
        money_matrix(rows, horizons), rows["as_of"].to_numpy(), horizons, latency_days=0, at=at
    )
    first = int(rows["as_of"].to_numpy().min())
    part = rows.filter(pa.array(rows["as_of"].to_numpy() == first))
    ended = replace(trained_shop.history, data_until=at)
    then = observe_money(ended, ended.as_of(first), part["customer_id"], config)
    np.testing.assert_array_equal(money[rows["as_of"].to_numpy() == first], then)
    assert not np.isnan(then[:, 0]).any()
    assert np.isnan(then[:, -1]).all()


def refitted(business, **changes: object) -> tuple[LifetimeValue, pa.Table, np.ndarray]:
    """The value of a business with other keys of [value], with its refit rows and their p."""
    config = business.settings
    config = config.model_copy(update={"value": config.value.model_copy(update=changes)})
    rows = business.examples.rows_at(business.dates.refit)
    p = business.release.scorer.p_churn(rows)
    value = released_value(rows, p, business.release.curve, business.examples, config)
    assert value is not None
    return value, rows, p


def answers_of(business, value: LifetimeValue, rows: pa.Table, p: np.ndarray) -> dict:
    within = business.release.curve.event_within(rows, p)
    return value.answers(rows, p, within, business.release.scorer.definitions)


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


# ---------------------------------------------------------------- what cannot be known


def changed_amounts(rows: pa.Table, horizons: tuple[int, ...], factor: float) -> pa.Table:
    """The rows with all money, past and later, times a factor."""
    for name in ("amount_all", *(money_column(days) for days in horizons)):
        place, values = rows.column_names.index(name), rows[name].to_numpy().astype(float)
        rows = rows.set_column(place, name, pa.array(values * factor, from_pandas=True))
    return rows


def fit_on(
    business, rows: pa.Table, p: np.ndarray | None = None, **stats: float
) -> LifetimeValue | None:
    population = replace(business.examples.population_stats[-1], **stats)
    p = business.release.scorer.p_churn(rows) if p is None else p
    definitions = business.release.scorer.definitions
    return fit_value(rows, p, business.release.curve, business.settings, definitions, population)


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


# ---------------------------------------------------------------- interval and figures


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


# ---------------------------------------------------------------- files and settings


def test_a_value_comes_back_from_its_file_and_contradictions_are_refused(business, tmp_path):
    value, curve = business.release.value, business.release.curve
    columns = tuple(column.name for column in business.release.columns)
    write_value(value, tmp_path)
    read = read_value(tmp_path, "r", business.settings, columns, curve)
    rows, p = refitted(business)[1:]
    for name, each in answers_of(business, value, rows, p).items():
        np.testing.assert_array_equal(answers_of(business, read, rows, p)[name], each)
    write_value(None, tmp_path)
    assert read_value(tmp_path, "r", business.settings, columns, curve) is None
    write_value(value, tmp_path)
    other = business.settings.model_copy(
        update={"value": business.settings.value.model_copy(update={"margin": 0.5})}
    )
    for config, known, shape in (
        (other, columns, curve),
        (business.settings, (), curve),
        (business.settings, columns, None),
        (business.settings, columns, replace(curve, horizons=(1, 2, 3))),
    ):
        with pytest.raises(errors.ReleaseRefused, match="value"):
            read_value(tmp_path, "r", config, known, shape)
    content = read_json(tmp_path / FILE, "r")
    content["value"]["spread"]["low"][0][0] = 1e9
    write_json(tmp_path / FILE, content)
    with pytest.raises(errors.ReleaseRefused, match="ends before it begins"):
        read_value(tmp_path, "r", business.settings, columns, curve)


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ("margin", 0),
        ("margin", -0.2),
        ("margin", 1.5),
        ("margin", float("nan")),
        ("annual_discount", -0.1),
        ("days", 0),
        ("days", 10_000),
    ],
)
def test_a_setting_that_means_nothing_is_refused_by_its_name(key, wrong, tmp_path):
    mapping = {"tables": {"transactions": "SELECT 1"}, "value": {key: wrong}}
    with pytest.raises(errors.BadSetting, match=rf"value\.{key}"):
        settings_from_mapping(mapping, folder=tmp_path, where="lifecycle.toml")


def test_days_and_margin_are_of_the_release_and_tiers_are_not(tmp_path):
    def definitions(**value: object) -> dict:
        mapping = {"tables": {"transactions": "SELECT 1"}, "value": value}
        return settings_from_mapping(mapping, folder=tmp_path, where="t").definitions()

    assert definitions() == definitions(tiers={"a": 0.5, "b": 0.5})
    assert definitions() != definitions(margin=0.5)
    assert definitions() != definitions(days=90)


def test_money_is_learned_up_to_the_days_that_are_asked(tmp_path):
    def horizons(**changes: object) -> tuple[int, ...]:
        mapping = {"tables": {"transactions": "SELECT 1"}, **changes}
        return settings_from_mapping(mapping, folder=tmp_path, where="t").money_horizons

    assert horizons() == (90, 180, 365)
    assert horizons(value={"days": 200}) == (90, 180)
    assert horizons(value={"days": 10}) == (90,)
    assert horizons(time={"horizons_days": [7]}) == (90,)


def test_the_population_of_a_value_is_none_of_later(trained_shop):
    """A value of early rows knows no statistic of a later instant."""
    examples, config = trained_shop.examples, trained_shop.settings
    first = min(each.as_of for each in examples.population_stats)
    rows = examples.rows_at([first])
    p = trained_shop.release.scorer.p_churn(rows)

    def value_with(stats: tuple[PopulationStats, ...]) -> LifetimeValue | None:
        of = replace(examples, population_stats=stats)
        return released_value(rows, p, trained_shop.release.curve, of, config)

    stats = examples.population_stats
    scrambled = tuple(
        each if each.as_of == first else replace(each, r=9.0, alpha=1.0, money_v=1.0)
        for each in stats
    )
    one, two = value_with(stats), value_with(scrambled)
    assert one is not None
    assert one.model.models == two.model.models
    np.testing.assert_array_equal(one.model.weights, two.model.weights)


# ---------------------------------------------------------------- refunds, prices, long terms


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


def with_price(rows: pa.Table, price: np.ndarray) -> pa.Table:
    return rows.set_column(
        rows.column_names.index("price_per_day"), "price_per_day", pa.array(price)
    )


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


def test_the_answer_of_a_run_says_what_customers_are_worth_or_why_not(business):
    run = scores(business).to_pandas()
    [line] = _worth(business.trained.evaluation, business.run.folder)
    stake = (run["clv_if_stays"] - run["clv"])[run["eligible"]].sum()
    assert f"{money_text(run['clv'].sum())} " in line
    assert f"{money_text(stake)} leaves" in line
    assert "extrapolated from" in line
    assert _worth({}, business.run.folder) == []


def test_a_report_says_why_there_is_no_value_and_from_what_it_is_extrapolated(trained_shop):
    report = {"days": 365, "currency": "EUR", "margin": 1.0, "annual_discount": 0.0}
    none = {"value": {**report, "horizons": {}, "unknown": "a table of transactions is missing"}}
    assert "there is no value: a table of transactions" in "\n".join(value_lines(none))
    assert "There is no value" in "\n".join(value_section(none))
    far = "\n".join(value_lines(trained_shop.trained.evaluation))
    assert re.search(r"365 days are extrapolated from \d+: no two training dates", far)
    assert value_lines({}) == value_section({}) == []
