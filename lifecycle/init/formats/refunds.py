"""Refunds that stand as a column of the payment: a row of their own for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from lifecycle.init.cells import Cell
from lifecycle.init.formats.format import FormatTable


def refund_table(
    payments: FormatTable,
    amount: Cell,
    *,
    only: str = "true",
    at: Cell | None = None,
    notes: tuple[str, ...] = (),
) -> FormatTable:
    """The refunds of `payments`: the same people and ids (with `#refund`), the refund's amount.

    only: SQL of the rows that were paid at all. at: when the money went back, where a column says
    so; the time of the payment where it is blank.
    """
    columns: Mapping[str, Cell] = payments.columns
    paid = columns["occurred_at"]
    number = f"TRY_CAST({amount.sql} AS DECIMAL(18, 4))"
    id_ = columns["transaction_id"]
    note = (
        f"refunds are rows of their own: their amount is {amount.column}, their time "
        + (f"{at.column}" if at else f"that of the payment ({paid.column}), as no column has it")
        + "."
    )
    return replace(
        payments,
        columns={
            "transaction_id": Cell(id_.column, f"{id_.sql} || '#refund'"),
            "occurred_at": _first_given(at, paid) if at else paid,
            "kind": Cell("", "'refund'"),
            "amount": amount,
        },
        only=f"{number} > 0 AND ({only})",
        notes=(note, *notes),
    )


def _first_given(at: Cell, paid: Cell) -> Cell:
    """The time of the refund, and that of the payment where it is blank; both as text if one is."""
    one, other = at.sql, paid.sql
    return replace(
        at, sql=f"coalesce(nullif(trim(CAST({one} AS VARCHAR)), ''), CAST({other} AS VARCHAR))"
    )
