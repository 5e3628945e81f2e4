"""Satisfaction: CSAT, Net Promoter Score and complaints, in all, by stage, by segment, by month.

    csat   share of the answers that are satisfied: at least 3/4 of the scale, 4 and 5 of 1 … 5
    nps    promoters (at least 9/10 of the scale) minus detractors (at most 6/10), −1 … 1
           (Reichheld 2003)

A survey counts at its sending; it is answered if the answer was known before as_of. The bounds say
what the number would be, were all who are silent as unhappy, or as happy, as the scale allows
(Manski 1989). Stages and segments are those at as_of, of surveys and complaints of the last 365
days; months are those that are over.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from features.core.contract import CONTRACT
from features.indicators.business_table import COUNT, NUMBER, TEXT, TableShape
from features.indicators.indicator_data import YEAR_DAYS, IndicatorData, load, month_text
from features.indicators.intervals import net_promoter, wilson
from features.indicators.stage_tables import load_stages
from features.recipes.item_means import score_scaled
from features.recipes.recipe import SCORE_SCALE

CSAT, NPS, COMPLAINTS = "csat", "nps", "complaints"
# Of the scale: answers from these on, and up to the last one.
SATISFIED, PROMOTER, DETRACTOR = SCORE_SCALE * 3 // 4, SCORE_SCALE * 9 // 10, SCORE_SCALE * 6 // 10
_SURVEY = (
    "; response_rate: of the surveys sent, where unanswered ones are in the data, with its Wilson "
    "interval; if_silent_lowest, if_silent_highest: were all silent ones as unhappy, or as happy, "
    "as can be"
)
DEFINITIONS = {
    CSAT: "value: share of answers of at least 3/4 of the scale, with its 95 % Wilson interval; "
    f"n: answers{_SURVEY}",
    NPS: "value: answers of at least 9/10 of the scale minus those of at most 6/10, over all; "
    f"interval by the variance of a trinomial; n: answers{_SURVEY}",
    COMPLAINTS: "value: share of the customers with a complaint, with its 95 % Wilson interval; "
    "n: customers (of a month: those who were active or complained in it)",
}
POPULATIONS = {
    CSAT: "answered surveys of kind csat",
    NPS: "answered surveys of kind nps",
    COMPLAINTS: "known customers",
}
SATISFACTION = TableShape(
    "satisfaction",
    "",
    "",
    {
        "measure": TEXT,
        "dimension": TEXT,
        "level": TEXT,
        "value": NUMBER,
        "complaints": COUNT,
        "sent": COUNT,
        "response_rate": NUMBER,
        "response_low": NUMBER,
        "response_high": NUMBER,
        "if_silent_lowest": NUMBER,
        "if_silent_highest": NUMBER,
    },
)
DIMENSIONS = ("all", "stage", "segment", "month")
NO_SEGMENT = "(not known)"
NO_FEEDBACK = "feedback that was known before as_of"
_FEEDBACK = """
CREATE TABLE feedback AS
SELECT who, occurred_at, year(day) * 12 + month(day) - 1 AS month, kind, scaled, answered_at,
       resolved_at, topic, coalesce(segment, '{no_segment}') AS segment
FROM (SELECT *, DATE '1970-01-01' + local_day AS day FROM incoming)
JOIN people USING (customer_id)
"""
_SURVEYS = """
SELECT '{dimension}' AS dimension, {level} AS level, count(*) AS sent, count(scaled) AS n,
       count(*) FILTER (scaled >= {satisfied}) AS satisfied,
       count(*) FILTER (scaled >= {promoter}) AS promoters,
       count(*) FILTER (scaled <= {detractor}) AS detractors
