"""`lifecycle check` names what looks wrong: each kind on a small input of its own, and none on a
clean one."""

from __future__ import annotations

import pytest

from features.core import errors
from features.core.instants import instant
from features.plausibility import definition_report
from lifecycle.commands.check import build_report, nothing_left
from lifecycle.commands.check_text import report_text
from tests.support.plausible_business import (
    HEAD,
    NOW,
    business,
    complete,
    day,
    findings,
    names,
    purchases,
    shop,
)

SETTINGS = ("setting_without_effect", "settings")


def test_a_clean_business_has_none(tmp_path):
    people = "customer_id,acquired_at\n" + "".join(f"c{who:02d},2024-01-01\n" for who in range(40))
    visits = "customer_id,occurred_at,kind\n" + "".join(
        f"c{who:02d},{day(who + 20 * turn)},visit\n" for who in range(40) for turn in range(15)
    )
    tables = {"transactions": shop(), "customers": people, "interactions": visits}
    assert findings(tmp_path, tables, contract=complete("interactions")) == {}
    # The visits end in November, and say so only when nobody says that they are complete.
    assert names(findings(tmp_path, tables)) == ["silent_feed"]


def test_a_lonely_newest_day_is_named_and_does_not_move_the_end_of_the_data(tmp_path):
    tables = {"transactions": shop(f"c01,{day(600)},5,late")}
    _, history, _ = business(tmp_path, tables)
    assert history.data_until == instant(day(365), zone="UTC") + 1
    named = findings(tmp_path, tables, now=instant(day(700), zone="UTC"))
    assert names(named) == ["data_end_long_ago", "lonely_newest_day"]
    only = named["lonely_newest_day", "transactions"]
    assert only["counts"] == {"rows": 1, "gap_days": 235}
    assert day(600) in only["sentence"]
    assert f"occurred_at < '{day(366)}'" in only["fix"]
    # Who states the end of the data is believed.
    stated = business(tmp_path, tables, contract={"data_until": day(601)})[1]
    assert stated.data_until == instant(day(601), zone="UTC")


def test_a_lonely_oldest_day_is_named(tmp_path):
    named = findings(tmp_path, {"transactions": shop("c01,1970-01-01,5,early")})
    assert "1970-01-01" in named["lonely_oldest_day", "transactions"]["sentence"]


def test_a_placeholder_day_is_named_also_where_it_does_not_stand_alone(tmp_path):
    early = [f"c{n % 40:02d},1970-01-01,5,early{n}" for n in range(80)]
    people = "customer_id,acquired_at\nc00,1970-01-01\nc01,2024-01-01\n"
    named = findings(tmp_path, {"transactions": shop(*early), "customers": people})
    for table, rows in (("transactions", 80), ("customers", 1)):
        assert named["placeholder_day", table]["counts"] == {"rows": rows}
        assert f"{rows} rows have 1970-01-01 as" in named["placeholder_day", table]["sentence"]


def test_a_usual_pause_is_not_lonely(tmp_path):
    rows = [row for row in purchases() if not "2024-06-01" < row.split(",")[1] < "2024-08-01"]
    # After a pause as long as one before, one row begins the new season.
    again = f"c01,{day(365 + 55)},5,o"
    text = HEAD + "\n".join([*rows, again]) + "\n"
    assert "lonely_newest_day" not in names(
        findings(tmp_path, {"transactions": text}, now=NOW + 10**13)
    )


def test_dates_after_today_are_named(tmp_path):
    named = findings(tmp_path, {"transactions": shop()}, now=instant("2024-12-01", zone="UTC"))
    only = named["dates_after_today", "transactions"]
    assert only["counts"]["rows"] > 50
    assert only["values"] == [day(365)]


def test_one_id_with_an_outsized_share(tmp_path):
    till = [f"counter7,{day(at % 366)},3,t{at}" for at in range(400)]
    only = findings(tmp_path, {"transactions": shop(*till)})["outsized_id", "transactions"]
    assert only["counts"]["rows"] == 400
    assert "counter7" not in only["sentence"] + only["fix"]  # an id is never shown


