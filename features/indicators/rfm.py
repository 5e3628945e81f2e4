"""RFM: recency, frequency and money of every customer with a purchase, scored 1 … 5 each.

Scores are fifths of the customers: 1 + ⌊5 · (customers with a worse value) / customers⌋, so that
equal values have equal scores; or they are cut where `[value] rfm_cuts` says (Hughes 1994). A
segment follows from the score of recency and the mean of the other two, rounded up.
"""

from __future__ import annotations

import pyarrow as pa

from features.core.instants import DAY_US
from features.indicators.business_table import COUNT, NUMBER, TEXT, TableShape
from features.indicators.indicator_data import NO_PURCHASE, YEAR_DAYS, IndicatorData
from features.indicators.intervals import wilson

HIBERNATING = ("hibernating", "hibernating", "at risk", "at risk", "cannot lose them")
# By score of recency: the segment for the mean of the scores of frequency and money, 1 … 5.
SEGMENTS = {
    5: (
        "new customers",
        "potential loyalists",
        "potential loyalists",
        "champions",
        "champions",
    ),
    4: (
        "promising",
        "potential loyalists",
        "potential loyalists",
        "loyal customers",
        "loyal customers",
    ),
    3: (
        "about to sleep",
        "about to sleep",
        "need attention",
        "loyal customers",
        "loyal customers",
    ),
    2: HIBERNATING,
    1: HIBERNATING,
}
# From the best to the worst.
SEGMENT_NAMES = (
    "champions",
    "loyal customers",
    "potential loyalists",
    "new customers",
    "promising",
    "need attention",
    "about to sleep",
    "at risk",
    "cannot lose them",
    "hibernating",
)
RFM = TableShape(
    "rfm",
    "recency_days: since the last purchase; frequency: local days with a purchase; monetary: "
    "purchases minus refunds; scores 1 … 5, 5 is best",
    "a customer with a purchase",
    {
        "customer_id": TEXT,
        "recency_days": NUMBER,
        "frequency": COUNT,
        "monetary": NUMBER,
        "recency_score": COUNT,
        "frequency_score": COUNT,
        "monetary_score": COUNT,
        "segment": TEXT,
    },
)
RFM_SEGMENTS = TableShape(
    "rfm_segments",
    "share: of all customers with a purchase, with its 95 % Wilson interval; "
    f"money_last_year: purchases minus refunds of the last {YEAR_DAYS} days; a segment follows "
    "from the RFM scores and is no stage",
    "customers with a purchase, by RFM segment",
    {
        "segment": TEXT,
        "share": NUMBER,
        "money_last_year": NUMBER,
        "mean_recency_days": NUMBER,
    },
)
_SCORED = """
CREATE TABLE rfm AS WITH bought AS (
    SELECT who, max(occurred_at) FILTER (bought) AS last_at,
           count(DISTINCT local_day) FILTER (bought) AS frequency,
           sum(net) AS monetary,
           coalesce(sum(net) FILTER (occurred_at >= {year_ago}), 0) AS year
    FROM money GROUP BY who HAVING count(*) FILTER (bought) > 0
), scored AS (
    SELECT *, {as_of} - last_at AS recency, {recency} AS r, {frequency} AS f, {monetary} AS m
    FROM bought
)
SELECT *, {segment} AS segment FROM scored
"""


def rfm_tables(data: IndicatorData) -> dict[str, pa.Table]:
    """`rfm`, one row per customer, by customer_id, and `rfm_segments`, from the best to the worst.

    Who did not consent to be listed counts in the segments and has no row in `rfm`.
    """
    if not data.has_purchase:
        return {
            shape.name: shape.say_missing(NO_PURCHASE, as_of=data.as_of)
            for shape in (RFM, RFM_SEGMENTS)
        }
    load_rfm(data)
    rows = data.rows(
        f"SELECT customer_id, recency / {float(DAY_US)} AS recency_days, frequency, "
        f"{data.units('monetary')} AS monetary, r AS recency_score, f AS frequency_score, "
        "m AS monetary_score, rfm.segment, 1 AS n "
        "FROM rfm JOIN people USING (who) WHERE listed ORDER BY customer_id"
    )
    if not rows.num_rows:
        nobody = RFM.say_missing("customers who consented to be listed", as_of=data.as_of)
        return {"rfm": nobody, "rfm_segments": _segment_table(data)}
    return {"rfm": RFM.fill(rows, as_of=data.as_of), "rfm_segments": _segment_table(data)}


def load_rfm(data: IndicatorData) -> None:
    """Create the table `rfm` of every customer with a purchase, if not there."""
    if not data.has_table("rfm"):
        data.connection.execute(_scored_sql(data))


def _segment_table(data: IndicatorData) -> pa.Table:
    names = ", ".join(f"({place}, '{name}')" for place, name in enumerate(SEGMENT_NAMES))
    rows = data.rows(
        f"SELECT segment, count(who) AS n, (SELECT count(*) FROM rfm) AS everybody,"
        f" count(who) / (SELECT count(*) FROM rfm) AS share, "
        f"{data.units('coalesce(sum(year), 0)')} AS money_last_year, "
        f"CAST(sum(recency) AS DOUBLE) / count(who) / {float(DAY_US)} AS mean_recency_days "
        f"FROM (VALUES {names}) AS segments(place, segment) LEFT JOIN rfm USING (segment) "
        "GROUP BY place, segment ORDER BY place"
    )
    low, high = wilson(rows["n"].to_numpy(), rows["everybody"].to_numpy())
    rows = rows.append_column("low", pa.array(low)).append_column("high", pa.array(high))
    return RFM_SEGMENTS.fill(rows, as_of=data.as_of)


def _scored_sql(data: IndicatorData) -> str:
    cuts, units = data.settings.value.rfm_cuts, 10**data.settings.minor_digits
    return _SCORED.format(
        as_of=data.as_of,
        year_ago=data.year_ago,
        recency=_recency_score(cuts.get("recency_days"), data.as_of),
        frequency=_score("frequency", cuts.get("frequency")),
        monetary=_score("monetary", cuts.get("monetary"), units=units),
        segment=_segment_sql(),
    )


def _score(column: str, cuts: list[float] | None, *, units: int = 1) -> str:
    """SQL for a score where more is better: fifths of the customers, or 1 + the cuts reached."""
    if cuts is None:
        return f"1 + (5 * (rank() OVER (ORDER BY {column}) - 1)) // count(*) OVER ()"
    return "1 + " + " + ".join(
        f"CAST({column} >= CAST({cut * units!r} AS DOUBLE) AS BIGINT)" for cut in cuts
    )


def _recency_score(cuts: list[float] | None, as_of: int) -> str:
    """SQL for the score of recency: of at most cuts[0] days 5, of more than cuts[3] days 1."""
    if cuts is None:
        return _score("last_at", None)
    return "1 + " + " + ".join(
        f"CAST({as_of} - last_at <= CAST({cut * DAY_US!r} AS DOUBLE) AS BIGINT)" for cut in cuts
    )


def _segment_sql() -> str:
    """SQL for the segment; the mean of two whole scores, rounded up, is (f + m + 1) // 2."""
    cases = [
        f"WHEN r = {recency} AND (f + m + 1) // 2 = {place} THEN '{name}'"
        for recency, names in SEGMENTS.items()
        for place, name in enumerate(names, start=1)
    ]
    return f"CASE {' '.join(cases)} END"
