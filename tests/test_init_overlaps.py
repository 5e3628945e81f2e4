"""Files of one table whose ids are equal: exports of one store count once, two stores stay two."""

from __future__ import annotations

import pytest

from tests.support import format_files as exports
from tests.support.format_files import file_of, save, totals
from tests.support.init_data import guessed, put, rows

_TEXT = exports.SHOPIFY_ORDERS.text
_OF_ANOTHER_STORE = {
    "other people": _TEXT.replace("@x.org", "@y.org").replace(",9", ",59"),
    "other times": _TEXT.replace("2024-", "2023-"),
    "other Ids": _TEXT.replace(",card,9", ",card,59"),
}


@pytest.mark.parametrize("other", _OF_ANOTHER_STORE)
def test_two_stores_with_the_same_numbers_stay_two(tmp_path, other):
    one = save(tmp_path, "one.csv", _TEXT)
    two = save(tmp_path, "two.csv", _OF_ANOTHER_STORE[other])
    guesses, _, _, history, _ = guessed(tmp_path, one, two)
    assert totals(history, "transactions") == {
        "purchase": (10, 24210),
        "refund": (4, 7100),
        "void": (2, 2400),
    }
    reason = guesses["tables.transactions"]["reason"]
    assert "CHECK: 6 rows have a Name that is in" in reason
    assert "count once" not in reason
    ids = {row["transaction_id"] for row in rows(history, "transactions")}
    assert len(ids) == 16  # a refund has the prefix of its order


def test_an_order_with_another_amount_in_the_newer_export_counts_once_and_is_named(tmp_path):
    old = save(tmp_path, "old.csv", _TEXT.replace("EUR,30.00,30.00", "EUR,33.00,33.00"))
    later = _TEXT + "#8,dee@x.org,paid,,EUR,2.00,2.00,2024-03-01 09:00:00 +0200,1,Cup,0,0,card,98\n"
    guesses, _, _, history, _ = guessed(tmp_path, old, save(tmp_path, "new.csv", later))
    assert totals(history, "transactions")["purchase"] == (6, 12305)
    reason = guesses["tables.transactions"]["reason"]
    assert "CHECK: 1 of them have another amount in old.csv" in reason


def test_two_files_of_one_name_are_named_with_their_folders(tmp_path):
    files = []
    for folder in ("north", "south"):
        (tmp_path / folder).mkdir()
        files.append(file_of(tmp_path / folder, exports.SHOPIFY_ORDERS, "orders.csv"))
    guesses, *_ = guessed(tmp_path, *files)
    assert "rows are in north/orders.csv too" in guesses["tables.transactions"]["reason"]


def test_ids_of_unknown_files_with_other_contents_are_named(tmp_path):
    head = "order_id,customer_id,order_date,amount"
    lines = [f"{n},c{n % 3},2024-01-{n:02d},{n}.50" for n in range(1, 9)]
    one = put(tmp_path, "one.csv", head, lines)
    two = put(tmp_path, "two.csv", head, [lines[0], lines[1].replace("-01-", "-02-")])
    guesses, *_ = guessed(tmp_path, one, two)
    reason = guesses["tables.transactions"]["reason"]
    assert "CHECK: 1 rows have a order_id that is in one.csv too" in reason
