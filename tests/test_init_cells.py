"""`lifecycle init` reads times, money, kinds and ids however the cells are written."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.core.errors import ColumnMissing
from tests.support.init_data import day, guessed, put, rows

TIMES = {
    "compact": (lambda n: f"2024{1 + n % 12:02d}{1 + n % 28:02d}", "%Y%m%d", "days"),
    "day first": (
        lambda n: f"{1 + n % 28:02d}/{1 + n % 12:02d}/2024",
        "%d/%m/%Y: values over 12",
        "days",
    ),
    "month first": (
        lambda n: f"{1 + n % 12}/{1 + n % 28}/2024 1:05 PM",
        "%m/%d/%Y %I:%M %p: values over 12",
        "naive",
    ),
    "either": (
        lambda n: f"{1 + n % 12}-{1 + n % 12}-2024",
        "CHECK: date can be read day first or month first",
        "days",
    ),
    "words": (lambda n: f"{1 + n % 28} Mar 2024", "%d %b %Y", "days"),
    "short years": (lambda n: f"{1 + n % 28:02d}.03.24", "%d.%m.%y", "days"),
    "iso": (lambda n: f"2024-03-{1 + n % 28:02d}T10:00:00", "", "naive"),
    "midnights": (lambda n: f"2024-03-{1 + n % 28:02d} 00:00:00", "", "days"),
    "offset": (lambda n: f"2024-03-{1 + n % 28:02d}T10:00:00+05:30", "", "offset"),
    "utc": (lambda n: f"2024-03-{1 + n % 28:02d} 10:00:00 UTC", "", "noon"),
    "seconds": (lambda n: f"{1_700_000_000 + n * 86_400}", "", "offset"),
    "milliseconds": (lambda n: f"{1_700_000_000_000 + n * 86_400_000}", "", "offset"),
}
ZONES = {
    "days": "there are dates only",
    "naive": "the clock times have no zone, so no row moves to another day",
    "offset": "CHECK: 56 times carry an offset: your zone decides on which day they are",
    "noon": "the times carry their offset",  # nowhere near midnight
}


@pytest.mark.parametrize("written", TIMES)
def test_times_are_read_as_they_are_written(tmp_path, written):
    write, said, clock = TIMES[written]
    path = put(
        tmp_path, "x.csv", "uid,date,value", [f"{n % 7},{write(n)},{n}.5" for n in range(56)]
    )
    guesses, _, _, found, counts = guessed(tmp_path, path)
    assert said in guesses["tables.transactions"]["reason"]
    assert guesses["business.zone"]["reason"].startswith(ZONES[clock])
    assert counts["transactions"].rejected == {}
    assert {row["occurred_at"] % 86_400_000_000 == 0 for row in rows(found, "transactions")} == {
        clock == "days"
    }


def test_the_day_and_the_month_are_not_swapped(tmp_path):
    lines = [f"{n % 7},{1 + n % 12:02d}/{1 + n % 28:02d}/2024,{n}.5" for n in range(56)]
    _, _, _, found, _ = guessed(tmp_path, put(tmp_path, "x.csv", "uid,date,value", lines))
    got = {row["amount"]: day(row["occurred_at"]) for row in rows(found, "transactions")}
    assert got == {n * 100 + 50: date(2024, 1 + n % 12, 1 + n % 28) for n in range(56)}


def test_a_time_that_does_not_parse_is_refused_and_an_optional_one_does_not_vanish(tmp_path):
    lines = [
        f"{n},{'soon' if n == 3 else f'{1 + n % 28}/03/2024'},{n},"
        f"{'later' if n == 4 else f'{1 + n % 28}/04/2024'}"
        for n in range(60)
    ]
    _, _, _, _, counts = guessed(
        tmp_path,
        put(tmp_path, "tickets.csv", "user_id,created_at,topic,resolved_at", lines),
        put(
            tmp_path,
            "sales.csv",
            "user_id,date,total",
            [f"{n},2024-03-0{1 + n},5" for n in range(9)],
        ),
    )
    assert counts["feedback"].rejected == {
        "occurred_at_not_an_instant": 1,
        "resolved_at_not_an_instant": 1,
    }


EPOCHS = {
    "seconds among milliseconds": (1_000, 1),
    "milliseconds among microseconds": (1_000_000, 1_000),
    "milliseconds among seconds": (1, 1_000),
}


@pytest.mark.parametrize("written", EPOCHS)
def test_a_number_in_another_unit_is_named_and_is_not_in_1970(tmp_path, written):
    usual, odd = EPOCHS[written]
    seconds = [1_700_000_000 + n * 86_400 for n in range(60)]
    lines = [f"{n % 7},{s * (odd if n == 3 else usual)},{n}.5" for n, s in enumerate(seconds)]
    _, page, _, found, counts = guessed(tmp_path, put(tmp_path, "x.csv", "uid,date,value", lines))
    assert counts["transactions"].rejected == {"occurred_at_not_an_instant": 1}
    assert counts["transactions"].examples[0].example == repr(str(seconds[3] * odd))
    assert min(day(row["occurred_at"]) for row in rows(found, "transactions")) == date(2023, 11, 14)
    assert "CHECK: cells of date that are written in another way than the others: 1" in page


def test_a_day_that_is_none_beside_a_clock_is_rejected_alone(tmp_path):
    lines = [f"{n % 7},{'soon' if n == 3 else f'2024-03-{1 + n % 28:02d}'},9:15,{n}.5"
             for n in range(60)]  # fmt: skip
    *_, counts = guessed(tmp_path, put(tmp_path, "x.csv", "uid,date,time,value", lines))
    assert counts["transactions"].rejected == {"occurred_at_not_an_instant": 1}


MONEY = {
    "plain": (",", lambda n: f"{n}.25", 25),
    "decimal comma": (";", lambda n: f"{n},25", 25),
    "dots and comma": (
        ";",
        lambda n: f"{n // 1000}.{n % 1000:03d},25" if n >= 1000 else f"{n},25",
        25,
    ),
    "commas and point": (",", lambda n: f'"{n:,}.25"', 25),
    "a sign": (";", lambda n: f"£{n}.25", 25),
    "a sign behind": (";", lambda n: f"{n},25 €", 25),
    "finer than cents": (",", lambda n: f"{n}.2549", 25),
}


@pytest.mark.parametrize("written", MONEY)
def test_money_is_exact_however_it_is_written(tmp_path, written):
    between, write, cents = MONEY[written]
    amounts = [n * 137 for n in range(60)]
    lines = [
        between.join([str(n % 7), f"2024-01-{1 + n % 28:02d}", write(amount)])
        for n, amount in enumerate(amounts)
    ]
    guesses, _, _, found, counts = guessed(
        tmp_path, put(tmp_path, "x.csv", between.join(["uid", "date", "value"]), lines)
    )
    assert counts["transactions"].rejected == {}
    assert sorted(row["amount"] for row in rows(found, "transactions")) == sorted(
        amount * 100 + cents for amount in amounts
    )
    assert guesses["business.currency"]["guess"] == ('"GBP"' if written == "a sign" else '"EUR"')
    if written == "finer than cents":
        assert (
            "CHECK: 60 of 60 sampled amounts are finer than cents"
            in guesses["tables.transactions"]["reason"]
        )


def test_negative_amounts_are_said_to_be_refunds(tmp_path):
    lines = [f"{n % 7},2024-01-{1 + n % 28:02d},{-n if n % 10 == 9 else n + 1}" for n in range(60)]
    guesses, _, _, found, _ = guessed(tmp_path, put(tmp_path, "x.csv", "uid,date,value", lines))
    assert (
        "negative amounts (6 of 60 sampled rows) are refunds"
        in guesses["tables.transactions"]["reason"]
    )
    assert sum(row["kind"] == "refund" for row in rows(found, "transactions")) == 6


def test_kinds_get_the_contracts_words_and_unknown_ones_are_refused_by_count(tmp_path):
    kinds = ["Completed"] * 5 + ["failed", "REFUNDED", "cancelled", "pending", "frozen"]
    lines = [f"{n % 7},2024-01-{1 + n % 28:02d},{n},{kinds[n % 10]},P{n}" for n in range(60)]
    guesses, _, _, found, counts = guessed(
        tmp_path, put(tmp_path, "payments.csv", "uid,paid_at,amount,status,payment_id", lines)
    )
    assert counts["transactions"].rejected == {"kind_unknown": 6}
    got = [row["kind"] for row in rows(found, "transactions")]
    assert {kind: got.count(kind) for kind in got} == {
        "purchase": 36,  # those that were given back were bought
        "payment_failed": 6,
        "refund": 6,
        "void": 6,
    }
    reason = guesses["tables.transactions"]["reason"]
    assert "CHECK: unknown kinds in status of payments.csv: 1 ('frozen' on 6 rows)" in reason
    assert "6 of 60 rows are left out: not paid yet (status)" in reason


def test_floats_and_words_for_nothing_in_ids_and_cells(tmp_path):
    lines = [
        f"{'NULL' if n == 5 else f'{n % 7}.0'},2024-01-{1 + n % 28:02d},{n},"
        f"{'NULL' if n % 2 else 'web'}"
        for n in range(60)
    ]
    _, _, _, found, counts = guessed(
        tmp_path, put(tmp_path, "x.csv", "CustomerID,date,total,channel", lines)
    )
    assert counts["transactions"].rejected == {"customer_id_missing": 1}
    assert {row["customer_id"] for row in rows(found, "transactions")} == {str(n) for n in range(7)}
    assert {row["channel"] for row in rows(found, "transactions")} == {"web", None}


def test_float_ids_in_parquet_become_text(tmp_path):
    table = pa.table(
        {
            "Customer ID": [1.0, 2.0, None] * 20,
            "date": [20240100 + n % 28 + 1 for n in range(60)],
            "total": [n + 0.25 for n in range(60)],
        }
    )
    pq.write_table(table, tmp_path / "x.parquet")
    _, _, _, found, counts = guessed(tmp_path, tmp_path / "x.parquet")
    assert counts["transactions"].rejected == {"customer_id_missing": 20}
    assert {row["customer_id"] for row in rows(found, "transactions")} == {"1", "2"}


@pytest.mark.parametrize("key", ["id", "email"])
def test_of_a_nested_customer_the_id_inside_is_read(tmp_path, key):
    path = tmp_path / "orders.json"
    path.write_text(
        "\n".join(
            f'{{"id":{n},"customer":{{"{key}":"C{n % 2}","orders_count":{n}}},'
            f'"created_at":"2024-01-{n:02d}","total":"{n}.50"}}'
            for n in range(1, 9)
        )
    )
    guesses, _, _, found, _ = guessed(tmp_path, path)
    people = {row["customer_id"].upper() for row in rows(found, "transactions")}
    assert people == {"C0", "C1"}
    assert f"customer.{key} is read" in guesses["tables.transactions"]["reason"]


def test_a_nested_value_without_an_id_is_no_customer(tmp_path):
    lines = [f'"{{""name"": ""A"", ""orders"": {n}}}",2024-01-{n:02d},{n}.5' for n in range(1, 9)]
    with pytest.raises(ColumnMissing):
        guessed(tmp_path, put(tmp_path, "x.csv", "customer,date,amount", lines))


def test_amounts_of_32_bits_are_the_numbers_of_their_text(tmp_path):
    path = tmp_path / "x.parquet"
    columns = {
        "customer_id": ["a", "b"] * 4,
        "date": [f"2024-01-{n + 1:02d}" for n in range(8)],
        "amount": pa.array([9.9, 0.1, 1234.56, 19.99, 5.0, 77.7, 0.01, 8.15], pa.float32()),
    }
    pq.write_table(pa.table(columns), path)
    guesses, _, _, found, counts = guessed(tmp_path, path)
    assert counts["transactions"].kept == 8
    amounts = sorted(row["amount"] for row in rows(found, "transactions"))
    assert amounts == [1, 10, 500, 815, 990, 1_999, 7_770, 123_456]
    assert "finer than" not in guesses["tables.transactions"]["reason"]


def test_amounts_of_a_spreadsheet_with_exponents_are_read_exactly(tmp_path):
    lines = [f"c{n % 3},2024-01-{n:02d},{n}.50" for n in range(1, 9)]
    lines += ["c1,2024-02-01,1.05E+03", "c2,2024-02-02,9.9e-1", "c2,2024-02-03,1.23456E4"]
    path = put(tmp_path, "x.csv", "customer_id,date,amount", lines)
    _, _, _, found, counts = guessed(tmp_path, path)
    assert counts["transactions"].kept == 11
    assert {105_000, 99, 1_234_560} <= {row["amount"] for row in rows(found, "transactions")}
