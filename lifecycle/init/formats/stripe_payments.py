"""Stripe payments, as the dashboard exports them: amounts in units, refunds as a column."""

from __future__ import annotations

from lifecycle.init.cells import Cell
from lifecycle.init.formats.currencies import choose_currency
from lifecycle.init.formats.file_columns import FileColumns
from lifecycle.init.formats.format import Format, FormatTable, LeftOut
from lifecycle.init.formats.person_columns import people_columns
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

_CREATED = "Created date (UTC)|Created (UTC)"
_REFUNDED_AT = "Refunded date (UTC)"
_STATUSES = Statuses(
    purchase="paid|succeeded|refunded|partial refund|partially refunded|disputed|dispute won",
    payment_failed="failed|blocked|declined",
    void="canceled|cancelled",
    left_out="pending|incomplete|uncaptured|requires payment method|requires action|"
    "requires confirmation|requires capture|processing",
)
_PEOPLE = (("Customer ID", "customer id"), ("Customer Email", "e-mail"))


def _read(columns: FileColumns, answers: Answers) -> tuple[FormatTable, ...]:
    word = status_word(columns, "Status")
    kind = kind_sql(word, _STATUSES)
    amount, refunded, currency, others = _amounts(columns, answers)
    test: tuple[LeftOut, ...] = ()
    if columns.find("Mode"):
        test = (LeftOut("of test payments", f"{columns.lower('Mode')} = 'test'"),)
    payments = FormatTable(
        table="transactions",
        people=people_columns(columns, *_PEOPLE),
        columns={
            "transaction_id": columns.cell("id"),
            "occurred_at": columns.instant(_CREATED, utc=True),
            "kind": Cell(columns.name("Status"), kind),
            "amount": columns.money(amount),
            **columns.optional(method="Payment Source Type|Card Brand"),
        },
        left_out=(
            *left_out_rows(word, _STATUSES, "of payments that are not complete"),
            *test,
            *others,
        ),
        notes=unknown_notes(columns, word, _STATUSES),
        currency=currency,
    )
    at = None
    if columns.find(_REFUNDED_AT):
        at = columns.instant(_REFUNDED_AT, utc=True, required=False)
    paid = is_word(word, _STATUSES.purchase)
    return payments, refund_table(payments, columns.money(refunded), only=paid, at=at)


def _amounts(columns: FileColumns, answers: Answers) -> tuple[str, str, str, tuple[LeftOut, ...]]:
    """The columns of amount and refund, their currency, and rows in others.

    With several currencies the amounts that Stripe converted to one are read, if it did.
    """
    code = "Converted Currency"
    if columns.find(code) and columns.find("Converted Amount Refunded"):
        own, converted = (
            columns.source.query_count(
                f"SELECT count(DISTINCT nullif({columns.lower(name)}, '')) "
                f"FROM {columns.source.whole}"
            )
            for name in ("Currency", code)
        )
        if own > 1 and converted == 1:
            currency, others = choose_currency(columns, code, answers)
            return "Converted Amount", "Converted Amount Refunded", currency, others
    return "Amount", "Amount Refunded", *choose_currency(columns, "Currency", answers)


FORMAT = Format(
    name="Stripe payments",
    source="the unified payments export in public repositories (headers of 8 to 24 columns); "
    "seen 2026-11",
    headers=frozenset({"id", _CREATED, "Amount", "Amount Refunded", "Currency", "Status"}),
    without=frozenset({"livemode", "amount_captured"}),
    read=_read,
    payments=True,
    reads="One transaction a payment; failed ones as such; refunds as rows of their own at their "
    "own time; people by customer id or e-mail, whichever other files know.",
    leaves="Payments that are not complete, test payments; fees, cards, descriptions.",
    export="Payments → Export → all columns, time zone UTC.",
)
