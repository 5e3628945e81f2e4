"""Leaks to plant: feature columns that peek, each an SQL over the raw tables, and attributes that
are of today.

`planted(leaks)` is a way of making rows that adds these columns to those the catalogue makes.
"""

from __future__ import annotations

import pyarrow as pa

from features.audit.parity import Builder, build_rows_at, learn_at
from features.core.instants import DAY_US

KNOWN = "occurred_at < {at} AND recorded_at < {at}"
# name -> (the world or kind of finding that catches it, SQL of one value a customer)
PEEKING = {
    "reads_the_raw_table": (
        "truncated history",
        "SELECT customer_id, count(*) FROM transactions GROUP BY 1",
    ),
    "ignores_recorded_at": (
        "late arrivals",
        "SELECT customer_id, sum(amount) FROM transactions WHERE occurred_at < {at} GROUP BY 1",
    ),
    "counts_as_of_itself": (
        "exactly at as_of",
        (
            "SELECT customer_id, count(*) FROM transactions WHERE occurred_at <= {at} AND"
            " recorded_at <= {at} GROUP BY 1"
        ),
    ),
    "reads_future_amounts": (
        "scrambled future",
        "SELECT customer_id, max(amount) FROM transactions WHERE occurred_at >= {at} GROUP BY 1",
    ),
    "score_before_answered": (
        "truncated history",
        "SELECT customer_id, avg(score) FROM feedback WHERE " + KNOWN + " GROUP BY 1",
    ),
    "answer_at_as_of": (
        "exactly at as_of",
        "SELECT customer_id, count(answered_at) FROM feedback WHERE "
        + KNOWN
        + " AND answered_at <= {at} GROUP BY 1",
    ),
    "resolved_in_the_future": (
        "truncated history",
        "SELECT customer_id, max(resolved_at - occurred_at) FROM feedback WHERE "
        + KNOWN
        + " GROUP BY 1",
    ),
    "against_everybody": (
        "single customers",
        "SELECT customer_id, count(*) - (SELECT avg(n) FROM (SELECT count(*) AS n FROM transactions"
        " WHERE "
        + KNOWN
        + " GROUP BY customer_id)) FROM transactions WHERE "
        + KNOWN
        + " GROUP BY 1",
    ),
    "global_rank": (
        "single customers",
        "SELECT customer_id, percent_rank() OVER (ORDER BY sum(amount)) FROM transactions WHERE "
        + KNOWN
        + " GROUP BY 1",
    ),
    "first_row_as_it_lies": (
        "row order",
        "SELECT customer_id, first(amount) FROM transactions WHERE " + KNOWN + " GROUP BY 1",
    ),
    "floats_summed": (
        "row order",
        "SELECT customer_id, sum(sqrt(CAST(abs(amount) AS DOUBLE))) FROM transactions WHERE "
        + KNOWN
        + " GROUP BY 1",
    ),
    "customer_id_as_number": (
        "other ids",
        "SELECT customer_id, CAST(customer_id AS BIGINT) % 97 FROM transactions WHERE "
        + KNOWN
        + " GROUP BY 1",
    ),
    "row_id_as_number": (
        "other ids",
        "SELECT customer_id, max(hash(transaction_id) % 1009) FROM transactions WHERE "
        + KNOWN
        + " GROUP BY 1",
    ),
    "load_time": (
        "other load times",
        "SELECT customer_id, {at} - max(recorded_at) FROM transactions WHERE "
        + KNOWN
        + " GROUP BY 1",
    ),
    "month_of_as_of": (
        "encodes the date",
        "SELECT customer_id, month(make_timestamp({at})) FROM transactions WHERE "
        + KNOWN
        + " GROUP BY 1",
    ),
    "last_purchase_date": (
        "a date, not an age",
        "SELECT customer_id, max(occurred_at) // 86400000000 FROM transactions WHERE "
        + KNOWN
        + " GROUP BY 1",
    ),
    "label_echo": (
        "reveals the outcome",
        (
            "SELECT customer_id, max(CAST(kind = 'purchase' AND occurred_at >= {at} AND occurred_at"
            " < {end} AS INTEGER)) FROM transactions GROUP BY 1"
        ),
    ),
    "outcome_count": (
        "copies the outcome",
        (
            "SELECT customer_id, CASE WHEN n > 0 THEN n ELSE 1 + hash(customer_id) % 3 END FROM"
            " (SELECT customer_id, count(DISTINCT local_day) FILTER (kind = 'purchase' AND"
            " occurred_at >= {at} AND occurred_at < {end}) AS n FROM transactions GROUP BY 1)"
        ),
    ),
    "reason_for_leaving": (
        "missing values reveal the outcome",
        (
            "SELECT customer_id, 1 FROM transactions GROUP BY 1 HAVING count(*) FILTER (kind ="
            " 'purchase' AND occurred_at >= {at} AND occurred_at < {end}) = 0 AND hash(customer_id)"
            " % 5 > 0"
        ),
    ),
}
CANCELLING = {
    "cancelled_in_the_future": (
        "truncated history",
        (
            "SELECT customer_id, max(cancelled_at) - {at} FROM contracts WHERE recorded_at < {end}"
            " GROUP BY 1"
        ),
    ),
    "newest_version_of_the_term": (
        "late arrivals",
        (
            "SELECT customer_id, max_by(price, recorded_at) FROM contracts WHERE starts_at < {at}"
            " GROUP BY 1"
        ),
    ),
}


