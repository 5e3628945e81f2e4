"""Snapshots: contracts with one row a subscription, whose end was overwritten as it changed.

Such a row shows an end before anybody knew it: whoever is about to leave has an end, the others do
not, and a model looks perfect. Five signs tell it. With `recorded_at` a row is read as it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import duckdb

from features.core.contract import OPEN_END_US
from features.core.errors import SnapshotRefused
from features.core.instants import DAY_US
from features.tables.history import History
from features.tables.queries import first_value

MIN_ROWS = 20  # with fewer, nothing is said
ROWS_A_SUBSCRIPTION = 1.3  # most rows per customer and plan, on average
USUAL_LENGTHS = 0.6  # in a table of terms at least this share has its plan's usual length
SOON_DAYS = 35  # after a cancellation, or between ends that are alike
ALIKE = 0.8  # share of ends
# At least this share of the running terms that should have an end has one.
FEWEST_ENDS = 0.2
MOSTLY = 0.5  # share of payments outside of terms, and of regular ones


@dataclass(frozen=True)
class Sign:
    """One sign of a snapshot: whether it is there, and the figures in words."""

    present: bool
    words: str


def find_signs(history: History) -> tuple[Sign, ...]:
    """The five signs: rows a subscription, lengths of terms, ends, payments outside, recorded_at.

    No sign is present where there are fewer than MIN_ROWS rows.
    """
    return read_signs(history.connection, "transactions" if "transactions" in history.names else "")


def read_signs(connection: duckdb.DuckDBPyConnection, payments: str = "") -> tuple[Sign, ...]:
    """The five signs of the typed table `contracts` of a connection, as `find_signs` gives them.

    payments: the table or SELECT of (customer_id, occurred_at, kind) of transactions; '' without.
    """
    [row] = connection.execute(_FIGURES).to_arrow_table().to_pylist()
    enough = row["rows"] >= MIN_ROWS
    return (
        Sign(
            enough and row["rows"] <= ROWS_A_SUBSCRIPTION * row["subscriptions"],
            f"{row['rows']:,} rows of {row['subscriptions']:,} subscriptions (customer and plan)",
        ),
        Sign(
            enough and row["ended"] >= MIN_ROWS and row["usual"] < USUAL_LENGTHS * row["ended"],
            f"{row['usual']:,} of {row['ended']:,} terms with an end have their plan's usual "
            f"length; there are {row['lengths']:,} lengths in months",
        ),
        _ends(row, enough=enough),
        _outside(connection, payments) if payments and enough else Sign(False, "no payments"),
        Sign(
            enough and row["invented"] == row["rows"],
            f"recorded_at is starts_at in {row['invented']:,} of {row['rows']:,} rows",
        ),
    )


def looks_overwritten(signs: tuple[Sign, ...]) -> bool:
    """Whether the signs are those of a snapshot."""
    one_row, *hints, invented = signs
    return one_row.present and invented.present and any(hint.present for hint in hints)


def _outside(connection: duckdb.DuckDBPyConnection, payments: str) -> Sign:
    """Whether customers with one row pay regularly, but mostly outside of it: for former terms."""
    [row] = connection.execute(_OUTSIDE.format(payments=payments)).to_arrow_table().to_pylist()
    many = row["paid"] >= MIN_ROWS and row["outside"] > MOSTLY * row["paid"]
    regular = row["distances"] >= MIN_ROWS and row["regular"] >= MOSTLY * row["distances"]
    return Sign(
        many and regular,
        f"{row['outside']:,} of {row['paid']:,} payments of these customers lie outside of their "
        f"terms; {row['regular']:,} of {row['distances']:,} follow the one before after a week, a "
        "month, a quarter or a year",
    )


def _ends(row: dict[str, Any], *, enough: bool) -> Sign:
    soon = row["cancelled"] >= MIN_ROWS // 2 and row["soon"] >= ALIKE * row["cancelled"]
    alike = row["ended"] >= MIN_ROWS and row["alike"] >= ALIKE * row["ended"]
    return Sign(
        enough and (soon or alike),
        f"{row['soon']:,} of {row['cancelled']:,} cancelled terms of unusual length end within "
        f"{SOON_DAYS} days of the cancellation; {row['alike']:,} of {row['ended']:,} ends lie "
        f"within {SOON_DAYS} days of one another",
    )


def ends_as_they_happen(connection: duckdb.DuckDBPyConnection) -> str | None:
    """The figures in words where the ends of terms were written when they came; None elsewhere.

    Of terms that were agreed with an end, as many run at one time as begin in the length of one
    (Little's law, 1961). Where hardly any running term has an end, and others ended, the end was
    written when it came. `connection` has the typed table `contracts`; nothing is said where
    somebody states when rows were recorded, or of fewer than MIN_ROWS ended or running
    terms.
    """
    [row] = connection.execute(_RUNNING).to_arrow_table().to_pylist()
    expected = row["ended_days"] / row["span_days"] if row["span_days"] else 0.0
    few = min(row["ended"], row["endless"], 2 * expected) < MIN_ROWS
    if few or row["stated"] or row["with_end"] >= FEWEST_ENDS * expected:
        return None
    return (
        f"{row['with_end']:,} of {row['with_end'] + row['endless']:,} running terms have an end, "
        f"and {row['ended']:,} others have ended: as long as those ran, some {expected:,.0f} "
        "would have one"
    )


def _refuse_ends_as_they_happen(history: History) -> None:
    figures = ends_as_they_happen(history.connection)
    if figures is None:
        return
    raise SnapshotRefused(
        where="[tables] contracts",
        got=f"ends that were written when they came: {figures}",
        rule="A term is a row, with the end that was agreed when it was recorded. Here whoever is "
        "about to leave has an end, and the others have none: a model would know the future.",
        fix="Select the end AS cancelled_at in place of ends_at: the term is open-ended until "
        "then. If the ends were agreed, select recorded_at, when each row was written.",
    )


def has_recorded_at(history: History) -> bool:
    """Whether recorded_at of contracts says more than starts_at: an agreed end was known by then.

    True without contracts, and for terms that are built from payments.
    """
    if "contracts" not in history.names or history.built_terms:
        return True
    return (
        first_value(
            history.connection, "SELECT count(*) FROM contracts WHERE recorded_at <> starts_at"
        )
        > 0
    )


def refuse_snapshots(history: History) -> None:
    """SnapshotRefused where contracts look overwritten; nothing without contracts.

    They do where there is one row a subscription and nobody says when it was recorded, and either
    the terms of a plan have all lengths or the ends follow cancellations or are alike. And they do
    where the ends were written when they came (`ends_as_they_happen`).
    """
    if "contracts" not in history.names or history.built_terms:
        return
    signs = find_signs(history)
    if not looks_overwritten(signs):
        _refuse_ends_as_they_happen(history)
        return
    marks = "; ".join(f"({'yes' if sign.present else 'no'}) {sign.words}" for sign in signs)
    raise SnapshotRefused(
        where="[tables] contracts",
        got=f"a snapshot, by these signs: {marks}",
        rule="A term is a row, with the end that was agreed when it was recorded. In a row that is "
        "overwritten, the end of a customer who leaves is there before anybody knew it.",
        fix='Write terms_from = "payments" under [contract]: the purchases under [tables] '
        "transactions then pay for the terms. Or select recorded_at, when each row was written.",
    )


_FIGURES = f"""
WITH terms AS (
    SELECT *, coalesce(plan, '') AS of_plan, ends_at < {OPEN_END_US} AS has_end,
           round((ends_at - starts_at) / {DAY_US} / 30.4375) AS months
    FROM contracts
), usual AS (
    SELECT of_plan, mode(months) AS usual FROM terms WHERE has_end GROUP BY of_plan
), near AS (
    SELECT count(*) OVER (ORDER BY ends_at RANGE BETWEEN CURRENT ROW
                          AND {SOON_DAYS * DAY_US} FOLLOWING) AS alike
    FROM terms WHERE has_end
)
SELECT count(*) AS rows, count(DISTINCT (customer_id, of_plan)) AS subscriptions,
       count(*) FILTER (has_end) AS ended,
       count(*) FILTER (has_end AND months = usual) AS usual,
       count(DISTINCT months) FILTER (has_end) AS lengths,
       count(*) FILTER (has_end AND months <> usual AND cancelled_at IS NOT NULL) AS cancelled,
       count(*) FILTER (has_end AND months <> usual
                        AND ends_at - cancelled_at BETWEEN 0 AND {SOON_DAYS * DAY_US}) AS soon,
       coalesce((SELECT max(alike) FROM near), 0) AS alike,
       count(*) FILTER (recorded_at = starts_at) AS invented
FROM terms LEFT JOIN usual USING (of_plan)
"""
# The end of the data is the last instant of which the contracts speak as past: a start.
_RUNNING = f"""
WITH newest AS (SELECT max(starts_at) AS last_start, min(starts_at) AS first_start FROM contracts)
SELECT count(*) FILTER (ends_at <= last_start) AS ended,
       count(*) FILTER (ends_at > last_start AND ends_at < {OPEN_END_US}) AS with_end,
       count(*) FILTER (ends_at >= {OPEN_END_US} AND cancelled_at IS NULL) AS endless,
       coalesce(sum((ends_at - starts_at) / {DAY_US}) FILTER (ends_at <= last_start), 0)
           AS ended_days,
       any_value((last_start - first_start) / {DAY_US}) AS span_days,
       bool_or(recorded_at <> starts_at) AS stated
FROM contracts, newest
"""
_OUTSIDE = f"""
WITH terms AS (
    SELECT customer_id, min(starts_at) - {DAY_US} AS since, max(ends_at) + {DAY_US} AS until
    FROM contracts GROUP BY customer_id
), paid AS (
    SELECT customer_id, occurred_at < since OR occurred_at > until AS outside, (occurred_at
        - lag(occurred_at) OVER (PARTITION BY customer_id ORDER BY occurred_at)) / {DAY_US} AS days
    FROM {{payments}} JOIN terms USING (customer_id) WHERE kind = 'purchase'
)
SELECT count(*) AS paid, count(*) FILTER (outside) AS outside,
       count(days) FILTER (days >= 1) AS distances,
       count(*) FILTER (days BETWEEN 6 AND 8 OR days BETWEEN 27 AND 32 OR days BETWEEN 84 AND 98
                        OR days BETWEEN 358 AND 372) AS regular
FROM paid
"""
