"""What puts the scores where they are: how often each reason is named, by stage."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from features.engine.business_columns import custom_features
from features.indicators.business_table import COUNT, NUMBER, TEXT, TableShape
from features.indicators.indicator_data import IndicatorData, load
from features.indicators.intervals import wilson
from features.recipes.stages import STAGES
from serving.scoring.reason_text import DIRECTIONS, read_reason

ALL, OTHERS = "all", "(others)"
MOST_REASONS = 12  # of a stage and direction
NOBODY = "a customer who is eligible"
NO_REASON = "reasons of scores: the model card says why there are none"
REASON_SHARES = TableShape(
    "reason_shares",
    "customers with the reason among their reason_1 … reason_3, and their share of n, those of the "
    "stage, with its 95 % Wilson interval; median_value: of the number that … stands for (a "
    'percentage as a share, yes as 1); usual_value: of that after "usually"; example: the reason '
    "of a customer in the middle; the "
    f"{MOST_REASONS} most frequent of a stage and direction, and as {OTHERS} the customers with at "
    "least one of those left out; reasons: how many the row is about. A reason is what moved the "
    "score, and no cause",
    "eligible customers, by stage",
    {
        "stage": TEXT,
        "direction": TEXT,
        "reason": TEXT,
        "reasons": COUNT,
        "customers": COUNT,
        "share": NUMBER,
        "median_value": NUMBER,
        "usual_value": NUMBER,
        "example": TEXT,
    },
)
_SENTENCES = """
CREATE TABLE reason_sentences AS SELECT * FROM (
    SELECT who, stage, unnest([reason_1, reason_2, reason_3]) AS sentence
    FROM scores WHERE eligible
) WHERE sentence IS NOT NULL
"""
_COUNTS = f"""
WITH eligible AS (
    SELECT who, stage FROM scores WHERE eligible
    UNION ALL SELECT who, '{ALL}' FROM scores WHERE eligible
), sizes AS (
    SELECT stage, count(*) AS n FROM eligible GROUP BY stage
), named AS (
    SELECT eligible.who, eligible.stage, direction, reason, number, usual, spoken
    FROM eligible JOIN reason_sentences USING (who) JOIN reason_parts USING (sentence)
), counted AS (
    SELECT stage, direction, reason, count(DISTINCT who) AS customers,
           median(number) AS median_value, median(usual) AS usual_value,
           quantile_disc(number, 0.5) AS middle
    FROM named GROUP BY stage, direction, reason
), placed AS (
    SELECT *, row_number() OVER (PARTITION BY stage, direction ORDER BY customers DESC, reason)
              AS place
    FROM counted
)
SELECT stage, direction, reason, 1 AS reasons, customers, median_value, usual_value,
       (SELECT min(spoken) FROM named WHERE named.stage = placed.stage
            AND named.direction = placed.direction AND named.reason = placed.reason
            AND named.number IS NOT DISTINCT FROM placed.middle) AS example, place, n
FROM placed JOIN sizes USING (stage) WHERE place <= {MOST_REASONS}
UNION ALL
SELECT stage, direction, '{OTHERS}', count(DISTINCT reason), count(DISTINCT who), NULL, NULL,
       NULL, {MOST_REASONS + 1}, any_value(n)
FROM named JOIN placed USING (stage, direction, reason) JOIN sizes USING (stage)
WHERE place > {MOST_REASONS} GROUP BY stage, direction
"""


def reason_share_table(data: IndicatorData) -> dict[str, pa.Table]:
    """`reason_shares`: all the eligible, then each stage; what raises the risk comes first."""
    if not data.value("SELECT count(*) FROM scores WHERE eligible"):
        return {"reason_shares": REASON_SHARES.say_missing(NOBODY, as_of=data.as_of)}
    data.connection.execute(_SENTENCES)
    load(data.connection, _parts_of_sentences(data), "CREATE TABLE reason_parts AS FROM incoming")
    rows = data.rows(_COUNTS).to_pylist()
    if not rows:
        return {"reason_shares": REASON_SHARES.say_missing(NO_REASON, as_of=data.as_of)}
    stages = (ALL, *STAGES)
    rows.sort(
        key=lambda row: (
            stages.index(row["stage"]),
            DIRECTIONS.index(row["direction"]),
            row.pop("place"),
        )
    )
    customers, n = (np.array([row[name] for row in rows]) for name in ("customers", "n"))
    low, high = wilson(customers, n)
    cells = [
        row | {"share": row["customers"] / row["n"], "low": low[at], "high": high[at]}
        for at, row in enumerate(rows)
    ]
    return {"reason_shares": REASON_SHARES.fill_rows(cells, as_of=data.as_of)}


def _parts_of_sentences(data: IndicatorData) -> pa.Table:
    """sentence, direction, reason, number and usual of every sentence that is there."""
    own = tuple(entry.words for entry in custom_features(data.settings))
    sentences = data.rows("SELECT DISTINCT sentence FROM reason_sentences")["sentence"].to_pylist()
    parts = [read_reason(sentence, own) for sentence in sentences]
    return pa.table(
        {
            "sentence": pa.array(sentences, TEXT),
            "direction": pa.array([each.direction for each in parts], TEXT),
            "reason": pa.array([each.phrase for each in parts], TEXT),
            "number": pa.array([each.value for each in parts], NUMBER),
            "usual": pa.array([each.usual for each in parts], NUMBER),
            "spoken": pa.array([sentence.partition(": ")[2] for sentence in sentences], TEXT),
        }
    )
