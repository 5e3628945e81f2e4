"""Amounts with a minus, in a file where a status says `paid` of every row."""

from __future__ import annotations

from lifecycle.init.cells import Cell
from lifecycle.init.draft import Draft, where_sql
from lifecycle.init.money_sql import product_sql
from lifecycle.init.source import Source


def refund_negative_amounts(
    source: Source, cells: dict[str, Cell], draft: Draft, money: list[Cell]
) -> None:
    """Let rows that a status calls a purchase be refunds where their amount is negative.

    money: the columns of the amount. A minus on a line of an order that is still over 0 at that
    time is a discount: where most are, the lines are added up, and the sign of the sum decides.
    Without a column of the kind nothing is done: the contract reads the sign itself.
    """
    if "kind" not in draft.selected:
        return
    kind, amount = draft.selected["kind"], product_sql(source, money)
    is_negative = f"{kind} = 'purchase' AND {amount} < 0"
    where = where_sql(draft) or " WHERE true"
    rows = source.query_count(f"SELECT count(*) FROM {source.sample}{where} AND {is_negative}")
    if not rows:
        return
    column = cells["kind"].column if "kind" in cells else "a flag"
    name = " × ".join(cell.column for cell in money)
    if 2 * _count_discounts(source, cells, draft, amount) > rows:
        draft.sign_of_sum = True
        draft.notes.append(f"{rows:,} negative {name} are discounts on lines of their orders.")
        return
    draft.selected["kind"] = f"CASE WHEN {is_negative} THEN 'refund' ELSE {kind} END"
    draft.notes.append(
        f"negative {name} are refunds, also where {column} calls them a purchase ({rows:,} rows)."
    )


def _count_discounts(source: Source, cells: dict[str, Cell], draft: Draft, amount: str) -> int:
    """The negative rows whose order has lines at the same time that are more than they are."""
    if "transaction_id" not in cells:
        return 0
    keys = ", ".join(cells[role].sql for role in ("transaction_id", "customer_id", "occurred_at"))
    kind = draft.selected["kind"]
    return source.query_count(
        f"SELECT coalesce(sum(n), 0) FROM (SELECT count(*) FILTER ({amount} < 0) AS n "
        f"FROM {source.sample}{where_sql(draft) or ' WHERE true'} AND {kind} = 'purchase' "
        f"AND {cells['transaction_id'].sql} IS NOT NULL GROUP BY {keys} HAVING sum({amount}) > 0)"
    )
