"""Terms built from payments, for a business whose subscriptions are a table that is overwritten.

Every purchase under `transactions` pays for one term. It starts with the payment and lasts one
period, so a payment that is missing leaves a gap. The period is that of the payments of its
category (without one: of its amount): their usual distance, rounded up to a number of days in which
the next payment falls.
"""

from __future__ import annotations

import duckdb

from features.core.contract import CONTRACT
from features.core.instants import DAY_US
from features.tables.queries import first_value
from features.tables.typed_tables import RowCounts
from features.tables.versions import IS_REFUND

# (usual distance of payments in days, at most; period in days): a month is as long as the longest.
PERIODS = ((8, 7), (15, 14), (32, 31), (63, 62), (93, 92), (186, 184), (368, 366))
DEFAULT_DAYS = 31  # where nobody paid twice
FEWEST_DISTANCES = 20  # of a category; with fewer, the period of all payments


def build_terms(connection: duckdb.DuckDBPyConnection) -> RowCounts:
    """Make the table `contracts` from `transactions`; returns its counts.

    A payment that a later version withdraws or moves ends its term with that version, as known from
    then on. `recorded_at` is the payment's. read: purchases; kept: rows, versions included.
    """
    days = " ".join(f"WHEN usual <= {at_most} THEN {days}" for at_most, days in PERIODS)
    connection.execute(
        _TERMS.format(
            snapped=f"CASE {days} ELSE CAST(ceil(usual) AS INTEGER) END",
            fewest=FEWEST_DISTANCES,
            default=DEFAULT_DAYS,
            day=DAY_US,
            columns=", ".join(CONTRACT["contracts"].names),
            refund=IS_REFUND,
        )
    )
    read = first_value(connection, "SELECT count(*) FROM transactions WHERE kind = 'purchase'")
    return RowCounts(read=read, kept=first_value(connection, "SELECT count(*) FROM contracts"))


_TERMS = """
CREATE OR REPLACE TABLE contracts AS
WITH versions AS (
    SELECT *, coalesce(category, CAST(amount AS VARCHAR)) AS paid_for,
           lag(occurred_at) OVER same AS former_at, lag(kind) OVER same AS former_kind,
           lag(category) OVER same AS former_category
    FROM (SELECT *, coalesce(transaction_id, 'row ' || CAST(rowid AS VARCHAR)) AS number
          FROM transactions WHERE NOT {refund})
    WINDOW same AS (PARTITION BY customer_id, number ORDER BY recorded_at)
), distances AS (
    SELECT paid_for, (occurred_at - lag(occurred_at) OVER (
        PARTITION BY customer_id, paid_for ORDER BY occurred_at)) / {day} AS days
    FROM versions WHERE kind = 'purchase'
), usual AS (
    SELECT paid_for, median(days) AS usual FROM distances WHERE days >= 1
    GROUP BY paid_for HAVING count(*) >= {fewest}
), overall AS (
    SELECT median(days) AS usual FROM distances WHERE days >= 1
), periods AS (
    SELECT paid_for, {snapped} AS days FROM usual
), other AS (
    SELECT CASE WHEN usual IS NULL THEN {default} ELSE {snapped} END AS days FROM overall
), rows AS (
    SELECT customer_id, occurred_at AS starts_at,
           occurred_at + {day} * coalesce(periods.days, other.days) AS ends_at,
           CAST(NULL AS BIGINT) AS cancelled_at, category AS plan, amount AS price,
           CAST(NULL AS BOOLEAN) AS auto_renew, recorded_at
    FROM versions LEFT JOIN periods USING (paid_for), other
    WHERE kind = 'purchase'
    UNION ALL
    SELECT customer_id, former_at, former_at, NULL, former_category, NULL, NULL, recorded_at
    FROM versions
    WHERE former_kind = 'purchase' AND (kind <> 'purchase' OR occurred_at <> former_at)
)
SELECT {columns} FROM rows ORDER BY ALL
"""
