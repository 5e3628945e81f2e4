"""How probable activity is by then, on the average of the customers of a stage."""

from __future__ import annotations

import pyarrow as pa

from features.indicators.business_table import COUNT, NUMBER, TEXT, TableShape
from features.indicators.indicator_data import IndicatorData, exact_sum
from features.recipes.stages import STAGES

ALL = "all"
NO_CURVE = "a curve of a customer: the model card says why there is none"
_COLUMNS = {"stage": TEXT, "kind": TEXT, "days": COUNT, "p": NUMBER}
CURVES = TableShape(
    "curves",
    "p: the mean of the customers' own probabilities; without an interval, because it is a mean of "
    "probabilities and no share that was observed. kind: p_active, activity within the days; "
    "p_lost, cover lost within them (with contracts); p_return, of who is gone, activity (with "
    "contracts cover) again. stage all: the eligible",
    "customers with a curve, by stage",
    _COLUMNS,
)


def curve_table(data: IndicatorData) -> dict[str, pa.Table]:
    """`curves`: of the eligible and then of each stage, by kind and days."""
    event = "p_lost" if data.settings.contractual else "p_active"
    names = {
        (kind, days): f"{kind}_{days}d"
        for kind in (event, "p_return")
        for days in data.settings.curve_horizons
    }
    means = ", ".join(
        f"count({name}) AS n_{name}, {exact_sum(name)} / count({name}) AS {name}"
        for name in names.values()
    )
    queries = (
        f"SELECT '{ALL}' AS stage, {means} FROM scores WHERE eligible",
        f"SELECT stage, {means} FROM scores GROUP BY stage",
    )
    by_stage = {row["stage"]: row for sql in queries for row in data.rows(sql).to_pylist()}
    rows = [
        {"stage": stage, "kind": kind, "days": days, "p": by_stage[stage][name], "n": n}
        for stage in (ALL, *STAGES)
        if stage in by_stage
        for (kind, days), name in names.items()
        # p_return is of who is gone.
        if (n := by_stage[stage][f"n_{name}"]) and (stage, kind) != (ALL, "p_return")
    ]
    if not rows:
        return {"curves": CURVES.say_missing(NO_CURVE, as_of=data.as_of)}
    return {"curves": CURVES.fill_rows(rows, as_of=data.as_of)}
