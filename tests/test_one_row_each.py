"""One row for each customer and no dates: refused in the same words wherever it comes in."""

from __future__ import annotations

import pytest

from features.core import one_row_each
from features.core.errors import SnapshotRefused, TimestampsMissing
from features.core.settings import load_settings
from features.tables.history import load_history
from lifecycle import init
from tests.support.init_data import put

TUTORIALS = {
    "telecom": (
        "customerID,gender,tenure,Contract,MonthlyCharges,TotalCharges,Churn",
        lambda n: (
            f"{7000 + n}-ABC,F,{n % 70},Month-to-month,{n}.5,{n * 3}.1,{'Yes' if n % 4 else 'No'}"
        ),
    ),
    "bank": (
        "RowNumber,CustomerId,Surname,CreditScore,Balance,Exited",
        lambda n: f"{n},{15_000_000 + n},Smith,{600 + n},{n}.37,{n % 2}",
    ),
    "shop with a joining date": (
        "user_id,joining_date,avg_order_value,churn_risk",
        lambda n: f"u{n},2017-01-{1 + n % 28:02d},{n}.5,{n % 2}",
    ),
    "one date for all": (
        "customer_id,snapshot_date,amount",
        lambda n: f"C{n},2024-03-01,{n}.50",
    ),
    "customers alone": (
        "customer_id,signup_date,city",
        lambda n: f"C{n},2024-03-{1 + n % 28:02d},Hove",
    ),
}


@pytest.mark.parametrize("case", TUTORIALS)
def test_init_refuses_it_as_what_it_is(tmp_path, case):
    head, row = TUTORIALS[case]
    path = put(tmp_path, "data.csv", head, [row(n) for n in range(60)])
    with pytest.raises(TimestampsMissing, match="60 rows, one for each customer") as caught:
        init.write([path], tmp_path / "one.toml")
    assert (caught.value.rule, caught.value.fix) == (one_row_each.RULE, one_row_each.FIX)
    assert not (tmp_path / "one.toml").exists()


def test_customers_alone_in_a_configuration(tmp_path):
    put(tmp_path, "data.csv", "customer_id,churn", ["C1,0", "C2,1"])
    config = tmp_path / "lifecycle.toml"
    config.write_text(
        'files = { data = "data.csv" }\n[tables]\ncustomers = "SELECT customer_id FROM data"\n',
        encoding="utf-8",
    )
    with pytest.raises(TimestampsMissing) as caught:
        load_settings(config)
    assert (caught.value.rule, caught.value.fix) == (one_row_each.RULE, one_row_each.FIX)


def test_one_instant_for_all_rows_of_the_activity(tmp_path):
    put(tmp_path, "data.csv", "customer_id,amount", [f"C{n},{n}.5" for n in range(40)])
    config = tmp_path / "lifecycle.toml"
    config.write_text(
        'files = { data = "data.csv" }\n[business]\nzone = "UTC"\n[tables]\n'
        "transactions = \"SELECT *, DATE '2024-03-01' AS occurred_at FROM data\"\n",
        encoding="utf-8",
    )
    with pytest.raises(TimestampsMissing, match="one occurred_at for all of them"):
        load_history(load_settings(config))


def test_subscriptions_without_payments_are_never_terms(tmp_path):
    path = put(
        tmp_path,
        "subscriptions.csv",
        "subscription_id,customer_id,plan,start_date,end_date,canceled_at",
        [
            f"s{n},C{n},basic,2023-{1 + n % 12:02d}-01,"
            + (f"2023-12-{1 + n % 28:02d},2023-12-01" if n % 2 else ",")
            for n in range(80)
        ],
    )
    with pytest.raises(SnapshotRefused, match="and no payments") as caught:
        init.write([path], tmp_path / "one.toml")
    assert "payments or invoices" in caught.value.fix


def test_payments_build_the_terms_of_such_subscriptions(tmp_path):
    subscriptions = put(
        tmp_path,
        "subscriptions.csv",
        "subscription_id,customer_id,plan,start_date,end_date",
        [
            f"s{n},C{n},basic,2023-01-{1 + n % 28:02d},"
            + (f"2023-{2 + n % 9:02d}-15" if n % 2 else "")
            for n in range(80)
        ],
    )
    payments = put(
        tmp_path,
        "payments.csv",
        "invoice_id,customer_id,paid_at,amount",
        [
            f"i{n}-{month},C{n},2023-{month:02d}-{1 + n % 28:02d},19.00"
            for n in range(80)
            for month in range(1, 2 + n % 9 if n % 2 else 13)
        ],
    )
    init.write([subscriptions, payments], tmp_path / "one.toml")
    settings = load_settings(tmp_path / "one.toml")
    assert settings.built_terms
    assert settings.contractual
    _, counts = load_history(settings)
    assert counts["contracts"].kept == counts["transactions"].kept
