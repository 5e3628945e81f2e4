"""How a file of transactions is read: its money, and whether its rows are lines of orders."""

from __future__ import annotations

from features.tables.parsing import FLOATS, literal
from lifecycle.init.cells import Cell
from lifecycle.init.currency import choose_currency
from lifecycle.init.draft import Draft, where_sql
from lifecycle.init.money import ask_cents, read_in_currency
from lifecycle.init.money_sql import decimals_of, or_text, product_sql
from lifecycle.init.negative_amounts import refund_negative_amounts
from lifecycle.init.questions import Answers
from lifecycle.init.refunds import add_refund_rows, kind_of_file, split_refunds
from lifecycle.init.settle import settle_cell
from lifecycle.init.source import Source
from lifecycle.init.statuses import (
    choose_kind_by_flags,
    leave_out_by_flags,
    leave_out_by_status,
)
from lifecycle.init.unpaid import settle_unpaid

# Shares of ids: mostly one customer and time, some on several rows; orders enough to compare lines.
_MOSTLY, _SOME, _MIN_ORDERS = 0.95, 0.05, 20
# How several lines become one order, for the columns that are no sums.
_REDUCTIONS = {
    "occurred_at": "min",
    "recorded_at": "max",
    "channel": "min",
    "method": "min",
}


def complete_transactions(
    source: Source, cells: dict[str, Cell], draft: Draft, answers: Answers
) -> None:
    """Complete `draft` for transactions: currency, statuses, money, lines of orders, refunds."""
    code = choose_currency(source, cells, draft, answers) or answers.given.get("currency", "")
    digits = decimals_of(code)
    money = [_settle_money(source, cell, code, answers) for cell in _money_cells(cells)]
    draft.used |= {cell.column for cell in money}
    draft.notes += [note for cell in money for note in cell.notes]
    leave_out_by_flags(source, draft)
    leave_out_by_status(source, cells, draft)
    settle_unpaid(source, cells, draft, answers)
    choose_kind_by_flags(source, cells, draft)
    _choose_kind(source, cells, draft, money)
    refund_negative_amounts(source, cells, draft, money)
    refunded = cells.get("refunded")
    if refunded is not None and refunded.column not in [cell.column for cell in money]:
        refunded = _settle_money(source, refunded, code, answers)
    else:
        refunded = None
    refunds = split_refunds(source, cells, money, refunded, draft, answers)
    if _rows_are_lines(source, cells, draft):
        _group_lines(source, cells, draft, money, digits)
    elif len(money) > 1:
        rounded = f"round({product_sql(source, money)}, {digits})"
        draft.selected["amount"] = or_text(source, rounded, money)
        draft.notes.append(f"amount is {_money_name(money)}, {_rounded(digits)}.")
    else:
        draft.selected["amount"] = _round(source, money[0], draft, digits)
    for each in refunds:
        add_refund_rows(source, cells, each, draft, answers)


def _settle_money(source: Source, cell: Cell, code: str, answers: Answers) -> Cell:
    cell = read_in_currency(source, cell, code)
    return settle_cell(source, ask_cents(source, cell, code), answers)


def _money_cells(cells: dict[str, Cell]) -> list[Cell]:
    """The columns whose product is the money of a row: the amount, or quantity and price."""
    certain = "amount" in cells and not cells["amount"].by_ending
    if not certain and {"price", "quantity"} <= set(cells):
        return [cells["quantity"], cells["price"]]
    return [cells.get("amount") or cells["price"]]


def _money_name(money: list[Cell]) -> str:
    return " × ".join(cell.column for cell in money)


def _choose_kind(source: Source, cells: dict[str, Cell], draft: Draft, money: list[Cell]) -> None:
    """Where no column gives the kind: by the file's name, else by the sign of the amount."""
    if "kind" in draft.selected:
        return
    kind = kind_of_file(source, "transactions", cells)
    if kind is not None and kind != "purchase":
        draft.selected["kind"] = literal(kind)
        draft.notes.append(
            f"no column gives the kind; every row is read as '{kind}', by the names of the file "
            "and its columns."
        )
        return
    negative = source.query_count(
        f"SELECT count(*) FROM {source.sample} WHERE {product_sql(source, money)} < 0"
    )
    draft.notes.append(
        f"no column gives the kind: negative amounts ({negative:,} of {source.sampled:,} sampled "
        "rows) are refunds, the others purchases."
    )


def _rounded(digits: int) -> str:
    return "rounded to cents" if digits == 2 else f"rounded to {digits} decimals"


