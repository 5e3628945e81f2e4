"""Versions: which rows are versions of one another, which one counts, which ones contradict.

A refund under the id of its order is a refund of it and no version of the order: a shop's refunds
name the order, and as versions they would erase the purchase. Refunds of one id are versions of
one another only if they have the same occurred_at; others are further, partial refunds.
"""

from __future__ import annotations

import duckdb
import narwhals as nw

from features.core.contract import Table
from features.core.errors import ContradictoryVersions, DuplicateCustomers
from features.tables.queries import first_value
from features.tables.repeated_rows import REPEATED, may_repeat

IS_REFUND = "(kind = 'refund' OR amount < 0)"  # SQL; a void with a negative amount is of refunds


def version_key(table: Table) -> str:
    """SQL for the columns in which versions of one row are equal, separated by commas."""
    key = ", ".join(table.version_of)
    if table.name != "transactions":
        return key
    return f"{key}, {IS_REFUND}, CASE WHEN {IS_REFUND} THEN occurred_at END"


def has_id(table: Table) -> str:
    """SQL that is true for rows that may have versions: a transaction without an id has none."""
    return f"{table.version_of[-1]} IS NOT NULL" if table.name == "transactions" else "true"


def latest_versions(rows: nw.LazyFrame, table: Table) -> nw.LazyFrame:
    """Of rows that are versions of one another, the one recorded last.

    Of transactions none that a later void withdraws, and no void.
    """
    recorded = nw.col("recorded_at")
    if table.name != "transactions":
        return rows.filter(recorded == recorded.max().over(*table.version_of))
    key = table.version_of
    refund = (nw.col("kind") == "refund") | (nw.col("amount") < 0)
    order_void = (nw.col("kind") == "void") & ~(nw.col("amount") < 0)
    rows = rows.with_columns(
        _refund=refund,
        _refund_at=nw.when(refund).then(nw.col("occurred_at")),
        _void_at=nw.when(order_void).then(recorded),
        _refund_void_at=nw.when((nw.col("kind") == "void") & (nw.col("amount") < 0)).then(recorded),
    )
    newest = recorded == recorded.max().over(*key, "_refund", "_refund_at")
    withdrawn = recorded <= nw.col("_void_at").max().over(*key)
    # A void of refunds withdraws every refund of the id, whatever its occurred_at.
    withdrawn_refund = nw.col("_refund") & (recorded <= nw.col("_refund_void_at").max().over(*key))
    live = newest & ~withdrawn.fill_null(False) & ~withdrawn_refund.fill_null(False)
    # A transaction without an id has no other versions.
    counting = nw.col(key[-1]).is_null() | live
    return rows.filter(counting).drop("_refund", "_refund_at", "_void_at", "_refund_void_at")


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
    compared = f"reason IS NULL AND {has_id(table)}"
    if not may_repeat(connection, "_parsed", f"{key}, recorded_at", where=compared):
        return
    ties = first_value(
        connection,
        f"SELECT count(*) FROM (SELECT 1 FROM _parsed WHERE reason IS NULL AND {has_id(table)} "
        f"AND hash({key}, recorded_at) IN (SELECT digest FROM {REPEATED}) "
        f"GROUP BY {version_key(table)}, recorded_at HAVING count(*) > 1)",
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
