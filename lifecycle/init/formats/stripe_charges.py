"""Stripe charges in the shape of the API: amounts in cents, times in seconds, test charges."""

from __future__ import annotations

from lifecycle.init.cells import Cell
from lifecycle.init.formats.currencies import choose_currency, minor_digits
from lifecycle.init.formats.file_columns import FileColumns
from lifecycle.init.formats.format import Format, FormatTable, LeftOut, PersonColumn
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

_STATUSES = Statuses(purchase="succeeded", payment_failed="failed", left_out="pending")
_CUSTOMER = "customer|customer_id"
_EMAILS = "receipt_email|billing_details.email|billing_details_email"


def _read(columns: FileColumns, answers: Answers) -> tuple[FormatTable, ...]:
    word = status_word(columns, "status")
    live = columns.is_true("livemode")
    currency, others = choose_currency(columns, "currency", answers, only=live)
    digits = minor_digits(currency)
    people = [PersonColumn(columns.name(_CUSTOMER), columns.identifier(_CUSTOMER), "customer id")]
    if column := columns.find(_EMAILS):
        people.append(PersonColumn(column, columns.lower(_EMAILS), "e-mail"))
    charges = FormatTable(
        table="transactions",
        people=tuple(people),
        columns={
            "transaction_id": columns.cell("id"),
            "occurred_at": columns.instant("created", utc=True),
            "kind": Cell(columns.name("status"), kind_sql(word, _STATUSES)),
            "amount": columns.minor_units("amount", digits),
        },
        left_out=(
            LeftOut("of test charges (livemode false)", f"NOT ({live})"),
            *left_out_rows(word, _STATUSES, "of pending charges"),
            *others,
        ),
        notes=(
            f"amount is in the smallest unit of {currency or 'the currency'}; the SELECT gives "
            f"it {digits} decimals.",
            *unknown_notes(columns, word, _STATUSES),
        ),
        currency=currency,
    )
    refunded = columns.minor_units("amount_refunded", digits)
    return charges, refund_table(charges, refunded, only=is_word(word, _STATUSES.purchase))


FORMAT = Format(
    name="Stripe charges (API)",
    source="docs.stripe.com, the charge object (through its fields in generated clients); "
    "seen 2026-11",
    headers=frozenset(
        {"id", "amount", "amount_refunded", "created", "currency", _CUSTOMER, "status", "livemode"}
    ),
    read=_read,
    payments=True,
    reads="One transaction a charge, in units; failed ones as such; refunds as rows of their own.",
    leaves="Charges with livemode false, pending ones; fees, cards, metadata.",
    export="All charges of the API, or the table charges of a warehouse export.",
)