def _round(source: Source, cell: Cell, draft: Draft, digits: int) -> str:
    """SQL for the amount, rounded where it is finer than the currency."""
    # A float of 32 bits is the number of its shortest text, as for the contract.
    text = f"CAST({cell.sql} AS VARCHAR)" if source.types[cell.column] == "FLOAT" else cell.sql
    number = f"TRY_CAST({text} AS DOUBLE) * {10**digits}"
    finer = source.query_count(
        f"SELECT count(*) FROM {source.sample} WHERE abs({number} - round({number})) > 1e-6"
    )
    if not finer:
        return or_text(source, cell.sql, [cell])
    fine = "cents" if digits == 2 else f"{digits} decimals"
    draft.notes.append(
        f"CHECK: {finer:,} of {source.sampled:,} sampled amounts are finer than {fine}; "
        "they are rounded."
    )
    is_float = source.types[cell.column] in FLOATS
    exact = cell.sql if is_float else f"TRY_CAST({cell.sql} AS DECIMAL(38, 6))"
    return or_text(source, f"round({exact}, {digits})", [cell])


def _rows_are_lines(source: Source, cells: dict[str, Cell], draft: Draft) -> bool:
    """Whether the id names orders of several lines.

    An id that is neither unique nor an order's is left out of the draft.
    """
    if "transaction_id" not in cells:
        return False
    column = cells["transaction_id"].column
    ids, repeated, uniform, surplus = _repeated_ids(source, cells, draft)
    if not surplus:
        others = 0 if repeated else _ids_of_others(source, cells, draft)
        versioned = "recorded_at" in cells
        draft.notes.append(_unique_note(column, repeated, others, versioned=versioned))
        return False
    has_lines = repeated >= _SOME * ids or bool({"line", "price", "quantity"} & set(cells))
    if uniform >= _MOSTLY * repeated and has_lines:
        draft.notes.append(
            f"{repeated:,} of {ids:,} {column} are on several rows, {uniform:,} of these with one "
            "customer and one time: the rows are lines of orders and become one row for each order."
        )
        return True
    draft.notes.append(
        f"CHECK: {column} repeats ({repeated:,} of {ids:,}), but not as lines of one order, "
        "so it is left out."
    )
    del draft.selected["transaction_id"]
    return False


def _ids_of_others(source: Source, cells: dict[str, Cell], draft: Draft) -> int:
    """How many ids stand on several rows: refunds and payments that failed have their order's."""
    id_ = cells["transaction_id"].sql
    where = where_sql(draft) or " WHERE true"
    return source.query_count(
        f"SELECT count(*) FROM (SELECT {id_} FROM {source.sample}{where} "
        f"AND {_is_filled(id_)} GROUP BY {id_} HAVING count(*) > 1)"
    )


def _unique_note(column: str, repeated: int, others: int, *, versioned: bool) -> str:
    if not repeated and others:
        return (
            f"{column} is unique among the purchases; further rows, such as refunds, have "
            f"{others:,} of them too."
        )
    if not repeated:
        return f"{column} is unique."
    if versioned:
        return (
            f"{column} repeats {repeated:,} times as versions of one transaction, "
            "each with its recorded_at."
        )
    return (
        f"CHECK: {repeated:,} {column} belong to several customers; "
        "each customer's row counts as a transaction of its own."
    )


def _repeated_ids(source: Source, cells: dict[str, Cell], draft: Draft) -> tuple[int, ...]:
    """Four counts over all rows.

    Ids; ids on several rows; of these, with one customer and time; rows too many for an id with
    versions. Rows equal in every column count as one: the contract drops such duplicates. Refunds
    and payments that failed may have the id of their order, so they are not counted.
    """
    id_, who, when = (cells[role].sql for role in ("transaction_id", "customer_id", "occurred_at"))
    kind = draft.selected.get("kind", "NULL")
    sign = f"TRY_CAST({product_sql(source, _money_cells(cells))} AS DOUBLE)"
    purchase = f"coalesce({kind}, CASE WHEN {sign} < 0 THEN 'refund' END, 'purchase') = 'purchase'"
    where = where_sql(draft) or " WHERE true"
    version = cells["recorded_at"].sql if "recorded_at" in cells else "NULL"
    by_id = f"""
        SELECT count(DISTINCT hash("this row")) AS n, count(DISTINCT {who}) AS people,
               count(DISTINCT {when}) AS times, count(DISTINCT ({who}, {version})) AS versions
        FROM {source.sample} AS "this row" {where}
        AND {_is_filled(id_)} AND {_is_filled(who)} AND {purchase}
        AND {source.share_by(id_)} GROUP BY {id_}"""
    return source.query(f"""
        SELECT count(*), count(*) FILTER (WHERE n > 1),
               count(*) FILTER (WHERE n > 1 AND people = 1 AND times <= 1),
               coalesce(sum(n - versions), 0)
        FROM ({by_id})""")[0]


