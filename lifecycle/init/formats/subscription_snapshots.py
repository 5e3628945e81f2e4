"""Subscriptions as billing systems list them: one row each, overwritten as it changes.

Such a row has an end that nobody knew before, so nothing is read of it as terms. It says who
subscribes; the payments of the same people build the terms (docs/decisions/029).
"""

from __future__ import annotations

from lifecycle.init.formats.file_columns import FileColumns
from lifecycle.init.formats.format import Format, PersonColumn
from lifecycle.init.formats.person_columns import people_columns

_LEAVES = "Everything: an end in a row that is overwritten was not known before. With payments of "
_LEAVES += 'the same customers the terms are built from these ([contract] terms_from = "payments").'
_READS = "Who subscribes."


def _stripe_people(columns: FileColumns) -> tuple[PersonColumn, ...]:
    return people_columns(
        columns, ("Customer ID|customer", "customer id"), ("Customer Email", "e-mail")
    )


def _chargebee_people(columns: FileColumns) -> tuple[PersonColumn, ...]:
    return people_columns(
        columns,
        ("Customer Id|customers.id|subscriptions.customer_id", "customer id"),
        ("Customer Email|customers.email", "e-mail"),
    )


def _recurly_people(columns: FileColumns) -> tuple[PersonColumn, ...]:
    return people_columns(columns, ("account_code", "account"), ("email", "e-mail"))


STRIPE = Format(
    name="Stripe subscriptions",
    source="the subscriptions export in public repositories that read it (Current Period End "
    "(UTC), Canceled At (UTC), Ended At (UTC) …); seen 2026-11",
    headers=frozenset(
        {
            "id",
            "Customer ID",
            "Status",
            "Current Period Start (UTC)",
            "Current Period End (UTC)",
            "Canceled At (UTC)",
        }
    ),
    people=_stripe_people,
    reads=_READS,
    leaves=_LEAVES,
    export="Payments → Export → all columns (Stripe payments), besides or instead.",
)
STRIPE_API = Format(
    name="Stripe subscriptions (API)",
    source="fields of the subscription object in a public repository's export schema; seen 2026-11",
    headers=frozenset(
        {
            "customer|customer_id",
            "status",
            "start_date|created",
            "current_period_end",
            "canceled_at|cancel_at_period_end",
        }
    ),
    people=_stripe_people,
    reads=_READS,
    leaves=_LEAVES,
    export="The payments or invoices of the same customers, besides or instead.",
)
CHARGEBEE = Format(
    name="Chargebee subscriptions",
    source="datacatalog.chargebee.com, subscriptions (its fields), and a public repository that "
    "reads Subscriptions.csv (subscriptions.id …); seen 2026-11",
    headers=frozenset(
        {
            "Subscription Id|subscriptions.id",
            "Customer Id|customers.id|subscriptions.customer_id",
            "Subscription Status|Status|subscriptions.status",
            "Current Term Start|subscriptions.current_term_start",
            "Current Term End|subscriptions.current_term_end",
            "Cancelled At|subscriptions.cancelled_at",
        }
    ),
    people=_chargebee_people,
    reads=_READS,
    leaves=_LEAVES,
    export="Export → Invoices (Chargebee invoices), besides or instead.",
)
RECURLY = Format(
    name="Recurly subscriptions",
    source="docs.recurly.com, Subscriptions - export (uuid, account_code, email, activated_at, "
    "modified_at …); seen 2026-11",
    headers=frozenset({"uuid", "account_code", "email", "activated_at", "modified_at"}),
    people=_recurly_people,
    reads=_READS,
    leaves=_LEAVES,
    export="Exports → Transactions (Recurly transactions), besides or instead.",
)
