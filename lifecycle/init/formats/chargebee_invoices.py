"""Chargebee invoices: one row an invoice, with what was paid of it."""

from __future__ import annotations

from lifecycle.init.cells import Cell
from lifecycle.init.formats.currencies import choose_currency
from lifecycle.init.formats.file_columns import FileColumns
from lifecycle.init.formats.format import Format, FormatTable, LeftOut, PersonColumn
from lifecycle.init.formats.statuses import (
    Statuses,
    is_word,
    kind_sql,
    left_out_rows,
    status_word,
    unknown_notes,
)
from lifecycle.init.questions import Answers

_ID = "Invoice Number|invoices.id"
_CUSTOMER = "Customer Id|invoices.customer_id|customers.id"
_STATUS = "Status|Invoice Status|invoices.status"
_DATE = "Invoice Date|invoices.date|Date"
_PAID = "Amount Paid|invoices.amount_paid|Total|Amount|invoices.total"
_TOTAL = "Amount|Total|invoices.total"
_PAID_AT = "Paid At|Paid On|invoices.paid_at"
_CURRENCY = "Currency Code|Currency|invoices.currency_code"
_STATUSES = Statuses(
    purchase="paid",
    payment_failed="not paid",
    void="voided",
    left_out="posted|payment due|pending",
)


def _read(columns: FileColumns, answers: Answers) -> tuple[FormatTable, ...]:
    word = status_word(columns, _STATUS)
    paid = is_word(word, _STATUSES.purchase)
    currency, others = choose_currency(columns, _CURRENCY, answers)
    people = [PersonColumn(columns.name(_CUSTOMER), columns.identifier(_CUSTOMER), "customer id")]
    if column := columns.find("Customer Email|customers.email"):
        people.append(
            PersonColumn(column, columns.lower("Customer Email|customers.email"), "e-mail")
        )
    amount = columns.money(_PAID)
    if columns.find(_TOTAL):
        # Of an invoice that failed nothing was paid: its amount is what it asked for.
        total = columns.money(_TOTAL)
        sql = f"CASE WHEN {paid} THEN CAST({amount.sql} AS VARCHAR) "
        amount = Cell(amount.column, f"{sql}ELSE CAST({total.sql} AS VARCHAR) END")
    free = f"{paid} AND TRY_CAST({columns.money(_PAID).sql} AS DECIMAL(18, 4)) = 0"
    at = columns.instant(_PAID_AT if columns.find(_PAID_AT) else _DATE)
    return (
        FormatTable(
            table="transactions",
            people=tuple(people),
            columns={
                "transaction_id": columns.cell(_ID),
                "occurred_at": at,
                "kind": Cell(columns.name(_STATUS), kind_sql(word, _STATUSES)),
                "amount": amount,
                **columns.optional(category="Plan Id|Plan Name"),
            },
            left_out=(
                *left_out_rows(word, _STATUSES, "of invoices that are not paid yet"),
                LeftOut("of invoices of 0.00, such as trials", free),
                *others,
            ),
            notes=unknown_notes(columns, word, _STATUSES),
            currency=currency,
        ),
    )


FORMAT = Format(
    name="Chargebee invoices",
    source="the invoice fields of Chargebee's client library 3.16, an invoice export in a public "
    "repository and of an export; seen 2026-11",
    headers=frozenset({_ID, _CUSTOMER, _STATUS, _DATE, _PAID}),
    without=frozenset({"Unit Price", "Quantity", "Description"}),
    read=_read,
    payments=True,
    reads="One transaction a paid invoice; invoices that failed as failed payments.",
    leaves="Invoices that are due, pending or of 0.00; taxes, addresses, credit notes.",
    export="Export → Invoices.",
)
