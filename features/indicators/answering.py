"""Satisfaction adjusted for who answers: each answer stands for the silent ones who are like it.

    r(x) = P(answer | sent, x)     x: what was known of the customer when the survey was sent
    value = Σ w · y / Σ w          over the answers, w = 1 / r(x), at most MOST_WEIGHT

(Horvitz & Thompson 1952; Hájek 1971.) It corrects for what x shows. Where the unhappy are silent
because they are unhappy, and nothing else shows it, no weighting can tell; the bounds in
`satisfaction` always hold.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import scipy

from features.core.instants import DAY_US
from features.indicators.business_table import COUNT, NUMBER, TEXT, TableShape
from features.indicators.indicator_data import YEAR_DAYS, IndicatorData
from features.indicators.intervals import Z
from features.indicators.satisfaction import (
    CSAT,
    DETRACTOR,
    NPS,
    PROMOTER,
    SATISFIED,
    load_feedback,
)

SETTLED_DAYS = 14  # a survey sent later may still be answered
FEWEST_SENT, FEWEST_ANSWERS = 100, 30
MOST_WEIGHT = 10.0
PENALTY = 1.0  # of the squared weights of the regression, of all rows together
ANSWERS = TableShape(
    "answers_adjusted",
    f"value: of the surveys sent in the last {YEAR_DAYS} days, but the last {SETTLED_DAYS}; "
    "adjusted: each answer weighed by 1 / r, r: how probable an answer is by the activities, the "
    "time since the last one, the age and complaints known at the sending (logistic regression), "
    f"weights at most {MOST_WEIGHT:g}; low and high: its 95 % interval; it corrects for what these "
    "show and for nothing else",
    "answered surveys",
    {
        "measure": TEXT,
        "value": NUMBER,
        "adjusted": NUMBER,
        "sent": COUNT,
        "least_response": NUMBER,
        "most_response": NUMBER,
        "largest_weight": NUMBER,
    },
)
_SENT = """
WITH surveys AS (
    SELECT row_number() OVER (ORDER BY who, occurred_at, scaled) AS survey, who,
           occurred_at AS sent_at, scaled
    FROM feedback WHERE kind = '{kind}' AND occurred_at >= {since} AND occurred_at < {settled}
), active AS (
    SELECT survey, count(*) AS activities, max(occurred_at) AS last_at, min(occurred_at) AS first_at
    FROM surveys JOIN activity USING (who) WHERE occurred_at < sent_at GROUP BY survey
), complained AS (
    SELECT survey, count(*) AS complaints FROM surveys JOIN feedback USING (who)
    WHERE kind = 'complaint' AND occurred_at < sent_at AND occurred_at >= sent_at - {quarter}
    GROUP BY survey
)
SELECT scaled, coalesce(activities, 0) AS activities, sent_at - coalesce(last_at, sent_at) AS idle,
       sent_at - coalesce(first_at, sent_at) AS age, coalesce(complaints, 0) AS complaints
FROM surveys LEFT JOIN active USING (survey) LEFT JOIN complained USING (survey) ORDER BY survey
"""


def answering_table(data: IndicatorData) -> dict[str, pa.Table]:
    """`answers_adjusted`: a row for csat and one for nps."""
    rows = [_measure(data, kind) for kind in (CSAT, NPS)]
    return {"answers_adjusted": pa.concat_tables(rows)}


def _measure(data: IndicatorData, kind: str) -> pa.Table:
    if not load_feedback(data):
        return _missing(data, kind, f"feedback of kind {kind}")
    rows = data.rows(
        _SENT.format(
            kind=kind,
            since=data.year_ago,
            settled=data.as_of - SETTLED_DAYS * DAY_US,
            quarter=90 * DAY_US,
        )
    )
    scaled = rows["scaled"].to_numpy().astype(float)
    answered = ~np.isnan(scaled)
    if rows.num_rows < FEWEST_SENT or answered.sum() < FEWEST_ANSWERS:
        sentence = f"{FEWEST_SENT} surveys of kind {kind} with {FEWEST_ANSWERS} answers"
        return _missing(data, kind, sentence)
    if answered.all():
        return _missing(data, kind, f"surveys of kind {kind} that were sent and not answered")
    known = np.column_stack(
        [
            np.log1p(rows["activities"].to_numpy().astype(float)),
            np.log1p(rows["idle"].to_numpy() / DAY_US),
            np.log1p(rows["age"].to_numpy() / DAY_US),
            np.minimum(rows["complaints"].to_numpy().astype(float), 3),
        ]
    )
    cells = {"measure": kind, **adjusted_mean(known, answered, _values(kind, scaled))}
    return ANSWERS.fill_rows([cells], as_of=data.as_of)


def _values(kind: str, scaled: np.ndarray) -> np.ndarray:
    """What an answer counts: csat 1 or 0, nps 1, 0 or −1; NaN where there is none."""
    if kind == CSAT:
        values = (scaled >= SATISFIED).astype(float)
    else:
        values = (scaled >= PROMOTER).astype(float)
        values -= scaled <= DETRACTOR
    return np.where(np.isnan(scaled), np.nan, values)


def adjusted_mean(known: np.ndarray, answered: np.ndarray, values: np.ndarray) -> dict[str, Any]:
    """The mean of the answers, raw and weighed, with its interval and the response by r.

    known: (surveys, columns); answered: bool (surveys,); values: (surveys,), NaN without an answer.
    """
    response = response_rates(known, answered)[answered]
    weight = np.minimum(1 / response, MOST_WEIGHT)
    y = values[answered]
    adjusted = float((weight * y).sum() / weight.sum())
    error = float(np.sqrt((weight**2 * (y - adjusted) ** 2).sum()) / weight.sum())
    return {
        "value": float(y.mean()),
        "adjusted": adjusted,
        "low": adjusted - Z * error,
        "high": adjusted + Z * error,
        "n": len(y),
        "sent": len(answered),
        "least_response": float(response.min()),
        "most_response": float(response.max()),
        "largest_weight": float(weight.max()),
    }


def response_rates(known: np.ndarray, answered: np.ndarray) -> np.ndarray:
    """P(answer) of each survey by a logistic regression on the standardised columns, (surveys,)."""
    spread = known.std(axis=0)
    inputs = (known - known.mean(axis=0)) / np.where(spread > 1e-9, spread, 1.0)
    inputs = np.column_stack([np.ones(len(inputs)), inputs])
    y = answered.astype(float)
    free = np.r_[0.0, np.ones(inputs.shape[1] - 1)]

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margin = inputs @ weights
        value = (np.logaddexp(0, margin) - y * margin).sum() + PENALTY / 2 * (
            free * weights**2
        ).sum()
        slope = inputs.T @ (scipy.special.expit(margin) - y) + PENALTY * free * weights
        return float(value), slope

    start = np.zeros(inputs.shape[1])
    fitted = scipy.optimize.minimize(loss, start, jac=True, method="L-BFGS-B")
    return scipy.special.expit(inputs @ fitted.x)


def _missing(data: IndicatorData, kind: str, sentence: str) -> pa.Table:
    return ANSWERS.say_missing(sentence, as_of=data.as_of, measure=kind)
