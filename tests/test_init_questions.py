"""What `lifecycle init` asks: on a terminal, of a program, and on top of an existing file."""

from __future__ import annotations

import io
import json

import pytest
from typer.testing import CliRunner

from features.core.errors import BadSetting, WrongType
from lifecycle import cli, init
from lifecycle.init.interview import ask_on_terminal, settle_questions
from lifecycle.init.questions import Answer, Answers, Question, parse_answers
from tests.support.init_data import put

HEAD = "order_id,customer_id,order_date,amount"


@pytest.fixture
def orders(tmp_path):
    """Orders whose dates can be read in two ways."""
    return put(
        tmp_path,
        "orders.csv",
        HEAD,
        [f"A{n},C{n % 7},{1 + n % 12:02d}/{1 + n % 11:02d}/2024,{n}.25" for n in range(60)],
    )


def run(*texts: object):
    return CliRunner().invoke(cli.app, ["init", *map(str, texts)])


def test_a_program_reads_the_questions_and_answers_them(tmp_path, orders):
    first = run(orders, "--out", tmp_path / "one.toml", "--json")
    listed = {each["key"]: each for each in json.loads(first.stdout)["questions"]}
    assert set(listed) == {"orders.order_date", "currency"}
    assert listed["orders.order_date"]["default"] == "day_first"
    meanings = {each["value"]: each["meaning"] for each in listed["orders.order_date"]["answers"]}
    assert meanings["day_first"] == "%d/%m/%Y, 2024-01-01 … 2024-11-11"
    assert meanings["month_first"] == "%m/%d/%Y, 2024-01-01 … 2024-12-05"
    second = run(
        orders, "--out", tmp_path / "two.toml", "--answer", "orders.order_date=month_first",
        "--answer", "currency=USD",
    )  # fmt: skip
    page = (tmp_path / "two.toml").read_text(encoding="utf-8")
    assert second.exit_code == 0
    assert "%m/%d/%Y" in page
    assert "# CHECK:" not in page
    assert second.stdout.splitlines()[-1] == "1 of 1 files are used"


def test_each_question_is_put_once_and_the_answers_count(tmp_path, orders):
    put_questions = []

    def ask(question):
        put_questions.append(question.key)
        return question.answers[-1].value

    config = settle_questions([orders], tmp_path / "one.toml", Answers(), ask)
    assert sorted(put_questions) == ["currency", "orders.order_date"]
    assert "%m/%d/%Y" in config.page
    assert not (tmp_path / "one.toml").exists()


BAD_ANSWERS = {
    "no key": ("month_first", "a text without KEY="),
    "unknown key": ("order.date=month_first", "these files do not raise"),
    "unknown value": ("orders.order_date=sideways", "none of those asked for"),
    "unknown zone": ("zone=Mars/Olympus", "a zone that is not known"),
    "unknown currency": ("currency=shells", "no code of a currency"),
}


@pytest.mark.parametrize("case", BAD_ANSWERS)
def test_an_answer_that_is_none_is_refused_and_nothing_is_written(tmp_path, orders, case):
    text, got = BAD_ANSWERS[case]
    with pytest.raises(BadSetting, match=got):
        settle_questions([orders], tmp_path / "one.toml", parse_answers([text]))


def test_an_existing_file_gets_a_diff_and_stays(tmp_path, orders):
    out = tmp_path / "one.toml"
    assert run(orders, "--out", out).exit_code == 0
    again = run(orders, "--out", out)
    assert again.exit_code == 0
    assert "stays as it is" in again.stdout
    before = out.read_text(encoding="utf-8")
    changed = run(orders, "--out", out, "--answer", "currency=GBP")
    assert changed.exit_code == 1
    assert '-currency = "EUR"' in changed.stdout.splitlines()
    assert '+currency = "GBP"' in changed.stdout.splitlines()
    assert out.read_text(encoding="utf-8") == before


def test_what_other_dates_show_is_the_default(tmp_path, orders):
    people = put(
        tmp_path,
        "customers.csv",
        "customer_id,signup_date",
        [f"C{n},{1 + n:02d}/{14 + n}/2023" for n in range(7)],
    )
    answers = Answers()
    settle_questions([orders, people], tmp_path / "one.toml", answers)
    question = answers.questions["orders.order_date"]
    assert question.default.value == "month_first"
    assert "other dates of your files are month first" in question.text


def test_dates_in_two_orders_are_refused_with_both_counts(tmp_path):
    lines = [f"A{n},C{n % 7},{13 + n % 15}/03/2024,{n}" for n in range(40)]
    lines += [f"B{n},C{n % 7},03/{13 + n % 15}/2024,{n}" for n in range(25)]
    path = put(tmp_path, "orders.csv", HEAD, lines)
    with pytest.raises(
        WrongType, match="40 cells can only be day first, 25 cells can only be month"
    ):
        init.write([path], tmp_path / "one.toml")


def test_every_file_is_named_and_unused_ones_with_their_columns(tmp_path, orders):
    other = put(tmp_path, "stock.csv", "sku,count", ["a,1", "b,2"])
    ended = run(orders, other, "--out", tmp_path / "one.toml")
    assert ended.stdout.splitlines()[-1] == "1 of 2 files are used; not used: stock.csv"
    page = (tmp_path / "one.toml").read_text(encoding="utf-8")
    assert 'Under files: stock = "stock.csv". Its columns: sku, count.' in " ".join(
        line.lstrip("# ") for line in page.splitlines()
    )


def test_a_program_reads_every_line_marked_check_and_whether_it_can_be_answered(tmp_path):
    lines = [f"C{n % 7},2024-01-{1 + n % 28:02d},{n}.25" for n in range(60)]
    path = put(tmp_path, "payments.csv", "customer_id,when,amount", lines)
    out = tmp_path / "one.toml"
    result = json.loads(run(path, "--out", out, "--json").stdout)
    checks = {check["key"]: check for check in result["checks"]}
    assert len(result["checks"]) == out.read_text(encoding="utf-8").count("# CHECK:")
    assert checks["currency"]["answerable"]
    assert not checks["tables.transactions"]["answerable"]
    assert checks["tables.transactions"]["text"].startswith("when is used as occurred_at")


def test_a_wrong_answer_on_a_terminal_is_told_what_is_allowed(monkeypatch, capsys):
    question = Question("a.b", "Which?", (Answer("days", "x"), Answer("months", "y")))
    monkeypatch.setattr("sys.stdin", io.StringIO("weeks\n3\nmonths\n"))
    assert ask_on_terminal(question) == "months"
    allowed = "not an answer: type 1 or 2, or days, months; Enter takes the default."
    assert capsys.readouterr().err.count(allowed) == 2


def test_a_currency_is_answered_in_small_letters_too_and_none_is_no_currency(orders):
    settled = init.Answers({"currency": "usd"})
    assert settled.given["currency"] == "USD"
    out = orders.parent / "none.toml"
    with pytest.raises(BadSetting) as refused:
        init.write([orders], out, init.Answers({"currency": "XXX"}))
    assert "no code of a currency" in refused.value.got
