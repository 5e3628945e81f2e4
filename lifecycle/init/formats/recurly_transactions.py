"""Recurly transactions: payments, refunds and authorizations, with letters for the zone."""

from __future__ import annotations

from lifecycle.init.cells import Cell
from lifecycle.init.formats.currencies import choose_currency
from lifecycle.init.formats.file_columns import FileColumns
from lifecycle.init.formats.format import Format, FormatTable, LeftOut, PersonColumn
from lifecycle.init.formats.statuses import (
    Statuses,
    kind_sql,
    left_out_rows,
    status_word,
    unknown_notes,
)
from lifecycle.init.questions import Answers

_STATUSES = Statuses(
    purchase="success", payment_failed="declined", void="void", left_out="processing"
)
_TYPES = Statuses(purchase="purchase", refund="refund", left_out="authorization|verify")


def _read(columns: FileColumns, answers: Answers) -> tuple[FormatTable, ...]:
    status, type_ = status_word(columns, "status"), status_word(columns, "type")
    real = f"NOT coalesce({columns.is_true('test')}, false)"
    currency, others = choose_currency(columns, "currency", answers, only=real)
    refunded = f"{type_} = 'refund' AND {status} = 'success'"
    people = [PersonColumn(columns.name("account_code"), columns.lower("account_code"), "account")]
    if column := columns.find("email|account_email"):
        people.append(PersonColumn(column, columns.lower("email|account_email"), "e-mail"))
    amount = columns.money("amount")
    return (
        FormatTable(
            table="transactions",
            people=tuple(people),
            columns={
                "transaction_id": columns.cell("transaction_id"),
                "occurred_at": columns.instant("date"),
                "kind": Cell(
                    columns.name("status"),
                    f"CASE WHEN {refunded} THEN 'refund' ELSE {kind_sql(status, _STATUSES)} END",
                ),
                "amount": amount,
                **columns.optional(method="payment_method|cc_type"),
            },
            left_out=(
                LeftOut("of test transactions", f"NOT ({real})"),
                *left_out_rows(type_, _TYPES, "of authorizations, which take no money"),
                *left_out_rows(status, _STATUSES, "of transactions that are not complete"),
                LeftOut(
                    "of refunds that did not go through",
                    f"{type_} = 'refund' AND {status} <> 'success'",
                ),
                *others,
            ),
            notes=(
                *unknown_notes(columns, status, _STATUSES),
                *unknown_notes(columns, type_, _TYPES),
            ),
            currency=currency,
        ),
    )


FORMAT = Format(
    name="Recurly transactions",
    source="docs.recurly.com, Transactions - export; seen 2026-11",
    headers=frozenset(
        {"account_code", "transaction_id", "type", "amount", "currency", "date", "status", "test"}
    ),
    read=_read,
    payments=True,
    reads="One transaction a purchase or refund; declined ones as failed payments.",
    leaves="Authorizations, test transactions, those that are not complete; taxes, gateways.",
    export="Exports → Transactions, all types and statuses.",
)
