"""`lifecycle init` reads a refund in its order's row as a purchase and a refund."""

from __future__ import annotations

import pytest

from features.core.settings import load_settings
from features.tables.history import load_history
from lifecycle import init
from lifecycle.init.questions import Answers
from tests.support.init_data import day, guessed, put, rows

HEAD = "order_id,customer_id,order_date,total,status"


def order(number: int, status: str, tail: str = "") -> str:
    day_ = f"2024-0{1 + number % 6}-{1 + number % 28:02d}"
    return f"A{number},c{number % 5},{day_},{number + 1}.50,{status}{tail}"


ORDERS = [order(n, "Refunded" if n % 10 == 9 else "Completed") for n in range(60)]


def folder_of(path):
    """A folder of its own, for a second file."""
    (path / "second").mkdir()
    return path / "second"


def read(folder, head, lines, **given):
    """(questions, transactions as (kind, id, minor units, day)) of one file of orders."""
    answers, out = Answers(given), folder / "one.toml"
    init.write([put(folder, "orders.csv", head, lines)], out, answers)
    history, _ = load_history(load_settings(out))
    return answers.questions, [
        (row["kind"], row["transaction_id"], row["amount"], str(day(row["occurred_at"])))
        for row in rows(history, "transactions")
    ]


def test_an_order_whose_status_alone_says_refunded_was_bought_and_given_back(tmp_path):
    questions, got = read(tmp_path, HEAD, ORDERS)
    assert questions["orders.status_refunds"].default.value == "orders"
    assert len([each for each in got if each[0] == "purchase"]) == 60
    refunds = {each for each in got if each[0] == "refund"}
    assert len(refunds) == 6
    assert ("refund", "A9#refund", 1_050, "2024-04-10") in refunds


def test_its_refund_is_at_the_last_change_where_the_file_has_it(tmp_path):
    lines = [f"{line},2024-0{7 if n != 9 else 1}-15" for n, line in enumerate(ORDERS)]
    _, got = read(tmp_path, f"{HEAD},updated_at", lines)
    days = {id_: on for kind, id_, _, on in got if kind == "refund"}
    assert days["A19#refund"] == "2024-07-15"
    assert days["A9#refund"] == "2024-04-10"  # never before the order


def test_a_flag_says_the_same_as_a_status(tmp_path):
    lines = [order(n, "true" if n % 10 == 9 else "false") for n in range(60)]
    questions, got = read(tmp_path, HEAD.replace("status", "returned"), lines)
    assert "orders.returned_refunds" in questions
    assert [kind for kind, *_ in got].count("purchase") == 60
    _, got = read(folder_of(tmp_path), HEAD.replace("status", "is_refund"), lines)
    assert [kind for kind, *_ in got].count("purchase") == 54


def test_whoever_answers_that_they_are_refunds_of_other_orders_gets_these(tmp_path):
    _, got = read(tmp_path, HEAD, ORDERS, **{"orders.status_refunds": "refunds"})
    assert len(got) == 60
    assert ("refund", "A9", 1_050, "2024-04-10") in got


def test_a_refund_that_stands_beside_its_purchase_is_no_purchase_and_raises_no_question(tmp_path):
    lines = [order(n, "Completed") for n in range(60)]
    lines += [f"A{n},c{n % 5},2024-07-01,{n + 1}.50,Refunded" for n in range(3)]
    questions, got = read(tmp_path, HEAD, lines)
    assert set(questions) == {"currency"}
    assert sum(kind == "purchase" for kind, *_ in got) == 60


def test_an_id_that_refunds_have_too_is_not_called_unique(tmp_path):
    lines = [f"B{n},c{n % 5},2024-0{1 + n % 6}-{1 + n % 28:02d},{n + 1}.5" for n in range(60)]
    lines += [f"B{n},c{n % 5},2024-07-01,-{n + 1}.5" for n in range(6)]
    _, page, *_ = guessed(
        tmp_path, put(tmp_path, "x.csv", "Bestellnr,Kundennr,Datum,Betrag", lines)
    )
    words = " ".join(page.replace("#", "").split())
    assert "Bestellnr is unique among the purchases" in words
    assert "refunds, have 6 of them too" in words


