"""Rows that contradict each other: a customer listed twice, two versions at one instant."""

from __future__ import annotations

import duckdb

from features.core.contract import Table
from features.core.errors import ContradictoryVersions, DuplicateCustomers
from features.tables.queries import first_value


def refuse_duplicate_customers(connection: duckdb.DuckDBPyConnection) -> None:
    """DuplicateCustomers where two rows of `_parsed` have the same customer_id and valid_from."""
    repeated = first_value(
        connection,
        "SELECT count(*) FROM (SELECT 1 FROM _parsed WHERE reason IS NULL "
        "GROUP BY customer_id, valid_from HAVING count(*) > 1)",
    )
    if repeated:
        raise DuplicateCustomers(
            where="[tables] customers",
            got=f"{repeated:,} customers with more than one row",
            rule="customer_id (with valid_from, where there is one) is unique.",
            fix="Select one row per customer, or give each version its valid_from.",
        )


def refuse_contradictions(connection: duckdb.DuckDBPyConnection, table: Table) -> None:
    """ContradictoryVersions where two versions in `_parsed` have the same recorded_at."""
    key = ", ".join(table.version_of)
    # Transactions without an id are not versions of one another.
    has_id = f"AND {table.version_of[-1]} IS NOT NULL" if table.name == "transactions" else ""
    ties = first_value(
        connection,
        f"SELECT count(*) FROM (SELECT 1 FROM _parsed WHERE reason IS NULL {has_id} "
        f"GROUP BY {key}, recorded_at HAVING count(*) > 1)",
    )
    if ties:
        raise ContradictoryVersions(
            where=f"[tables] {table.name}",
            got=f"{ties:,} groups of rows that are equal in {key}, recorded_at "
            "and differ elsewhere",
            rule="Rows with the same id are versions, of which the latest recorded_at counts; "
            "two versions cannot have the same recorded_at.",
            fix="If they are lines of one order, sum them per order in the SELECT; "
            "otherwise give each version its own recorded_at.",
        )
