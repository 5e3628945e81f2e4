"""All known formats, and which one a file is."""

from __future__ import annotations

from lifecycle.init.formats import (
    chargebee_invoices,
    delighted_nps,
    freshdesk_tickets,
    ga4_events,
    hubspot_contacts,
    klaviyo_profiles,
    mixpanel_events,
    paypal_activity,
    recurly_transactions,
    shopify_customers,
    shopify_orders,
    square_transactions,
    stripe_charges,
    stripe_payments,
    subscription_snapshots,
    typeform_nps,
    woocommerce_orders,
    zendesk_tickets,
)
from lifecycle.init.formats.file_columns import FileColumns
from lifecycle.init.formats.format import Format
from lifecycle.init.source import Source

FORMATS: tuple[Format, ...] = (
    shopify_orders.FORMAT,
    shopify_customers.FORMAT,
    woocommerce_orders.FORMAT,
    square_transactions.FORMAT,
    stripe_payments.FORMAT,
    stripe_charges.FORMAT,
    subscription_snapshots.STRIPE,
    subscription_snapshots.STRIPE_API,
    subscription_snapshots.CHARGEBEE,
    chargebee_invoices.FORMAT,
    subscription_snapshots.RECURLY,
    recurly_transactions.FORMAT,
    paypal_activity.FORMAT,
    zendesk_tickets.FORMAT,
    freshdesk_tickets.FORMAT,
    hubspot_contacts.FORMAT,
    klaviyo_profiles.FORMAT,
    delighted_nps.EXPORT,
    delighted_nps.RESPONSES,
    typeform_nps.FORMAT,
    mixpanel_events.COLUMNS,
    mixpanel_events.PROPERTIES,
    ga4_events.FORMAT,
)


def recognise(source: Source) -> Format | None:
    """The format whose columns the file has; of several the one with the most columns."""
    columns = FileColumns(source)
    fitting = [format_ for format_ in FORMATS if format_.fits(columns)]
    return max(fitting, key=lambda format_: len(format_.headers), default=None)


def describe_formats() -> list[dict[str, str]]:
    """One row a format: its name, what is read, what is not, what to export, where it is from."""
    return [
        {
            "format": format_.name,
            "reads": format_.reads,
            "leaves": format_.leaves,
            "export": format_.export,
            "source": format_.source,
        }
        for format_ in FORMATS
    ]


def format_text(formats: list[dict[str, str]]) -> str:
    """The formats for a terminal: three lines each."""
    lines = []
    for row in formats:
        lines += [
            row["format"],
            f"  read: {row['reads']}",
            f"  not read: {row['leaves']}",
            f"  export: {row['export']}",
        ]
    return "\n".join(lines)
