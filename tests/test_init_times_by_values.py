"""`lifecycle init` loses no file because the header of its time is unknown."""

from __future__ import annotations

import pytest

from lifecycle import init
from lifecycle.init.columns import assign_roles
from lifecycle.init.person_columns import person_candidates
from lifecycle.init.tables import open_engine, open_file
from tests.support.init_data import put

DAYS = [f"2025-0{1 + n % 6}-{1 + n % 28:02d}" for n in range(60)]
BIRTHS = [f"19{50 + n % 40}-03-04" for n in range(60)]


def time_of(folder, head, lines, table="interactions"):
    """The Cell of occurred_at, or None."""
    connection, keywords = open_engine()
    path = put(folder, "lessons.csv", head, lines)
    source = open_file(connection, path, taken=set(), keywords=keywords)
    return assign_roles(source, table, person_candidates(source)[0]).get("occurred_at")


@pytest.mark.parametrize(
    "head", ["Answered at", "lesson start", "inicio_clase", "start", "Unterricht ab"]
)
def test_the_only_column_with_a_time_in_every_row_is_the_time_and_is_asked_about(tmp_path, head):
    lines = [f"C{n % 9},{day} 10:{n:02d},x" for n, day in enumerate(DAYS)]
    cell = time_of(tmp_path, f"customer_id,{head},info", lines)
    assert cell.column == head
    assert cell.notes[0].startswith(f"CHECK: {head} is used as occurred_at because")


def test_of_several_the_earliest_of_the_row_is_it_and_never_a_birth_nor_a_later_stamp(tmp_path):
    lines = [
        f"C{n % 9},{birth},{day} 13:00,{day} 12:00,{day} 11:00,2026-01-01"
        for n, (birth, day) in enumerate(zip(BIRTHS, DAYS, strict=True))
    ]
    head = "customer_id,nacido,out,middle,inn,updated_at"
    cell = time_of(tmp_path, head, lines)
    assert cell.column == "inn"
    assert "others with times are out, middle." in cell.notes[0]


def test_a_day_of_the_customer_and_a_column_with_gaps_are_no_time_of_the_row(tmp_path):
    lines = [f"C{n % 9},{DAYS[n % 9]},{day if n % 5 else ''}" for n, day in enumerate(DAYS)]
    assert time_of(tmp_path, "customer_id,entered,called", lines) is None


def test_a_file_of_customers_gets_no_time_of_an_event(tmp_path):
    lines = [f"C{n},{day}" for n, day in enumerate(DAYS)]
    assert time_of(tmp_path, "customer_id,first contact", lines) is None


def test_reviews_whose_time_is_that_of_the_answer_are_read(tmp_path):
    lines = [f"C{n % 9},{day},{1 + n % 5}" for n, day in enumerate(DAYS)]
    path = put(tmp_path, "reviews.csv", "customer_id,Answered at,Stars", lines)
    orders = put(
        tmp_path,
        "orders.csv",
        "customer_id,order_date,amount",
        [f"C{n % 9},{day},{n}.5" for n, day in enumerate(DAYS)],
    )
    result = {row["what"]: row for row in init.write([orders, path], tmp_path / "one.toml")}
    select = result["tables.feedback"]["guess"]
    assert '"Answered at" AS occurred_at' in select
    assert '"Answered at" AS answered_at' in select