FROM feedback JOIN states_now USING (who)
WHERE kind = '{kind}' AND {rows} GROUP BY ALL ORDER BY level
"""
_COMPLAINTS = """
WITH groups AS ({groups}), raised AS (
    SELECT {level} AS level, feedback.who, count(*) AS complaints
    FROM feedback JOIN states_now USING (who) WHERE kind = 'complaint' AND {rows} GROUP BY ALL
)
SELECT '{dimension}' AS dimension, groups.level, count(*) AS n, count(raised.who) AS customers,
       CAST(coalesce(sum(complaints), 0) AS BIGINT) AS complaints
FROM groups LEFT JOIN raised ON raised.who = groups.who AND raised.level = groups.level
GROUP BY groups.level ORDER BY groups.level
"""


def satisfaction_table(data: IndicatorData) -> dict[str, pa.Table]:
    """`satisfaction`: rows by measure, dimension and level; a measure without rows says so."""
    dimensions = tuple(each for each in DIMENSIONS if each != "segment" or data.has_segments)
    tables = [survey_table(data, kind, dimensions) for kind in (CSAT, NPS)]
    tables.append(_complaint_table(data, dimensions))
    if load_feedback(data) and not data.has_segments:
        sentence = "a segment of customers, with valid_from or in [contract] constant_attributes"
        tables += [_missing(data, measure, sentence, "segment") for measure in DEFINITIONS]
    return {"satisfaction": pa.concat_tables(tables)}


def load_feedback(data: IndicatorData) -> bool:
    """Create the table `feedback`, if not there; whether it has a row."""
    if "feedback" not in data.known.tables:
        return False
    if not data.has_table("feedback"):
        load_stages(data)
        scaled = score_scaled(data.definitions.scales)
        columns = [name for name in CONTRACT["feedback"].names if name not in ("score", "item")]
        rows = data.known.tables["feedback"].select(*columns, "local_day", scaled=scaled)
        create = _FEEDBACK.format(no_segment=NO_SEGMENT)
        load(data.connection, rows.collect(backend="pyarrow").to_native(), create)
    return bool(data.value("SELECT count(*) FROM feedback"))


def survey_table(data: IndicatorData, kind: str, dimensions: Sequence[str]) -> pa.Table:
    """The rows of one kind of survey, csat or nps; the last one says where nobody answered."""
    if not load_feedback(data):
        return _missing(data, kind, NO_FEEDBACK)
    recent = f"count(scaled) FILTER (occurred_at >= {data.year_ago})"
    counts = f"SELECT count(*), count(scaled), {recent} FROM feedback WHERE kind = '{kind}'"
    sent, answered, recently = (column[0].as_py() for column in data.rows(counts).columns)
    if not sent:
        return _missing(data, kind, f"feedback of kind {kind}")
    tables = [
        _survey_rows(data, kind, dimension, knows_silent=sent > answered)
        for dimension in dimensions
    ]
    if not recently:
        missing = f"an answer to a survey of kind {kind} of the last {YEAR_DAYS} days"
        tables.append(_missing(data, kind, missing))
    return pa.concat_tables(tables)


def _survey_rows(data: IndicatorData, kind: str, dimension: str, *, knows_silent: bool) -> pa.Table:
    """One row per level with a survey. Where none is silent, it is not known what was sent."""
    rows = data.rows(
        _SURVEYS.format(
            dimension=dimension,
            level=_level(dimension),
            kind=kind,
            rows=_which_rows(data, dimension),
            satisfied=SATISFIED,
            promoter=PROMOTER,
            detractor=DETRACTOR,
        )
    )
    count = {name: rows[name].to_numpy().astype(float) for name in rows.column_names[2:]}
    cells = _answer_cells(kind, count)
    if knows_silent:
        cells |= _silence_cells(kind, count)
    rows = rows.select(["dimension", "level", "n", *(["sent"] if knows_silent else [])])
    return _with_cells(data, kind, rows, cells)


def _answer_cells(kind: str, count: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    if kind == CSAT:
        value = _share(count["satisfied"], count["n"])
        low, high = wilson(count["satisfied"], count["n"])
    else:
        value, low, high = net_promoter(count["promoters"], count["detractors"], count["n"])
    return {"value": value, "low": low, "high": high}


def _silence_cells(kind: str, count: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The response rate, and the value were all silent ones as unhappy or as happy as can be."""
    sent, silent = count["sent"], count["sent"] - count["n"]
    if kind == CSAT:
        balance, worst = count["satisfied"], np.zeros(len(sent))
    else:
        balance, worst = count["promoters"] - count["detractors"], silent
    low, high = wilson(count["n"], sent)
    return {
        "response_rate": _share(count["n"], sent),
        "response_low": low,
        "response_high": high,
        "if_silent_lowest": _share(balance - worst, sent),
        "if_silent_highest": _share(balance + silent, sent),
    }


