"""`lifecycle init` reads no column that says who is still a customer today, whatever its name."""

from __future__ import annotations

import pytest

from lifecycle.init.columns import assign_roles
from lifecycle.init.parts import read_part
from lifecycle.init.person_columns import person_candidates
from lifecycle.init.questions import Answers
from lifecycle.init.tables import open_engine, open_file
from tests.support.init_data import put

STATUSES = {
    "Estado": ["Baja", "Activo"],
    "state": ["active", "Cancelled", "paused"],
    "Gruppe": ["aktiv", "gekündigt"],
    "segment": ["Actif", "Résilié", "VIP"],
    "分组": ["活跃", "已流失"],
}


def customers(folder, column, words):
    """(roles, reasons) of a file of customers with a column of these words."""
    connection, keywords = open_engine()
    lines = [f"C{n},{words[n % len(words)]}" for n in range(30)]
    path = put(folder, "customers.csv", f"customer_id,{column}", lines)
    source = open_file(connection, path, taken=set(), keywords=keywords)
    cells = assign_roles(source, "customers", person_candidates(source)[0])
    return set(cells), read_part(source, "customers", cells, Answers()).reasons


@pytest.mark.parametrize("column", STATUSES)
def test_a_column_of_status_words_is_no_attribute_and_the_page_says_why(tmp_path, column):
    roles, reasons = customers(tmp_path, column, STATUSES[column])
    assert roles == {"customer_id"}
    assert any(
        reason.startswith(f"{column} is left out: it is written when somebody leaves")
        for reason in reasons
    )


def test_a_column_of_places_stays_the_region(tmp_path):
    roles, _ = customers(tmp_path, "Estado", ["Jalisco", "Alta", "Oaxaca", "Puebla"])
    assert "region" in roles
