"""What the rows of a file mean: refunds, tests, stamps, surveys, files that belong together."""

from __future__ import annotations

import pytest

from features.core.errors import BadSetting
from lifecycle import init
from lifecycle.init.questions import Answers
from tests.support.init_data import guessed, put, rows

HEAD = "order_id,customer_id,order_date,amount"


def plain(n: int) -> str:
    return f"A{n},C{n % 20},2024-01-{1 + n % 28:02d}T10:00:00Z,{n}.25"


def kinds(found) -> dict[str, int]:
    got = [row["kind"] for row in rows(found, "transactions")]
    return {kind: got.count(kind) for kind in sorted(set(got))}


def test_refunds_in_a_column_are_rows_of_their_own(tmp_path):
    lines = [f"{plain(n)},{'10.00' if n % 10 == 9 else ''},Paid" for n in range(60)]
    _, _, _, found, _ = guessed(
        tmp_path, put(tmp_path, "orders.csv", f"{HEAD},Amount Refunded,Status", lines)
    )
    assert kinds(found) == {"purchase": 60, "refund": 6}
    back = [row for row in rows(found, "transactions") if row["kind"] == "refund"]
    assert {row["transaction_id"] for row in back} == {f"A{n}#refund" for n in range(9, 60, 10)}
    assert {row["amount"] for row in back} == {1000}


def test_a_file_of_refunds_stands_beside_its_orders(tmp_path):
    orders = put(tmp_path, "orders.csv", HEAD, [plain(n) for n in range(60)])
    refunds = put(
        tmp_path,
        "refunds.csv",
        "refund_id,order_id,customer_id,refunded_at,amount",
        [f"R{n},A{n},C{n % 20},2024-02-{1 + n:02d}T10:00:00Z,{n}.25" for n in range(1, 20)],
    )
    _, _, _, found, _ = guessed(tmp_path, orders, refunds)
    assert kinds(found) == {"purchase": 60, "refund": 19}


def test_tests_and_unpaid_orders_are_left_out_and_counted(tmp_path):
    status = ["paid"] * 7 + ["pending", "failed", "test"]
    lines = [f"{plain(n)},{status[n % 10]},{'false' if n % 15 == 0 else 'true'}" for n in range(60)]
    guesses, _, _, found, _ = guessed(
        tmp_path, put(tmp_path, "orders.csv", f"{HEAD},status,livemode", lines)
    )
    reason = guesses["tables.transactions"]["reason"]
    assert "4 of 60 rows are left out: tests (livemode)" in reason
    assert "rows are left out: not paid yet (status)" in reason
    assert set(kinds(found)) == {"purchase", "payment_failed"}


def test_flags_say_what_a_row_is(tmp_path):
    lines = [
        f"{plain(n)},{str(n % 10 == 9).lower()},{str(n % 20 == 5).lower()},{int(n % 30 == 0)}"
        for n in range(60)
    ]
    _, _, _, found, _ = guessed(
        tmp_path, put(tmp_path, "orders.csv", f"{HEAD},is_refund,cancelled,is_test", lines)
    )
    assert kinds(found) == {"purchase": 49, "refund": 6, "void": 3}


def test_a_status_of_unknown_words_is_asked_about(tmp_path):
    lines = [f"{plain(n)},{'XQ' if n % 4 else 'ZT'}" for n in range(60)]
    path = put(tmp_path, "orders.csv", f"{HEAD},Order Status", lines)
    answers = Answers()
    init.write([path], tmp_path / "one.toml", answers)
    question = answers.questions["orders.order_status"]
    assert "'XQ' on 45 rows, 'ZT' on 15 rows" in question.text
    assert question.default.value == "purchases"
    assert "60 purchases" in question.default.meaning


def test_a_total_under_the_table_is_left_out(tmp_path):
    lines = [*(plain(n) for n in range(60)), "Total,C1,2024-01-03T10:00:00Z,1785.00"]
    guesses, _, _, _, counts = guessed(tmp_path, put(tmp_path, "orders.csv", HEAD, lines))
    assert counts["transactions"].kept == 60
    assert "1 of 61 rows are left out: totals" in guesses["tables.transactions"]["reason"]


def test_a_stamp_of_the_export_is_left_out_and_named(tmp_path):
    lines = [f"{plain(n)},2024-06-30T03:00:00Z,2024-06-{1 + n % 28}" for n in range(60)]
    guesses, _, _, found, _ = guessed(
        tmp_path, put(tmp_path, "orders.csv", f"{HEAD},loaded_at,updated_at", lines)
    )
    reason = guesses["tables.transactions"]["reason"]
    assert "loaded_at is left out: it is the same in every row" in reason
    assert "updated_at is left out: it is the time of the last change" in reason
    assert all(row["recorded_at"] == row["occurred_at"] for row in rows(found, "transactions"))


