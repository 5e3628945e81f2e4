"""Cohorts and retention curves against second implementations, and cells that are not known yet."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import isnan

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from features.indicators.intervals import wilson
from features.indicators.survival import median_time, survival_curve
from tests.support import oracle
from tests.support.checks import nonempty
from tests.support.indicator_worlds import (
    day,
    known_money,
    month_of,
    month_text,
    orders,
    random_business,
    rows_of,
    section,
    units,
    write_business,
)
from tests.support.oracle import DAY

few = settings(max_examples=2, deadline=None)


def slow_activity(made):
    """customer -> (instant, month) of each day with activity, in order."""
    rows = oracle.known(made.tables, made.as_of)[made.settings.activity.table]
    days = oracle.activity(rows, made.settings)
    return {
        who: sorted((at, month_of(number)) for number, at in mine.items())
        for who, mine in days.items()
    }


def slow_cohorts(made):
    """(cohort, age) -> n, active, money, money of month 0, and gross money, where it is known."""
    place = 0 if made.settings.stages.acquired == "first_activity" else 1
    activity = slow_activity(made)
    acquired = {who: mine[place] for who, mine in activity.items() if len(mine) > place}
    money = {}
    for row in known_money(made):
        key = row["who"], row["month"]
        money[key] = money.get(key, 0) + row["net"]
    latency = made.settings.churn.label_latency_days * DAY
    zone, months = made.settings.zone, [month for _, month in acquired.values()]
    open_month = month_of(oracle.local_day(made.as_of - latency, zone))
    newest = month_of(oracle.local_day(made.as_of - 1, zone))
    out = {}
    for cohort in sorted(set(months)):
        people = [who for who, (_, month) in acquired.items() if month == cohort]
        for age in range(newest - min(months) + 1):
            month = cohort + age
            spent = [money.get((who, month), 0) for who in people]
            begun = [money.get((who, cohort), 0) for who in people]
            active = sum(any(m == month for _, m in activity[who]) for who in people)
            gross = sum(max(min(x, y), 0) for x, y in zip(spent, begun, strict=True))
            cells = (active, sum(spent), sum(begun), gross, sum(max(y, 0) for y in begun))
            out[cohort, age] = (len(people), cells if month < open_month else None)
    return out


@few
@given(seed=st.integers(0, 2**32))
def test_cohorts_are_those_of_a_second_implementation(seed):
    made = random_business(seed)
    acquired = made.rng.choice(("first_activity", "second_activity"))
    stages = made.settings.stages.model_copy(update={"acquired": acquired})
    made = replace(made, settings=made.settings.model_copy(update={"stages": stages}))
    slow, per_unit = slow_cohorts(made), units(made)
    found = [row for row in section(made, "cohorts")["cohorts"] if not row["missing"]]
    keys = [(month_text(cohort), age) for cohort, age in slow]
    assert [(row["cohort"], row["age_months"]) for row in found] == keys
    has_money = any(row["bought"] for row in known_money(made))
    for row, (n, cells) in zip(found, slow.values(), strict=True):
        assert row["n"] == n
        if cells is None:
            assert {row[name] for name in ("active", "active_share", "money", "low")} == {None}
        else:
            active, money, begun, gross, begun_gross = cells
            assert (row["active"], row["active_share"]) == (active, active / n)
            assert row["money"] == (money / per_unit if has_money else None)
            assert row["net_revenue_retention"] == (money / begun if begun > 0 else None)
            gross_share = gross / begun_gross if begun_gross > 0 else None
            assert row["gross_revenue_retention"] == gross_share


def slow_curve(lives, time):
    """Kaplan–Meier by its definition: a product over the moments at which somebody leaves."""
    share = Fraction(1)
    for moment in sorted({duration for duration, left in lives if left and duration <= time}):
        at_risk = sum(duration >= moment for duration, _ in lives)
        share *= 1 - Fraction(sum(left for d, left in lives if d == moment), at_risk)
    return share


def slow_lives(made):
    """(duration, whether left) of each customer, where a customer leaves by silence."""
    churn = made.settings.churn
    horizon, latency = churn.horizon_days * DAY, churn.label_latency_days * DAY
    mature, lives = made.as_of - horizon - latency, []
    for mine in slow_activity(made).values():
        moments = [at for at, _ in mine]
        ends = [
            at
            for at, later in zip(moments, [*moments[1:], made.as_of], strict=True)
            if later - at >= horizon and at <= mature
        ]
        if moments[0] <= mature:
            lives.append(((ends or [mature])[0] - moments[0], bool(ends)))
    return lives


@few
@given(seed=st.integers(0, 2**32))
def test_the_retention_curve_is_that_of_a_second_implementation(seed):
    made = random_business(seed)
    lives = slow_lives(made)
    rows = section(made, "retention")["retention"]
    if lives:
        for row in nonempty(row for row in rows if row["cohort"] == "all"):
            age = row["age_days"] * DAY
            share = slow_curve(lives, age)
            assert row["n"] == sum(duration >= age for duration, _ in lives)
            assert row["left"] == sum(left and duration <= age for duration, left in lives)
            if row["n"] or not share:
                assert row["retention"] == pytest.approx(float(share), abs=1e-12)
                assert row["low"] - 1e-12 <= row["retention"] <= row["high"] + 1e-12
            else:
                assert row["retention"] is None
    else:
        assert [row["n"] for row in rows] == [0]


@few
@given(seed=st.integers(0, 2**32))
def test_with_contracts_a_customer_leaves_when_the_first_unbroken_cover_ends(seed):
    made = random_business(seed, "contractual")
    lives = []
    for who in {row["customer_id"] for row in made.tables["contracts"]}:
        known = oracle.of(who, oracle.known(made.tables, made.as_of), "contracts")
        terms = oracle.terms_of(known, made.settings)
        if terms and terms[0]["starts_at"] < made.as_of:
            chain = [terms[0]]
            for term in terms[1:]:
                if not term["follows"]:
                    break
                chain.append(term)
            end = max(term["runs_until"] for term in chain)
            start = terms[0]["starts_at"]
            lives.append((min(end, made.as_of) - start, end <= made.as_of))
    rows = section(made, "retention")["retention"]
    everybody = [row for row in rows if row["cohort"] == "all"]
    assert sum(row["n"] for row in rows if row["cohort"] != "all" and row["age_days"] == 0) == len(
        lives
    )
    for row in nonempty(everybody) if lives else ():
        share = slow_curve(lives, row["age_days"] * DAY)
        if row["retention"] is not None:
            assert row["retention"] == pytest.approx(float(share), abs=1e-12)


def test_a_month_that_is_not_over_is_null_and_a_silent_one_is_nothing(tmp_path):
    rows = ["a 2024-01-10 10", "a 2024-03-05 20", "b 2024-01-20 30", "c 2024-03-07 5"]
    chosen, history = write_business(tmp_path, {"transactions": orders(*rows)})
    found = rows_of(history, chosen, day("2024-03-20"), "cohorts")["cohorts"]
    january = {row["age_months"]: row for row in found if row["cohort"] == "2024-01"}
    assert [january[age]["active"] for age in range(3)] == [2, 0, None]
    assert [january[age]["money"] for age in range(3)] == [40.0, 0.0, None]
    april = rows_of(history, chosen, day("2024-04-01"), "cohorts")["cohorts"]
    cell = next(r for r in april if (r["cohort"], r["age_months"]) == ("2024-01", 2))
    assert (cell["active"], cell["money"], cell["net_revenue_retention"]) == (1, 20.0, 0.5)
    assert cell["gross_revenue_retention"] == 0.25
    low, high = wilson(np.array([1]), np.array([2]))
    assert (cell["low"], cell["high"]) == (low[0], high[0])


def test_one_customer_in_one_cohort(tmp_path):
    chosen, history = write_business(tmp_path, {"transactions": orders("a 2024-01-10 10")})
    [row] = rows_of(history, chosen, day("2024-02-01"), "cohorts")["cohorts"]
    assert (row["active"], row["active_share"], row["n"]) == (1, 1.0, 1)
    [row] = rows_of(history, chosen, day("2024-02-01"), "retention")["retention"]
    assert "observed long enough" in row["missing"]


def test_without_money_the_cohorts_say_so(tmp_path):
    visits = "customer_id,occurred_at,kind\na,2024-01-01,visit\na,2024-02-05,visit\n"
    activity = {"table": "interactions", "kinds": ["visit"]}
    chosen, history = write_business(tmp_path, {"interactions": visits}, activity=activity)
    found = rows_of(history, chosen, day("2024-03-01"), "cohorts")["cohorts"]
    assert [(row["active"], row["money"], row["n"]) for row in found] == [
        (1, None, 1),
        (1, None, 1),
        (None, None, 0),
    ]
    assert "transactions" in found[-1]["missing"]


durations = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=12)


@settings(max_examples=80, deadline=None)
@example(lives=[(0, True)] * 2 + [(1, True)] * 2 + [(2, True)] + [(2, False)] * 5)
@given(lives=durations)
def test_survival_is_the_product_over_moments_and_the_median_where_it_falls_to_one_half(lives):
    duration, ended = (np.array(each) for each in zip(*lives, strict=True))
    times = np.arange(8)
    curve = survival_curve(duration, ended.astype(bool), times)
    for place, time in enumerate(times):
        share = slow_curve(lives, time)
        observed = sum(d >= time for d, _ in lives)
        assert curve.at_risk[place] == observed
        if observed or not share:
            assert curve.share[place] == pytest.approx(float(share), abs=1e-12)
            assert curve.low[place] - 1e-12 <= curve.share[place] <= curve.high[place] + 1e-12
        else:
            assert isnan(curve.share[place])
    middle, low, high = median_time(duration, ended.astype(bool))
    reached = [d for d in range(7) if slow_curve(lives, d) <= Fraction(1, 2)]
    assert middle == reached[0] if reached else isnan(middle)
    assert isnan(middle) or (low <= middle and (isnan(high) or middle <= high))
