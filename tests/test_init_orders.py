"""`lifecycle init` on order lines and ids: what is one transaction, and what it is worth."""

from __future__ import annotations

from tests.support.init_data import guessed, put, rows


def test_a_unique_id_is_kept_and_rows_are_not_summed(tmp_path):
    path = put(
        tmp_path,
        "sales.csv",
        "client_id,date,total,invoice_id",
        [f"{n % 7},2024-01-{1 + n % 28:02d},{n}.25,I{n}" for n in range(60)],
    )
    guesses, _, _, found, _ = guessed(tmp_path, path)
    assert "GROUP BY" not in guesses["tables.transactions"]["guess"]
    assert {row["transaction_id"] for row in rows(found, "transactions")} == {
        f"I{n}" for n in range(60)
    }


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
    guesses, _, _, _, counts = guessed(
        tmp_path, put(tmp_path, "sales.csv", "client_id,date,total,order_id", lines)
    )
    assert (
        "CHECK: 30 order_id belong to several customers" in guesses["tables.transactions"]["reason"]
    )
    assert counts["transactions"].kept == 60


def test_a_replayed_file_is_not_taken_for_order_lines(tmp_path):
    once = [f"{n % 7},2024-01-{1 + n % 28:02d},{n}.25,2,I{n}" for n in range(60)]
    path = put(tmp_path, "sales.csv", "client_id,date,total,qty,order_id", once + once[:20])
    guesses, _, _, found, counts = guessed(tmp_path, path)
    assert "GROUP BY" not in guesses["tables.transactions"]["guess"]
    assert counts["transactions"].rejected == {"exact_duplicate": 20}
    assert sum(row["amount"] for row in rows(found, "transactions")) == sum(
        n * 100 + 25 for n in range(60)
    )


def test_returned_lines_are_the_refund_of_their_order(tmp_path):
    lines = [
        f"{n // 3 % 7},2024-01-{1 + n // 3 % 28:02d},{-n - 50 if n % 3 == 2 else n + 1},A{n // 3},"
        f"{'return' if n % 3 == 2 else 'sale'},S{n}"
        for n in range(90)
    ]
    _, _, _, found, _ = guessed(
        tmp_path, put(tmp_path, "sales.csv", "client_id,date,total,order_id,type,sku", lines)
    )
    kept = rows(found, "transactions")
    assert len([row for row in kept if row["kind"] == "purchase"]) == 30
    assert len([row for row in kept if row["kind"] == "refund"]) == 30
    assert sum(row["amount"] for row in kept) == 100 * sum(
        -n - 50 if n % 3 == 2 else n + 1 for n in range(90)
    )


def test_a_column_of_payment_methods_is_no_kind(tmp_path):
    lines = [
        f"{n % 7},2024-01-{1 + n % 28:02d},{n},{('credit', 'debit', 'cash')[n % 3]}"
        for n in range(60)
    ]
    _, page, _, _, counts = guessed(
        tmp_path, put(tmp_path, "sales.csv", "client_id,date,total,type", lines)
    )
    assert counts["transactions"].kept == 60
    assert "left out: type." in page


def test_a_total_that_stands_on_every_line_is_taken_once(tmp_path):
    lines = [
        f"{n // 3 % 7},2024-01-{1 + n // 3 % 28:02d},{n // 3 + 10}.00,A{n // 3},S{n % 3}"
        for n in range(90)
    ]
    guesses, _, _, found, _ = guessed(
        tmp_path, put(tmp_path, "sales.csv", "client_id,date,order_total,order_id,sku", lines)
    )
    assert "CHECK: order_total is the same on all lines" in guesses["tables.transactions"]["reason"]
    assert (
        sum(row["amount"] for row in rows(found, "transactions"))
        == sum(n + 10 for n in range(30)) * 100
    )


def test_an_order_with_an_unreadable_line_is_refused_and_not_counted_short(tmp_path):
    lines = [
        f"{n // 3 % 7},2024-01-{1 + n // 3 % 28:02d},{'oops' if n == 7 else n},2,A{n // 3}"
        for n in range(90)
    ]
    guesses, _, _, _, counts = guessed(
        tmp_path, put(tmp_path, "sales.csv", "client_id,date,price,qty,order_id", lines)
    )
    assert (
        "CHECK: lines without a readable qty × price: 1" in guesses["tables.transactions"]["reason"]
    )
    assert counts["transactions"].rejected == {"amount_not_money": 1}
    assert counts["transactions"].kept == 29


def test_lines_without_an_order_are_one_order_a_customer_and_time(tmp_path):
    lines = [
        f"{n // 3 % 7},2024-01-{1 + n // 3 % 28:02d},{n},2,{'' if n >= 60 else f'A{n // 3}'}"
        for n in range(90)
    ]
    _, _, _, found, counts = guessed(
        tmp_path, put(tmp_path, "sales.csv", "client_id,date,price,qty,order_id", lines)
    )
    assert counts["transactions"].kept == 30
    assert (
        sum(row["amount"] for row in rows(found, "transactions"))
        == sum(2 * n for n in range(90)) * 100
    )