def test_a_file_with_one_more_column_is_united_and_overlaps_count_once(tmp_path):
    first = put(tmp_path, "orders_2023.csv", HEAD, [plain(n) for n in range(40)])
    second = put(
        tmp_path, "orders_2024.csv", f"{HEAD},coupon", [f"{plain(n)}," for n in range(30, 90)]
    )
    _, _, _, _, counts = guessed(tmp_path, first, second)
    assert counts["transactions"].kept == 90
    assert counts["transactions"].rejected == {"exact_duplicate": 10}


def test_a_column_that_is_left_out_never_makes_rows_repeated(tmp_path):
    lines = [f"C{n % 20},2024-01-{1 + n % 2:02d},door {n}" for n in range(120)]
    path = put(tmp_path, "visits.csv", "customer_id,date,door", [*lines, lines[0]])
    guesses, _, stated, _, counts = guessed(tmp_path, path)
    assert counts["interactions"].kept == 120  # one row stands twice in the file
    assert stated.contract.exact_duplicates == "keep"
    assert "visits.csv" in guesses["contract.exact_duplicates"]["reason"]


def test_a_survey_is_known_when_it_is_answered(tmp_path):
    sales = put(tmp_path, "orders.csv", HEAD, [plain(n) for n in range(60)])
    lines = [
        f"C{n % 20},2024-01-{1 + n % 28:02d} 10:00,"
        + (f"2024-02-{1 + n % 28:02d} 10:00,{n % 11}" if n % 2 else ",")
        for n in range(80)
    ]
    survey = put(tmp_path, "survey.csv", "Member No,Sent At,Response At,Score (0-10)", lines)
    guesses, _, _, found, _ = guessed(tmp_path, sales, survey)
    said = rows(found, "feedback")
    assert {row["kind"] for row in said} == {"nps"}
    assert all((row["answered_at"] is None) == (row["score"] is None) for row in said)
    assert all(row["answered_at"] > row["occurred_at"] for row in said if row["answered_at"])
    assert "80 surveys were sent, 40 answered" in guesses["tables.feedback"]["reason"]


def test_how_satisfied_a_ticket_left_the_customer_is_a_survey(tmp_path):
    sales = put(tmp_path, "orders.csv", HEAD, [plain(n) for n in range(60)])
    lines = [
        f"{n},C{n % 20},2024-01-{1 + n % 28:02d} 10:00,2024-02-{1 + n % 28:02d} 10:00,"
        f"{('Good', 'Bad', '')[n % 3]}"
        for n in range(60)
    ]
    tickets = put(
        tmp_path, "tickets.csv", "ticket,customer,opened,solved_at,Satisfaction Score", lines
    )
    _, _, _, found, _ = guessed(tmp_path, sales, tickets)
    said = rows(found, "feedback")
    assert len([row for row in said if row["kind"] == "complaint"]) == 60
    assert sorted(row["score"] for row in said if row["kind"] == "csat") == [1.0] * 20 + [5.0] * 20


def test_what_is_written_when_somebody_leaves_is_left_out_of_customers(tmp_path):
    sales = put(tmp_path, "orders.csv", HEAD, [plain(n) for n in range(60)])
    people = put(
        tmp_path,
        "members.csv",
        "Member No,Joined,Plan,Left on",
        [f"C{n},01/0{1 + n % 9}/2023,{'gold' if n % 2 else 'basic'}," for n in range(20)]
        + ["C3,01/04/2023,gold,"],
    )
    guesses, _, _, found, _ = guessed(tmp_path, sales, people)
    reason = guesses["tables.customers"]["reason"]
    assert "Left on is left out: it is written when somebody leaves" in reason
    assert "1 rows repeat a customer and are read once" in reason
    assert {row["segment"] for row in rows(found, "customers")} == {"gold", "basic"}


def test_a_day_and_its_clock_in_two_columns_are_joined(tmp_path):
    lines = [f"A{n},C{n % 20},{1 + n % 28:02d}/03/2024,{n % 24}:30,{n}.25" for n in range(60)]
    _, _, _, found, _ = guessed(
        tmp_path, put(tmp_path, "orders.csv", "order_id,customer_id,date,time,amount", lines)
    )
    assert {row["occurred_at"] // 1_000_000 % 86_400 for row in rows(found, "transactions")} == {
        hour * 3600 + 1800 for hour in range(24)
    }