def test_placeholder_ids(tmp_path):
    words = ["0", "guest", "#N/A", "-", "undefined", "000", "NULL"]
    rows = [f"{word},{day(at)},3,{word}{at}" for word in words for at in range(5)]
    only = findings(tmp_path, {"transactions": shop(*rows)})["placeholder_ids", "transactions"]
    assert only["counts"] == {"rows": 35, "ids": 7}
    assert len(only["values"]) == 3
    assert set(only["values"]) < set(words)


def test_ids_that_count_from_zero_are_no_placeholders(tmp_path):
    numbered = "\n".join(str(int(row[1:3])) + row[3:] for row in purchases())
    assert findings(tmp_path, {"transactions": HEAD + numbered + "\n"}) == {}


def test_ids_equal_but_for_case(tmp_path):
    rows = [f"C{who:02d},{day(who)},3,t{who}" for who in range(7)]
    only = findings(tmp_path, {"transactions": shop(*rows)})[
        "ids_equal_but_for_case", "transactions"
    ]
    assert only["counts"] == {"ids": 47, "without_case": 40}


def test_superseded_rows_and_versions_that_change_kind(tmp_path):
    head = HEAD.strip() + ",recorded_at,kind\n"
    plain = [f"{row},{row.split(',')[1]},purchase" for row in purchases()]
    twice = [f"{row},{day(380)},purchase" for row in purchases()[:200]]
    named = findings(tmp_path, {"transactions": head + "\n".join([*plain, *twice]) + "\n"})
    assert named["superseded_rows", "transactions"]["counts"]["superseded"] == 200
    failed = [f"{row},{day(365)},payment_failed" for row in purchases()[:3]]
    named = findings(tmp_path, {"transactions": head + "\n".join([*plain, *failed]) + "\n"})
    assert names(named) == ["versions_change_kind"]
    assert named["versions_change_kind", "transactions"]["counts"] == {"transaction_ids": 3}
    # A refund under its order's number is no version, and nothing to name; it is counted.
    refunds = [f"{row},{day(365)},refund" for row in purchases()[:200]]
    text = head + "\n".join([*plain, *refunds]) + "\n"
    settings, history, counts = business(tmp_path, {"transactions": text})
    report = build_report(history, counts, settings, now=NOW)
    assert (report["findings"], report["tables"]["transactions"]["refunds_of_orders"]) == ([], 200)


def test_ids_of_a_table_that_no_other_knows(tmp_path):
    tickets = "customer_id,occurred_at,kind\n" + "".join(
        f"{name},{day(at)},complaint\n" for at in range(30) for name in (f"c{at:02d}", f"T-{at}")
    )
    tables = {"transactions": shop(), "feedback": tickets}
    named = findings(tmp_path, tables, contract=complete("feedback"))
    assert names(named) == ["ids_no_other_table_knows"]
    assert named["ids_no_other_table_knows", "feedback"]["counts"] == {"ids": 60, "unknown": 30}


def test_many_rejected_with_an_example_and_what_is_allowed(tmp_path):
    rows = [f"c01,{day(at)},12;50,b{at}" for at in range(120)]
    settings, history, counts = business(tmp_path, {"transactions": shop(*rows)})
    report = build_report(history, counts, settings, now=NOW)
    [only] = report["findings"]
    assert (only["name"], only["counts"]["rejected"]) == ("many_rejected", 120)
    text = report_text(report)
    assert "for example '12;50' in row 1,449 of transactions.csv; allowed: a decimal number" in text


def test_an_example_never_shows_an_id(tmp_path):
    head = HEAD.strip() + ",kind\n"
    rows = "\n".join(f"{row},purchase" for row in purchases())
    text = f"{head}{rows}\n,{day(1)},1,secret-order,purchase\nc01,{day(1)},1,o,bought\n"
    _, _, counts = business(tmp_path, {"transactions": text})
    shown = {each.reason: (each.example, each.allowed) for each in counts["transactions"].examples}
    assert shown["customer_id_missing"] == ("", "a value in every row")
    assert shown["kind_unknown"] == ("'bought'", "one of purchase, refund, payment_failed, void")


