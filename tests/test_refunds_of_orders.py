"""A refund under its order's number is a refund of it; what a void takes with it."""

from __future__ import annotations

from collections import Counter

from features.core.instants import instant
from features.core.settings import settings_from_mapping
from features.tables.history import load_history

HEAD = "customer_id,occurred_at,recorded_at,amount,transaction_id,kind\n"


def load(folder, rows):
    (folder / "t.csv").write_text(HEAD + "".join(f"a,{row}\n" for row in rows))
    sections = {
        "business": {"zone": "UTC"},
        "files": {"t": "t.csv"},
        "tables": {"transactions": "SELECT * FROM t"},
    }
    history, _ = load_history(settings_from_mapping(sections, folder=folder, where="test"))
    return history


def known(history, day):
    rows = history.as_of(instant(day, zone="UTC")).tables["transactions"]
    rows = rows.collect(backend="pyarrow").to_native().to_pylist()
    return Counter((row["kind"], row["amount"]) for row in rows)


def test_the_purchase_stays_beside_its_refund(tmp_path):
    bought = "2024-01-02,2024-01-02,10,o1,purchase"
    stated = load(tmp_path, [bought, "2024-01-05,2024-01-05,10,o1,refund"])
    assert known(stated, "2024-02-01") == {("purchase", 1000): 1, ("refund", 1000): 1}
    negative = load(tmp_path, [bought, "2024-01-05,2024-01-05,-10,o1,"])
    assert known(negative, "2024-02-01") == {("purchase", 1000): 1, ("refund", -1000): 1}


def test_partial_refunds_of_one_order_all_count_and_a_correction_of_one_replaces_it(tmp_path):
    history = load(
        tmp_path,
        [
            "2024-01-02,2024-01-02,10,o1,purchase",
            "2024-01-02,2024-01-04,12,o1,purchase",
            "2024-01-05,2024-01-05,3,o1,refund",
            "2024-01-07,2024-01-07,4,o1,refund",
            "2024-01-07,2024-01-09,5,o1,refund",
        ],
    )
    day_8 = {("purchase", 1200): 1, ("refund", 300): 1, ("refund", 400): 1}
    assert known(history, "2024-01-08") == day_8
    later = {("purchase", 1200): 1, ("refund", 300): 1, ("refund", 500): 1}
    assert known(history, "2024-02-01") == later


def test_a_void_withdraws_the_order_with_its_refunds_until_it_is_recorded_again(tmp_path):
    rows = [
        "2024-01-02,2024-01-02,10,o1,purchase",
        "2024-01-05,2024-01-05,3,o1,refund",
        "2024-01-02,2024-01-07,10,o1,void",
        "2024-01-02,2024-01-09,11,o1,purchase",
    ]
    history = load(tmp_path, rows)
    assert known(history, "2024-01-06") == {("purchase", 1000): 1, ("refund", 300): 1}
    assert known(history, "2024-01-08") == {}
    assert known(history, "2024-02-01") == {("purchase", 1100): 1}


def test_a_void_with_a_negative_amount_withdraws_the_refund_alone(tmp_path):
    rows = [
        "2024-01-02,2024-01-02,10,o1,purchase",
        "2024-01-05,2024-01-05,3,o1,refund",
        "2024-01-06,2024-01-07,-3,o1,void",
    ]
    history = load(tmp_path, rows)
    assert known(history, "2024-02-01") == {("purchase", 1000): 1}


def test_a_purchase_and_a_refund_recorded_at_once_are_no_contradiction(tmp_path):
    rows = ["2024-01-02,2024-01-05,10,o1,purchase", "2024-01-05,2024-01-05,10,o1,refund"]
    assert sum(known(load(tmp_path, rows), "2024-02-01").values()) == 2
