"""RFM scores and segments against a second, slow implementation; ties, cuts and consent."""

from __future__ import annotations

import math

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.core.errors import BadSetting
from features.core.instants import DAY_US
from features.core.settings import load_settings, settings_from_mapping
from features.indicators.rfm import SEGMENT_NAMES, SEGMENTS
from features.tables.history import load_history
from tests.support.checks import nonempty
from tests.support.command_line import ROOT
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
from tests.support.public_data import public_file

few = settings(max_examples=2, deadline=None)


def slow_rfm(money, as_of, per_unit):
    """RFM of every customer, in plain Python, with fifths of the customers."""
    people = {}
    for who, rows in by_customer(money).items():
        bought = [row for row in rows if row["bought"]]
        if bought:
            people[who] = {
                "last": max(row["at"] for row in bought),
                "frequency": len({row["day"] for row in bought}),
                "monetary": sum(row["net"] for row in rows),
                "year": sum(row["net"] for row in rows if row["at"] >= as_of - YEAR),
            }
    scores = {
        name: fifths([person[name] for person in people.values()])
        for name in ("last", "frequency", "monetary")
    }
    return [
        {
            "customer_id": who,
            "recency_days": (as_of - person["last"]) / DAY_US,
            "frequency": person["frequency"],
            "monetary": person["monetary"] / per_unit,
            "recency_score": (r := scores["last"][person["last"]]),
            "frequency_score": (f := scores["frequency"][person["frequency"]]),
            "monetary_score": (m := scores["monetary"][person["monetary"]]),
            "segment": SEGMENTS[r][math.ceil((f + m) / 2) - 1],
            "year": person["year"],
        }
        for who, person in people.items()
    ]


def fifths(values):
    """value -> 1 + ⌊5 · share of the values below it⌋."""
    ordered, below, scores = sorted(values), 0, {}
    for place, value in enumerate(ordered):
        if value not in scores:
            below = place
            scores[value] = 1 + 5 * below // len(ordered)
    return scores


def refuse_other_rows(tables, slow, per_unit):
    shared = [{k: v for k, v in row.items() if k != "year"} for row in slow]
    assert [{k: row[k] for k in shared[0]} for row in tables["rfm"]] == shared
    assert [row["segment"] for row in tables["rfm_segments"]] == list(SEGMENT_NAMES)
    for row in tables["rfm_segments"]:
        mine = [each for each in slow if each["segment"] == row["segment"]]
        assert row["n"] == len(mine)
        assert round(row["money_last_year"] * per_unit) == sum(each["year"] for each in mine)
        assert row["share"] == len(mine) / len(slow)
        assert row["low"] <= row["share"] <= row["high"]
        if mine:
            mean = sum(each["recency_days"] for each in mine) / len(mine)
            assert row["mean_recency_days"] == pytest.approx(mean, rel=1e-9)


@few
@given(seed=st.integers(0, 2**32))
def test_a_second_implementation_gives_the_same(seed):
    made = random_business(seed)
    slow = slow_rfm(known_money(made), made.as_of, units(made))
    tables = section(made, "rfm")
    if slow:
        refuse_other_rows(tables, slow, units(made))
    else:
        assert [row["n"] for row in tables["rfm"]] == [0]