LINES = "order_id,customer_id,order_date,sku,amount,refund_amount"
LINE_REFUNDS = {  # order 3 of 40, two lines of 10 and 11 each: what its lines say, and the refund
    "each line has its own": (("4", ""), 400, None),
    "both are the whole order's": (("21", "21"), 2_100, None),
    "it cannot be known": (("5", "5"), 500, "once"),
}


@pytest.mark.parametrize("case", LINE_REFUNDS)
def test_refunds_on_lines_become_the_one_of_their_order(tmp_path, case):
    written, refund, default = LINE_REFUNDS[case]
    lines = [
        f"A{n},c{n % 5},2024-01-{1 + n % 28:02d},S{k},{10 + k}.00,{written[k] if n == 3 else '0'}"
        for n in range(40)
        for k in range(2)
    ]
    questions, got = read(tmp_path, LINES, lines)
    assert [each for each in got if each[0] == "refund"] == [
        ("refund", "A3#refund", refund, "2024-01-04")
    ]
    assert sum(amount for kind, _, amount, _ in got if kind == "purchase") == 40 * 2_100
    question = questions.get("orders.refund_amount")
    assert (question.default.value if question else None) == default


def test_a_negative_amount_is_a_refund_of_its_order_whatever_the_status_says(tmp_path):
    lines = [order(n, "paid") for n in range(60)]
    lines += [f"A{n},c{n % 5},2024-08-01,-{n + 1}.50,paid" for n in range(6)]
    _, got = read(tmp_path, HEAD, lines)
    assert [each for each in got if each[0] == "refund" and each[1] == "A3"] == [
        ("refund", "A3", -450, "2024-08-01")
    ]
    assert sum(kind == "purchase" for kind, *_ in got) == 60
    assert all(id_ for _, id_, *_ in got)


def test_a_negative_line_of_an_order_that_was_paid_is_a_discount(tmp_path):
    lines = [order(n, "paid") for n in range(60)]
    lines += [order(n, "paid").replace(f"{n + 1}.50", "-0.25") for n in range(10)]
    _, got = read(tmp_path, HEAD, lines)
    assert {kind for kind, *_ in got} == {"purchase"}
    assert ("purchase", "A3", 425, "2024-04-04") in got


@pytest.mark.parametrize("name", ["refunded", "refund"])
def test_amounts_in_a_column_named_like_a_flag_are_refunds(tmp_path, name):
    head = f"order_id,customer_id,order_date,sku,line_total,{name}"
    lines = [
        f"{n},c{n % 3},2024-01-{1 + n:02d},{sku},{price},"
        f"{price if (n, sku) == (4, 'x') else '0.00'}"
        for n in range(8)
        for sku, price in (("x", "10.00"), ("y", "20.00"))
    ]
    _, got = read(tmp_path, head, lines)
    assert sorted(each[2] for each in got if each[0] == "purchase") == [3_000] * 8
    assert [each[:3] for each in got if each[0] == "refund"] == [("refund", "4#refund", 1_000)]


@pytest.mark.parametrize("word", ["partially_refunded", "Teilweise erstattet", "Reembolso parcial"])
def test_a_part_that_was_given_back_is_named_where_no_column_has_it(tmp_path, word):
    lines = [order(n, word if n % 10 == 9 else "Completed") for n in range(60)]
    guesses, _, _, found, _ = guessed(tmp_path, put(tmp_path, "orders.csv", HEAD, lines))
    assert {row["kind"] for row in rows(found, "transactions")} == {"purchase"}
    reason = guesses["tables.transactions"]["reason"]
    assert "CHECK: status says of 6 rows that a part was given back" in reason