def test_several_currencies_are_never_added_up(tmp_path):
    lines = [f"{plain(n)},{('EUR', 'USD', 'JPY')[n % 3]}" for n in range(60)]
    path = put(tmp_path, "orders.csv", f"{HEAD},currency", lines)
    with pytest.raises(BadSetting, match="--answer currency=EUR"):
        init.write([path], tmp_path / "one.toml")
    assert not (tmp_path / "one.toml").exists()
    init.write([path], tmp_path / "two.toml", Answers({"currency": "USD"}))
    page = (tmp_path / "two.toml").read_text(encoding="utf-8")
    assert 'currency = "USD"' in page
    assert "40 of 60 rows are left out: in other currencies than USD" in page


def test_cents_are_asked_about_and_taken_for_them_where_a_currency_is_named(tmp_path):
    lines = [f"A{n},C{n % 20},2024-01-{1 + n % 28:02d},{1999 + 37 * n},usd" for n in range(60)]
    path = put(tmp_path, "orders.csv", f"{HEAD},currency", lines)
    guesses, _, _, found, _ = guessed(tmp_path, path)
    assert sum(row["amount"] for row in rows(found, "transactions")) == sum(
        1999 + 37 * n for n in range(60)
    )
    assert (
        "CHECK: amount of orders.csv has whole numbers" in guesses["tables.transactions"]["reason"]
    )


def test_purchases_in_a_log_of_events_are_transactions_too(tmp_path):
    lines = [
        f"C{n % 20},2024-01-{1 + n % 28:02d} 10:{n % 60:02d}:00,"
        f"{('view', 'cart', 'purchase')[n % 3]},{f'{n}.50' if n % 3 == 2 else ''}"
        for n in range(240)
    ]
    path = put(tmp_path, "log.csv", "user_id,event_time,event_type,price", lines)
    guesses, _, stated, found, counts = guessed(tmp_path, path)
    assert counts["interactions"].kept == 240
    assert kinds(found) == {"purchase": 80}
    assert sum(row["amount"] for row in rows(found, "transactions")) == sum(
        n * 100 + 50 for n in range(2, 240, 3)
    )
    assert stated.activity.table == "transactions"
    assert "not used" not in guesses["files"]["reason"]


def test_what_followed_a_message_is_a_row_of_its_own(tmp_path):
    sales = put(tmp_path, "orders.csv", HEAD, [plain(n) for n in range(60)])
    lines = [
        f"C{n % 20},2024-01-{1 + n % 28:02d} 10:{n % 60:02d},"
        f"{f'2024-02-{1 + n % 28:02d} 11:00' if n % 4 == 0 else ''},"
        for n in range(80)
    ]
    sends = put(tmp_path, "sends.csv", "customer_id,sent_at,opened_at,clicked_at", lines)
    _, _, _, found, _ = guessed(tmp_path, sales, sends)
    got = [row["kind"] for row in rows(found, "interactions")]
    assert {kind: got.count(kind) for kind in set(got)} == {"sent": 80, "opened": 20}


def test_a_file_of_refunds_is_known_by_its_columns(tmp_path):
    orders = put(tmp_path, "orders.csv", HEAD, [plain(n) for n in range(60)])
    back = put(
        tmp_path,
        "export2.csv",
        "id,order_id,customer_id,refunded_at,amount",
        [f"R{n},A{n},C{n % 20},2024-02-{1 + n:02d}T10:00:00Z,{n}.25" for n in range(1, 20)],
    )
    _, _, _, found, _ = guessed(tmp_path, orders, back)
    assert kinds(found) == {"purchase": 60, "refund": 19}


@pytest.mark.parametrize("head", ["owner,date,total", "customer_id,visit_date,amount"])
def test_visits_that_are_paid_for_are_purchases(tmp_path, head):
    lines = [f"C{n % 20},2024-01-{1 + n % 28:02d},{n}.25" for n in range(1, 61)]
    _, _, _, found, _ = guessed(tmp_path, put(tmp_path, "visits.csv", head, lines))
    assert kinds(found) == {"purchase": 60}
    assert len({row["customer_id"] for row in rows(found, "transactions")}) == 20


def test_visits_with_an_amount_here_and_there_stay_visits(tmp_path):
    lines = [
        f"C{n % 20},2024-01-{1 + n % 28:02d},{f'{n}.25' if n % 10 == 0 else '0'}"
        for n in range(1, 61)
    ]
    _, _, _, found, _ = guessed(
        tmp_path, put(tmp_path, "visits.csv", "customer_id,visited_at,amount", lines)
    )
    assert {row["kind"] for row in rows(found, "interactions")} == {"visit"}


def test_an_owner_is_the_customer_where_no_other_column_is(tmp_path):
    lines = [f"{plain(n)},sales {n % 3}" for n in range(60)]
    _, _, _, found, _ = guessed(tmp_path, put(tmp_path, "orders.csv", f"{HEAD},owner", lines))
    assert {row["customer_id"] for row in rows(found, "transactions")} == {
        f"C{n}" for n in range(20)
    }
