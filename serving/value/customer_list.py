"""Every customer in one row: who they are, what they brought, what is expected, and why."""

from __future__ import annotations

import pyarrow as pa

from features.indicators.business_table import NUMBER, TEXT, TableShape
from features.indicators.channel_costs import CHANNEL_SQL, load_channels
from features.indicators.cohorts import acquired_sql
from features.indicators.indicator_data import IndicatorData, month_text
from features.indicators.rfm import load_rfm
from features.indicators.stage_tables import NOBODY, load_stages
from features.indicators.tiers import load_tiers
from serving.release.score_table import REASON_COLUMNS
from serving.value.risk_value import load_risk_cells
from serving.value.value_matrix import NO_VALUE, load_matrix

NOT_LISTED = "customers who consented to be listed"
_OF_SCORES = {
    "p_churn": NUMBER,
    "clv": NUMBER,
    "clv_if_stays": NUMBER,
    "at_stake": NUMBER,
    "expected_next_days": NUMBER,
    "current": TEXT,
    "predicted": TEXT,
    "risk_from": NUMBER,
    "value_from": NUMBER,
    **dict.fromkeys(REASON_COLUMNS, TEXT),
}
CUSTOMERS = TableShape(
    "customers",
    "stage and eligible: of the score (without one by the rules at as_of, as in `stages_now`); "
    "channel: as in `channels`; cohort: month of acquisition, as in `cohorts`; tier, rfm_segment: "
    "as in `tiers` and `rfm`; at_stake: clv_if_stays less clv of an eligible customer; current, "
    "predicted: the cell of `value_matrix`; risk_from, value_from: that of `risk_value`; all other "
    "columns are those of the score",
    "a customer",
    {
        "customer_id": TEXT,
        "stage": TEXT,
        "eligible": pa.bool_(),
        "segment": TEXT,
        "channel": TEXT,
        "cohort": TEXT,
        "tier": TEXT,
        "rfm_segment": TEXT,
        **_OF_SCORES,
    },
)
_ROWS = """
SELECT people.customer_id, coalesce({stage}, states_now.stage) AS stage, {eligible} AS eligible,
       people.segment, {channel} AS channel, {cohort} AS cohort, tier,
       rfm.segment AS rfm_segment, {of_scores}, 1 AS n
FROM people LEFT JOIN states_now USING (who) LEFT JOIN stated_channel USING (who)
LEFT JOIN ({acquired}) AS acquired USING (who) LEFT JOIN tier_of USING (who)
LEFT JOIN rfm USING (who) {scores}
WHERE people.listed ORDER BY at_stake DESC NULLS LAST, people.customer_id
"""
_SCORES = """
LEFT JOIN scores USING (who) LEFT JOIN risk_cells USING (who) LEFT JOIN matrix_cells USING (who)
"""


def customer_list_table(data: IndicatorData, missing: str | None = None) -> dict[str, pa.Table]:
    """`customers`: who may be listed, first those with the most at stake, then by customer_id.

    missing: what there is instead of scores, in a last row; their columns are null then.
    """
    everybody, listed = data.rows("SELECT count(*), count(*) FILTER (listed) FROM people").columns
    if not listed[0].as_py():
        nobody = NOT_LISTED if everybody[0].as_py() else NOBODY
        return {"customers": CUSTOMERS.say_missing(nobody, as_of=data.as_of)}
    tables = [CUSTOMERS.fill(data.rows(_list_sql(data)), as_of=data.as_of)]
    if missing is None and not data.value("SELECT count(clv) FROM scores"):
        missing = NO_VALUE
    if missing is not None:
        tables.append(CUSTOMERS.say_missing(missing, as_of=data.as_of))
    return {"customers": pa.concat_tables(tables)}


def _list_sql(data: IndicatorData) -> str:
    has_channels = load_channels(data)
    for create in (load_stages, load_tiers, load_rfm):
        create(data)
    has_scores = data.has_table("scores")
    if has_scores:
        load_risk_cells(data)
        load_matrix(data)
    of_scores = [
        f"{_score_sql(name) if has_scores else f'CAST(NULL AS {_sql_type(kind)})'} AS {name}"
        for name, kind in _OF_SCORES.items()
    ]
    return _ROWS.format(
        stage="scores.stage" if has_scores else "NULL",
        eligible="scores.eligible" if has_scores else "CAST(NULL AS BOOLEAN)",
        channel=CHANNEL_SQL if has_channels else "CAST(NULL AS VARCHAR)",
        cohort=month_text("cohort"),
        acquired=acquired_sql(data),
        of_scores=", ".join(of_scores),
        scores=_SCORES if has_scores else "",
    )


def _score_sql(name: str) -> str:
    """The table that a column of scores is in."""
    if name in ("at_stake", "risk_from", "value_from"):
        return f"risk_cells.{name}"
    return f"{'matrix_cells' if name in ('current', 'predicted') else 'scores'}.{name}"


def _sql_type(kind: pa.DataType) -> str:
    return "VARCHAR" if kind == TEXT else "DOUBLE"
