"""Acquisition by channel, and the funnel of leads: counted by hand, and planted worlds."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from features.indicators.acquisition import NO_CHANNEL
from features.indicators.channel_costs import NOBODY
from features.indicators.funnel import NO_LEADS
from tests.support.indicator_worlds import day, orders, rows_of, write_business

CUSTOMERS = """customer_id,channel,acquisition_cost
a,ads,
b,ads,
c,friends,3
d,,
"""
COSTS = """channel,month,amount
ads,2024-01,10
ads,2024-02,6
ads,2024-04,99
"""
ORDERS = orders(
    "a 2024-01-05 20",
    "a 2024-02-20 5",
    "a 2024-02-25 5 refund",
    "b 2024-02-10 8",
    "c 2024-01-20 7",
    "d 2024-02-01 1",
    "e 2024-01-01 2",
)


def business(tmp_path, customers=CUSTOMERS, costs=COSTS, transactions=ORDERS, **sections):
    tables = {"customers": customers, "transactions": transactions}
    if costs is not None:
        tables["costs"] = costs
    return write_business(tmp_path, tables, **sections)


def tables_at(made, at, section="acquisition"):
    chosen, history = made
    return rows_of(history, chosen, day(at), section)


def by(rows, *names):
    return {tuple(row[name] for name in names): row for row in rows}


def test_costs_and_customers_of_each_channel_and_month_are_those_counted_by_hand(tmp_path):
    tables = tables_at(business(tmp_path), "2024-04-01")
    months = by(tables["channel_months"], "channel", "month")
    assert months["ads", "2024-01"]["cost"] == 10
    assert months["ads", "2024-02"]["cost_per_customer"] == 6
    assert months["friends", "2024-01"]["cost"] == 3
    assert months["(unknown)", "2024-02"]["cost"] is None
    # April is not over, so its cost is not known yet.
    assert ("ads", "2024-04") not in months
    channels = by(tables["channels"], "channel")
    assert channels[("ads",)]["cost_per_customer"] == 8
    assert channels[("friends",)]["cost_per_customer"] == 3
    assert channels[("(unknown)",)]["months_without_cost"] == 2
    assert channels[("all",)]["months_without_cost"] == 2
    everybody = channels[("all",)]
    assert (everybody["n"], everybody["cost"]) == (5, 19)
    assert everybody["cost_per_customer"] is None
    assert sum(row["n"] for key, row in channels.items() if key != ("all",)) == 5
    assert sum(row["cost"] or 0 for key, row in channels.items() if key != ("all",)) == 19


def test_a_month_without_a_stated_cost_is_no_month_for_nothing(tmp_path):
    made = business(tmp_path, costs="channel,month,amount\nads,2024-01,10\n")
    [ads] = [row for row in tables_at(made, "2024-04-01")["channels"] if row["channel"] == "ads"]
    assert (ads["cost"], ads["months_without_cost"]) == (10, 1)
    assert ads["cost_per_customer"] is None
    assert ads["payback_days"] is None


def test_money_and_repeats_are_those_of_the_same_age(tmp_path):
    ages = by(tables_at(business(tmp_path), "2024-04-01")["channel_ages"], "channel", "age_days")
    assert ages["ads", 30]["money_per_customer"] == 14  # 20 of a, 8 of b
    assert ages["ads", 30]["repeat_share"] == 0
    # b is 51 days old on 1 April, so at 90 days nobody but a could be.
    assert ("ads", 90) not in ages
    later = by(tables_at(business(tmp_path), "2024-04-20")["channel_ages"], "channel", "age_days")
    assert later["ads", 90]["n"] == 1
    assert later["ads", 90]["money_per_customer"] == 20
    assert later["ads", 90]["repeat_share"] == 1
    assert later["all", 30]["n"] == 5


def test_a_young_channel_is_not_worse_for_being_young(tmp_path):
    """Both channels bring the same customers; one began a year later."""
    rng = np.random.default_rng(0)
    people, rows = ["customer_id,channel"], []
    for k in range(600):
        channel = ("old", "young")[k % 2]
        first = date(2023, 1, 1) + timedelta(days=int(rng.integers(0, 90)) + 365 * (k % 2))
        people.append(f"c{k},{channel}")
        waits = [0, *np.cumsum(rng.exponential(40, 8)).astype(int).tolist()]
        rows += [f"c{k} {first + timedelta(days=days)} 10" for days in waits]
    made = business(tmp_path, "\n".join(people) + "\n", None, orders(*rows))
    ages = by(tables_at(made, "2024-07-01")["channel_ages"], "channel", "age_days")
    old, young = ages["old", 90], ages["young", 90]
    assert old["low"] < young["money_per_customer"] < old["high"]
    assert abs(old["repeat_share"] - young["repeat_share"]) < 0.1
    assert ("young", 365) not in ages


def test_payback_is_the_age_at_which_the_margin_reaches_the_cost(tmp_path):
    people = "customer_id,channel\n" + "".join(f"c{k},ads\n" for k in range(12))
    rows = [
        f"c{k} {date(2024, 1, 1) + timedelta(days=days)} 10"
        for k in range(12)
        for days in (0, 35, 65, 95)
    ]
    costs = "channel,month,amount\nads,2024-01,168\n"  # 14 each
    made = business(tmp_path, people, costs, orders(*rows))
    [ads, _] = tables_at(made, "2024-06-01")["channels"]
    assert ads["cost_per_customer"] == 14
    assert ads["payback_days"] == 60  # 20 of money within 60 days
    half = business(tmp_path, people, costs, orders(*rows), value={"margin": 0.5})
    assert tables_at(half, "2024-06-01")["channels"][0]["payback_days"] == 90
    dear = business(tmp_path, people, costs.replace("168", "99999"), orders(*rows))
    assert tables_at(dear, "2024-06-01")["channels"][0]["payback_days"] is None


def test_what_was_recorded_later_changes_no_table(tmp_path):
    late = COSTS.replace("\n", ",2024-02-01\n").replace("amount,2024-02-01", "amount,recorded_at")
    early = tables_at(business(tmp_path), "2024-03-02")
    changed = late.replace("ads,2024-02,6,2024-02-01", "ads,2024-02,6,2024-09-01")
    seen = tables_at(business(tmp_path, costs=changed), "2024-03-02")
    months = by(seen["channel_months"], "channel", "month")
    assert months["ads", "2024-02"]["cost"] is None
    assert by(early["channel_months"], "channel", "month")["ads", "2024-02"]["cost"] == 6


def test_without_channels_each_table_says_so(tmp_path):
    made = business(tmp_path, customers="customer_id\na\n")
    for rows in tables_at(made, "2024-04-01").values():
        assert [row["missing"] for row in rows] == [NO_CHANNEL]
    tables = {"transactions": ORDERS}
    made = write_business(tmp_path, tables)
    assert tables_at(made, "2024-04-01")["channels"][0]["missing"] == NO_CHANNEL


# ---------------------------------------------------------------- leads


def funnel(tmp_path, leads, at="2024-04-01", transactions=ORDERS):
    made = write_business(tmp_path, {"transactions": transactions, "leads": leads})
    rows = tables_at(made, at, "funnel")["funnel"]
    return by(rows, "channel", "step", "days")


def test_leads_that_are_still_open_count_as_long_as_they_were_observed(tmp_path):
    leads = """lead_id,occurred_at,channel,customer_id
