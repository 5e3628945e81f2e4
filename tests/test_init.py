"""`lifecycle init`: the guessed configuration loads, keeps every id and every cent, and says why; bad files are refused."""

from __future__ import annotations

import os
import re
import tomllib
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import lifecycle
from features import errors, guess, history, settings, simulation
from features.guess.columns import words
from features.guess.words import KIND_WORDS, SYNONYMS
from features.parsing import quoted

DATA = Path(os.environ.get("LIFECYCLE_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
PEOPLE = [f"{number:05d}" for number in range(1, 31)]


def put(folder: Path, name: str, head: str, rows: list[str], encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_text("\n".join([head, *rows]) + "\n", encoding=encoding)
    return path


def guessed(folder: Path, *files: Path):
    """(guesses by key, page, settings, history, counts) of `lifecycle init FILES`."""
    out = folder / "lifecycle.toml"
    made = guess.write(list(files), out)
    stated = settings.load(out)
    found, counts = history.load(stated)
    for account in counts.values():
        assert account.read == account.kept + sum(account.rejected.values())
    return {entry["what"]: entry for entry in made}, out.read_text(encoding="utf-8"), stated, found, counts


def rows(found, table: str) -> list[dict]:
    return found.connection.table(table).to_arrow_table().to_pylist()


def day(instant_us: int) -> date:
    return date(1970, 1, 1) + timedelta(days=instant_us // settings.DAY_US)


def that_matter(page: str) -> list[str]:
    return [line for line in page.splitlines() if line.strip() and not line.lstrip().startswith("#")]


# --- a shop ----------------------------------------------------------------------------------------------------------


def order_lines() -> list[tuple[str, str, date, int, str]]:
    """(order, customer, day, quantity, price) of 180 orders with one to three lines."""
    lines = []
    for number in range(180):
        customer, on = PEOPLE[number % 30], date(2024, 1, 3) + timedelta(days=number % 30 + 20 * (number // 30))
        lines += [
            (f"A{number:04d}", customer, on, 1 + (number + line) % 3, f"{7 + line}.{number % 100:02d}")
            for line in range(1 + number % 3)
        ]
    return lines


@pytest.fixture
def shop(tmp_path):
    """The four files of a typical shop: ids with leading zeros, day-first dates, order lines, blank cells."""
    return [
        put(tmp_path, "customers.csv", "CustomerID,Name,SignupDate,City,Segment",
            [f"{who},Ann {n},{1 + n % 28:02d}/11/2023,Köln,{'vip' if n % 4 else 'new'}" for n, who in enumerate(PEOPLE)]),
        put(tmp_path, "orders.csv", "OrderNo,cust_id,OrderDate,SKU,Qty,UnitPrice",
            [f"{order},{who},{on:%d/%m/%Y} 09:30,S{n},{pieces},{price}" for n, (order, who, on, pieces, price) in enumerate(order_lines())]),
        put(tmp_path, "tickets.csv", "ticket_id,customer_id,created_at,resolved_at,issue_type,body",
            [f"{n},{who},2024-03-{1 + n:02d} 10:00:00,{'' if n % 3 else f'2024-04-{1 + n:02d} 11:00:00'},delivery,private" for n, who in enumerate(PEOPLE[:12])]),
        put(tmp_path, "ratings.csv", "user_id,date,stars",
            [f"{who},{1 + n:02d}.04.2024,{1 + n % 5}" for n, who in enumerate(PEOPLE[:20])]),
    ]  # fmt: skip


def test_a_shop_keeps_its_ids_its_cents_and_its_counts(tmp_path, shop):
    _, _, stated, found, counts = guessed(tmp_path, *shop)
    assert {name: account.kept for name, account in counts.items()} == {
        "customers": 30,
        "transactions": 180,
        "feedback": 32,
    }
    assert not any(account.rejected for account in counts.values())
    assert {row["customer_id"] for row in rows(found, "customers")} == set(PEOPLE)
    worth: dict[str, Decimal] = {}
    for order, _, _, pieces, price in order_lines():
        worth[order] = worth.get(order, Decimal(0)) + pieces * Decimal(price)
    got = {row["transaction_id"]: row for row in rows(found, "transactions")}
    assert {order: row["amount"] for order, row in got.items()} == {
        order: total * 100 for order, total in worth.items()
    }
    assert {order: (row["customer_id"], day(row["occurred_at"])) for order, row in got.items()} == {
        order: (who, on) for order, who, on, _, _ in order_lines()
    }
    assert sum(row["quantity"] for row in got.values()) == sum(line[3] for line in order_lines())
    assert stated.business.archetype == "non-contractual"


def test_two_files_of_feedback_become_one_table(tmp_path, shop):
    _, _, _, found, _ = guessed(tmp_path, *shop)
    said = rows(found, "feedback")
    assert sorted(row["score"] for row in said if row["kind"] == "review") == sorted(1 + n % 5 for n in range(20))
    assert all(row["answered_at"] == row["occurred_at"] for row in said if row["kind"] == "review")
    complaints = [row for row in said if row["kind"] == "complaint"]
    assert [len(complaints), sum(row["resolved_at"] is not None for row in complaints)] == [12, 4]
    assert {row["topic"] for row in complaints} == {"delivery"}
    assert min(day(row["occurred_at"]) for row in said if row["kind"] == "review") == date(2024, 4, 1)


def test_every_guess_has_a_reason_and_the_page_is_short(tmp_path, shop):
    guesses, page, *_ = guessed(tmp_path, *shop)
    assert len(that_matter(page)) <= 15
    assert set(guesses) == {"files", "activity", "business.archetype", "business.zone", "business.currency", "churn.horizon_days",
                            "tables.customers", "tables.transactions", "tables.feedback"}  # fmt: skip
    lines = page.splitlines()
    for what, made in guesses.items():
        assert made["reason"]
        at = lines.index(f"{what.rpartition('.')[2]} = {made['guess']}")
        assert lines[at - 1].startswith("#"), f"{what} stands without its reason"
    assert "left out: Name." in page
    assert "left out: ticket_id, body." in page
    assert "%d/%m/%Y %H:%M: values over 12 show" in guesses["tables.transactions"]["reason"]
    assert guesses["business.zone"]["reason"].startswith("CHECK:")
    assert guesses["business.currency"]["reason"].startswith("CHECK:")
    assert "20 days (150 gaps)" in guesses["churn.horizon_days"]["reason"]
    assert guesses["churn.horizon_days"]["guess"] == "60"
    assert not re.search("Ann|private|Köln", page), "a cell of the data stands in the configuration"


def test_files_are_named_from_the_folder_of_the_toml(tmp_path, shop):
    beside = tmp_path / "conf"
    beside.mkdir()
    guess.write(shop, beside / "lifecycle.toml")
    named = tomllib.loads((beside / "lifecycle.toml").read_text(encoding="utf-8"))["files"]
    assert sorted(named.values()) == ["../customers.csv", "../orders.csv", "../ratings.csv", "../tickets.csv"]
    history.load(settings.load(beside / "lifecycle.toml"))


def test_the_command_writes_a_file_that_check_accepts(tmp_path, shop, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = CliRunner().invoke(lifecycle.app, ["init", *[path.name for path in shop]], catch_exceptions=False)
    assert said.exit_code == 0
    assert "lifecycle.toml" in said.stdout
    told = CliRunner().invoke(lifecycle.app, ["check", "--json"], catch_exceptions=False)
    assert '"read": 180' in told.stdout


# --- order lines and ids ---------------------------------------------------------------------------------------------


def test_a_unique_id_is_kept_and_rows_are_not_summed(tmp_path):
    path = put(
        tmp_path,
        "sales.csv",
        "client_id,date,total,invoice_id",
        [f"{n % 7},2024-01-{1 + n % 28:02d},{n}.25,I{n}" for n in range(60)],
    )
    guesses, _, _, found, _ = guessed(tmp_path, path)
    assert "GROUP BY" not in guesses["tables.transactions"]["guess"]
    assert {row["transaction_id"] for row in rows(found, "transactions")} == {f"I{n}" for n in range(60)}


def test_an_id_that_repeats_over_customers_and_times_is_left_out(tmp_path):
    path = put(
        tmp_path,
        "sales.csv",
        "client_id,date,total,invoice_id",
        [f"{n % 7},2024-01-{1 + n % 28:02d},{n}.25,I{n % 5}" for n in range(60)],
    )
    guesses, _, _, found, counts = guessed(tmp_path, path)
    assert "CHECK: invoice_id repeats" in guesses["tables.transactions"]["reason"]
    assert counts["transactions"].kept == 60
    assert {row["transaction_id"] for row in rows(found, "transactions")} == {None}


def test_an_id_with_versions_stays_a_version(tmp_path):
    lines = [
        f"{n % 7},2024-01-{1 + n % 20:02d},2024-02-{1 + later:02d},{n + later}.25,I{n}"
        for n in range(30)
        for later in (0, 1)
    ]
    guesses, _, _, found, counts = guessed(
        tmp_path, put(tmp_path, "sales.csv", "client_id,date,recorded_at,total,order_id", lines)
    )
    assert "GROUP BY" not in guesses["tables.transactions"]["guess"]
    assert counts["transactions"].kept == 60
    assert found.versioned == {"transactions"}
    assert "as versions of one transaction" in guesses["tables.transactions"]["reason"]


def test_an_id_shared_by_customers_is_flagged(tmp_path):
    lines = [f"{n % 7},2024-01-{1 + n % 28:02d},{n}.25,I{n // 2}" for n in range(60)]
    guesses, _, _, _, counts = guessed(tmp_path, put(tmp_path, "sales.csv", "client_id,date,total,order_id", lines))
    assert "CHECK: 30 order_id stand for several customers" in guesses["tables.transactions"]["reason"]
    assert counts["transactions"].kept == 60


def test_a_replayed_file_is_not_taken_for_order_lines(tmp_path):
    once = [f"{n % 7},2024-01-{1 + n % 28:02d},{n}.25,2,I{n}" for n in range(60)]
    path = put(tmp_path, "sales.csv", "client_id,date,total,qty,order_id", once + once[:20])
    guesses, _, _, found, counts = guessed(tmp_path, path)
    assert "GROUP BY" not in guesses["tables.transactions"]["guess"]
    assert counts["transactions"].rejected == {"exact_duplicate": 20}
    assert sum(row["amount"] for row in rows(found, "transactions")) == sum(n * 100 + 25 for n in range(60))


def test_a_kind_that_varies_within_an_order_is_left_to_the_sign_of_its_sum(tmp_path):
    lines = [
        f"{n // 2 % 7},2024-01-{1 + n // 2 % 28:02d},{-n - 50 if n % 2 else n + 1},A{n // 2},{'return' if n % 2 else 'sale'}"
        for n in range(60)
    ]
    guesses, _, _, found, _ = guessed(tmp_path, put(tmp_path, "sales.csv", "client_id,date,total,order_id,type", lines))
    assert "CHECK: type varies within orders" in guesses["tables.transactions"]["reason"]
    assert {row["kind"] for row in rows(found, "transactions")} == {"refund"}
    assert sum(row["amount"] for row in rows(found, "transactions")) == -30 * 50 * 100


def test_a_column_of_payment_methods_is_no_kind(tmp_path):
    lines = [f"{n % 7},2024-01-{1 + n % 28:02d},{n},{('credit', 'debit', 'cash')[n % 3]}" for n in range(60)]
    _, page, _, _, counts = guessed(tmp_path, put(tmp_path, "sales.csv", "client_id,date,total,type", lines))
    assert counts["transactions"].kept == 60
    assert "left out: type." in page


def test_a_total_that_stands_on_every_line_is_taken_once(tmp_path):
    lines = [f"{n // 3 % 7},2024-01-{1 + n // 3 % 28:02d},{n // 3 + 10}.00,A{n // 3},S{n % 3}" for n in range(90)]
    guesses, _, _, found, _ = guessed(
        tmp_path, put(tmp_path, "sales.csv", "client_id,date,order_total,order_id,sku", lines)
    )
    assert "CHECK: order_total is the same on all lines" in guesses["tables.transactions"]["reason"]
    assert sum(row["amount"] for row in rows(found, "transactions")) == sum(n + 10 for n in range(30)) * 100


def test_an_order_with_an_unreadable_line_is_refused_and_not_counted_short(tmp_path):
    lines = [f"{n // 3 % 7},2024-01-{1 + n // 3 % 28:02d},{'oops' if n == 7 else n},2,A{n // 3}" for n in range(90)]
    guesses, _, _, _, counts = guessed(tmp_path, put(tmp_path, "sales.csv", "client_id,date,price,qty,order_id", lines))
    assert "CHECK: lines without a readable qty × price: 1" in guesses["tables.transactions"]["reason"]
    assert counts["transactions"].rejected == {"amount_missing": 1}
    assert counts["transactions"].kept == 29


def test_lines_without_an_order_are_one_order_a_customer_and_time(tmp_path):
    lines = [f"{n // 3 % 7},2024-01-{1 + n // 3 % 28:02d},{n},2,{'' if n >= 60 else f'A{n // 3}'}" for n in range(90)]
    _, _, _, found, counts = guessed(tmp_path, put(tmp_path, "sales.csv", "client_id,date,price,qty,order_id", lines))
    assert counts["transactions"].kept == 30
    assert sum(row["amount"] for row in rows(found, "transactions")) == sum(2 * n for n in range(90)) * 100


# --- how cells are written -------------------------------------------------------------------------------------------

TIMES = {
    "compact": (lambda n: f"2024{1 + n % 12:02d}{1 + n % 28:02d}", "%Y%m%d", "days"),
    "day first": (lambda n: f"{1 + n % 28:02d}/{1 + n % 12:02d}/2024", "%d/%m/%Y: values over 12", "days"),
    "month first": (lambda n: f"{1 + n % 12}/{1 + n % 28}/2024 1:05 PM", "%m/%d/%Y %I:%M %p: values over 12", "naive"),
    "either": (
        lambda n: f"{1 + n % 12}-{1 + n % 12}-2024",
        "CHECK: date reads as well day first as month first",
        "days",
    ),
    "words": (lambda n: f"{1 + n % 28} Mar 2024", "%d %b %Y", "days"),
    "short years": (lambda n: f"{1 + n % 28:02d}.03.24", "%d.%m.%y", "days"),
    "iso": (lambda n: f"2024-03-{1 + n % 28:02d}T10:00:00", "", "naive"),
    "midnights": (lambda n: f"2024-03-{1 + n % 28:02d} 00:00:00", "", "days"),
    "offset": (lambda n: f"2024-03-{1 + n % 28:02d}T10:00:00+05:30", "", "offset"),
    "utc": (lambda n: f"2024-03-{1 + n % 28:02d} 10:00:00 UTC", "", "offset"),
    "seconds": (lambda n: f"{1_700_000_000 + n * 86_400}", "", "offset"),
    "milliseconds": (lambda n: f"{1_700_000_000_000 + n * 86_400_000}", "", "offset"),
}
ZONES = {
    "days": "there are dates only",
    "naive": "CHECK: there are clock times without a zone",
    "offset": "the times carry their offset",
}


@pytest.mark.parametrize("written", TIMES)
def test_times_are_read_as_they_are_written(tmp_path, written):
    write, said, clock = TIMES[written]
    path = put(tmp_path, "x.csv", "uid,date,value", [f"{n % 7},{write(n)},{n}.5" for n in range(56)])
    guesses, _, _, found, counts = guessed(tmp_path, path)
    assert said in guesses["tables.transactions"]["reason"]
    assert guesses["business.zone"]["reason"].startswith(ZONES[clock])
    assert counts["transactions"].rejected == {}
    assert {row["occurred_at"] % 86_400_000_000 == 0 for row in rows(found, "transactions")} == {clock == "days"}


def test_the_day_and_the_month_are_not_swapped(tmp_path):
    lines = [f"{n % 7},{1 + n % 12:02d}/{1 + n % 28:02d}/2024,{n}.5" for n in range(56)]
    _, _, _, found, _ = guessed(tmp_path, put(tmp_path, "x.csv", "uid,date,value", lines))
    got = {row["amount"]: day(row["occurred_at"]) for row in rows(found, "transactions")}
    assert got == {n * 100 + 50: date(2024, 1 + n % 12, 1 + n % 28) for n in range(56)}


def test_a_time_that_does_not_parse_is_refused_and_an_optional_one_does_not_vanish(tmp_path):
    lines = [
        f"{n},{'soon' if n == 3 else f'{1 + n % 28}/03/2024'},{n},{'later' if n == 4 else f'{1 + n % 28}/04/2024'}"
        for n in range(60)
    ]
    _, _, _, _, counts = guessed(
        tmp_path, put(tmp_path, "tickets.csv", "user_id,created_at,topic,resolved_at", lines),
        put(tmp_path, "sales.csv", "user_id,date,total", [f"{n},2024-03-0{1 + n},5" for n in range(9)]),
    )  # fmt: skip
    assert counts["feedback"].rejected == {"occurred_at_missing": 1, "resolved_at_not_an_instant": 1}


MONEY = {
    "plain": (",", lambda n: f"{n}.25", 25),
    "decimal comma": (";", lambda n: f"{n},25", 25),
    "dots and comma": (";", lambda n: f"{n // 1000}.{n % 1000:03d},25" if n >= 1000 else f"{n},25", 25),
    "commas and point": (",", lambda n: f'"{n:,}.25"', 25),
    "a sign": (";", lambda n: f"£{n}.25", 25),
    "a sign behind": (";", lambda n: f"{n},25 €", 25),
    "finer than cents": (",", lambda n: f"{n}.2549", 25),
}


@pytest.mark.parametrize("written", MONEY)
def test_money_is_exact_however_it_is_written(tmp_path, written):
    between, write, cents = MONEY[written]
    amounts = [n * 137 for n in range(60)]
    lines = [between.join([str(n % 7), f"2024-01-{1 + n % 28:02d}", write(amount)]) for n, amount in enumerate(amounts)]
    guesses, _, _, found, counts = guessed(
        tmp_path, put(tmp_path, "x.csv", between.join(["uid", "date", "value"]), lines)
    )
    assert counts["transactions"].rejected == {}
    assert sorted(row["amount"] for row in rows(found, "transactions")) == sorted(
        amount * 100 + cents for amount in amounts
    )
    assert guesses["business.currency"]["guess"] == ('"GBP"' if written == "a sign" else '"EUR"')
    if written == "finer than cents":
        assert "CHECK: 60 of 60 amounts looked at are finer than cents" in guesses["tables.transactions"]["reason"]


def test_negative_amounts_are_said_to_be_refunds(tmp_path):
    lines = [f"{n % 7},2024-01-{1 + n % 28:02d},{-n if n % 10 == 9 else n + 1}" for n in range(60)]
    guesses, _, _, found, _ = guessed(tmp_path, put(tmp_path, "x.csv", "uid,date,value", lines))
    assert "negative amounts (6 of 60 rows looked at) are refunds" in guesses["tables.transactions"]["reason"]
    assert sum(row["kind"] == "refund" for row in rows(found, "transactions")) == 6


def test_kinds_get_the_contracts_words_and_unknown_ones_are_refused_by_count(tmp_path):
    kinds = ["Completed"] * 6 + ["failed", "REFUNDED", "cancelled", "pending"]
    lines = [f"{n % 7},2024-01-{1 + n % 28:02d},{n},{kinds[n % 10]},P{n}" for n in range(60)]
    guesses, _, _, found, counts = guessed(
        tmp_path, put(tmp_path, "payments.csv", "uid,paid_at,amount,status,payment_id", lines)
    )
    assert counts["transactions"].rejected == {"kind_unknown": 6}
    got = [row["kind"] for row in rows(found, "transactions")]
    assert {kind: got.count(kind) for kind in got} == {"purchase": 36, "payment_failed": 6, "refund": 6, "void": 6}
    assert "CHECK: kinds not known here in status: 1, on 6 of the rows" in guesses["tables.transactions"]["reason"]


def test_floats_and_words_for_nothing_in_ids_and_cells(tmp_path):
    lines = [
        f"{'NULL' if n == 5 else f'{n % 7}.0'},2024-01-{1 + n % 28:02d},{n},{'NULL' if n % 2 else 'web'}"
        for n in range(60)
    ]
    _, _, _, found, counts = guessed(tmp_path, put(tmp_path, "x.csv", "CustomerID,date,total,channel", lines))
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


# --- other businesses ------------------------------------------------------------------------------------------------


def subscription(folder: Path) -> list[Path]:
    return [
        put(folder, "subscriptions.csv", "account_id,start_date,end_date,cancelled_at,plan,price",
            [f"{who},2024-01-01,2024-02-01,{'2024-01-15' if n % 4 == 0 else ''},basic,9.99" for n, who in enumerate(PEOPLE)]),
        put(folder, "logins.csv", "account_id,timestamp", [f"{PEOPLE[n % 30]},2024-01-{1 + n % 28:02d}T08:00:00Z" for n in range(90)]),
        put(folder, "usage.csv", "account_id,timestamp,minutes", [f"{PEOPLE[n % 30]},2024-01-{1 + n % 28:02d}T09:00:00Z,{n}" for n in range(150)]),
    ]  # fmt: skip


def test_subscriptions_are_contractual_with_use_as_activity(tmp_path):
    guesses, page, stated, found, counts = guessed(tmp_path, *subscription(tmp_path))
    assert stated.business.archetype == "contractual"
    assert (stated.activity.table, stated.activity.kinds) == ("interactions", ["usage"])
    assert (counts["contracts"].kept, counts["interactions"].kept) == (30, 240)
    assert sum(row["cancelled_at"] is not None for row in rows(found, "contracts")) == 8
    assert {row["price"] for row in rows(found, "contracts")} == {999}
    assert stated.churn.horizon_days == 90
    assert "most frequent" in guesses["activity"]["reason"]
    assert len(that_matter(page)) <= 15


def test_subscriptions_with_payments_alone(tmp_path):
    paid = put(
        tmp_path, "payments.csv", "account_id,paid_at,amount", [f"{who},2024-01-01 10:00,9.99" for who in PEOPLE]
    )
    _, _, stated, _, _ = guessed(tmp_path, subscription(tmp_path)[0], paid)
    assert (stated.business.archetype, stated.activity.table) == ("contractual", "transactions")


def test_a_log_of_events_alone(tmp_path):
    lines = [
        f"{n % 7},2024-01-{1 + n % 28:02d} 10:{n % 60:02d}:00,{['page_view', 'login', 'page_view'][n % 3]},{n}"
        for n in range(90)
    ]
    _, _, stated, found, counts = guessed(tmp_path, put(tmp_path, "log.csv", "user_id,event_time,event,amount", lines))
    assert (stated.activity.table, stated.activity.kinds) == ("interactions", ["visit"])
    assert sorted({row["kind"] for row in rows(found, "interactions")}) == ["login", "visit"]
    assert counts["interactions"].kept == 90


@pytest.mark.parametrize("mode", simulation.MODES)
def test_simulated_tables_are_read_as_the_simulation_wrote_them(tmp_path, mode):
    made = simulation.simulate(customers=60, days=400, mode=mode).tables
    for name, table in made.items():
        pyarrow.csv.write_csv(table, tmp_path / f"{name}.csv")
    _, page, stated, found, counts = guessed(tmp_path, *[tmp_path / f"{name}.csv" for name in made])
    plain = {"business": stated.business.model_dump(), "files": stated.files, "activity": stated.activity.model_dump(),
             "tables": {name: f"SELECT * FROM {name}" for name in made}}  # fmt: skip
    oracle, _ = history.load(settings.from_mapping(plain, folder=tmp_path, where="test"))
    assert set(counts) == set(made)
    for name in made:
        assert rows(found, name) == rows(oracle, name), name
    assert stated.contractual == (mode == "subscription")
    assert len(that_matter(page)) <= 15


def test_exports_of_two_years_are_one_table_and_returns_are_refunds(tmp_path):
    years = [put(tmp_path, f"orders_{year}.csv", "customer,date,total,order_id", [f"{n % 7},{year}-{1 + n % 12:02d}-05,{n},{year}-{n}" for n in range(40)]) for year in (2022, 2023)]  # fmt: skip
    back = put(tmp_path, "returns.csv", "customer,date,amount", [f"{n % 7},2023-06-0{1 + n},{n}" for n in range(9)])
    other = put(
        tmp_path, "baskets.csv", "customer,date,amount,store", [f"{n % 7},2023-06-0{1 + n},{n},s" for n in range(9)]
    )
    guesses, _, _, found, counts = guessed(tmp_path, *years, back, other)
    assert counts["transactions"].kept == 89
    assert sum(row["kind"] == "refund" for row in rows(found, "transactions")) == 9
    assert "not used: baskets.csv" in guesses["files"]["reason"]


def test_customers_whose_ids_lost_their_zeros_are_flagged(tmp_path, shop):
    put(tmp_path, "customers.csv", "CustomerID,City", [f"{int(who)},Köln" for who in PEOPLE])
    guesses, *_ = guessed(tmp_path, *shop)
    assert (
        "CHECK: 0 of the 30 customers with activity are in it: are their ids written alike"
        in guesses["tables.customers"]["reason"]
    )


def test_scores_on_another_scale_are_kept_on_that_scale(tmp_path, shop):
    put(
        tmp_path,
        "ratings.csv",
        "user_id,date,stars",
        [f"{who},2024-04-01,{n % 11}" for n, who in enumerate(PEOPLE[:22])],
    )
    guesses, _, stated, _, counts = guessed(tmp_path, *shop)
    assert stated.contract.scales["review"] == (0, 10)
    assert "CHECK:" in guesses["contract"]["reason"]
    assert counts["feedback"].rejected == {}


# --- files as they come ----------------------------------------------------------------------------------------------

SIMPLE = [f"0{n % 7},2024-01-{1 + n % 28:02d},{n}.50" for n in range(60)]


@pytest.mark.parametrize("between", [";", "\t", "|"])
def test_other_delimiters(tmp_path, between):
    lines = [line.replace(",", between) for line in SIMPLE]
    path = put(
        tmp_path, "x.tsv" if between == "\t" else "x.csv", between.join(["customer_id", "date", "amount"]), lines
    )
    _, _, _, found, counts = guessed(tmp_path, path)
    assert counts["transactions"].kept == 60
    assert {row["customer_id"] for row in rows(found, "transactions")} == {f"0{n}" for n in range(7)}


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path):
    _, page, _, _, counts = guessed(
        tmp_path, put(tmp_path, "x.csv", "customer_id,date,amount", SIMPLE, encoding="utf-8-sig")
    )
    assert counts["transactions"].kept == 60
    assert "\ufeff" not in page


def test_names_and_values_in_any_script(tmp_path):
    head = '客户,customer_id,"Größe ""x"" \n y",Order Date,betrag total'
    path = put(tmp_path, "订单.csv", head, [f"ж{n},客户{n % 7},ü,2024-01-{1 + n % 28:02d},{n}.5" for n in range(60)])
    guesses, page, _, found, counts = guessed(tmp_path, path)
    assert counts["transactions"].kept == 60
    assert {row["customer_id"] for row in rows(found, "transactions")} == {f"客户{n}" for n in range(7)}
    assert 'left out: 客户, Größe "x" ? y.' in page
    assert (
        "CHECK: betrag total was taken for amount by the end of its name alone."
        in guesses["tables.transactions"]["reason"]
    )
    assert len(that_matter(page)) <= 15


@pytest.mark.parametrize(
    "name", ["transactions.csv", "raw.csv", "order.csv", "2024.csv", "parsed.csv", "数据.csv", "my orders (1).csv"]
)
def test_any_file_name_gives_a_name_that_loads(tmp_path, name):
    _, _, _, _, counts = guessed(tmp_path, put(tmp_path, name, "user,timestamp,value", SIMPLE))
    assert counts["transactions"].kept == 60


def test_a_large_file_is_looked_at_in_part_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("features.guess.tables.LOOKED_AT", 20)
    guesses, _, _, _, counts = guessed(tmp_path, put(tmp_path, "x.csv", "uid,date,value", SIMPLE))
    assert "60 rows, looked at 20 of them" in guesses["tables.transactions"]["reason"]
    assert counts["transactions"].kept == 60


def test_equal_files_give_equal_pages(tmp_path, shop):
    for name in ("one.toml", "two.toml"):
        guess.write(shop, tmp_path / name)
    assert (tmp_path / "one.toml").read_bytes() == (tmp_path / "two.toml").read_bytes()


# --- refusals --------------------------------------------------------------------------------------------------------


def refused(leaf: type[errors.LifecycleError], files: list[Path], out: Path, match: str) -> errors.LifecycleError:
    before = out.read_bytes() if out.is_file() else None
    with pytest.raises(leaf, match=match) as caught:
        guess.write(files, out)
    assert type(caught.value) is leaf
    assert not leaf.__subclasses__(), "an error is a leaf"
    assert all([caught.value.where, caught.value.got, caught.value.rule, caught.value.fix])
    assert (out.read_bytes() if out.is_file() else None) == before, "a refused init leaves everything as it was"
    assert "SECRET" not in errors.for_owner(caught.value)
    return caught.value


def test_an_existing_file_is_never_overwritten(tmp_path, shop):
    out = tmp_path / "lifecycle.toml"
    out.write_text("mine", encoding="utf-8")
    error = refused(errors.BadSetting, shop, out, "Name another --out or delete it")
    assert error.exit_code == 2


def test_a_folder_that_is_not_there(tmp_path, shop):
    refused(errors.BadSetting, shop, tmp_path / "no" / "lifecycle.toml", "a folder that does not exist")


def test_files_that_are_missing_or_folders(tmp_path, shop):
    refused(errors.FileMissing, [*shop, tmp_path / "absent.csv"], tmp_path / "o.toml", "no such file")
    refused(errors.FileMissing, [tmp_path], tmp_path / "o.toml", "a folder")
    refused(errors.FileMissing, [put(tmp_path, "book.xlsx", "a,b", ["1,2"])], tmp_path / "o.toml", "xlsx")


BROKEN = {
    "empty.csv": (b"", errors.EmptyTable, "no rows"),
    "head.csv": (b"customer_id,date,amount\n", errors.EmptyTable, "no rows"),
    "blank.csv": (b"\n\n\n", errors.QueryFailed, "one single column"),
    "latin.csv": (
        "customer_id,date,amount\nSECRETgrün,2024-01-01,3\n".encode("latin-1"),
        errors.QueryFailed,
        "CSV in UTF-8",
    ),
    "wide.csv": ("customer_id,date,amount\nSECRET,2024-01-01,3\n".encode("utf-16"), errors.QueryFailed, "CSV in UTF-8"),
    "bytes.csv": (bytes(range(256)) * 20, errors.QueryFailed, "CSV in UTF-8"),
    "caret.csv": (b"customer_id^date^amount\nSECRET^2024-01-01^3\n", errors.QueryFailed, "one single column"),
    "bad.parquet": (b"PAR1 SECRET no parquet PAR1", errors.QueryFailed, "parquet"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_files_that_cannot_be_read_are_refused_without_a_value(tmp_path, name):
    content, leaf, match = BROKEN[name]
    (tmp_path / name).write_bytes(content)
    error = refused(leaf, [tmp_path / name], tmp_path / "o.toml", match)
    assert error.exit_code == 3
    assert name in error.where


EVENTLESS = {
    "no customer": ("product,date,amount", "SECRET,2024-01-01,3", "no column reads as the customer"),
    "no time": ("customer_id,amount", "SECRET,3", "customers repeat"),
    "times that are none": ("customer_id,date,amount", "SECRET,later,3", "customers repeat"),
    "no header": ("SECRET,2024-01-01,5", "SECRET,2024-01-02,3", "no column reads as the customer"),
    "feedback alone": ("customer_id,date,stars", "SECRET,2024-01-01,3", "feedback"),
}


@pytest.mark.parametrize("case", EVENTLESS)
def test_files_without_events_are_refused_with_what_was_looked_for(tmp_path, case):
    head, row, said = EVENTLESS[case]
    error = refused(errors.ColumnMissing, [put(tmp_path, "x.csv", head, [row] * 5)], tmp_path / "o.toml", said)
    assert "a customer (customer_id, client_id" in error.rule
    assert error.exit_code == 3


# --- public data -----------------------------------------------------------------------------------------------------

REAL = {
    "online_retail/online_retail.parquet": ("SELECT count(DISTINCT (InvoiceNo, CustomerID)) FROM whole WHERE CustomerID IS NOT NULL",
                                            "SELECT round(sum(Quantity * UnitPrice) * 100) FROM whole WHERE CustomerID IS NOT NULL", 90),
    "cdnow/cdnow_master.parquet": ("SELECT count(*) FROM (SELECT DISTINCT * FROM whole)",
                                   "SELECT round(sum(dollar_value) * 100) FROM (SELECT DISTINCT * FROM whole)", 90),
    "cdnow/cdnow_sample.csv": ("SELECT count(*) FROM (SELECT DISTINCT * FROM whole)",
                               "SELECT round(sum(dollar_value::DECIMAL(9, 2)) * 100) FROM (SELECT DISTINCT * FROM whole)", 90),
    "complete_journey/transactions_sample.parquet": ("SELECT count(DISTINCT basket_id) FROM whole",
                                                     "SELECT round(sum(sales_value) * 100) FROM whole", 30),
}  # fmt: skip


@pytest.mark.parametrize("name", REAL)
def test_public_data_load_with_every_customer_row_and_cent(tmp_path, name):
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"{name} is not under LIFECYCLE_DATA ({DATA}); docs/data.md lists its origin")
    orders, cents, horizon = REAL[name]
    _, page, stated, found, counts = guessed(tmp_path, path)
    reader = f"read_csv('{path}', all_varchar=true)" if path.suffix == ".csv" else f"'{path}'"
    oracle = duckdb.connect()
    oracle.execute(f"CREATE VIEW whole AS FROM {reader}")
    kept = rows(found, "transactions")
    assert len(kept) == oracle.execute(orders).fetchone()[0] == counts["transactions"].kept
    assert (
        abs(sum(row["amount"] for row in kept) - oracle.execute(cents).fetchone()[0]) <= len(kept) / 100
    )  # thirds of cents
    assert set(counts["transactions"].rejected) <= {"customer_id_missing", "exact_duplicate"}
    assert stated.churn.horizon_days == horizon
    assert len(that_matter(page)) <= 15


# --- the words -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["customer_id", "CustomerID", "customerId", "Customer ID", "CUSTOMER-ID", "ｃustomer id"]
)
def test_spellings_of_one_name(tmp_path, name):
    assert "".join(words(name)) == "customerid"
    _, _, _, _, counts = guessed(tmp_path, put(tmp_path, "x.csv", f"{name},date,amount", SIMPLE))
    assert counts["transactions"].kept == 60


def test_no_synonym_stands_for_two_roles_and_no_word_for_two_kinds():
    for table, roles in SYNONYMS.items():
        listed = [name for names in roles.values() for name in {"".join(words(name)) for name in names.split()}]
        assert len(listed) == len(set(listed)), (
            f"{table}: {sorted({name for name in listed if listed.count(name) > 1})}"
        )
    for table, kinds in KIND_WORDS.items():
        listed = [word for said in kinds.values() for word in said.split()]
        assert len(listed) == len(set(listed)), table


@pytest.mark.parametrize(
    "text",
    [
        "SELECT a FROM b",
        'SELECT "a b" FROM c',
        'x "" y',
        "back\\slash",
        'ends "',
        '"""',
        "two\nlines",
        "\x7f\u2028ü",
        "'",
    ],
)
def test_any_text_becomes_toml_on_one_line_and_back(text):
    written = guess._quoted(text)
    assert "\n" not in written
    assert tomllib.loads(f"a = {written}")["a"] == text
    assert quoted(text)
