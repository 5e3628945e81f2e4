"""`lifecycle init` on whole businesses: the guessed configuration loads, keeps every id and every
cent, and says why.
"""

from __future__ import annotations

import re
import tomllib
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow.csv
import pytest
from typer.testing import CliRunner

from features.core import settings
from features.tables import history
from lifecycle import cli, init, simulation
from tests.support.checks import nonempty
from tests.support.init_data import PEOPLE, day, guessed, order_lines, put, rows, that_matter
from tests.support.public_data import public_file

# --- a shop ---------------------------------------------------------------------------------------
# -------------------


def test_a_shop_keeps_its_ids_its_cents_and_its_counts(tmp_path, shop_files):
    _, _, stated, found, counts = guessed(tmp_path, *shop_files)
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


def test_two_files_of_feedback_become_one_table(tmp_path, shop_files):
    _, _, _, found, _ = guessed(tmp_path, *shop_files)
    said = rows(found, "feedback")
    assert sorted(row["score"] for row in said if row["kind"] == "review") == sorted(
        1 + n % 5 for n in range(20)
    )
    assert all(
        row["answered_at"] == row["occurred_at"]
        for row in nonempty(said)
        if row["kind"] == "review"
    )
    complaints = [row for row in said if row["kind"] == "complaint"]
    assert [len(complaints), sum(row["resolved_at"] is not None for row in complaints)] == [12, 4]
    assert {row["topic"] for row in complaints} == {"delivery"}
    assert min(day(row["occurred_at"]) for row in said if row["kind"] == "review") == date(
        2024, 4, 1
    )


def test_every_guess_has_a_reason_and_the_page_is_short(tmp_path, shop_files):
    guesses, page, *_ = guessed(tmp_path, *shop_files)
    assert len(that_matter(page)) <= 15
    assert set(guesses) == {
        "files",
        "activity",
        "business.archetype",
        "business.zone",
        "business.currency",
        "churn.horizon_days",
        "tables.customers",
        "tables.transactions",
        "tables.feedback",
    }
    lines = page.splitlines()
    for what, made in nonempty(guesses.items()):
        assert made["reason"]
        at = lines.index(f"{what.rpartition('.')[2]} = {made['guess']}")
        assert lines[at - 1].startswith("#"), f"{what} stands without its reason"
    assert "left out: Name." in page
    assert "left out: ticket_id, body." in page
    assert "%d/%m/%Y %H:%M: values over 12 show" in guesses["tables.transactions"]["reason"]
    assert "so no row moves to another day" in guesses["business.zone"]["reason"]
    assert guesses["business.currency"]["reason"].startswith("CHECK:")
    assert "20 days (150 gaps)" in guesses["churn.horizon_days"]["reason"]
    assert guesses["churn.horizon_days"]["guess"] == "60"
    assert not re.search("Ann|private|Köln", page), "a cell of the data stands in the configuration"


def test_files_are_named_from_the_folder_of_the_toml(tmp_path, shop_files):
    beside = tmp_path / "conf"
    beside.mkdir()
    init.write(shop_files, beside / "lifecycle.toml")
    named = tomllib.loads((beside / "lifecycle.toml").read_text(encoding="utf-8"))["files"]
    assert sorted(named.values()) == [
        "../customers.csv",
        "../orders.csv",
        "../ratings.csv",
        "../tickets.csv",
    ]
    history.load_history(settings.load_settings(beside / "lifecycle.toml"))


