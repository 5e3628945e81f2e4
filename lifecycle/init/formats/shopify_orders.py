"""Shopify orders: one row a line of an order, with the order's own cells on its first line."""

from __future__ import annotations

from dataclasses import replace

from lifecycle.init.cells import Cell
from lifecycle.init.formats.currencies import choose_currency
from lifecycle.init.formats.file_columns import FileColumns
from lifecycle.init.formats.format import Format, FormatTable, LeftOut, PersonColumn
from lifecycle.init.formats.given_back import GivenBack, ask_given_back
from lifecycle.init.formats.refunds import refund_table
from lifecycle.init.formats.statuses import (
    Statuses,
    is_word,
    kind_sql,
    left_out_rows,
    status_word,
    unknown_notes,
)
from lifecycle.init.questions import Answers

_STATUS = "Financial Status"
_STATUSES = Statuses(
    purchase="paid|partially paid|partially refunded|refunded",
    void="voided",
    left_out="pending|authorized|expired",
)


def _read(columns: FileColumns, answers: Answers) -> tuple[FormatTable, ...]:
    word = status_word(columns, _STATUS)
    has_refunds = columns.find("Refunded Amount") is not None
    given_back = None if has_refunds else ask_given_back(columns, _STATUS, word)
    further_line = columns.is_blank("Total")
    first_line = f"NOT ({further_line})"
    currency, others = choose_currency(columns, "Currency", answers, only=first_line)
    orders = FormatTable(
        table="transactions",
        people=(PersonColumn(columns.name("Email"), columns.lower("Email"), "e-mail"),),
        columns={
            "transaction_id": columns.cell("Name"),
            "occurred_at": columns.instant("Created at"),
            "kind": Cell(columns.name(_STATUS), _kind_sql(word, given_back)),
            "amount": _paid_amount(columns, word),
            **columns.optional(method="Payment Method", channel="Source"),
        },
        left_out=(
            LeftOut("that are further lines of an order", further_line),
            *left_out_rows(word, _STATUSES, "of orders that are not paid yet"),
            *others,
        ),
        notes=(
            *unknown_notes(columns, word, _STATUSES, only=first_line),
            *(given_back.notes if given_back else ()),
        ),
        currency=currency,
    )
    if not has_refunds:
        if given_back is None or not given_back.as_orders:
            return (orders,)
        whole = replace(orders.columns["amount"], notes=())
        return orders, refund_table(orders, whole, only=is_word(word, "refunded"))
    paid = is_word(word, _STATUSES.purchase)
    return orders, refund_table(orders, columns.money("Refunded Amount"), only=paid)


def _kind_sql(word: str, given_back: GivenBack | None) -> str:
    if given_back is None or given_back.as_orders:
        return kind_sql(word, _STATUSES)
    bought = _STATUSES.purchase.removesuffix("|refunded")
    return kind_sql(word, replace(_STATUSES, purchase=bought, refund="refunded"))


def _paid_amount(columns: FileColumns, word: str) -> Cell:
    """The total; of a partly paid order what was paid of it."""
    total = columns.money("Total")
    if columns.find("Outstanding Balance") is None:
        return total
    open_ = columns.money("Outstanding Balance").sql
    paid = f"CAST({total.sql} AS DECIMAL(18, 2)) - TRY_CAST({open_} AS DECIMAL(18, 2))"
    partly = f"{is_word(word, 'partially paid')} AND TRY_CAST({open_} AS DECIMAL(18, 2)) > 0"
    sql = f"CASE WHEN {partly} THEN CAST({paid} AS VARCHAR) ELSE CAST({total.sql} AS VARCHAR) END"
    return Cell(total.column, sql, notes=total.notes)


FORMAT = Format(
    name="Shopify orders",
    source="the orders export in public repositories (header of 79 columns, lines of one order); "
    "statuses: shopify.dev, OrderFinancialStatus; seen 2026-11",
    headers=frozenset(
        {"Name", "Email", _STATUS, "Created at", "Currency", "Total", "Lineitem quantity"}
    ),
    read=_read,
    reads="One transaction an order, by its first line; refunds as rows of their own; people by "
    "e-mail in lower case.",
    leaves="Orders that are not paid yet, products, discounts, addresses, shipping.",
    export="Orders → Export → All orders, CSV for Excel, Numbers, or other programs.",
)
