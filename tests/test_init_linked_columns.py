"""`lifecycle init` takes the person whom the other files know, whatever the column is called."""

from __future__ import annotations

import pytest

from lifecycle.init.person_columns import choose_persons
from lifecycle.init.tables import open_engine, open_file
from tests.support.init_data import put

CARDS = [f"K{n:04d},p{n}@x.org,2024-11-{1 + n % 28:02d}" for n in range(30)]
PAYMENTS = [f"{n},K{n % 30:04d},2025-01-{1 + n % 28:02d},{n}.50" for n in range(90)]


@pytest.fixture
def files(tmp_path):
    return [
        put(tmp_path, "payments.csv", "Order no,Card no,Date,Total", PAYMENTS),
        put(tmp_path, "cards.csv", "Card no,E-mail,Registered", CARDS),
    ]


def persons(files):
    """The column that names the person, and the Cell, by the name of the file."""
    connection, keywords = open_engine()
    taken: set[str] = set()
    sources = [open_file(connection, path, taken=taken, keywords=keywords) for path in files]
    return choose_persons(sources)


def test_a_column_that_another_file_knows_people_by_goes_before_an_email_nobody_has(files):
    chosen = persons(files)
    assert {name: cell.column for name, cell in chosen.items()} == {
        "payments": "Card no",
        "cards": "Card no",
    }
    assert "30 people, 30 of them in other files too" in chosen["cards"].notes[-1]


def test_a_third_file_with_emails_is_joined_by_the_file_that_has_both(tmp_path, files):
    lines = [f"p{n}@x.org,2025-05-{1 + n:02d},{1 + n % 5}" for n in range(12)]
    chosen = persons([*files, put(tmp_path, "reviews.csv", "E-mail,Date,Stars", lines)])
    assert chosen["cards"].column == "Card no"
    assert "cards.csv has it beside Card no" in chosen["reviews"].notes[-1]


def test_of_two_columns_of_ids_the_one_that_another_file_has_is_the_person(tmp_path):
    lines = [f"T{n % 20:02d},{line}" for n, line in enumerate(PAYMENTS)]
    chosen = persons(
        [
            put(tmp_path, "payments.csv", "Terminal,Order no,Card no,Date,Total", lines),
            put(tmp_path, "cards.csv", "Card no,E-mail,Registered", CARDS),
        ]
    )
    assert {cell.column for cell in chosen.values()} == {"Card no"}


def test_a_column_of_numbers_is_no_person_because_customers_have_these_numbers(tmp_path):
    visits = [f"{20 + n % 30},2025-01-{1 + n % 28:02d},u{n % 30}@x.org" for n in range(90)]
    people = [f"{n},u{n}@x.org" for n in range(100)]
    chosen = persons(
        [
            put(tmp_path, "visits.csv", "age,date,email", visits),
            put(tmp_path, "customers.csv", "customer_id,email", people),
        ]
    )
    assert chosen["visits"].column == "email"