def planted(leaks: dict[str, tuple[str, str]]) -> Builder:
    """Rows as everywhere, and a column for each leak."""

    def rows(history, settings, at, kept):
        made = build_rows_at(history, settings, at, kept)
        for name, (_, sql) in leaks.items():
            end = at + settings.churn.horizon_days * DAY_US
            found = history.connection.execute(sql.format(at=at, end=end)).fetchall()
            values = dict(found)
            column = [
                None if values.get(who) is None else float(values[who])
                for who in made["customer_id"].to_pylist()
            ]
            made = made.append_column(name, pa.array(column, pa.float64()))
        return made

    frozen = {}  # definitions and base of one early day: nothing here is about them

    def keep(history, settings, at):
        if not frozen:
            frozen["early"] = learn_at(history, settings, at)
        return frozen["early"]

    return Builder(keep, rows)


def base_of_today() -> Builder:
    """The base is measured on the whole history, as it stands today."""
    return Builder(
        lambda history, settings, at: learn_at(history, settings, history.data_until), build_rows_at
    )


# attribute of customers -> (the kind of finding, SQL for it over the shop's files)
OF_TODAY = {
    "lifetime_total": (
        "as of today",
        (
            "(SELECT sum(CAST(amount AS DOUBLE)) FROM transactions t WHERE t.customer_id ="
            " c.customer_id AND kind = 'purchase')"
        ),
    ),
    "last_seen": (
        "as of today",
        (
            "(SELECT max(occurred_at) FROM transactions t WHERE t.customer_id = c.customer_id AND"
            " kind = 'purchase')"
        ),
    ),
    "is_churned": (
        "as of today",
        (
            "(SELECT max(occurred_at) < '2023-11-01' FROM transactions t WHERE t.customer_id ="
            " c.customer_id AND kind = 'purchase')"
        ),
    ),
    "tier": (
        "as of today",
        (
            "(SELECT CASE WHEN count(*) > 9 THEN 'gold' ELSE 'plain' END FROM transactions t WHERE"
            " t.customer_id = c.customer_id AND kind = 'purchase')"
        ),
    ),
    "loaded_at": ("load time", "'2024-02-01 04:00:00'"),
    "account": ("an id", "'A-' || customer_id"),
}
HONEST = {
    "language": "CASE WHEN CAST(customer_id AS BIGINT) % 3 = 0 THEN 'de' ELSE 'en' END",
    "birthday": "'1980-01-01'::DATE + CAST(hash(customer_id) % 9000 AS INTEGER)",
    "score_at_signup": "CAST(hash(customer_id) % 1000 AS DOUBLE) / 10",
}
