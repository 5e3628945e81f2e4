"""`lifecycle init` reads tickets as complaints, and their ratings as known when they are solved."""

from __future__ import annotations

import pytest

from features.core.settings import load_settings
from features.tables.history import load_history
from lifecycle import init
from tests.support.init_data import day, put, rows

ORDERS = [f"C{n % 5},2024-01-{1 + n % 28:02d},{n}.5" for n in range(30)]
TICKETS = [
    f"{n},C{n % 5},2024-03-{1 + n:02d} 10:00,{'' if n == 9 else f'2024-04-{1 + n:02d} 10:00'},"
    f"delivery,{'' if n % 3 else 1 + n % 5}"
    for n in range(25)
]


def read(folder, head, name="export.csv"):
    """(feedback as (kind, score, day it happened), reason) of one file of 25 tickets."""
    out = folder / "one.toml"
    orders = put(folder, "orders.csv", "customer_id,order_date,amount", ORDERS)
    guesses = init.write([orders, put(folder, name, head, TICKETS)], out)
    history, _ = load_history(load_settings(out))
    reason = next(row["reason"] for row in guesses if row["what"] == "tables.feedback")
    return [
        (row["kind"], row["score"], str(day(row["occurred_at"])))
        for row in rows(history, "feedback")
    ], reason


@pytest.mark.parametrize(
    "head",
    [
        "Ticket,Customer,Opened,Solved,Topic,Rating",
        "Ticket,Cliente,Abierto,Resuelto,Tema,Satisfacción",
        "Ticket,Kunde,Eröffnet,Gelöst,Thema,Note",
    ],
)
def test_a_rating_of_a_ticket_is_known_when_it_is_solved_and_the_complaint_stays(tmp_path, head):
    got, reason = read(tmp_path, head)
    assert [kind for kind, *_ in got].count("complaint") == 25
    ratings = {each for each in got if each[0] == "csat"}
    assert len(ratings) == 8
    assert ("csat", 4.0, "2024-04-04") in ratings
    assert not {score for kind, score, _ in got if kind == "complaint"} - {None}
    assert "1 more are left out, because" in reason


def test_a_rating_with_a_time_of_its_own_is_known_then(tmp_path):
    got, reason = read(tmp_path, "Ticket,Customer,Opened,Answered at,Topic,Rating", "tickets.csv")
    assert ("csat", 4.0, "2024-04-04") in got
    assert "answered at Answered at" in reason
