"""`lifecycle init` names the cause where a spreadsheet exchanged day and month."""

from __future__ import annotations

import pytest

from features.core import errors
from lifecycle import init
from tests.support.init_data import SIMPLE, guessed, put


def test_dates_that_a_spreadsheet_exchanged_are_refused_with_their_cause(tmp_path):
    lines = [
        f"c{n % 4},{f'2024-{n:02d}-03 00:00:00' if n <= 12 else f'{n}/03/2024'},{n}.50"
        for n in range(1, 29)
    ]
    path = put(tmp_path, "orders.csv", "customer_id,order_date,amount", lines)
    with pytest.raises(errors.WrongType) as refused:
        init.write([path], tmp_path / "lifecycle.toml")
    assert "dates that a spreadsheet exchanged: 12 values" in refused.value.got
    assert "16 stayed text" in refused.value.got


def test_a_few_odd_cells_are_no_exchanged_dates(tmp_path):
    path = put(tmp_path, "x.csv", "customer_id,date,amount", [*SIMPLE, "01,13/02/2024,1.5"])
    _, _, _, _, counts = guessed(tmp_path, path)
    assert counts["transactions"].kept == 60