1,2024-01-01,ads,a
2,2024-01-01,ads,
3,2024-03-28,ads,
4,2024-01-15,fair,c
"""
    rows = funnel(tmp_path, leads)
    first = rows["ads", "first activity", 7]
    # a bought after 4 days; lead 3 was observed for 4 days alone.
    assert first["n"] == 3
    assert first["done"] == 1
    assert first["share"] == pytest.approx(1 / 3)
    assert rows["ads", "first activity", 90]["share"] == pytest.approx(1 / 3)
    assert rows["ads", "second activity", 90]["done"] == 1
    assert rows["fair", "first activity", 7]["share"] == 1
    assert rows["all", "first activity", 7]["n"] == 4
    assert rows["ads", "first activity", 180]["share"] is None


def test_the_share_of_many_leads_is_the_true_one_however_young_they_are(tmp_path):
    """Three in ten buy, after 20 days on average; leads arrive until the last day."""
    rng = np.random.default_rng(1)
    leads, rows = ["lead_id,occurred_at,channel,customer_id"], ["z 2023-01-01 1"]
    for k in range(2000):
        begun = date(2024, 1, 1) + timedelta(days=int(rng.integers(0, 90)))
        wait = int(rng.exponential(20))
        buys = rng.random() < 0.3 and begun + timedelta(days=wait) < date(2024, 4, 1)
        leads.append(f"{k},{begun},ads,{f'c{k}' if buys else ''}")
        if buys:
            rows.append(f"c{k} {begun + timedelta(days=wait)} 5")
    found = funnel(tmp_path, "\n".join(leads) + "\n", transactions=orders(*rows))
    within = found["ads", "first activity", 30]
    true = 0.3 * (1 - np.exp(-31 / 20))
    assert within["low"] <= true <= within["high"]
    raw = within["done"] / within["n"]
    assert abs(within["share"] - true) < abs(raw - true)


def test_without_leads_the_funnel_says_so(tmp_path):
    made = write_business(tmp_path, {"transactions": ORDERS})
    assert tables_at(made, "2024-04-01", "funnel")["funnel"][0]["missing"] == NO_LEADS
    leads = "lead_id,occurred_at,channel,customer_id\n1,2024-05-01,ads,a\n"
    made = write_business(tmp_path, {"transactions": ORDERS, "leads": leads})
    [row] = tables_at(made, "2024-04-01", "funnel")["funnel"]
    assert row["missing"] == "a lead before as_of who was no customer yet"


def test_at_the_midnight_that_ends_a_month_its_cost_is_known(tmp_path):
    tables = tables_at(business(tmp_path), "2024-03-01")
    assert by(tables["channel_months"], "channel", "month")["ads", "2024-02"]["cost"] == 6
    assert by(tables["channels"], "channel")[("ads",)]["cost_per_customer"] == 8


def test_costs_of_months_before_the_data_begin_count_for_nobody(tmp_path):
    made = business(tmp_path, costs=f"{COSTS}ads,2023-05,1000\nads,2023-12,1000\n")
    channels = by(tables_at(made, "2024-04-01")["channels"], "channel")
    assert channels[("ads",)]["cost_per_customer"] == 8


def test_a_channel_may_be_named_as_the_row_of_everybody(tmp_path):
    people = "customer_id,channel\na,all\nb,all\nc,(unknown)\nd,\n"
    tables = tables_at(business(tmp_path, people, None), "2024-04-01")
    channels = by(tables["channels"][:-1], "channel")
    assert channels[("all (channel)",)]["n"] == 2
    assert channels[("(unknown) (channel)",)]["n"] == 1
    assert channels[("(unknown)",)]["n"] == 2
    assert channels[("all",)]["n"] == 5
    # Nothing is known of costs, and the last row says so.
    assert "costs" in tables["channels"][-1]["missing"]


def test_a_lead_who_was_a_customer_already_is_no_conversion(tmp_path):
    leads = "lead_id,occurred_at,channel,customer_id\n1,2024-01-10,ads,a\n2,2024-01-10,ads,b\n"
    rows = funnel(tmp_path, leads)
    assert rows["ads", "first activity", 90]["n"] == 1  # b; a had bought on 5 January


def test_a_cost_of_a_channel_that_nobody_came_through_is_shown(tmp_path):
    made = business(tmp_path, costs=f"{COSTS}tv,2024-02,50\n")
    tables = tables_at(made, "2024-04-01")
    [tv] = [row for row in tables["channels"] if row["channel"] == "tv"]
    assert (tv["n"], tv["cost"], tv["cost_per_customer"]) == (0, 50, None)
    assert (tv["payback_days"], tv["most_cost"]) == (None, None)


def test_where_nobody_was_acquired_that_is_what_is_missing(tmp_path):
    made = business(tmp_path, transactions=orders("a 2024-01-05 20 refund"))
    assert tables_at(made, "2024-04-01")["channels"][0]["missing"] == NOBODY
