"""Terms built from payments, for a business whose subscriptions are a table that is overwritten.

Every purchase under `transactions` pays for one term. It starts with the payment and lasts one
period, so a payment that is missing leaves a gap. The period is that of the payments of its
category (without one: of its amount): their usual distance, rounded up to a number of days in which
the next payment falls. `[contract] term_days` states it, and 0 there means that such a purchase is
no term.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from features.core.contract import CONTRACT
from features.core.instants import DAY_US
from features.tables.queries import first_value
from features.tables.typed_tables import RowCounts
from features.tables.versions import IS_REFUND

# (usual distance of payments in days, at most; period in days): a month is as long as the longest.
PERIODS = ((8, 7), (15, 14), (32, 31), (63, 62), (93, 92), (186, 184), (368, 366))
DEFAULT_DAYS = 31  # where nobody paid twice
# Distances of a category: with so many their median counts, with a few only if they are alike, and
# with fewer the period of all payments is taken.
FEWEST_DISTANCES, FEW_ALIKE = 20, 3
REGULAR = 0.5  # of regular payments at least this share has the usual period


@dataclass(frozen=True)
class Period:
    """How long the terms of one category are, in days, and what this rests on.

    payments: purchases of the category. distances: between two of one customer. regular: those
    that have this period. source: "stated", "own" (its own payments) or "all" (of all payments).
    """

    category: str | None
    days: int
    payments: int
    distances: int
    regular: int
    source: str


def build_terms(
    connection: duckdb.DuckDBPyConnection, term_days: Mapping[str, int] | None = None
) -> RowCounts:
    """Make the table `contracts` from `transactions`; returns its counts.

    term_days: stated days by category; 0: such a purchase is no term.

    A payment that a later version withdraws or moves ends its term with that version, as known from
    then on. `recorded_at` is the payment's. read: purchases; kept: rows, versions included.
    """
    given = term_days or {}
    connection.execute("CREATE OR REPLACE TEMP TABLE _stated (category VARCHAR, days INTEGER)")
    if given:
        connection.executemany("INSERT INTO _stated VALUES (?, ?)", list(given.items()))
    shared = {
        "fewest": FEWEST_DISTANCES,
        "few": FEW_ALIKE,
        "default": DEFAULT_DAYS,
        "day": DAY_US,
        "columns": ", ".join(CONTRACT["contracts"].names),
        "refund": IS_REFUND,
        "usual_period": _snapped("usual"),
        "own_period": _snapped("days"),
    }
    connection.execute(_VERSIONS.format(**shared))
    connection.execute(_PERIODS.format(**shared))
    connection.execute(_TERMS.format(**shared))
    connection.execute("DROP TABLE _payments")
    # Every row that is made is kept; purchases that are no term are listed by their periods.
    terms = first_value(connection, "SELECT count(*) FROM contracts")
    return RowCounts(read=terms, kept=terms)


def read_periods(connection: duckdb.DuckDBPyConnection) -> list[Period]:
    """The periods that `build_terms` took, the category with the most payments first."""
    rows = connection.execute(
        "SELECT category, days, payments, distances, regular, source FROM payment_periods "
        "ORDER BY payments DESC, category"
    ).fetchall()
    return [Period(*row) for row in rows]


def _snapped(distance: str) -> str:
    days = " ".join(f"WHEN {distance} <= {at_most} THEN {days}" for at_most, days in PERIODS)
    return f"CASE {days} ELSE CAST(ceil({distance}) AS INTEGER) END"


_VERSIONS = """
CREATE OR REPLACE TEMP TABLE _payments AS
SELECT *, coalesce(category, CAST(amount AS VARCHAR)) AS paid_for,
       lag(occurred_at) OVER same AS former_at, lag(kind) OVER same AS former_kind,
       lag(category) OVER same AS former_category
FROM (SELECT *, coalesce(transaction_id, 'row ' || CAST(rowid AS VARCHAR)) AS number
      FROM transactions WHERE NOT {refund})
WINDOW same AS (PARTITION BY customer_id, number ORDER BY recorded_at)
"""
_PERIODS = """
CREATE OR REPLACE TEMP TABLE payment_periods AS
WITH distances AS (
    SELECT paid_for, (occurred_at - lag(occurred_at) OVER (
        PARTITION BY customer_id, paid_for ORDER BY occurred_at)) / {day} AS days
    FROM _payments WHERE kind = 'purchase'
), usual AS (
    SELECT paid_for, median(days) AS usual, count(*) AS distances,
           min({own_period}) = max({own_period}) AS alike
    FROM distances WHERE days >= 1 GROUP BY paid_for
), own AS (
    SELECT *, {usual_period} AS days,
           distances >= {fewest} OR (distances >= {few} AND alike) AS enough FROM usual
), overall AS (
    SELECT CASE WHEN usual IS NULL THEN {default} ELSE {usual_period} END AS days
    FROM (SELECT median(days) AS usual FROM distances WHERE days >= 1)
), paid AS (
    SELECT paid_for, max(category) AS category, count(*) AS payments FROM _payments
    WHERE kind = 'purchase' GROUP BY paid_for
), chosen AS (
    SELECT paid_for, category, payments, coalesce(distances, 0) AS distances,
           coalesce(_stated.days, CASE WHEN enough THEN own.days END, overall.days) AS days,
           CASE WHEN _stated.days IS NOT NULL THEN 'stated' WHEN enough THEN 'own' ELSE 'all' END
               AS source
    FROM paid LEFT JOIN own USING (paid_for) LEFT JOIN _stated USING (category), overall
)
SELECT *, (SELECT count(*) FROM distances WHERE distances.paid_for = chosen.paid_for
           AND distances.days >= 1 AND {own_period} = chosen.days) AS regular FROM chosen
"""
_TERMS = """
CREATE OR REPLACE TABLE contracts AS
WITH rows AS (
    SELECT customer_id, occurred_at AS starts_at, occurred_at + {day} * days AS ends_at,
           CAST(NULL AS BIGINT) AS cancelled_at, _payments.category AS plan, amount AS price,
           CAST(NULL AS BOOLEAN) AS auto_renew, recorded_at
    FROM _payments JOIN payment_periods USING (paid_for)
    WHERE kind = 'purchase' AND days > 0
    UNION ALL
    SELECT customer_id, former_at, former_at, NULL, former_category, NULL, NULL, recorded_at
    FROM _payments LEFT JOIN _stated ON _stated.category = former_category
    WHERE former_kind = 'purchase' AND (kind <> 'purchase' OR occurred_at <> former_at)
        AND coalesce(_stated.days, 1) > 0
)
SELECT {columns} FROM rows ORDER BY ALL
"""