def test_several_currencies_even_where_the_select_leaves_the_column_out(tmp_path):
    rows = "\n".join(f"{row},{('EUR', 'USD')[at % 2]}" for at, row in enumerate(purchases()))
    text = HEAD.strip() + ",currency\n" + rows + "\n"
    whole = findings(tmp_path, {"transactions": text})
    assert names(whole) == ["several_currencies"]
    columns = "customer_id, occurred_at, amount, transaction_id"
    without = {"transactions": f"SELECT {columns} FROM transactions_file"}
    assert names(findings(tmp_path, {"transactions": text}, tables=without)) == [
        "several_currencies"
    ]
    one = {"transactions": f"{without['transactions']} WHERE currency = 'EUR'"}
    assert findings(tmp_path, {"transactions": text}, tables=one) == {}


def test_amounts_with_three_decimals(tmp_path):
    dots = [f"c01,{day(at)},1.500,d{at}" for at in range(20)]
    only = findings(tmp_path, {"transactions": shop(*dots)})
    assert names(only) == ["amounts_with_three_decimals"]
    assert only["amounts_with_three_decimals", "transactions"]["counts"] == {"rows": 20}
    rounded = {
        "transactions": "SELECT customer_id, occurred_at, transaction_id, "
        "round(CAST(amount AS DECIMAL(18, 3)), 2) AS amount FROM transactions_file"
    }
    assert names(findings(tmp_path, {"transactions": shop(*dots)}, tables=rounded)) == [
        "amounts_with_three_decimals"
    ]
    # A cell with four digits before the point shows that it is the decimal point.
    surely = shop(*dots, f"c01,{day(30)},1500.500,s")
    assert findings(tmp_path, {"transactions": surely}) == {}


def test_data_that_end_long_before_today_are_named_unless_the_settings_say_so(tmp_path):
    """Tonight's run would be refused: better to hear of it when the files are checked."""
    later = instant("2025-01-05", zone="UTC")
    named = findings(tmp_path, {"transactions": shop()}, now=later)
    assert named["data_end_long_ago", "transactions"]["counts"] == {"days": 4}
    stated = {"data_until": "2025-01-01"}
    assert findings(tmp_path, {"transactions": shop()}, now=later, contract=stated) == {}
    # The as_of of today is a midnight: three days after the data all day long.
    evening = instant("2025-01-04T23:00:00Z", zone="UTC")
    assert findings(tmp_path, {"transactions": shop()}, now=evening) == {}


def test_a_stated_freshness_that_newer_rows_overtake_is_named(tmp_path):
    stated = {"fresh_until": {"transactions": "2024-06-01"}}
    named = findings(tmp_path, {"transactions": shop()}, contract=stated)
    assert "fresh_until.transactions has no effect" in named[SETTINGS]["sentence"]


def test_exact_duplicates_of_customers_are_dropped_and_counted(tmp_path):
    people = "customer_id,acquired_at\n" + "".join(f"c{who:02d},2024-01-01\n" for who in range(40))
    tables = {"transactions": shop(), "customers": people + "c05,2024-01-01\n"}
    _, _, counts = business(tmp_path, tables)
    assert (counts["customers"].kept, counts["customers"].rejected) == (40, {"exact_duplicate": 1})
    tables["customers"] += "c05,2024-01-02\n"
    with pytest.raises(errors.LifecycleError):
        business(tmp_path, tables)


def test_events_from_before_the_customer_existed(tmp_path):
    people = "customer_id,acquired_at\n" + "".join(f"c{who:02d},{day(180)}\n" for who in range(40))
    named = findings(tmp_path, {"transactions": shop(), "customers": people})
    assert names(named) == ["events_before_acquired"]


