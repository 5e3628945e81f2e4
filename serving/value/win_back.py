"""Who of the gone customers is worth winning back: P(return) × what they would bring − the cost.

It ranks customers by what they bring when they come back. What a contact adds to that is known
only after a campaign with a hold-out.
"""

from __future__ import annotations

import pyarrow as pa

from features.indicators.business_table import COUNT, NUMBER, TEXT, TableShape
from features.indicators.indicator_data import IndicatorData, exact_sum
from serving.value.value_matrix import NO_VALUE

NOBODY = "customers who are gone and are worth more than the cost of winning them back"
_COLUMNS = {"p_return": NUMBER, "second_life_value": NUMBER, "expected": NUMBER}
WIN_BACK = TableShape(
    "win_back",
    "p_return: probability of activity (with contracts: cover) within the horizon; "
    "second_life_value: clv if they come back; expected: p_return · second_life_value − [value] "
    "win_back_cost; customers for whom it is not above 0 are left out, and counted in "
    "win_back_stages. What a contact adds is known only after a campaign with a hold-out",
    "a customer who is gone",
    {"place": COUNT, "customer_id": TEXT, "stage": TEXT, **_COLUMNS},
)
WIN_BACK_STAGES = TableShape(
    "win_back_stages",
    "worth_it: customers whose expected money is above 0; expected: their sum; p_return and "
    "second_life_value: means over all n",
    "customers who are gone, by stage",
    {"stage": TEXT, "worth_it": COUNT, **_COLUMNS},
)
_GONE = """
CREATE OR REPLACE TABLE gone AS
SELECT who, customer_id, listed, stage, 1 - p_churn AS p_return,
       clv_if_stays AS second_life_value, (1 - p_churn) * clv_if_stays - {cost} AS expected
FROM scores WHERE {is_gone} AND clv IS NOT NULL
"""
_STAGES = f"""
SELECT stage, count(*) AS n, count(*) FILTER (expected > 0) AS worth_it,
       coalesce({exact_sum("greatest(expected, 0)")}, 0) AS expected,
       {exact_sum("p_return")} / count(*) AS p_return,
       {exact_sum("second_life_value")} / count(*) AS second_life_value
FROM gone GROUP BY stage ORDER BY stage
"""


def win_back_tables(data: IndicatorData) -> dict[str, pa.Table]:
    """`win_back`, the best first, of who may be listed, and `win_back_stages`, of all."""
    contractual = data.settings.contractual
    is_gone = "NOT eligible" if contractual else "stage IN ('dormant', 'churned')"
    cost = float(data.settings.value.win_back_cost)
    data.connection.execute(_GONE.format(cost=cost, is_gone=is_gone))
    if not data.value("SELECT count(*) FROM scores WHERE clv IS NOT NULL"):
        return {
            shape.name: shape.say_missing(NO_VALUE, as_of=data.as_of)
            for shape in (WIN_BACK, WIN_BACK_STAGES)
        }
    rows = data.rows(
        "SELECT row_number() OVER (ORDER BY expected DESC, customer_id) AS place, customer_id, "
        "stage, p_return, second_life_value, expected, 1 AS n FROM gone "
        "WHERE expected > 0 AND listed ORDER BY place"
    )
    stages = data.rows(_STAGES)
    return {
        "win_back": WIN_BACK.fill(rows, as_of=data.as_of)
        if rows.num_rows
        else WIN_BACK.say_missing(NOBODY, as_of=data.as_of),
        "win_back_stages": WIN_BACK_STAGES.fill(stages, as_of=data.as_of)
        if stages.num_rows
        else WIN_BACK_STAGES.say_missing("customers who are gone", as_of=data.as_of),
    }
