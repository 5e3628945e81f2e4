"""Payments that are for the orders of another file: they would count twice."""

from __future__ import annotations

import duckdb

SAME_SHARE = 0.5  # of the payments, which are then those of the orders
_DAYS_APART = 1


def count_same(
    connection: duckdb.DuckDBPyConnection, payments: str, orders: str
) -> tuple[int, int]:
    """(payments, those of them with an order of the same person and amount at most a day away).

    payments, orders: SELECTs of transactions.
    """
    rows = (
        "SELECT DISTINCT lower(CAST(customer_id AS VARCHAR)) AS who, "
        "TRY_CAST(amount AS DECIMAL(18, 2)) AS money, "
        "CAST(TRY_CAST(CAST(occurred_at AS VARCHAR) AS TIMESTAMPTZ) AS DATE) AS day "
        "FROM ({}) WHERE customer_id IS NOT NULL"
    )
    paid = f"({rows.format(payments)} AND kind = 'purchase')"
    return connection.execute(
        f"SELECT count(*), count(*) FILTER (EXISTS (SELECT 1 FROM ({rows.format(orders)}) AS o "
        f"WHERE o.who = p.who AND o.money = p.money AND abs(o.day - p.day) <= {_DAYS_APART})) "
        f"FROM {paid} AS p"
    ).fetchall()[0]
