"""`lifecycle init` takes no amount for another one: thousands, decimals, cells that are none."""

from __future__ import annotations

import pytest

from features.core.settings import load_settings
from features.tables.history import load_history
from lifecycle import init
from lifecycle.init.questions import Answers
from tests.support.init_data import guessed, put, rows

HEAD = "order_id,customer_id,order_date,total"


def orders(folder, cells, head=HEAD):
    return put(
        folder,
        "orders.csv",
        head,
        [
            f'A{n},c{n % 5},2024-0{1 + n % 6}-{1 + n % 28:02d},"{cell}"'
            for n, cell in enumerate(cells)
        ],
    )


def ask(folder, path, **given):
    """(the questions by key, the amounts in minor units) of what init makes of the file."""
    answers, out = Answers(given), folder / "asked.toml"
    init.write([path], out, answers)
    history, _ = load_history(load_settings(out))
    return answers.questions, {row["amount"] for row in rows(history, "transactions")}


THREE = {
    "four digits without a point": (["12.500", "8.250"] * 15 + ["4500"], "decimals"),
    "small whole numbers": (["1.250"] * 30 + ["3", "12"] * 3, "decimals"),
    "nothing else": (["1.250", "2.500"] * 15, "thousands"),
    "a comma elsewhere": (["12.500"] * 30 + ["4500", "3,50"], "thousands"),
}


@pytest.mark.parametrize("case", THREE)
def test_three_digits_after_a_point_are_asked_about_with_both_sums(tmp_path, case):
    cells, default = THREE[case]
    questions, _ = ask(tmp_path, orders(tmp_path, cells))
    question = questions["orders.total"]
    assert question.default.value == default
    assert sorted(each.value for each in question.answers) == ["decimals", "thousands"]
    assert all("sum " in each.meaning for each in question.answers)


@pytest.mark.parametrize(
    ("cells", "amounts"),
    [
        (["1.500", "950"] * 20, {150_000, 95_000}),
        (["1.500"] * 20 + ["1.234.567"], {150_000, 123_456_700}),
        (["1.500"] * 20 + ["1.234,50"], {150_000, 123_450}),
        (["1.500"] * 20 + ["2.5"], {150, 250}),
        (["0.500", "1.500"] * 20, {50, 150}),
    ],
)
def test_cells_that_show_what_the_point_is_raise_no_question(tmp_path, cells, amounts):
    questions, got = ask(tmp_path, orders(tmp_path, cells))
    assert set(questions) == {"currency"}
    assert got == amounts


def test_an_amount_of_dinars_has_three_decimals(tmp_path):
    """By the name of the column, by a column of codes, or as it was answered."""
    cells = ["1.255", "950"] * 20
    named = orders(tmp_path, cells, head="order_id,customer_id,order_date,total (KWD)")
    questions, amounts = ask(tmp_path, named)
    assert questions["orders.total_kwd"].default.value == "decimals"
    assert amounts == {1_255, 950_000}
    (tmp_path / "asked.toml").unlink()
    questions, amounts = ask(tmp_path, orders(tmp_path, cells), currency="KWD")
    assert questions["orders.total"].default.value == "decimals"
    assert amounts == {1_255, 950_000}


CELLS = {
    "rounded": (HEAD, ["1.234,509"] * 30, "1.5"),
    "in cents": ("order_id,customer_id,order_date,total_cents", ["1250"] * 30, "1.5x"),
    "a product": ("order_id,customer_id,order_date,price,quantity", ['9.50","2'] * 30, "2 × x"),
}


@pytest.mark.parametrize("case", CELLS)
def test_a_cell_that_is_no_number_is_not_called_missing(tmp_path, case):
    head, cells, shown = CELLS[case]
    further = ['x","2', '","2'] if case == "a product" else [shown, ""]
    *_, counts = guessed(tmp_path, orders(tmp_path, cells + further, head))
    transactions = counts["transactions"]
    assert transactions.rejected == {"amount_missing": 1, "amount_not_money": 1}
    assert f"'not read: {shown}'" in [each.example for each in transactions.examples]


def test_a_line_that_is_no_number_is_shown_as_the_reason_of_its_order(tmp_path):
    lines = [f"A{n // 2},c{n % 40 // 2},2024-01-{1 + n // 2 % 28:02d},2,9.50" for n in range(80)]
    lines[0] = lines[0].replace("9.50", "soon")
    head = "order_id,customer_id,order_date,quantity,price"
    *_, counts = guessed(tmp_path, put(tmp_path, "orders.csv", head, lines))
    assert counts["transactions"].rejected == {"amount_not_money": 1}
    assert counts["transactions"].examples[0].example == "'not read: 2 × soon'"
