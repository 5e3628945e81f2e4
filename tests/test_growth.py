"""Growth accounting: the five parts sum exactly, in all, by segment and by category."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.indicators.growth import PARTS
from tests.support import oracle
from tests.support.checks import nonempty
from tests.support.indicator_worlds import (
    by_customer,
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
SIGNS = {"new": 1, "reactivated": 1, "expanded": 1, "contracted": -1, "lost": -1}


def minor(row, per_unit):
    """The money of a row in whole minor units."""
    names = ("revenue", "revenue_before", "change", *PARTS)
    return {name: round(row[name] * per_unit) for name in names}


def slow_growth(made):
    """month -> part -> [sum of changes, customers], by walking each customer through the months."""
    latency = made.settings.churn.label_latency_days * DAY
    end = month_of(oracle.local_day(made.as_of - latency, made.settings.zone))
    rows = [row for row in known_money(made) if row["month"] < end]
    out = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for mine in by_customer(rows).values():
        net, bought = defaultdict(int), set()
        for row in mine:
            net[row["month"]] += row["net"]
            bought |= {row["month"]} if row["bought"] else set()
        for month in range(min(net), end):
            change = net.get(month, 0) - net.get(month - 1, 0)
            if month in bought and month == min(bought):
                part = "new"
            elif month in bought and month - 1 not in bought:
                part = "reactivated"
            elif month - 1 in bought and month not in bought:
                part = "lost"
            else:
                part = "expanded" if change >= 0 else "contracted"
            cell = out[month_text(month)][part]
            cell[0] += SIGNS[part] * change
            cell[1] += bool(change) or part in ("new", "reactivated", "lost")
    return out


@few
@given(seed=st.integers(0, 2**32))
def test_the_parts_are_those_of_a_second_implementation_and_sum_exactly(seed):
    made = random_business(seed)
    slow, per_unit = slow_growth(made), units(made)
    rows = section(made, "growth")["growth"]
    total = [row for row in rows if row["dimension"] == "all"]
    if total[0]["missing"]:
        assert not any(part["new"][1] for part in slow.values())
    else:
        before = 0
        for row in total:
            money = minor(row, per_unit)
            for part in PARTS:
                expected = slow[row["month"]][part]
                assert [money[part], row[f"customers_{part}"]] == expected, (row["month"], part)
            assert money["change"] == sum(SIGNS[part] * money[part] for part in PARTS)
            assert (money["revenue_before"], money["change"]) == (
                before,
                money["revenue"] - before,
            )
            before = money["revenue"]
    refuse_other_sums(rows, per_unit)


def refuse_other_sums(rows, per_unit):
    """Every column of the segments, and of the categories, sums to that of all customers."""
    total = {
        row["month"]: minor(row, per_unit)
        for row in rows
        if row["dimension"] == "all" and row["month"]
    }
    for dimension in ("segment", "category"):
        sums = defaultdict(lambda: defaultdict(int))
        for row in rows:
            if row["dimension"] == dimension and row["month"]:
                money = minor(row, per_unit)
                assert money["change"] == sum(SIGNS[part] * money[part] for part in PARTS)
                for name, value in money.items():
                    sums[row["month"]][name] += value
        assert not sums or {month: dict(of) for month, of in sums.items()} == total


@pytest.mark.parametrize(
    "business", ["shop", pytest.param("subscriptions", marks=pytest.mark.slow)]
)
def test_segments_and_categories_of_a_simulated_business_sum_to_the_total(business, request):
    _, chosen, history = request.getfixturevalue(business)
    rows = rows_of(history, chosen, history.data_until, "growth")["growth"]
    assert {row["dimension"] for row in rows} == {"all", "segment", "category"}
    assert {row["level"] for row in rows} >= {"private", "family", "business"}
    assert not [row for row in rows if row["missing"]]
    refuse_other_sums(rows, 100)


def test_each_part_has_its_customer_and_empty_months_are_there(tmp_path):
    rows = [
        *("a 2024-01-01 10", "a 2024-02-01 15", "a 2024-03-01 5"),
        *("b 2024-01-01 20", "b 2024-05-01 20"),
        "c 2024-01-31 0.10",
        "c 2024-02-03 30.20 refund",
    ]
    chosen, history = write_business(tmp_path, {"transactions": orders(*rows)})
    found = rows_of(history, chosen, day("2024-06-15"), "growth")["growth"]
    total = {row["month"]: minor(row, 100) for row in found if row["dimension"] == "all"}
    assert list(total) == [f"2024-0{month}" for month in range(1, 6)]
    assert [total[month]["revenue"] for month in total] == [3010, -1520, 500, 0, 2000]
    assert total["2024-01"]["new"] == 3010
    assert total["2024-02"]["lost"] == 2000 + 10 + 3020  # c has refunds alone
    assert (total["2024-02"]["expanded"], total["2024-03"]["contracted"]) == (500, 1000)
    assert total["2024-03"]["expanded"] == 3020  # the refunds of February are over
    assert (total["2024-04"]["lost"], total["2024-05"]["reactivated"]) == (500, 2000)
    missing = {row["dimension"]: row["missing"] for row in found if row["missing"]}
    assert set(nonempty(missing)) == {"segment", "category"}


def test_an_exchange_of_categories_is_no_growth(tmp_path):
    text = "customer_id,occurred_at,amount,category\na,2024-01-05,10,x\na,2024-02-05,10,y\n"
    chosen, history = write_business(tmp_path, {"transactions": text})
    rows = rows_of(history, chosen, day("2024-03-01"), "growth")["growth"]
    cells = {(row["level"], row["month"]): row for row in rows}
    assert cells["all", "2024-02"]["change"] == 0
    assert cells["all", "2024-02"]["customers_expanded"] == 0
    assert (cells["x", "2024-02"]["expanded"], cells["y", "2024-02"]["expanded"]) == (-10, 10)
