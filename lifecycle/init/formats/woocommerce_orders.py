"""WooCommerce orders, as the export plugins write them; guests are customer 0."""

from __future__ import annotations

from lifecycle.init.cells import Cell
from lifecycle.init.formats.currencies import choose_currency
from lifecycle.init.formats.file_columns import FileColumns
from lifecycle.init.formats.format import Format, FormatTable, PersonColumn
from lifecycle.init.formats.refunds import refund_table
from lifecycle.init.formats.statuses import (
    Statuses,
    is_word,
    kind_sql,
    left_out_rows,
    status_word,
    unknown_notes,
)
from lifecycle.init.questions import Answer, Answers, Question

_ID = "Order ID|Order Number|order_number"
_STATUS = "Order Status|status"
_DATE = "Order Date|date"
_EMAIL = "Billing Email|Email (Billing)|customer_email"
_CUSTOMER = "Customer ID|Customer User ID"
_TOTAL = "Order Total|Order Total Amount"
_REFUNDED = "Refund Amount|Order Refund Amount|refunded_total"
_STATUSES = Statuses(
    purchase="completed|processing|refunded",
    payment_failed="failed",
    void="cancelled|canceled",
    left_out="pending|pending payment|on hold|checkout draft|draft|trash",
)


def _read(columns: FileColumns, answers: Answers) -> tuple[FormatTable, ...]:
    word = status_word(columns, _STATUS, prefix="wc-")
    currency, others = choose_currency(columns, "Order Currency|Currency", answers)
    people, guests = _people(columns, answers)
    orders = FormatTable(
        table="transactions",
        people=people,
        columns={
            "transaction_id": columns.cell(_ID),
            "occurred_at": columns.instant(_DATE),
            "kind": Cell(columns.name(_STATUS), kind_sql(word, _STATUSES)),
            "amount": columns.money(_TOTAL),
            **columns.optional(method="Payment Method Title|Payment Method"),
        },
        left_out=(
            *left_out_rows(word, _STATUSES, "of orders that are not paid yet, and drafts"),
            *others,
        ),
        notes=(*guests, *unknown_notes(columns, word, _STATUSES)),
        currency=currency,
    )
    paid = is_word(word, _STATUSES.purchase)
    if columns.find(_REFUNDED):
        return orders, refund_table(orders, columns.money(_REFUNDED), only=paid)
    # Without a column of refunds the status is all there is: the whole order went back.
    note = "no column has the amount of a refund: the whole order is one."
    whole = columns.money(_TOTAL)
    return orders, refund_table(orders, whole, only=f"{word} = 'refunded'", notes=(note,))


def _people(
    columns: FileColumns, answers: Answers
) -> tuple[tuple[PersonColumn, ...], tuple[str, ...]]:
    """The e-mail, and the account; guests have account 0, so they are asked about."""
    email = PersonColumn(columns.name(_EMAIL), columns.lower(_EMAIL), "e-mail")
    if columns.find(_CUSTOMER) is None:
        return (email,), ()
    account = columns.identifier(_CUSTOMER)
    by_account = PersonColumn(columns.name(_CUSTOMER), f"nullif({account}, '0')", "account")
    guests = columns.count(f"coalesce({account}, '') IN ('', '0')")
    if not guests:
        return (email, by_account), ()
    column = columns.name(_CUSTOMER)
    key = f"{columns.source.name}.person"
    question = Question(
        key,
        f"{guests:,} of {columns.source.rows:,} orders have {column} 0: they are of guests. Who is "
        "the customer?",
        (
            Answer("e-mail", f"{email.column}: {_people_in(columns, email)}, guests too"),
            Answer(
                "account",
                f"{column}: {_people_in(columns, by_account)}, and the {guests:,} orders of "
                "guests are rejected",
            ),
        ),
    )
    if answers.ask(question) == "account":
        return (by_account,), ()
    return (email, by_account), (answers.check_note(question),)


def _people_in(columns: FileColumns, person: PersonColumn) -> str:
    count = columns.source.query_count(
        f"SELECT count(DISTINCT nullif({person.sql}, '')) FROM {columns.source.whole}"
    )
    return f"{count:,} people"


FORMAT = Format(
    name="WooCommerce orders",
    source="woocommerce.com, Import and Export of WooCommerce Orders (its columns), headers of "
    "order exports in public repositories and of an export; seen 2026-11",
    headers=frozenset({_ID, _STATUS, _DATE, _EMAIL, _TOTAL}),
    without=frozenset({"Financial Status"}),
    read=_read,
    reads="One transaction an order; refunds as rows of their own; failed and cancelled orders as "
    "such; people by e-mail in lower case, guests too.",
    leaves="Orders on hold, pending, drafts; products, coupons, addresses.",
    export="One row an order, with the order's status, date, total, billing e-mail and refunds.",
)
