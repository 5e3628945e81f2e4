"""Moves between stages that are expected within the horizon, from the scores of the day.

The realised moves of an earlier horizon are in `migration`: the same pairs of stages.
"""

from __future__ import annotations

import pyarrow as pa

from features.indicators.business_table import NUMBER, TEXT, TableShape
from features.indicators.indicator_data import IndicatorData, exact_sum
from features.recipes.stages import STAGES

NOBODY = "a customer with a next stage"
NEXT_STAGES = TableShape(
    "next_stages",
    "expected: customers of from_stage who are expected in to_stage at the end of the horizon, the "
    "sum of their p_next; share: of n, those of from_stage; compare with `migration`, the moves of "
    "the last horizon",
    "customers with a score, by their stage now",
    {"from_stage": TEXT, "to_stage": TEXT, "expected": NUMBER, "share": NUMBER},
)


def next_stages_table(data: IndicatorData) -> dict[str, pa.Table]:
    """`next_stages`: a row for each stage somebody is in, and each next stage."""
    if not data.value("SELECT count(*) FROM scores WHERE p_churn IS NOT NULL"):
        return {"next_stages": NEXT_STAGES.say_missing(NOBODY, as_of=data.as_of)}
    sums = ", ".join(f"{exact_sum(f'p_next_{stage}')} AS p_next_{stage}" for stage in STAGES)
    rows = data.rows(
        f"SELECT stage, count(*) AS n, {sums} FROM scores WHERE p_churn IS NOT NULL GROUP BY stage"
    ).to_pylist()
    rows.sort(key=lambda row: STAGES.index(row["stage"]))
    cells = [
        {
            "from_stage": row["stage"],
            "to_stage": stage,
            "expected": row[f"p_next_{stage}"],
            "share": row[f"p_next_{stage}"] / row["n"],
            "n": row["n"],
        }
        for row in rows
        for stage in STAGES
    ]
    return {"next_stages": NEXT_STAGES.fill_rows(cells, as_of=data.as_of)}
