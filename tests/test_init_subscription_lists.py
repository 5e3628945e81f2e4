"""`lifecycle init` reads a list of subscriptions without a column of the end as contracts."""

from __future__ import annotations

import pytest

from features.core.errors import SnapshotRefused
from lifecycle import init
from lifecycle.init.questions import Answers
from tests.support.init_data import put

HEADS = {
    "English": "Subscription no,Customer no,Plan,Start date,Cancelled on,Monthly price,Status",
    "Spanish": "Suscripción,Nº cliente,Plan,Inicio,Cancelada el,Cuota mensual,Estado",
    "German": "Vertrag,Kundennummer,Tarif,Beginn,Gekündigt am,Monatspreis,Status",
}
LIST = [
    f"S{n},C{n},{'AB'[n % 2]},2024-01-{1 + n % 28:02d},{'' if n % 4 else '2024-09-15'},"
    f"49.00,{'active' if n % 4 else 'cancelled'}"
    for n in range(40)
]
MONTHLY = [
    f"C{n},2024-{month:02d}-{1 + n % 28:02d},49.00" for n in range(40) for month in (2, 3, 4)
]
RARELY = [
    f"C{n},2024-{2 + (n + 5 * k) % 9:02d}-{1 + (n * 7 + 11 * k) % 28:02d},9.00"
    for n in range(40)
    for k in range(3)
]


def read(folder, payments, head=HEADS["English"], lines=LIST, **given):
    """(guesses by key, questions) of a list of subscriptions and payments."""
    files = [
        put(folder, "payments.csv", "Customer no,Payment date,Amount", payments),
        put(folder, "subscriptions.csv", head, lines),
    ]
    answers = Answers({"currency": "EUR", **given})
    guesses = init.write(files, folder / "one.toml", answers)
    return {row["what"]: row for row in guesses}, answers.questions


@pytest.mark.parametrize("language", HEADS)
def test_regular_payments_build_the_terms(tmp_path, language):
    guesses, questions = read(tmp_path, MONTHLY, HEADS[language])
    assert guesses["contract.terms_from"]["guess"] == '"payments"'
    assert guesses["business.archetype"]["guess"] == '"contractual"'
    assert "tables.contracts" not in guesses
    assert "without a column of the end" in questions["contracts"].text


def test_without_regular_payments_the_terms_are_open_ended_and_it_is_asked(tmp_path):
    guesses, questions = read(tmp_path, RARELY)
    assert [each.value for each in questions["contracts"].answers] == ["agreed", "leave_out"]
    select = guesses["tables.contracts"]["guess"]
    assert '"Cancelled on" AS cancelled_at' in select
    assert "ends_at" not in select
    assert "CHECK: subscriptions.csv has 40 subscriptions" in guesses["tables.contracts"]["reason"]


def test_the_list_can_be_left_out(tmp_path):
    guesses, _ = read(tmp_path, RARELY, contracts="leave_out")
    assert guesses["business.archetype"]["guess"] == '"non-contractual"'
    assert "subscriptions.csv: left out by an answer" in guesses["files"]["reason"]


def test_the_refusal_of_overwritten_ends_says_that_the_file_can_be_left_out(tmp_path):
    head = "Subscription no,Customer no,Plan,Start date,End date,Cancelled on"
    lines = [
        f"S{n},C{n},A,2024-01-{1 + n % 28:02d},2024-{3 + n % 9:02d}-15,2024-{3 + n % 9:02d}-09"
        for n in range(40)
    ]
    with pytest.raises(SnapshotRefused) as refused:
        read(tmp_path, RARELY, head, lines)
    assert "do not come regularly" in str(refused.value)
    assert refused.value.fix.startswith("Leave subscriptions.csv out: the other files are enough")


def test_ends_that_were_written_when_they_came_are_known_from_their_day_on(tmp_path):
    """Plans one after the other, the end blank while one runs: no end was agreed."""
    head = "Customer no,Plan,Start date,End date"
    lines = [
        f"C{n},{'AB'[term % 2]},2023-{1 + 3 * term:02d}-{1 + n % 28:02d},"
        f"{'' if term == 3 else f'2023-{4 + 3 * term:02d}-{1 + n % 28:02d}'}"
        for n in range(40)
        for term in range(4)
    ]
    guesses, _ = read(tmp_path, RARELY, head, lines)
    row = guesses["tables.contracts"]
    assert '"End date" AS cancelled_at' in row["guess"]
    assert "ends_at" not in row["guess"]
    assert "hardly any running term has an end" in row["reason"]
    # Terms that were agreed have ends while they run.
    agreed = [line if not line.endswith(",") else f"{line}2024-01-15" for line in lines]
    (tmp_path / "agreed").mkdir()
    guesses, _ = read(tmp_path / "agreed", RARELY, head, agreed)
    assert '"End date" AS ends_at' in guesses["tables.contracts"]["guess"]
