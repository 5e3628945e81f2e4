"""Rows that claim to be one thing: customers that stand twice, versions that contradict each other at one instant."""

from __future__ import annotations

import duckdb

from features.core.contract import Table
from features.core.errors import ContradictoryVersions, DuplicateCustomers


def refuse_duplicate_customers(connection: duckdb.DuckDBPyConnection) -> None:
    repeated = connection.execute(
        "SELECT count(*) FROM (SELECT 1 FROM _parsed WHERE reason IS NULL GROUP BY customer_id, valid_from HAVING count(*) > 1)"
    ).fetchone()[0]
    if repeated:
        raise DuplicateCustomers(
            where="[tables] customers",
            got=f"{repeated:,} customers that stand more than once",
            rule="customer_id (with valid_from, where there is one) is unique.",
            fix="Keep one row a customer in the SELECT, or give versions their valid_from.",
        )


def refuse_contradictions(connection: duckdb.DuckDBPyConnection, table: Table) -> None:
    key = ", ".join(table.version_of)
    last = table.version_of[-1]
    named = f"AND {last} IS NOT NULL" if table.name == "transactions" else ""
    ties = connection.execute(
        f"SELECT count(*) FROM (SELECT 1 FROM _parsed WHERE reason IS NULL {named} "
        f"GROUP BY {key}, recorded_at HAVING count(*) > 1)"
    ).fetchone()[0]
    if ties:
        raise ContradictoryVersions(
            where=f"[tables] {table.name}",
            got=f"{ties:,} groups of rows equal in {key}, recorded_at that differ elsewhere",
            rule="Rows with one id are versions, and the latest recorded_at counts; two at once contradict each other.",
            fix="If they are lines of one order, sum them per order in the SELECT; else give each its recorded_at.",
        )
