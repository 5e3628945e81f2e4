"""Terms that were rejected, one end for all, renewals that nothing states, events outside cover."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from features.core.contract import EVENT_TABLES
from features.core.instants import DAY_US, day_text
from features.core.settings import Settings
from features.plausibility.finding import Finding, percent_of
from features.tables.history import History, Known
from features.tables.payment_terms import REGULAR, read_periods
from features.tables.queries import first_value
from features.tables.typed_tables import RowCounts

OUTSIDE_SHARE, EARLY_SHARE, SHARED_END, RENEWS_SHARE = 0.20, 0.05, 0.80, 0.50
FEWEST, FEWEST_GUESSED = 30, 5
QUIET_US = 30 * DAY_US  # after an end: a renewal may still come, or not be written yet
# An end so far ahead stands for no end.
OPEN_ENDED_US = 4_000_000_000_000_000  # 2096


def find_contracts(
    history: History,
    known: Known,
    counts: Mapping[str, RowCounts],
    settings: Settings,
) -> Iterator[Finding]:
    """Findings about terms; and events of customers from before they existed, in any business."""
    yield from _before_acquired(history)
    if "contracts" not in history.names:
        return
    if history.built_terms:
        yield from _periods(history)
    yield from _terms_rejected(counts["contracts"])
    yield from _shared_end(history, settings)
    yield from _unstated_renewals(history, settings)
    yield from _no_cancellation(history)
    for name in history.names:
        if name in EVENT_TABLES:
            yield from _outside_cover(history, known, name, settings)


def _periods(history: History) -> Iterator[Finding]:
    """Categories whose payments come irregularly, or are too few to tell how long they pay for."""
    for period in read_periods(history.connection):
        what = f"purchases of '{period.category}'" if period.category else "purchases of one amount"
        key = json.dumps(period.category, ensure_ascii=False)
        fix = (
            f"Write under [contract]: term_days = {{ {key} = … }}, the days "
            "that one of them pays for; 0 if it is no term."
            if period.category
            else "Select a category for each purchase, and write [contract] term_days for it."
        )
        if period.source == "own" and period.regular < REGULAR * period.distances:
            yield Finding(
                "irregular_payments",
                "contracts",
                f"{period.payments:,} {what} come irregularly ({period.regular:,} of "
                f"{period.distances:,} within the usual {period.days} days of the one before), but "
                f"each counts as a term of {period.days} days.",
                fix,
                counts={"payments": period.payments, "days": period.days},
            )
        if period.source == "all" and period.payments >= FEWEST_GUESSED:
            yield Finding(
                "guessed_terms",
                "contracts",
                f"{period.payments:,} {what} are too few, or too seldom of one customer, to tell "
                f"how long they pay for: {period.days} days are taken, as for all payments.",
                fix,
                counts={"payments": period.payments, "days": period.days},
            )


def _no_cancellation(history: History) -> Iterator[Finding]:
    """Covers that ended and were not renewed, and nobody ever cancelled one."""
    if history.built_terms:
        return  # payments say nothing of cancellations
    since = history.data_until - QUIET_US
    [(terms, cancelled, ended)] = history.connection.execute(
        f"SELECT sum(terms), sum(cancelled), count(*) FILTER (last_end < {since}) FROM ("
        "SELECT count(*) AS terms, count(cancelled_at) AS cancelled, max(ends_at) AS last_end "
        "FROM contracts GROUP BY customer_id)"
    ).fetchall()
    if cancelled or ended < FEWEST:
        return
    yield Finding(
        "no_cancellation",
        "contracts",
        f"none of {terms:,} terms was cancelled, though those of {ended:,} customers ended: "
        "p_cancelled is not known, and everybody counts as leaving in silence.",
        "Select cancelled_at (the day on which a customer gave notice) if a file has it. If nobody "
        "has to cancel, nothing is wrong.",
        counts={"terms": terms},
    )


def _terms_rejected(table: RowCounts) -> Iterator[Finding]:
    reasons = {name: rows for name, rows in table.rejected.items() if name != "exact_duplicate"}
    if reasons:
        rejected = sum(reasons.values())
        words = ", ".join(f"{reason} {rows:,}" for reason, rows in reasons.items())
        yield Finding(
            "terms_rejected",
            "contracts",
            f"{rejected:,} of {table.read:,} terms are rejected ({words}): their customers have "
            "less cover than they paid for, or none.",
            "See the examples above, and correct the SELECT of contracts. "
            "lifecycle check --rejects rejects.csv lists the rows.",
            counts={"read": table.read, "rejected": rejected},
        )


def _shared_end(history: History, settings: Settings) -> Iterator[Finding]:
    terms = history.cut("contracts", 2**62).select("ends_at").collect(backend="pyarrow")
    relation = history.connection.from_arrow(terms.to_native())
    rows = relation.query(
        "terms",
        f"SELECT ends_at // {DAY_US} AS day, count(*) AS n FROM terms "
        f"WHERE ends_at < {OPEN_ENDED_US} GROUP BY day ORDER BY n DESC, day",
    ).fetchall()
    total = sum(n for _, n in rows)
    if total >= FEWEST and rows[0][1] >= SHARED_END * total:
        day = day_text(rows[0][0] * DAY_US, zone="UTC")
        yield Finding(
            "shared_end",
            "contracts",
            f"{rows[0][1]:,} of {total:,} terms ({percent_of(rows[0][1], total)}) end on {day}.",
            'If this is the day of the export or stands for "running", leave ends_at empty for '
            "them; if all terms really end together (a season), churn can be learned only from "
            "earlier ends.",
            counts={"terms": total, "shared": rows[0][1]},
            values=(day,),
        )


def _unstated_renewals(history: History, settings: Settings) -> Iterator[Finding]:
    """First terms mostly followed by one recorded after their end, where no term says auto_renew.

    The rule of continuation (`features.tables.terms`) cannot see that a first term will renew. Not
    of terms that are built from payments: their SELECT has no such column to be selected.
    """
    if settings.contract.terms_from == "payments":
        return
    tolerance = max(settings.churn.grace_days, 1) * DAY_US
    terms = history.cut("contracts", 2**62).select(
        "customer_id", "starts_at", "ends_at", "cancelled_at", "auto_renew", "recorded_at"
    )
    relation = history.connection.from_arrow(terms.collect(backend="pyarrow").to_native())
    [(renewing, ended, followed)] = relation.query(
        "terms",
        f"""
        SELECT count(*) FILTER (auto_renew IS NOT NULL),
            count(*) FILTER (first AND can_tell),
            count(*) FILTER (
                first AND can_tell AND next_at <= ends_at + {tolerance} AND next_known >= ends_at
            )
        FROM (SELECT *, row_number() OVER mine = 1 AS first, lead(starts_at) OVER mine AS next_at,
                lead(recorded_at) OVER mine AS next_known,
                cancelled_at IS NULL AND ends_at + {tolerance} < {history.data_until} AS can_tell
            FROM terms WINDOW mine AS (PARTITION BY customer_id ORDER BY starts_at, ends_at))
        """,
    ).fetchall()
    if renewing or ended < FEWEST or followed < RENEWS_SHARE * ended:
        return
    yield Finding(
        "renewals_unstated",
        "contracts",
        f"{followed:,} of {ended:,} first terms ({percent_of(followed, ended)}) were followed by "
        "another, but no term has auto_renew: on the night of the first renewal a customer counts "
        "as churned.",
        "If terms renew by themselves, select it: true AS auto_renew.",
        counts={"ended": ended, "followed": followed},
    )


def _outside_cover(
    history: History, known: Known, name: str, settings: Settings
) -> Iterator[Finding]:
    """Events of customers with terms, at which none of their terms was running (grace included)."""
    grace = settings.churn.grace_days * DAY_US
    terms = known.tables["contracts"].select("customer_id", "starts_at", "ends_at")
    events = known.tables[name].select("customer_id", "occurred_at")
    history.connection.register("covers", terms.collect(backend="pyarrow").to_native())
    history.connection.register("happened", events.collect(backend="pyarrow").to_native())
    try:
        [(rows, outside)] = history.connection.execute(_OUTSIDE.format(grace=grace)).fetchall()
    finally:
        history.connection.unregister("covers")
        history.connection.unregister("happened")
    if rows >= FEWEST and outside > OUTSIDE_SHARE * rows:
        yield Finding(
            "events_outside_cover",
            name,
            f"{outside:,} of {rows:,} rows of customers with terms "
            f"({percent_of(outside, rows)}) happened while no term of theirs was running.",
            "Check that contracts has every term (also the former ones and those that ended), that "
            "both tables mean the same customer, and that times are in one zone.",
            counts={"rows": rows, "outside": outside},
        )


# For each event the latest end of all terms that began by then. A day of tolerance, because terms
# often begin on a date and events at a time.
_OUTSIDE = f"""
WITH terms AS (
    SELECT customer_id, starts_at - {DAY_US} AS instant, coalesce(ends_at, {2**61}) AS until,
        false AS event
    FROM covers
), mine AS (
    SELECT customer_id, occurred_at AS instant, NULL AS until, true AS event
    FROM happened WHERE customer_id IN (SELECT customer_id FROM covers)
), followed AS (
    SELECT event, instant, max(until) OVER (PARTITION BY customer_id ORDER BY instant, event
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS covered_until
    FROM (SELECT * FROM terms UNION ALL SELECT * FROM mine)
)
SELECT count(*), count(*) FILTER (coalesce(covered_until + {{grace}} + {DAY_US} < instant, true))
FROM followed WHERE event
"""


def _before_acquired(history: History) -> Iterator[Finding]:
    if "customers" not in history.names:
        return
    for name in history.names:
        if name not in EVENT_TABLES:
            continue
        rows = first_value(history.connection, f"SELECT count(*) FROM {name}")
        early = first_value(
            history.connection,
            f"SELECT count(*) FROM {name} JOIN (SELECT customer_id, min(acquired_at) AS since "
            "FROM customers GROUP BY 1) USING (customer_id) "
            f"WHERE occurred_at < since - {DAY_US}",
        )
        if early > EARLY_SHARE * rows:
            yield Finding(
                "events_before_acquired",
                name,
                f"{early:,} of {rows:,} rows ({percent_of(early, rows)}) happened before the "
                "acquired_at of their customer.",
                "Check acquired_at in the SELECT of customers: is it the day of an account, a "
                "migration or the last change? Leave it out if it is not the beginning.",
                counts={"rows": rows, "early": early},
            )