def test_the_command_writes_a_file_that_check_accepts(tmp_path, shop_files, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = CliRunner().invoke(
        cli.app, ["init", *[path.name for path in shop_files]], catch_exceptions=False
    )
    assert said.exit_code == 0
    assert "lifecycle.toml" in said.stdout
    told = CliRunner().invoke(cli.app, ["check", "--json"], catch_exceptions=False)
    assert '"read": 180' in told.stdout


# --- other businesses
# ------------------------------------------------------------------------------------------------


def subscription(folder: Path) -> list[Path]:
    return [
        put(
            folder,
            "subscriptions.csv",
            "account_id,start_date,end_date,cancelled_at,plan,price",
            [
                f"{who},2024-0{month}-01,2024-0{month + 1}-01,"
                f"{'2024-02-15' if n % 4 == 0 and month == 2 else ''},basic,9.99"
                for n, who in enumerate(PEOPLE)
                for month in (1, 2)
            ],
        ),
        put(
            folder,
            "logins.csv",
            "account_id,timestamp",
            [f"{PEOPLE[n % 30]},2024-01-{1 + n % 28:02d}T08:00:00Z" for n in range(90)],
        ),
        put(
            folder,
            "usage.csv",
            "account_id,timestamp,minutes",
            [f"{PEOPLE[n % 30]},2024-01-{1 + n % 28:02d}T09:00:00Z,{n}" for n in range(150)],
        ),
    ]


def test_subscriptions_are_contractual_with_use_as_activity(tmp_path):
    guesses, page, stated, found, counts = guessed(tmp_path, *subscription(tmp_path))
    assert stated.business.archetype == "contractual"
    assert (stated.activity.table, stated.activity.kinds) == ("interactions", ["usage"])
    assert (counts["contracts"].kept, counts["interactions"].kept) == (60, 240)
    assert sum(row["cancelled_at"] is not None for row in rows(found, "contracts")) == 8
    assert {row["price"] for row in rows(found, "contracts")} == {999}
    assert stated.churn.horizon_days == 90
    assert "most frequent" in guesses["activity"]["reason"]
    assert len(that_matter(page)) <= 15


def test_subscriptions_with_payments_alone(tmp_path):
    paid = put(
        tmp_path,
        "payments.csv",
        "account_id,paid_at,amount",
        [f"{who},2024-01-01 10:00,9.99" for who in PEOPLE],
    )
    _, _, stated, _, _ = guessed(tmp_path, subscription(tmp_path)[0], paid)
    assert (stated.business.archetype, stated.activity.table) == ("contractual", "transactions")


def test_a_log_of_events_alone(tmp_path):
    lines = [
        f"{n % 7},2024-01-{1 + n % 28:02d}"
        f" 10:{n % 60:02d}:00,{['page_view', 'login', 'page_view'][n % 3]},{n}"
        for n in range(90)
    ]
    _, _, stated, found, counts = guessed(
        tmp_path, put(tmp_path, "log.csv", "user_id,event_time,event,amount", lines)
    )
    assert (stated.activity.table, stated.activity.kinds) == ("interactions", ["visit"])
    assert sorted({row["kind"] for row in rows(found, "interactions")}) == ["login", "visit"]
    assert counts["interactions"].kept == 90


@pytest.mark.parametrize("mode", simulation.MODES)
def test_simulated_tables_are_read_as_the_simulation_wrote_them(tmp_path, mode):
    made = simulation.simulate(customers=60, days=400, mode=mode).tables
    for name, table in made.items():
        pyarrow.csv.write_csv(table, tmp_path / f"{name}.csv")
    _, page, stated, found, counts = guessed(tmp_path, *[tmp_path / f"{name}.csv" for name in made])
    plain = {
        "business": stated.business.model_dump(),
        "files": stated.files,
        "activity": stated.activity.model_dump(),
        "tables": {name: f"SELECT * FROM {name}" for name in made},
    }
    oracle, _ = history.load_history(
        settings.settings_from_mapping(plain, folder=tmp_path, where="test")
    )
    assert set(counts) == set(made)
    for name in nonempty(made):
        assert rows(found, name) == rows(oracle, name), name
    assert stated.contractual == (mode == "subscription")
    assert len(that_matter(page)) <= 15


def test_exports_of_two_years_are_one_table_and_returns_are_refunds(tmp_path):
    years = [
        put(
            tmp_path,
            f"orders_{year}.csv",
            "customer,date,total,order_id",
            [f"{n % 7},{year}-{1 + n % 12:02d}-05,{n},{year}-{n}" for n in range(40)],
        )
        for year in (2022, 2023)
    ]
    back = put(
        tmp_path,
        "returns.csv",
        "customer,date,amount",
        [f"{n % 7},2023-06-0{1 + n},{n}" for n in range(9)],
    )
    other = put(
        tmp_path,
        "baskets.csv",
        "customer,date,amount,store",
        [f"{n % 7},2023-06-0{1 + n},{n},s" for n in range(9)],
    )
    guesses, _, _, found, counts = guessed(tmp_path, *years, back, other)
    assert counts["transactions"].kept == 89
    assert sum(row["kind"] == "refund" for row in rows(found, "transactions")) == 9
    assert "not used: baskets.csv" in guesses["files"]["reason"]


def test_customers_whose_ids_lost_their_zeros_are_the_same_people(tmp_path, shop_files):
    put(tmp_path, "customers.csv", "CustomerID,City", [f"{int(who)},Köln" for who in PEOPLE])
    guesses, _, _, found, _ = guessed(tmp_path, *shop_files)
    assert "filled up with zeros" in guesses["tables.customers"]["reason"]
    assert {row["customer_id"] for row in rows(found, "customers")} == set(PEOPLE)


def test_scores_on_another_scale_are_kept_on_that_scale(tmp_path, shop_files):
    put(
        tmp_path,
        "ratings.csv",
        "user_id,date,stars",
        [f"{who},2024-04-01,{n % 11}" for n, who in enumerate(PEOPLE[:22])],
    )
    guesses, _, stated, _, counts = guessed(tmp_path, *shop_files)
    assert stated.contract.scales["review"] == (0, 10)
    assert "CHECK:" in guesses["contract.scales"]["reason"]
    assert counts["feedback"].rejected == {}


# --- public data ----------------------------------------------------------------------------------
# -------------------

REAL = {
    "online_retail/online_retail.parquet": (
        "SELECT count(DISTINCT (InvoiceNo, CustomerID)) FROM whole WHERE CustomerID IS NOT NULL",
        "SELECT round(sum(Quantity * UnitPrice) * 100) FROM whole WHERE CustomerID IS NOT NULL",
        90,
    ),
    "cdnow/cdnow_master.parquet": (
        "SELECT count(*) FROM (SELECT DISTINCT * FROM whole)",
        "SELECT round(sum(dollar_value) * 100) FROM (SELECT DISTINCT * FROM whole)",
        90,
    ),
    "cdnow/cdnow_sample.csv": (
        "SELECT count(*) FROM (SELECT DISTINCT * FROM whole)",
        "SELECT round(sum(dollar_value::DECIMAL(9, 2)) * 100) FROM (SELECT DISTINCT * FROM whole)",
        90,
    ),
    "complete_journey/transactions_sample.parquet": (
        "SELECT count(DISTINCT basket_id) FROM whole",
        "SELECT round(sum(sales_value) * 100) FROM whole",
        30,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_public_data_load_with_every_customer_row_and_cent(tmp_path, name):
    path = public_file(name)
    orders, cents, horizon = REAL[name]
    _, page, stated, found, counts = guessed(tmp_path, path)
    reader = f"read_csv('{path}', all_varchar=true)" if path.suffix == ".csv" else f"'{path}'"
    oracle = duckdb.connect()
    oracle.execute(f"CREATE VIEW whole AS FROM {reader}")
    kept = rows(found, "transactions")
    assert len(kept) == oracle.execute(orders).fetchone()[0] == counts["transactions"].kept
    assert (
        abs(sum(row["amount"] for row in kept) - oracle.execute(cents).fetchone()[0])
        <= len(kept) / 100
    )  # thirds of cents
    assert set(counts["transactions"].rejected) <= {"customer_id_missing", "exact_duplicate"}
    assert stated.churn.horizon_days == horizon
    assert len(that_matter(page)) <= 15