def test_a_newest_window_in_which_nobody_or_everybody_left(tmp_path):
    everyday = [f"c{who:02d},{day(at)},5,{who}-{at}" for who in range(40) for at in range(366)]
    named = findings(tmp_path, {"transactions": HEAD + "\n".join(everyday) + "\n"})
    assert named["nobody_left", "transactions"]["counts"] == {"eligible": 40, "left": 0}
    gone = [f"c{who:02d},{day(at)},5,{who}-{at}" for who in range(40) for at in range(330)]
    text = HEAD + "\n".join([*gone, f"new,{day(365)},5,n"]) + "\n"
    complete_anyway = {"data_until": day(366), "fresh_until": {"transactions": day(366)}}
    named = findings(tmp_path, {"transactions": text}, contract=complete_anyway)
    assert named["everybody_left", "transactions"]["counts"] == {"eligible": 40, "left": 40}


def test_settings_without_effect_are_named_and_others_are_not(tmp_path):
    quiet = {
        "churn": {"grace_days": 3, "label_latency_days": 3},
        "activity": {"kinds": ["purchase", "subscription"]},
        "contract": {
            "exact_duplicates": "keep",
            "arrives_after_hours": {"feedback": 2},
            "scales": {"csat": [1, 5]},
        },
        "satisfaction": {"resolve_within_hours": 24},
    }
    settings, history, counts = business(tmp_path, {"transactions": shop()}, **quiet)
    report = build_report(history, counts, settings, now=NOW)
    keys = [each["sentence"].split(" has no effect")[0] for each in report["findings"]]
    assert keys == [
        "[churn] grace_days",
        "[contract] arrives_after_hours.feedback",
        "[contract.scales] csat",
        '[contract] exact_duplicates = "keep"',
        "[activity] kinds 'subscription'",
        "[satisfaction] resolve_within_hours",
    ]
    effective = {
        "contract": {"arrives_after_hours": {"transactions": 2}},
        "stages": {"acquired": "second_activity"},
    }
    assert findings(tmp_path, {"transactions": shop()}, **effective) == {}


def test_the_activity_of_other_people_is_named(tmp_path):
    """Everybody with a ticket is unknown to the table of activity, and the other way round."""
    tickets = "customer_id,occurred_at,kind\n" + "".join(
        f"T-{who},{day(at)},complaint\n" for at in range(0, 366, 7) for who in range(40)
    )
    people = "customer_id,acquired_at\n" + "".join(f"T-{who},2024-01-01\n" for who in range(40))
    tables = {"transactions": shop(), "feedback": tickets, "customers": people}
    named = findings(tmp_path, tables, contract=complete("feedback"))
    assert named["ids_no_other_table_knows", "transactions"]["counts"] == {
        "ids": 40,
        "unknown": 40,
    }
    few = tickets + "".join(f"c{who:02d},{day(9)},complaint\n" for who in range(4))
    tables = {"transactions": shop(), "feedback": few, "customers": people}
    named = findings(tmp_path, tables, contract=complete("feedback"))
    assert ("ids_no_other_table_knows", "transactions") not in named


def test_tables_that_share_ids_among_each_other_alone_are_named(tmp_path):
    """Each table meets another, so none of them looks wrong for itself."""
    tickets = "customer_id,occurred_at,kind\n" + "".join(
        f"T-{who},{day(at)},complaint\n" for at in range(0, 366, 7) for who in range(40)
    )
    calls = tickets.replace("complaint", "call")
    people = "customer_id,acquired_at\n" + "".join(f"c{who:02d},2024-01-01\n" for who in range(40))
    tables = {
        "transactions": shop(),
        "customers": people,
        "feedback": tickets,
        "interactions": calls,
    }
    both = {"contract": {"fresh_until": {"feedback": day(366), "interactions": day(366)}}}
    named = findings(tmp_path, tables, **both)
    [found] = [each for (name, _), each in named.items() if name == "groups_of_tables_apart"]
    assert found["counts"] == {"groups": 2}
    one, _, other = found["sentence"].partition(" and those of ")
    assert "customers" in one.removeprefix("the customers of ")
    assert "transactions" in one
    assert "feedback" in other
    assert "interactions" in other
    one = tickets + f"c01,{day(9)},complaint\nc02,{day(9)},complaint\n"
    tables["feedback"] = one
    named = findings(tmp_path, tables, **both)
    assert not any(name == "groups_of_tables_apart" for name, _ in named)


