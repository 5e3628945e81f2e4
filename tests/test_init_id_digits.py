"""`lifecycle init` asks whether 42 and ALU-00042 are one person, and writes the SQL for it."""

from __future__ import annotations

import pytest

from features.core.settings import load_settings
from features.tables.history import load_history
from lifecycle import init
from lifecycle.init.questions import Answers
from tests.support.init_data import put, rows

FORMS = {  # ids of the payments, of the customers
    "prefix and zeros": ("{}", "ALU-{:05d}"),
    "prefix alone": ("KD{}", "{}"),
    "two prefixes": ("P-{:03d}", "M{}"),
}


def read(folder, form, *, last="", **given):
    """(questions, ids of customers, ids of payments) of two files with these forms of ids."""
    paid, known = FORMS[form]
    lines = [f"{paid.format(n % 25 + 1)},2024-01-{1 + n % 28:02d},{n}.5" for n in range(100)]
    files = [
        put(
            folder,
            "customers.csv",
            "customer_id,signup_date",
            [f"{known.format(n + 1)},2023-01-{1 + n:02d}" for n in range(25)],
        ),
        put(folder, "payments.csv", "customer_id,payment_date,amount", lines + [last] * bool(last)),
    ]
    answers, out = Answers({"currency": "EUR", **given}), folder / "one.toml"
    init.write(files, out, answers)
    history, _ = load_history(load_settings(out))
    return (
        answers.questions,
        {row["customer_id"] for row in rows(history, "customers")},
        {row["customer_id"] for row in rows(history, "transactions")},
    )


@pytest.mark.parametrize("form", FORMS)
def test_the_digits_join_the_people_where_a_person_says_so(tmp_path, form):
    _, customers, buyers = read(tmp_path, form, **{"payments.customer_id_digits": "digits"})
    assert customers == buyers


def test_by_default_the_ids_stay_as_they_are_written_and_it_is_asked(tmp_path):
    questions, customers, buyers = read(tmp_path, "prefix and zeros")
    question = questions["payments.customer_id_digits"]
    assert question.default.value == "as_written"
    assert (
        "25 of 25 people are in customers.csv, by coalesce('ALU-' ||" in question.answers[1].meaning
    )
    assert not customers & buyers


def test_an_id_without_digits_stays(tmp_path):
    given = {"payments.customer_id_digits": "digits"}
    _, _, buyers = read(tmp_path, "prefix and zeros", last="till,2024-02-01,9.5", **given)
    assert "till" in buyers
    assert "ALU-00015" in buyers


def test_the_digits_lead_over_a_file_with_both_ids_to_the_person_of_the_others(tmp_path):
    people = [f"ALU-{n:05d},p{n}@x.org" for n in range(25)]
    tickets = [f"p{n}@x.org,2024-03-{1 + n:02d},late" for n in range(25)]
    paid = [f"{n % 25},2024-01-{1 + n % 28:02d},{n}.5" for n in range(100)]
    files = [
        put(tmp_path, "customers.csv", "Nº cliente,Correo electrónico", people),
        put(tmp_path, "tickets.csv", "email,created,topic", tickets),
        put(tmp_path, "payments.csv", "Cliente,Fecha,Importe", paid),
    ]
    answers = Answers({"currency": "EUR", "payments.cliente_digits": "digits"})
    init.write(files, tmp_path / "one.toml", answers)
    history, _ = load_history(load_settings(tmp_path / "one.toml"))
    buyers = {row["customer_id"] for row in rows(history, "transactions")}
    assert buyers == {f"p{n}@x.org" for n in range(25)}
