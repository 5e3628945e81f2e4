"""The few numbers on one page: retention, churn, repeat purchases, engagement, CSAT and NPS.

Each is the number that the other tables, or the labels of the models, give.
"""

from __future__ import annotations

from collections.abc import Iterator

import narwhals as nw
import numpy as np
import pyarrow as pa

from features.core.instants import DAY_US
from features.indicators.business_table import NUMBER, TEXT, TableShape
from features.indicators.indicator_data import NO_PURCHASE, YEAR_DAYS, IndicatorData, load
from features.indicators.intervals import wilson
from features.indicators.rfm import load_rfm
from features.indicators.satisfaction import CSAT, NPS, survey_table

RECENT_DAYS = 30
INDICATORS = TableShape("indicators", "", "", {"indicator": TEXT, "value": NUMBER})
_SEEN = """
SELECT count(*) FILTER (last_at >= {recent}), count(*) FROM (
    SELECT max(occurred_at) AS last_at FROM seen GROUP BY customer_id
) WHERE last_at >= {year_ago}
"""


def indicator_table(data: IndicatorData) -> dict[str, pa.Table]:
    """`indicators`: one row each, in the order of the module's docstring."""
    rows = [*_churn(data), _repeat_purchases(data), _engagement(data), *_surveys(data)]
    return {"indicators": pa.concat_tables(rows)}


def _churn(data: IndicatorData) -> Iterator[pa.Table]:
    """Of the eligible customers one outcome window ago: who stayed, who left."""
    churn = data.settings.churn
    left = np.asarray(data.last_outcomes["churned"])
    ago = f"{churn.horizon_days + churn.label_latency_days} days before as_of"
    ends = "without cover at its end" if data.settings.contractual else "without activity in them"
    for name, count, who in (
        ("retention", int((~left).sum()), "who stayed (1 − churn)"),
        ("churn", int(left.sum()), f"who left: {ends}"),
    ):
        definition = (
            f"share of the customers eligible {ago} {who}, over the {churn.horizon_days} days from "
            "then on, as the label of the models; 95 % Wilson interval"
        )
        population = f"customers eligible {ago}"
        yield _share(data, name, count, len(left), population, definition, population)


def _repeat_purchases(data: IndicatorData) -> pa.Table:
    name, population = "repeat purchase rate", "customers with a purchase"
    definition = (
        "share of the customers with a purchase who bought on at least two local days (frequency "
        "of `rfm`); 95 % Wilson interval"
    )
    if not data.has_purchase:
        return _share(data, name, 0, 0, population, definition, NO_PURCHASE)
    load_rfm(data)
    counts = data.rows("SELECT count(*) FILTER (frequency >= 2), count(*) FROM rfm")
    repeated, n = (column[0].as_py() for column in counts.columns)
    return _share(data, name, repeated, n, population, definition, NO_PURCHASE)


def _engagement(data: IndicatorData) -> pa.Table:
    load(data.connection, _seen(data), "CREATE TABLE seen AS SELECT * FROM incoming")
    recent = data.as_of - RECENT_DAYS * DAY_US
    counts = data.rows(_SEEN.format(recent=recent, year_ago=data.year_ago))
    active, n = (column[0].as_py() for column in counts.columns)
    population = f"customers who did anything in the last {YEAR_DAYS} days"
    definition = (
        "share of the customers with an activity or an interaction they began in the last "
        f"{YEAR_DAYS} days who had one in the last {RECENT_DAYS}; 95 % Wilson interval"
    )
    return _share(data, "engagement", active, n, population, definition, population)


def _seen(data: IndicatorData) -> pa.Table:
    """customer_id and occurred_at of activity, and of interactions that the customer began."""
    rows = data.known.activity.select("customer_id", "occurred_at")
    tables = [rows.collect(backend="pyarrow").to_native()]
    if "interactions" in data.known.tables:
        begun = data.known.tables["interactions"].filter(nw.col("kind") != "sent")
        last = begun.group_by("customer_id").agg(occurred_at=nw.col("occurred_at").max())
        tables.append(last.collect(backend="pyarrow").to_native())
    return pa.concat_tables([table.cast(tables[0].schema) for table in tables])


def _surveys(data: IndicatorData) -> Iterator[pa.Table]:
    """The rows of all customers in `satisfaction`."""
    names = ["population", "value", "n", "low", "high", "definition", "missing"]
    for measure in (CSAT, NPS):
        rows = survey_table(data, measure, ("all",)).select(names)
        # Where nobody answered, the last row says so.
        last = rows.slice(rows.num_rows - 1).append_column("indicator", pa.array([measure]))
        yield INDICATORS.fill(last, as_of=data.as_of)


def _share(
    data: IndicatorData,
    name: str,
    count: int,
    n: int,
    population: str,
    definition: str,
    missing: str,
) -> pa.Table:
    """The row of a share; of nobody it says what is missing."""
    texts = {"indicator": name, "population": population, "definition": definition}
    if not n:
        return INDICATORS.say_missing(missing, as_of=data.as_of, **texts)
    [low], [high] = wilson(np.array([count]), np.array([n]))
    cells = {**texts, "value": count / n, "n": n, "low": float(low), "high": float(high)}
    return INDICATORS.fill_rows([cells], as_of=data.as_of)