def test_on_cdnow_the_second_implementation_gives_the_same(monkeypatch):
    path = public_file("cdnow/cdnow_master.parquet")
    monkeypatch.setenv("LIFECYCLE_DATA", str(path.parents[1]))
    chosen = load_settings(ROOT / "examples" / "cdnow.toml")
    history, _ = load_history(chosen)
    # The file once more, by another way: exact duplicates are one row, as `check` counts.
    raw = duckdb.execute(
        "SELECT DISTINCT customer_id, epoch_us(strptime(date, '%Y%m%d')) AS at, "
        "CAST(round(dollar_value * 100) AS BIGINT) AS net, number_of_cds FROM read_parquet(?)",
        [str(path)],
    ).fetchall()
    money = [
        {"who": who, "at": at, "day": at // DAY_US, "net": net, "bought": True}
        for who, at, net, _ in raw
    ]
    as_of = day("1998-07-01")
    slow = slow_rfm(money, as_of, 100)
    assert len(nonempty(slow)) == 23_570
    refuse_other_rows(rows_of(history, chosen, as_of, "rfm"), slow, 100)


def test_every_pair_of_scores_has_one_of_the_ten_segments():
    assert sorted(SEGMENTS) == [1, 2, 3, 4, 5]
    assert all(len(names) == 5 for names in SEGMENTS.values())
    assert {name for names in SEGMENTS.values() for name in names} == set(SEGMENT_NAMES)
    assert len(SEGMENT_NAMES) == 10


def test_equal_customers_have_equal_scores_and_one_customer_has_the_lowest(tmp_path):
    rows = [f"c{number} 2024-01-0{1 + number % 2} 10" for number in range(8)]
    chosen, history = write_business(tmp_path, {"transactions": orders(*rows)})
    tables = rows_of(history, chosen, day("2024-02-01"), "rfm")["rfm"]
    assert [row["recency_score"] for row in tables] == [1, 3] * 4
    assert {(row["frequency_score"], row["monetary_score"]) for row in tables} == {(1, 1)}
    chosen, history = write_business(tmp_path, {"transactions": orders(rows[0])})
    [row] = rows_of(history, chosen, day("2024-02-01"), "rfm")["rfm"]
    assert (row["recency_score"], row["segment"]) == (1, "hibernating")


def test_cuts_of_the_business_replace_the_fifths(tmp_path):
    rows = ["a 2024-01-31 10", "b 2024-01-02 100", "c 2023-06-01 99.99", "d 2022-01-01 1000"]
    cuts = {"recency_days": [1, 30, 60, 365], "monetary": [50, 100, 500, 900]}
    chosen, history = write_business(
        tmp_path, {"transactions": orders(*rows)}, value={"rfm_cuts": cuts}
    )
    tables = rows_of(history, chosen, day("2024-02-01"), "rfm")["rfm"]
    assert [row["recency_score"] for row in tables] == [5, 4, 2, 1]
    assert [row["monetary_score"] for row in tables] == [1, 3, 2, 5]
    assert [row["frequency_score"] for row in tables] == [1] * 4


@pytest.mark.parametrize("cuts", [[1, 2, 3], [1, 2, 2, 3], [4, 3, 2, 1], [1, 2, 3, float("nan")]])
def test_cuts_that_do_not_rise_are_refused(tmp_path, cuts):
    with pytest.raises(BadSetting, match="four rising numbers"):
        settings_from_mapping(
            {"tables": {"transactions": "SELECT 1"}, "value": {"rfm_cuts": {"monetary": cuts}}},
            folder=tmp_path,
            where="test",
        )


def test_who_did_not_consent_counts_and_is_not_named(tmp_path):
    tables = {
        "transactions": orders("a 2024-01-01 10", "b 2024-01-02 10", "c 2024-01-03 10"),
        "customers": "customer_id,acquired_at,consent\na,2023-01-01,true\nb,2023-01-01,false\n",
    }
    chosen, history = write_business(tmp_path, tables)
    result = rows_of(history, chosen, day("2024-02-01"), "rfm")
    assert [row["customer_id"] for row in result["rfm"]] == ["a"]
    assert sum(row["n"] for row in result["rfm_segments"]) == 3
    chosen, history = write_business(tmp_path, tables, consent={"list": False})
    assert len(rows_of(history, chosen, day("2024-02-01"), "rfm")["rfm"]) == 3


def test_refunds_above_purchases_give_negative_money(tmp_path):
    rows = ["a 2024-01-01 10", "a 2024-01-05 30 refund", "b 2024-01-01 5"]
    chosen, history = write_business(tmp_path, {"transactions": orders(*rows)})
    tables = rows_of(history, chosen, day("2024-02-01"), "rfm")["rfm"]
    assert [(row["monetary"], row["frequency"]) for row in tables] == [(-20.0, 1), (5.0, 1)]
    assert [row["monetary_score"] for row in tables] == [1, 3]
