"""Shopify customers: one row a customer, without a date."""

from __future__ import annotations

from lifecycle.init.cells import Cell
from lifecycle.init.formats.file_columns import FileColumns
from lifecycle.init.formats.format import Format, FormatTable
from lifecycle.init.formats.person_columns import people_columns
from lifecycle.init.questions import Answers

_CONSENT = "Accepts Email Marketing|Accepts Marketing"


def _read(columns: FileColumns, answers: Answers) -> tuple[FormatTable, ...]:
    people = people_columns(columns, ("Email", "e-mail"), ("Customer ID", "customer id"))
    consent = columns.is_true(_CONSENT)
    return (
        FormatTable(
            table="customers",
            people=people,
            columns={
                "consent": Cell(columns.name(_CONSENT), consent),
                **columns.optional(
                    region="Default Address Country Code|Country Code|Default Address Country"
                ),
            },
            notes=(
                "Total Spent and Total Orders are left out: they are of the day of the export.",
            ),
        ),
    )


FORMAT = Format(
    name="Shopify customers",
    source="the customers export in public repositories (header of 20 columns); seen 2026-11",
    headers=frozenset({"Email", _CONSENT, "Total Spent", "Total Orders", "Tax Exempt"}),
    read=_read,
    reads="One customer a row, with consent and country.",
    leaves="Total Spent and Total Orders (of the day of the export), names, notes.",
    export="Customers → Export → All customers.",
)