def _is_filled(sql: str) -> str:
    return f"coalesce(trim(CAST({sql} AS VARCHAR)), '') <> ''"


def _group_lines(
    source: Source, cells: dict[str, Cell], draft: Draft, money: list[Cell], digits: int
) -> None:
    """Make `draft` one row for each order (sums, the first time, the last recording)."""
    selected, id_ = draft.selected, cells["transaction_id"]
    selected.pop("category", None)
    keys = _order_keys(source, cells, draft)
    if "kind" in selected and "kind" in cells:
        keys.append(selected["kind"])  # returned lines are the refund of their order
    for role, reduction in _REDUCTIONS.items():
        if role in selected and role in cells and role != "kind":
            selected[role] = f"{reduction}({selected[role]})"
    for role in {"quantity", "discount"} & set(selected):
        selected[role] = f"sum({product_sql(source, [cells[role]])})"
    selected["amount"] = _order_amount(source, id_, money, draft, digits)
    if draft.sign_of_sum:
        is_refund = f"{selected['kind']} = 'purchase' AND sum({product_sql(source, money)}) < 0"
        selected["kind"] = f"CASE WHEN {is_refund} THEN 'refund' ELSE {selected['kind']} END"
    draft.group_by = tuple(keys)


def _order_keys(source: Source, cells: dict[str, Cell], draft: Draft) -> list[str]:
    """The id and the customer, and the time where the id is blank.

    Without the time all rows of a customer without an id would be one order.
    """
    id_, who, when = (cells[role] for role in ("transaction_id", "customer_id", "occurred_at"))
    keys = [id_.sql, who.sql]
    blank = source.query_count(
        f"SELECT count(*) FROM {source.sample} WHERE NOT {_is_filled(id_.sql)}"
    )
    if blank:
        draft.notes.append(
            f"{blank:,} rows have no {id_.column}; those of one customer and time are one order."
        )
        keys.append(f"CASE WHEN {_is_filled(id_.sql)} THEN NULL ELSE {source.sql(when.column)} END")
    return keys


def _order_amount(source: Source, id_: Cell, money: list[Cell], draft: Draft, digits: int) -> str:
    """SQL for the money of an order: the sum of its lines, or the total that every line repeats."""
    product, name = product_sql(source, money), _money_name(money)
    if len(money) == 1 and _repeats_total(source, id_, product):
        draft.notes.append(
            f"CHECK: {name} is the same on all lines of an order: it is read as the order's total "
            "and counted once."
        )
        return f"max({product})"
    draft.notes.append(f"amount is the sum of {name} over the order, {_rounded(digits)}.")
    unreadable = source.query_count(f"SELECT count(*) - count({product}) FROM {source.sample}")
    if not unreadable:
        return f"round(sum({product_sql(source, money, 'CAST')}), {digits})"
    draft.notes.append(
        f"CHECK: lines without a readable {name}: {unreadable:,}; their orders are rejected, "
        "because their sums would be too small."
    )
    total = f"CASE WHEN count(*) = count({product}) THEN round(sum({product}), {digits}) END"
    return or_text(source, total, money, of_group=True)


def _repeats_total(source: Source, id_: Cell, product: str) -> bool:
    several = f"SELECT 1 FROM {source.sample} GROUP BY {id_.sql} HAVING count(*) > 1"
    orders = source.query_count(f"SELECT count(*) FROM ({several})")
    return (
        orders >= _MIN_ORDERS and _orders_that_vary(source, id_, product) <= (1 - _MOSTLY) * orders
    )


def _orders_that_vary(source: Source, id_: Cell, sql: str) -> int:
    """In how many orders the lines differ in `sql`."""
    differing = (
        f"SELECT 1 FROM {source.sample} WHERE {_is_filled(id_.sql)} GROUP BY {id_.sql} "
        f"HAVING count(DISTINCT {sql}) > 1"
    )
    return source.query_count(f"SELECT count(*) FROM ({differing})")
