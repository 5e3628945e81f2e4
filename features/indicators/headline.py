"""The few numbers on one page: retention, churn, repeat purchases, engagement, CSAT, NPS, the cost
of a customer and referrals. (What a customer is worth joins them where there are scores.)

Each is the number that the other tables, or the labels of the models, give. A note says where a
number means little: of a business where hardly anybody buys twice, or whose terms outlast the
window.
"""

from __future__ import annotations

from collections.abc import Iterator

import narwhals as nw
import numpy as np
import pyarrow as pa

from features.core.instants import DAY_US
from features.indicators.business_table import NUMBER, TEXT, TableShape
from features.indicators.channel_costs import cost_of_all
from features.indicators.cohorts import acquired_sql
from features.indicators.indicator_data import NO_PURCHASE, YEAR_DAYS, IndicatorData, load
from features.indicators.intervals import wilson
from features.indicators.rfm import load_rfm
from features.indicators.satisfaction import CSAT, NPS, survey_table
from features.tables.terms import OPEN_END_US

RECENT_DAYS = 30
ONE_PURCHASE = 0.1  # a repeat purchase rate below it: the business lives on first purchases
INDICATORS = TableShape("indicators", "", "", {"indicator": TEXT, "value": NUMBER, "note": TEXT})
_TERM_DAYS = """
SELECT median(ends_at - starts_at) / {day} FROM terms
WHERE starts_at <= {begin} AND ends_at > {begin} AND ends_at < {open_end}
"""
_SEEN = """
SELECT count(*) FILTER (last_at >= {recent}), count(*) FROM (
    SELECT max(occurred_at) AS last_at FROM seen GROUP BY customer_id
) WHERE last_at >= {year_ago}
"""


def indicator_table(data: IndicatorData) -> dict[str, pa.Table]:
    """`indicators`: one row each, in the order of the module's docstring."""
    repeated = _repeat_purchases(data)
    [rate] = repeated["value"].to_pylist()
    rows = [*_churn(data, _note_on_leaving(data, rate)), repeated, _engagement(data)]
    rows += [*_surveys(data), _cost_of_a_customer(data), _referrals(data)]
    return {"indicators": pa.concat_tables(rows)}


def _note_on_leaving(data: IndicatorData, repeat_rate: float | None) -> str | None:
    """Where retention and churn mean little, and what to read instead."""
    if data.settings.contractual:
        return _note_on_terms(data)
    if repeat_rate is not None and repeat_rate < ONE_PURCHASE:
        return (
            f"only {repeat_rate:.1%} of the customers bought twice: most never come back, so "
            "retention says little; read what a first purchase brings (first_offer, channels)"
        )
    return None


def _note_on_terms(data: IndicatorData) -> str | None:
    """Where the usual term is longer than the window: most could not leave in it."""
    horizon = data.settings.churn.horizon_days
    begin = data.as_of - data.settings.outcome_window_us
    terms = data.known.tables["contracts"].select("starts_at", "ends_at")
    load(
        data.connection,
        terms.collect(backend="pyarrow").to_native(),
        "CREATE OR REPLACE TABLE terms AS SELECT * FROM incoming",
    )
    days = data.value(_TERM_DAYS.format(day=DAY_US, begin=begin, open_end=OPEN_END_US))
    if days is None or days <= horizon:
        return None
    return (
        f"half of the terms last {days:.0f} days or more and the window {horizon}: who had no term "
        "that ended in it could hardly leave, so retention is high by contract"
    )


def _churn(data: IndicatorData, note: str | None) -> Iterator[pa.Table]:
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
        yield _share(data, name, count, len(left), population, definition, population, note=note)


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
    note = None
    if data.settings.contractual:
        note = "with contracts most payments follow from the term and are no decision to buy again"
    return _share(data, name, repeated, n, population, definition, NO_PURCHASE, note=note)


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


def _cost_of_a_customer(data: IndicatorData) -> pa.Table:
    """`cac`: that of all customers in `channels`."""
    everybody, missing = cost_of_all(data)
    about = {
        "indicator": "cac",
        "population": "customers acquired in months that are over",
        "definition": "cost of acquisition per customer: cost_per_customer of all in `channels`",
    }
    if missing is not None:
        return INDICATORS.say_missing(missing, as_of=data.as_of, **about)
    cells = {**about, "value": everybody["cost_per_customer"], "n": everybody["n"]}
    return INDICATORS.fill_rows([cells], as_of=data.as_of)


def _referrals(data: IndicatorData) -> pa.Table:
    name, population = "referral rate", f"customers acquired in the last {YEAR_DAYS} days"
    definition = (
        f"share of the customers acquired in the last {YEAR_DAYS} days who were referred (a row in "
        "[tables] referrals); 95 % Wilson interval"
    )
    referrals = data.known.further.get("referrals")
    if referrals is None:
        return _share(data, name, 0, 0, population, definition, "[tables] referrals")
    rows = referrals.select(customer_id="referred_id").unique().collect(backend="pyarrow")
    load(data.connection, rows.to_native(), "CREATE TABLE referred AS SELECT * FROM incoming")
    counts = data.rows(
        f"SELECT count(*) FILTER (customer_id IN (SELECT customer_id FROM referred)), count(*) "
        f"FROM ({acquired_sql(data)}) JOIN people USING (who) WHERE acquired_at >= {data.year_ago}"
    )
    referred, n = (column[0].as_py() for column in counts.columns)
    return _share(data, name, referred, n, population, definition, population)


def _share(
    data: IndicatorData,
    name: str,
    count: int,
    n: int,
    population: str,
    definition: str,
    missing: str,
    *,
    note: str | None = None,
) -> pa.Table:
    """The row of a share; of nobody it says what is missing."""
    texts = {"indicator": name, "population": population, "definition": definition}
    if not n:
        return INDICATORS.say_missing(missing, as_of=data.as_of, **texts)
    [low], [high] = wilson(np.array([count]), np.array([n]))
    cells = {
        **texts,
        "value": count / n,
        "note": note,
        "n": n,
        "low": float(low),
        "high": float(high),
    }
    return INDICATORS.fill_rows([cells], as_of=data.as_of)
