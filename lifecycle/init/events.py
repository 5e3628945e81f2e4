"""Logs of events that hold more than one thing: purchases with their amount, and what followed a
message."""

from __future__ import annotations

from features.tables.parsing import literal
from lifecycle.init.cells import Cell, read_cell
from lifecycle.init.draft import Draft, RowsLeftOut
from lifecycle.init.kinds import kind_counts
from lifecycle.init.source import Source, constant_kind, squash

_PURCHASES = {
    "purchase", "purchased", "order", "ordercompleted", "orderplaced", "placedorder",
    "checkoutcompleted", "transaction", "buy", "kauf", "achat", "compra", "购买", "下单", "支付",
}  # fmt: skip
_WITH_AMOUNT = 0.8  # share of the purchases in a log that must have an amount
_FOLLOW_UPS = {
    "opened": ("openedat", "opened", "opentime", "firstopenedat"),
    "clicked": ("clickedat", "clicked", "clicktime", "firstclickedat"),
}


def is_paid_visit(source: Source, cells: dict[str, Cell], kind: Cell | None) -> bool:
    """Whether the file is named after visits, and most of its rows have money: they are purchases.

    cells: the roles of the file as transactions. kind: the column of events.
    """
    money = cells.get("amount") or cells.get("price")
    if kind is not None or money is None or constant_kind(source, "interactions") != "visit":
        return False
    paid = source.query_count(
        f"SELECT count(*) FILTER (TRY_CAST({money.sql} AS DOUBLE) > 0) FROM {source.sample}"
    )
    return paid > source.sampled / 2


def purchase_cells(
    source: Source, kind: Cell | None, cells: dict[str, Cell]
) -> dict[str, Cell] | None:
    """The cells of the purchases in a log of events; None where it has none with an amount.

    kind: the column of events. cells: the roles of the file as transactions.
    """
    money = cells.get("amount") or cells.get("price")
    if kind is None or money is None or not {"customer_id", "occurred_at"} <= set(cells):
        return None
    bought = [word for word in kind_counts(source, kind.column) if squash(word) in _PURCHASES]
    if not bought:
        return None
    listed = ", ".join(literal(word.lower()) for word in bought)
    is_purchase = f"lower(trim({source.sql(kind.column)})) IN ({listed})"
    rows, paid = source.query(
        f"SELECT count(*), count(*) FILTER (TRY_CAST({money.sql} AS DOUBLE) > 0) "
        f"FROM {source.sample} WHERE {is_purchase}"
    )[0]
    if paid < _WITH_AMOUNT * rows:
        return None
    sql = f"CASE WHEN {is_purchase} THEN 'purchase' ELSE 'pending' END"
    note = f"{rows:,} events of {kind.column} are purchases; their amount is {money.column}."
    return cells | {"kind": Cell(kind.column, sql, notes=(note,))}


def add_follow_ups(source: Source, draft: Draft) -> None:
    """Of messages sent, the times at which they were opened and clicked are rows of their own."""
    if draft.selected.get("kind") != "'sent'":
        return
    for kind, names in _FOLLOW_UPS.items():
        columns = [column for column in source.types if squash(column) in names]
        if not columns:
            continue
        cell = read_cell(source, columns[0], "instant", "interactions", required=False)
        if cell is None:
            continue
        given = f"nullif(trim(CAST({source.sql(cell.column)} AS VARCHAR)), '') IS NOT NULL"
        rows = source.query_count(f"SELECT count(*) FROM {source.sample} WHERE {given}")
        selected = {**draft.selected, "occurred_at": cell.sql, "kind": literal(kind)}
        selected.pop("recorded_at", None)
        others = RowsLeftOut(f"not {kind}", f"NOT ({given})")
        draft.further.append(Draft(selected, left_out=[*draft.left_out, others]))
        draft.used.add(cell.column)
        draft.notes.append(f"{cell.column} has {rows:,} times: they are rows of kind '{kind}'.")
