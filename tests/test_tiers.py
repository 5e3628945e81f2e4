"""Tiers, who changed them and why, and the pyramid, against second implementations."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.core.errors import BadSetting
from features.core.settings import settings_from_mapping
from features.indicators.pyramid import MoneyGroups, _bootstrap, _measure
from tests.support.checks import nonempty
from tests.support.indicator_worlds import (
    YEAR,
    by_customer,
    day,
    known_money,
    orders,
    random_business,
    rows_of,
    section,
    units,
    write_business,
)

few = settings(max_examples=2, deadline=None)
SHARES = {"platinum": "0.01", "gold": "0.04", "iron": "0.15", "lead": "0.80"}


def slow_years(money, at):
    """Customer -> money, days with a purchase and pieces of the 365 days before `at`."""
    years = {}
    for who, rows in by_customer(money).items():
        if not any(row["bought"] for row in rows):
            continue
        recent = [row for row in rows if row["at"] >= at - YEAR]
        bought = [row for row in recent if row["bought"]]
        known = bought and all(row["quantity"] for row in bought)
        years[who] = {
            "money": sum(row["net"] for row in recent),
            "days": len({row["day"] for row in bought}),
            "pieces": sum(Fraction(row["quantity"]) for row in bought) if known else None,
        }
    return years


def slow_tiers(years):
    """Customer -> tier."""
    active = {who: year["money"] for who, year in years.items() if year["days"]}
    tiers = dict.fromkeys(years, "inactive")
    for who, mine in active.items():
        above, end = sum(other > mine for other in active.values()), Fraction(0)
        for name, share in SHARES.items():
            end += Fraction(share)
            if Fraction(above, len(active)) < end:
                tiers[who] = name
                break
    return tiers


def slow_cause(before, after, old, new, order):
    if before is None:
        return "first purchase"
    if after is None:
        return "correction"
    if old == new:
        return None
    if "inactive" in (old, new):
        return "recency"
    sign = 1 if order.index(new) < order.index(old) else -1
    if sign * (after["money"] - before["money"]) <= 0:
        return "others"
    if min(before["money"], after["money"]) <= 0:
        return "amount"
    by_piece = before["pieces"] and after["pieces"]
    pieces = [year["pieces"] if by_piece else year["money"] for year in (before, after)]
    ratios = {
        "count": Fraction(after["days"], before["days"]),
        "amount": Fraction(pieces[1], after["days"]) / Fraction(pieces[0], before["days"]),
        "price": (after["money"] / pieces[1]) / (before["money"] / pieces[0]),
    }
    effects = {name: round(sign * math.log(ratio), 9) for name, ratio in ratios.items()}
    return max(effects, key=effects.get)


@few
@given(seed=st.integers(0, 2**32))
def test_tiers_and_their_changes_are_those_of_a_second_implementation(seed):
    made = random_business(seed)
    # Some purchases are two years old, so that there is a year to compare with.
    for row in made.tables["transactions"]:
        if made.rng.random() < 0.4:
            row["occurred_at"] -= YEAR
            row["recorded_at"] -= YEAR
    years = slow_years(known_money(made), made.as_of)
    earlier = slow_years(known_money(made, made.as_of - YEAR), made.as_of - YEAR)
    tables, now, then = section(made, "tiers"), slow_tiers(years), slow_tiers(earlier)
    for row in nonempty(tables["tiers"]):
        mine = [years[who] for who, tier in now.items() if tier == row["tier"]]
        assert row["n"] == len(mine)
        assert round(row["money"] * units(made)) == sum(year["money"] for year in mine)
    order = [*SHARES, "inactive"]
    slow = Counter()
    for who in {*years, *earlier}:
        old, new = then.get(who, "no purchase"), now.get(who, "no purchase")
        slow[old, new, slow_cause(earlier.get(who), years.get(who), old, new, order)] += 1
    found = {(r["from_tier"], r["to_tier"], r["cause"]): r["n"] for r in tables["tier_changes"]}
    assert found == (dict(slow) if earlier else {(None, None, None): 0})


def test_each_cause_has_its_customer(tmp_path):
    """Thresholds; each customer is in the middle first, and moves for one reason."""
    lines = ["customer_id,occurred_at,amount,kind,quantity"]
    moves = {
        "stays": [("2023-06-01", 100, 2), ("2024-06-01", 100, 2)],
        "more_often": [("2023-06-01", 100, 2), ("2024-06-01", 100, 2), ("2024-07-01", 110, 2)],
        "larger": [("2023-06-01", 100, 2), ("2024-06-01", 300, 6)],
        "dearer": [("2023-06-01", 100, 2), ("2024-06-01", 300, 2)],
        "smaller": [("2023-06-01", 100, 2), ("2024-06-01", 30, 1)],
        "silent": [("2023-06-01", 100, 2)],
        "new": [("2024-06-01", 100, 2)],
        "back": [("2021-06-01", 100, 2), ("2024-06-01", 100, 2)],
    }
    for who, bought in moves.items():
        lines += [f"{who},{at},{amount},purchase,{pieces}" for at, amount, pieces in bought]
    tiers = {"high": [200, math.inf], "middle": [50, 200], "low": [-math.inf, 50]}
    chosen, history = write_business(
        tmp_path, {"transactions": "\n".join(lines) + "\n"}, value={"tiers": tiers}
    )
    found = rows_of(history, chosen, day("2025-01-01"), "tiers")
    changes = {(r["from_tier"], r["to_tier"], r["cause"]): r["n"] for r in found["tier_changes"]}
    assert changes == {
        ("middle", "middle", None): 1,
        ("middle", "high", "count"): 1,
        ("middle", "high", "amount"): 1,
        ("middle", "high", "price"): 1,
        ("middle", "low", "amount"): 1,
        ("middle", "inactive", "recency"): 1,
        ("no purchase", "middle", "first purchase"): 1,
        ("inactive", "middle", "recency"): 1,
    }
    assert [(r["tier"], r["n"]) for r in found["tiers"]] == [
        ("high", 3),
        ("middle", 3),
        ("low", 1),
        ("inactive", 1),
    ]


INF = math.inf


@pytest.mark.parametrize(
    ("tiers", "rule"),
    [
        ({"a": 0.5, "b": 0.6}, "overlap"),
        ({"a": 0.5, "b": 0.4}, "gap"),
        ({"a": 0.0, "b": 1.0}, "share of a tier"),
        ({"a": [100, INF], "b": [-INF, 120]}, "overlap"),
        ({"a": [100, INF], "b": [50, 120], "c": [-INF, 50]}, "'a' and 'b' overlap"),
        ({"a": [100, INF], "b": [-INF, 90]}, "gap"),
        ({"a": [100, 200], "b": [-INF, 100]}, "ends at inf"),
        ({"a": 0.5, "b": [0, 1]}, "all shares, or all ranges"),
        ({"a": [math.nan, INF]}, "from < below"),
        ({"inactive": 1.0}, "cannot be a tier"),
        ({}, "at least 1"),
    ],
)
def test_tiers_that_overlap_or_leave_a_gap_are_refused(tmp_path, tiers, rule):
    with pytest.raises(BadSetting, match=rule):
        settings_from_mapping(
            {"tables": {"transactions": "SELECT 1"}, "value": {"tiers": tiers}},
            folder=tmp_path,
            where="test",
        )


amounts = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=30)


@settings(max_examples=60, deadline=None)
@given(pairs=amounts)
def test_gini_lorenz_and_the_top_fifth_are_those_of_the_textbook(pairs):
    """Gini by all pairs of customers; the curve by walking from the poorest to the richest."""
    groups = sorted(Counter(pairs).items())
    past, later, count = np.array([[a, b, n] for (a, b), n in groups], float).T
    values, n = [a for a, _ in pairs], len(pairs)
    if not sum(values):
        assert np.isnan(_measure(MoneyGroups(past, later, count), past, count)).all()
    else:
        top, gini, *curve = _measure(MoneyGroups(past, later, count), past, count)
        differences = sum(abs(a - b) for a in values for b in values)
        assert gini == pytest.approx(differences / (2 * n * sum(values)), abs=1e-9)
        ordered = sorted(values)
        for place, share in enumerate(curve):
            position = n * place / 100
            whole = int(position)
            rest = (position - whole) * ordered[whole] if whole < n else 0
            expected = (sum(ordered[:whole]) + rest) / sum(values)
            assert share == pytest.approx(expected, abs=1e-9)
        assert top == pytest.approx(1 - curve[80], abs=1e-9)


def test_the_top_fifth_of_the_year_before_and_what_it_brought_later(tmp_path):
    rows = [f"c{number} 2023-06-01 {number + 1}" for number in range(10)]
    rows += [f"c{number} 2024-06-01 {10 - number}" for number in range(5)]
    rows += ["c9 2024-06-02 40"]
    chosen, history = write_business(tmp_path, {"transactions": orders(*rows)})
    found = rows_of(history, chosen, day("2024-12-31"), "pyramid")["pyramid"]
    tops = {row["year"]: row for row in found if row["measure"] == "top_20_share"}
    assert tops["year before"]["value"] == pytest.approx(19 / 55)
    assert tops["last year, by the year before"]["value"] == pytest.approx(40 / 80)
    assert tops["last year"]["n"] == 6
    for row in nonempty(found):
        assert row["low"] <= row["high"]
    # A year earlier nothing was known of the year before that.
    early = rows_of(history, chosen, day("2023-12-31"), "pyramid")["pyramid"]
    assert [row["year"] for row in early if row["missing"]] == [
        "year before",
        "last year, by the year before",
    ]


def test_a_customer_with_more_refunds_than_purchases_counts_as_nothing(tmp_path):
    rows = ["a 2024-01-01 10", "b 2024-01-01 10", "b 2024-01-02 50 refund"]
    chosen, history = write_business(tmp_path, {"transactions": orders(*rows)})
    found = rows_of(history, chosen, day("2024-02-01"), "pyramid")["pyramid"]
    last = {row["measure"]: row for row in found if row["year"] == "last year"}
    assert last["gini"]["value"] == pytest.approx(0.5)
    alone, history = write_business(tmp_path, {"transactions": orders(*rows[1:])})
    [row, *_] = rows_of(history, alone, day("2024-02-01"), "pyramid")["pyramid"]
    assert (row["n"], row["missing"]) == (0, "money in the last year")


def test_what_a_table_shows_is_no_part_of_a_release(tmp_path):
    mapping = {"tables": {"transactions": "SELECT 1"}}
    bare = settings_from_mapping(mapping, folder=tmp_path, where="test")
    value = {"tiers": {"all of them": 1.0}, "rfm_cuts": {"frequency": [2, 3, 4, 5]}}
    other = settings_from_mapping({**mapping, "value": value}, folder=tmp_path, where="test")
    assert other.value != bare.value
    assert other.definitions() == bare.definitions()


def test_who_is_overtaken_changes_tier_because_of_the_others(tmp_path):
    rows = [f"c{number} 2023-06-01 {10 * number + 10}" for number in range(10)]
    rows += [f"c{number} 2024-06-01 {10 * number + 10}" for number in range(1, 10)]
    rows += ["c0 2024-06-01 500"]
    chosen, history = write_business(
        tmp_path, {"transactions": orders(*rows)}, value={"tiers": {"top": 0.1, "rest": 0.9}}
    )
    changes = rows_of(history, chosen, day("2024-12-31"), "tiers")["tier_changes"]
    assert [(r["from_tier"], r["to_tier"], r["cause"], r["n"]) for r in changes] == [
        ("top", "rest", "others", 1),
        ("rest", "top", "amount", 1),
        ("rest", "rest", None, 8),
    ]


def test_the_intervals_of_the_pyramid_are_those_of_drawing_customers_anew():
    rng = np.random.default_rng(3)
    money = np.sort(np.round(rng.lognormal(3, 1, 80)))
    values, counts = np.unique(money, return_counts=True)
    [(low, high)] = _bootstrap(MoneyGroups(values, values, counts), [values])
    draws = np.sort(rng.choice(money, (2000, 80)), axis=1)
    places = np.arange(1, 81)
    gini = (draws * (2 * places - 81)).sum(axis=1) / (80 * draws.sum(axis=1))
    top = draws[:, 64:].sum(axis=1) / draws.sum(axis=1)
    for place, drawn in ((0, top), (1, gini)):
        assert low[place] == pytest.approx(np.quantile(drawn, 0.025), abs=0.02)
        assert high[place] == pytest.approx(np.quantile(drawn, 0.975), abs=0.02)
