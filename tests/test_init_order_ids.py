"""`lifecycle init` finds the number of an order or invoice by its header, or by its values."""

from __future__ import annotations

import pytest

from lifecycle.init.columns import assign_roles
from lifecycle.init.person_columns import person_candidates
from lifecycle.init.tables import open_engine, open_file
from tests.support.init_data import put


def transaction_id(folder, head, ids):
    """The Cell of transaction_id of 30 payments, or None."""
    connection, keywords = open_engine()
    lines = [f"{id_},C{n % 6},2024-01-{1 + n % 28:02d},{n}.50" for n, id_ in enumerate(ids)]
    path = put(folder, "payments.csv", f"{head},customer_id,date,amount", lines)
    source = open_file(connection, path, taken=set(), keywords=keywords)
    return assign_roles(source, "transactions", person_candidates(source)[0]).get("transaction_id")


@pytest.mark.parametrize(
    "head",
    [
        "Nº factura", "N.º factura", "Factura", "Número de factura", "N° facture", "Facture",
        "Nº pedido", "Rechnung", "N.º da fatura", "Nº recibo",
    ],
)  # fmt: skip
def test_headers_of_numbers_of_invoices(tmp_path, head):
    cell = transaction_id(tmp_path, head, [f"F-{n}" for n in range(30)])
    assert (cell.column, cell.notes) == (head, ())


def test_a_column_of_ids_that_differ_in_every_row_is_it_and_is_marked(tmp_path):
    cell = transaction_id(tmp_path, "Vorgang", [f"V/2024-{n:03d}" for n in range(30)])
    assert cell.column == "Vorgang"
    assert cell.notes[0].startswith("CHECK: Vorgang is used as transaction_id only because")


@pytest.mark.parametrize(
    ("head", "ids"),
    [
        ("row", range(30)),
        ("Vorgang", [n // 2 for n in range(30)]),
        ("Kurs", [f"{n}.25" for n in range(30)]),
        ("called", [f"2024-01-{1 + n % 28:02d} 10:{n:02d}" for n in range(30)]),
    ],
)
def test_row_numbers_repeated_values_amounts_and_times_are_no_ids(tmp_path, head, ids):
    assert transaction_id(tmp_path, head, ids) is None
