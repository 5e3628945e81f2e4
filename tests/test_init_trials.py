"""What people really have, and what was once read wrong without a word."""

from __future__ import annotations

import os

import pytest

from features.core.contract import OPEN_END_US
from features.core.errors import BadSetting, StoreFailed, WrongType
from features.core.settings import load_settings
from features.tables.history import load_history
from lifecycle.init.questions import Answers
from lifecycle.init.write_config import write
from tests.support.init_data import guessed, put, rows

HEAD = "order_id,customer_id,order_date,total"


def orders(folder, cells, head=HEAD):
    days = [f"2024-0{1 + n % 6}-{1 + n % 28:02d}" for n in range(len(cells))]
    return put(
        folder,
        "orders.csv",
        head,
        [f'A{n},c{n % 5},{days[n]},"{cell}"' for n, cell in enumerate(cells)],
    )


def test_amounts_with_the_signs_of_two_currencies_are_not_added_up(tmp_path):
    path = orders(tmp_path, [f"{'€$'[n % 2]}{n + 1}.00" for n in range(40)])
    with pytest.raises(BadSetting, match="several currencies"):
        guessed(tmp_path, path)
    out = tmp_path / "chosen.toml"
    write([path], out, Answers({"currency": "USD"}))
    assert "20 of 40 rows are left out: in other currencies than USD" in out.read_text()


def test_a_decimal_comma_among_commas_between_thousands_is_no_hundredfold(tmp_path):
    cells = [*(f"{n},234.50" for n in range(1, 30)), "15.00", "12,50"]
    _, _, _, found, counts = guessed(tmp_path, orders(tmp_path, cells))
    assert counts["transactions"].rejected == {"amount_not_money": 1}
    assert max(row["amount"] for row in rows(found, "transactions")) == 2_923_450


def test_one_time_without_an_offset_hides_no_question_about_the_zone(tmp_path):
    times = [f"2024-01-{1 + n:02d} 00:30:00+02:00" for n in range(28)] + ["2024-03-03 10:00:00"]
    lines = [f"A{n},c{n % 5},{time},5" for n, time in enumerate(times)]
    _, page, *_ = guessed(tmp_path, put(tmp_path, "orders.csv", HEAD, lines))
    assert "your zone decides on which day they are" in page


def test_signs_that_nobody_sees_make_no_other_person(tmp_path):
    lines = [f"A{n},{mark}c{n % 5}{mark},2024-01-{1 + n % 28:02d},5" for n, mark in
             enumerate(["", "\ufeff", "\u200b", "\u200e"] * 10)]  # fmt: skip
    _, _, _, found, _ = guessed(tmp_path, put(tmp_path, "orders.csv", HEAD, lines))
    assert {row["customer_id"] for row in rows(found, "transactions")} == {
        f"c{n}" for n in range(5)
    }


@pytest.mark.parametrize(
    ("column", "yes", "no"),
    [
        ("consent", "subscribed", "unsubscribed"),
        ("unsubscribed", "0", "1"),
        ("marketing_opt_out", "no", "yes"),
    ],
)
def test_who_said_no_in_words_said_no(tmp_path, column, yes, no):
    people = put(
        tmp_path,
        "customers.csv",
        f"customer_id,joined,{column}",
        [f"c{n},2023-05-0{1 + n},{no if n == 3 else yes}" for n in range(5)],
    )
    sold = orders(tmp_path, ["5"] * 40)
    _, _, _, found, _ = guessed(tmp_path, people, sold)
    said = {row["customer_id"]: row["consent"] for row in rows(found, "customers")}
    assert said == {f"c{n}": n != 3 for n in range(5)}


def test_a_write_that_fails_leaves_nothing_in_the_way_of_the_next(tmp_path):
    path = orders(tmp_path, ["5"] * 40)
    place = tmp_path / "place"
    place.mkdir()
    (place / f".lifecycle.toml.{os.getpid()}").mkdir()  # where the page is written first
    with pytest.raises(StoreFailed):
        write([path], place / "lifecycle.toml")
    assert not (place / "lifecycle.toml").exists()


def test_a_year_of_two_digits_may_come_first(tmp_path):
    """24/01/05 is the fifth of January 2024, and not the 24th of January 2005."""
    lines = [f"A{n},c{n % 5},24/{1 + n % 3:02d}/{1 + n % 28:02d},5" for n in range(60)]
    _, page, _, found, _ = guessed(tmp_path, put(tmp_path, "orders.csv", HEAD, lines))
    days = {row["occurred_at"] // 86_400_000_000 for row in rows(found, "transactions")}
    assert max(days) - min(days) < 100
    assert "CHECK: order_date is read as %y/%m/%d (2024-01-01 … 2024-03-" in page


def test_a_day_before_a_year_of_two_digits_is_read_as_before(tmp_path):
    lines = [f"A{n},c{n % 5},{1 + n % 28:02d}/{1 + n % 12:02d}/2{n % 3},5" for n in range(120)]
    _, page, *_ = guessed(tmp_path, put(tmp_path, "orders.csv", HEAD, lines))
    assert "order_date has the format %d/%m/%y" in page


def test_the_invoices_of_orders_are_no_further_purchases(tmp_path):
    """Taxes make other amounts of the same sixty purchases."""
    sold = [(n, f"c{n % 7}", f"2024-0{1 + n % 6}-{1 + n % 28:02d}", n + 10) for n in range(60)]
    lines = [f"A{n},{who},{day},{amount}.00" for n, who, day, amount in sold]
    net = put(tmp_path, "orders.csv", HEAD, lines)
    gross = put(
        tmp_path,
        "invoices.csv",
        "invoice_id,customer_id,invoice_date,amount",
        [f"I{n},{who},{day},{amount * 1.19:.2f}" for n, who, day, amount in sold],
    )
    _, page, _, _, counts = guessed(tmp_path, net, gross)
    assert counts["transactions"].kept == 60
    assert "could hold the same events" in page


def test_letters_of_a_zone_that_stand_for_several_are_refused_and_not_read_as_empty(tmp_path):
    lines = [f"A{n},c{n % 5},2024-01-{1 + n % 28:02d} 10:00:00 CST,5" for n in range(40)]
    with pytest.raises(WrongType, match="CST"):
        guessed(tmp_path, put(tmp_path, "orders.csv", HEAD, lines))


def test_a_zone_seen_in_winter_is_read_in_summer_too(tmp_path):
    lines = [f"A{n},c{n % 5},2024-01-{1 + n % 28:02d} 10:00:00 PST,5" for n in range(40)]
    path = put(tmp_path, "orders.csv", HEAD, lines)
    _, page, *_ = guessed(tmp_path, path)
    assert "PDT" in page


def test_an_end_of_2099_is_open_in_every_zone(tmp_path):
    terms = put(
        tmp_path,
        "contracts.csv",
        "customer_id,starts_at,ends_at",
        [f"c{n},2024-01-01,2099-01-01" for n in range(5)],
    )
    sold = orders(tmp_path, ["5"] * 40)
    config = tmp_path / "zone.toml"
    write([terms, sold], config, Answers({"zone": "Asia/Tokyo"}))
    history, _ = load_history(load_settings(config))
    assert {row["ends_at"] for row in rows(history, "contracts")} == {OPEN_END_US}