def _complaint_table(data: IndicatorData, dimensions: Sequence[str]) -> pa.Table:
    """Of stage and segment all customers; of a month those who were active or complained in it."""
    if not load_feedback(data):
        return _missing(data, COMPLAINTS, NO_FEEDBACK)
    if not data.value("SELECT count(*) FROM feedback WHERE kind = 'complaint'"):
        return _missing(data, COMPLAINTS, "feedback of kind complaint")
    tables = []
    for dimension in dimensions:
        sql = _COMPLAINTS.format(
            groups=_customer_groups(data, dimension),
            dimension=dimension,
            level=_level(dimension),
            rows=_which_rows(data, dimension),
        )
        rows = data.rows(sql)
        customers, n = rows["customers"].to_numpy().astype(float), rows["n"].to_numpy()
        low, high = wilson(customers, n)
        cells = {"value": _share(customers, n), "low": low, "high": high}
        rows = rows.select(["dimension", "level", "n", "complaints"])
        tables.append(_with_cells(data, COMPLAINTS, rows, cells))
    return pa.concat_tables(tables)


def _customer_groups(data: IndicatorData, dimension: str) -> str:
    """SQL for level and who of everybody in the groups of a dimension."""
    if dimension != "month":
        segment = f"coalesce(segment, '{NO_SEGMENT}')"
        level = {"all": "'all'", "stage": "stage", "segment": segment}[dimension]
        return f"SELECT {level} AS level, who FROM states_now JOIN people USING (who)"
    # Customers who have long left would make every later month look better.
    present = (
        "(SELECT month, who FROM activity UNION "
        "SELECT month, who FROM feedback WHERE kind = 'complaint')"
    )
    first = "(SELECT min(month) FROM feedback WHERE kind = 'complaint')"
    return (
        f"SELECT {month_text('month')} AS level, who FROM {present} "
        f"WHERE month >= {first} AND month < {data.first_open_month}"
    )


def _level(dimension: str) -> str:
    levels = {"all": "'all'", "month": month_text("feedback.month"), "segment": "feedback.segment"}
    return levels.get(dimension, dimension)


def _which_rows(data: IndicatorData, dimension: str) -> str:
    if dimension == "month":
        return f"feedback.month < {data.first_open_month}"
    return f"occurred_at >= {data.year_ago}"


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return part / whole


def _with_cells(
    data: IndicatorData, measure: str, rows: pa.Table, cells: dict[str, np.ndarray]
) -> pa.Table:
    window = f"; of the last {YEAR_DAYS} days, or of the month"
    texts = {
        "measure": measure,
        "population": POPULATIONS[measure],
        "definition": DEFINITIONS[measure] + window,
    }
    for name, text in texts.items():
        rows = rows.append_column(name, pa.repeat(text, rows.num_rows))
    for name, values in cells.items():
        rows = rows.append_column(name, pa.array(values, NUMBER, from_pandas=True))
    return SATISFACTION.fill(rows, as_of=data.as_of)


def _missing(data: IndicatorData, measure: str, sentence: str, dimension: str = "all") -> pa.Table:
    return SATISFACTION.say_missing(
        sentence,
        as_of=data.as_of,
        measure=measure,
        dimension=dimension,
        population=POPULATIONS[measure],
        definition=DEFINITIONS[measure],
    )
