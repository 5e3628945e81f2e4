"""Businesses for the benchmark, drawn by hash in the engine: the same rows on every machine."""

from __future__ import annotations

from pathlib import Path

import duckdb

from features.core.instants import DAY_US
from features.core.settings import Settings, settings_from_mapping
from features.tables.history import History, history_from_connection
from features.tables.sources import connect

START_US = 1_577_836_800_000_000  # 2020-01-01
YEARS_DAYS = 730
WINDOWS = (30, 90, 180, 365)


def settings(*tables: str) -> Settings:
    mapping = {
        "tables": dict.fromkeys(tables, "SELECT 1"),
        "business": {"zone": "UTC"},
        "features": {"windows_days": list(WINDOWS)},
    }
    return settings_from_mapping(mapping, folder=Path(), where="benchmark")


def shop(
    *,
    transactions: int,
    customers: int,
    interactions: int = 0,
    feedback: int = 0,
    memory: str,
    threads: int,
) -> History:
    """Two years of events, known as they happen.

    Few customers have many of them: of 10 M rows one customer has 2,000 at most.
    """
    connection = connect(memory=memory, threads=threads)
    _transactions(connection, transactions, customers)
    if interactions:
        _interactions(connection, interactions, customers)
    if feedback:
        _feedback(connection, feedback, customers)
    names = [
        name
        for name, count in (
            ("transactions", 1),
            ("interactions", interactions),
            ("feedback", feedback),
        )
        if count
    ]
    return history_from_connection(connection, settings(*names))


def _draw(rows: int, customers: int, salt: int) -> str:
    """customer_id, occurred_at, and three numbers u, v, w to draw more from."""
    return f"""
        SELECT printf(
                   'c%07d',
                   (pow((hash(i * 4 + {salt}) % 1000000007) / 1000000007.0, 1.5)
                    * {customers})::BIGINT
               ) AS customer_id,
               {START_US} + (hash(i * 7 + {salt}) % {YEARS_DAYS * 86_400})::BIGINT * 1000000
                   AS occurred_at,
               (hash(i * 13 + {salt}) % 1000000)::BIGINT AS u,
               (hash(i * 17 + {salt}) % 1000000)::BIGINT AS v,
               (hash(i * 19 + {salt}) % 1000000)::BIGINT AS w
        FROM range({rows}) AS drawn(i)"""


_CALENDAR = (
    f"(occurred_at // {DAY_US})::INTEGER AS local_day, "
    f"(occurred_at // {DAY_US // 24} % 24)::INTEGER AS local_hour"
)


def _transactions(run: duckdb.DuckDBPyConnection, rows: int, customers: int) -> None:
    run.execute(f"""
        CREATE TABLE transactions AS
        SELECT customer_id, occurred_at, 100 + u % 50000 AS amount, occurred_at AS recorded_at,
               NULL::VARCHAR AS transaction_id,
               CASE WHEN v % 100 < 90 THEN 'purchase' WHEN v % 100 < 96 THEN 'refund'
                    ELSE 'payment_failed' END AS kind,
               1.0 + w % 5 AS quantity, 'k' || (w % 12) AS category, w % 500 AS discount,
               CASE WHEN u % 3 = 0 THEN 'web' ELSE 'shop' END AS channel,
               'm' || (v // 100 % 3) AS method, {_CALENDAR}
        FROM ({_draw(rows, customers, 1)}) ORDER BY ALL""")


def _interactions(run: duckdb.DuckDBPyConnection, rows: int, customers: int) -> None:
    run.execute(f"""
        CREATE TABLE interactions AS
        SELECT customer_id, occurred_at,
               ['visit', 'visit', 'login', 'usage', 'sent', 'opened', 'clicked', 'call',
                'cancel_page'][1 + v % 9] AS kind,
               occurred_at AS recorded_at, ['web', 'app', 'phone', 'mail'][1 + u % 4] AS channel,
               (w % 60000) / 1000.0 AS quantity, {_CALENDAR}
        FROM ({_draw(rows, customers, 2)}) ORDER BY ALL""")


def _feedback(run: duckdb.DuckDBPyConnection, rows: int, customers: int) -> None:
    run.execute(f"""
        CREATE TABLE feedback AS
        SELECT customer_id, occurred_at, kind,
               CASE WHEN kind <> 'complaint' AND u % 3 > 0 THEN 1.0 + v % 5 END AS score,
               CASE WHEN kind <> 'complaint' AND u % 3 > 0
                    THEN occurred_at + (w % 72) * 3600000000 END AS answered_at,
               CASE WHEN kind = 'complaint' AND u % 4 > 0
                    THEN occurred_at + (w % 200) * 3600000000 END AS resolved_at,
               't' || (w % 5) AS topic, 'i' || (w % 200) AS item,
               occurred_at AS recorded_at, {_CALENDAR}
        FROM (SELECT *, ['csat', 'review', 'nps', 'complaint'][1 + v % 4] AS kind
              FROM ({_draw(rows, customers, 3)}))
        ORDER BY ALL""")
