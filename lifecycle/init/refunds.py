"""Refunds that stand as a column of the order: a row of their own for each."""

from __future__ import annotations

from lifecycle.init.cells import Cell, read_cell
from lifecycle.init.draft import Draft, RowsLeftOut
from lifecycle.init.source import Source, constant_kind, squash
from lifecycle.init.words import SYNONYMS

# Names of the time at which the money went back.
_TIMES = (
    "refundedat", "refunddate", "refundeddate", "refundedon", "refundtime", "refundeddateutc",
    "erstattetam", "dateremboursement", "fechareembolso", "datareembolso", "退款时间",
)  # fmt: skip


def kind_of_file(source: Source, table: str, cells: dict[str, Cell]) -> str | None:
    """The kind of every row by the file's name, or of refunds by the names of its columns."""
    kind = constant_kind(source, table)
    if table != "transactions" or (kind is not None and kind != "purchase"):
        return kind
    amount, when = cells.get("amount"), cells.get("occurred_at")
    refunds = {squash(name) for name in SYNONYMS["transactions"]["refunded"].split()}
    is_refund = (amount is not None and squash(amount.column) in refunds) or (
        when is not None and squash(when.column) in _TIMES
    )
    return "refund" if is_refund else kind


def add_refund_rows(source: Source, cells: dict[str, Cell], refunded: Cell, draft: Draft) -> None:
    """Add the rows of the column `refunded`: kind refund, the id of the order with `#refund`.

    An order whose status says that it was refunded is a purchase then: the refund is its own row.
    """
    number = f"TRY_CAST({refunded.sql} AS DECIMAL(18, 4))"
    rows = source.query_count(f"SELECT count(*) FROM {source.sample} WHERE {number} > 0")
    draft.used.add(refunded.column)
    if not rows:
        return
    if draft.group_by:
        draft.notes.append(
            f"CHECK: {refunded.column} has refunds on {rows:,} rows; they are not read, because "
            "the rows are lines of orders."
        )
        return
    names = [column for column in source.types if squash(column) in _TIMES]
    at = read_cell(source, names[0], "instant", "transactions", required=False) if names else None
    paid = draft.selected["occurred_at"]
    when = paid
    if at is not None:
        draft.used.add(at.column)
        when = f"coalesce(nullif(CAST({at.sql} AS VARCHAR), ''), CAST({paid} AS VARCHAR))"
    selected = {
        "customer_id": draft.selected["customer_id"],
        "occurred_at": when,
        "amount": refunded.sql,
        "kind": "'refund'",
    }
    if "transaction_id" in draft.selected:
        selected["transaction_id"] = f"{draft.selected['transaction_id']} || '#refund'"
    condition = f"{number} > 0"
    if "kind" in draft.selected:
        kind = draft.selected["kind"]
        condition += f" AND coalesce({kind}, 'purchase') IN ('purchase', 'refund')"
        draft.selected["kind"] = (
            f"CASE WHEN {kind} = 'refund' AND {number} > 0 THEN 'purchase' ELSE {kind} END"
        )
    left_out = [
        *draft.left_out,
        RowsLeftOut("without a refund", f"NOT coalesce({condition}, false)"),
    ]
    draft.further.append(Draft(selected, left_out=left_out, from_=draft.from_))
    draft.notes.append(
        f"refunds are rows of their own, where {refunded.column} is over 0 ({rows:,}); their time "
        + (f"is {at.column}." if at else "is that of the order, as no column has it.")
    )
