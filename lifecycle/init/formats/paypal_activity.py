"""PayPal activity: payments of customers among transfers, conversions and own purchases."""

from __future__ import annotations

from lifecycle.init.cells import Cell
from lifecycle.init.formats.currencies import choose_currency
from lifecycle.init.formats.file_columns import FileColumns
from lifecycle.init.formats.format import Format, FormatTable, LeftOut, PersonColumn
from lifecycle.init.questions import Answers

_FROM, _TO = "From Email Address", "To Email Address"
_ZONE = "TimeZone|Time Zone"


def _read(columns: FileColumns, answers: Answers) -> tuple[FormatTable, ...]:
    gross = columns.money("Gross")
    number = f"TRY_CAST({gross.sql} AS DECIMAL(18, 4))"
    type_ = columns.lower("Type")
    is_refund = f"regexp_matches({type_}, 'refund|reversal|chargeback') AND {number} < 0"
    is_payment = (
        f"regexp_matches({type_}, 'payment') AND {number} > 0 "
        f"AND NOT regexp_matches({type_}, 'refund|reversal|chargeback|cancel')"
    )
    complete = f"{columns.lower('Status')} IN ('completed', 'partially refunded', 'refunded')"
    meant = f"coalesce(({is_refund}) OR ({is_payment}), false)"
    currency, others = choose_currency(columns, "Currency", answers, only=f"{meant} AND {complete}")
    person = f"CASE WHEN {number} < 0 THEN {columns.lower(_TO)} ELSE {columns.lower(_FROM)} END"
    return (
        FormatTable(
            table="transactions",
            people=(PersonColumn(columns.name(_FROM), person, "e-mail"),),
            columns={
                "transaction_id": columns.cell("Transaction ID"),
                "occurred_at": columns.day_and_clock("Date", "Time", _ZONE),
                "kind": Cell(
                    columns.name("Type"),
                    f"CASE WHEN {number} < 0 THEN 'refund' ELSE 'purchase' END",
                ),
                "amount": gross,
            },
            left_out=(
                LeftOut(
                    "of neither a payment of a customer nor its refund (transfers, conversions, "
                    "fees, own purchases)",
                    f"NOT {meant}",
                ),
                LeftOut("with another status than Completed", f"NOT coalesce({complete}, false)"),
                *others,
            ),
            notes=(
                f"amount is {gross.column}, before fees; a refund is of {columns.name(_TO)}.",
                "Type in other languages than English is not known: its rows are left out.",
            ),
            currency=currency,
        ),
    )


FORMAT = Format(
    name="PayPal activity",
    source="developer.paypal.com, Activity Download report (2026-06), and headers of downloads in "
    "public repositories; seen 2026-11",
    headers=frozenset(
        {"Date", "Time", _ZONE, "Type", "Status", "Currency", "Gross", _FROM, _TO, "Transaction ID"}
    ),
    read=_read,
    payments=True,
    reads="Payments of customers and their refunds, by e-mail in lower case, at the time of "
    "their zone.",
    leaves="Transfers, conversions, holds, fees, own purchases, whatever is not completed.",
    export="Activity → Statements → Activity report, CSV, in English.",
)
