"""`lifecycle init` reads a status that says no as no purchase, and asks about unknown words."""

from __future__ import annotations

import pytest

from features.core.settings import load_settings
from features.tables.history import load_history
from lifecycle import init
from lifecycle.init.questions import Answers
from lifecycle.init.status_words import meaning_of
from tests.support.init_data import guessed, put, rows

HEAD = "order_id,customer_id,order_date,total,status"


def read(folder, words, **given):
    """(questions, rows by kind) of 60 orders whose statuses are the words in turn."""
    lines = [
        f"A{n},c{n % 5},2024-0{1 + n % 6}-{1 + n % 28:02d},{n + 1}.5,{words[n % len(words)]}"
        for n in range(60)
    ]
    answers, out = Answers(given), folder / "one.toml"
    init.write([put(folder, "orders.csv", HEAD, lines)], out, answers)
    history, _ = load_history(load_settings(out))
    kinds = [row["kind"] for row in rows(history, "transactions")]
    return answers.questions, {kind: kinds.count(kind) for kind in set(kinds)}


@pytest.mark.parametrize(
    "word",
    ["No-Sale", "no sale", "not paid", "un-sold", "Not Completed", "non payé", "nicht bezahlt"],
)
def test_a_word_with_a_negation_is_no_purchase(word):
    assert meaning_of(word, "transactions") in ("", "pending")


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("unpaid", "pending"),
        ("declined - insufficient funds", "payment_failed"),
        ("Failed: card expired", "payment_failed"),
        ("voided", "void"),
        ("cancelled (by customer)", "void"),
        ("wc-completed", "purchase"),
        ("unfulfilled", "purchase"),  # paid, and not sent yet
        ("paid - returned", ""),
    ],
)
def test_a_phrase_means_what_it_begins_with_only_where_it_is_a_failure(word, kind):
    assert meaning_of(word, "transactions") == kind


def test_words_that_say_no_are_asked_about_and_counted(tmp_path):
    questions, kinds = read(tmp_path, ["Sale", "No-Sale", "not paid"])
    assert "'No-Sale' on 20 rows, 'not paid' on 20 rows" in questions["orders.status"].text
    assert kinds == {"purchase": 20}


def test_where_no_word_is_known_the_default_leaves_out_what_says_no(tmp_path):
    questions, kinds = read(tmp_path, ["Fine", "not paid", "payment declined"])
    default = questions["orders.status"].default
    assert (default.value, kinds) == ("purchases", {"purchase": 20})
    assert "but for those that say no (40): 20 purchases" in default.meaning


def test_orders_that_a_flag_calls_unpaid_are_left_out_and_counted(tmp_path):
    lines = [f"{n},C{n % 3},2024-01-{n:02d},{n}.50,{str(n > 2).lower()}" for n in range(1, 9)]
    path = put(tmp_path, "orders.csv", "order_id,customer_id,order_date,amount,is_paid", lines)
    guesses, _, _, found, _ = guessed(tmp_path, path)
    assert len(rows(found, "transactions")) == 6
    reason = guesses["tables.transactions"]["reason"]
    assert "2 of 8 rows are left out: not paid yet (is_paid)" in reason


def test_orders_without_a_time_of_payment_are_a_question(tmp_path):
    lines = [f"{n},C{n % 3},2024-01-{n:02d},{n}.50," for n in range(1, 3)]
    lines += [f"{n},C{n % 3},2024-01-{n:02d},{n}.50,2024-02-01" for n in range(3, 9)]
    path = put(tmp_path, "orders.csv", "order_id,customer_id,order_date,amount,paid_at", lines)
    guesses, _, _, found, _ = guessed(tmp_path, path)
    assert len(rows(found, "transactions")) == 6
    reason = guesses["tables.transactions"]["reason"]
    assert "CHECK: paid_at of orders.csv is empty on 2 of 8 rows" in reason