def test_a_load_stamp_on_every_row_leaves_nothing_and_says_why(tmp_path):
    rows = "\n".join(f"{row},2025-01-01 23:00" for row in purchases())
    text = HEAD.strip() + ",recorded_at\n" + rows + "\n"
    settings, history, counts = business(tmp_path, {"transactions": text})
    report = build_report(history, counts, settings, now=NOW)
    assert nothing_left(report)
    assert "Leave recorded_at out" in report["findings"][0]["fix"]


def test_the_errors_of_all_tables_are_reported_at_once(tmp_path):
    tables = {
        "transactions": "customer_id,occurred_at,total\na,2024-01-01,1\n",
        "interactions": "customer_id,occurred_at,kind\na,never,visit\n",
    }
    with pytest.raises(errors.SeveralRefused) as refused:
        business(tmp_path, tables)
    assert [type(each).__name__ for each in refused.value.errors] == ["ColumnMissing", "EmptyTable"]
    text = errors.owner_text(refused.value)
    assert "no column amount" in text
    assert "'never'" in text
    assert "a date or a time" in text


def test_all_missing_files_are_reported_at_once(tmp_path):
    sections = {"files": {"a": "a.csv", "b": "b.csv"}}
    with pytest.raises(errors.SeveralRefused, match=r"a\.csv.*b\.csv"):
        business(tmp_path, {"transactions": shop()}, **sections)


def test_the_median_gap_counts_each_customer_once(tmp_path):
    # One customer buys daily, ten every forty days: the median customer's gap is forty days.
    daily = [f"often,{day(at)},5,x{at}" for at in range(366)]
    rest = [f"c{who},{day(at)},5,{who}-{at}" for who in range(10) for at in range(0, 366, 40)]
    text = HEAD + "\n".join([*daily, *rest]) + "\n"
    settings, history, counts = business(tmp_path, {"transactions": text})
    report = build_report(history, counts, settings, now=NOW)
    assert report["acquired"]["median_gap_days"] == 40
    assert "median gap 40.0 days" in report_text(report)


def test_how_the_definition_of_churn_moves_its_figures(tmp_path):
    # c00 pauses for sixty days in the middle; everybody else buys every nine days.
    rows = [
        row
        for row in purchases()
        if not (row.startswith("c00") and day(215) < row.split(",")[1] < day(290))
    ]
    settings, history, _ = business(tmp_path, {"transactions": HEAD + "\n".join(rows) + "\n"})
    report = definition_report(history, settings)
    rows = {(row["horizon_days"], row["eligible_days"]): row for row in report["rows"]}
    assert [key for key, row in rows.items() if row["configured"]] == [(30, 30)]
    assert set(rows) == {(30, 30), (15, 30), (45, 30), (60, 30), (30, 15), (30, 45), (30, 60)}
    assert rows[30, 15]["eligible"] <= rows[30, 30]["eligible"] <= rows[30, 60]["eligible"]
    rates = [rows[horizon, 30]["churn_rate"] for horizon in (15, 30, 45, 60)]
    assert rates == sorted(rates, reverse=True)
    assert {row["eligible"] for (_, days), row in rows.items() if days == 30} == {
        rows[30, 30]["eligible"]
    }


def test_money_written_with_a_minus_is_named(tmp_path):
    text = shop().replace("customer_id,", "discount,customer_id,", 1)
    lines = text.strip().splitlines()
    rows = [f"-5,{line}" if at % 2 else f",{line}" for at, line in enumerate(lines[1:])]
    named = findings(tmp_path, {"transactions": "\n".join([lines[0], *rows]) + "\n"})
    assert ("negative_discounts", "transactions") in named
    assert ("purchases_below_0", "transactions") not in named
