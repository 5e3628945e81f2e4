"""The stages now, and the moves between stages in the last horizon, as they were known.

Both instants have the definitions learned at as_of, so that the stages of `migration` at as_of are
those of `stages_now`.
"""

from __future__ import annotations

import pyarrow as pa

from features.core.instants import DAY_US
from features.engine.build import prospects
from features.indicators.business_table import COUNT, NUMBER, TEXT, TableShape
from features.indicators.indicator_data import YEAR_DAYS, IndicatorData, load
from features.indicators.intervals import wilson
from features.recipes.cover import current_cover
from features.recipes.definitions import Definitions
from features.recipes.stages import STAGES, state
from features.tables.history import Known

NOT_KNOWN = "not known yet"
NOBODY = "a customer who was known before as_of"
STAGES_NOW = TableShape(
    "stages_now",
    "stage by the rules of docs/glossary.md at as_of; share: of all known customers, with its 95 % "
    f"Wilson interval; money_last_year: purchases minus refunds of the last {YEAR_DAYS} days",
    "all known customers, by stage",
    {
        "stage": TEXT,
        "share": NUMBER,
        "median_recency_days": NUMBER,
        "money_last_year": NUMBER,
    },
)
_MIGRATION = {"from_stage": TEXT, "to_stage": TEXT, "customers": COUNT, "share": NUMBER}
_NOW = """
SELECT names.stage, count(states.who) AS n, (SELECT count(*) FROM states_now) AS everybody,
       count(states.who) / (SELECT count(*) FROM states_now) AS share,
       median({as_of} - recency_from) / {day} AS median_recency_days, {money} AS money_last_year
FROM (VALUES {names}) AS names(place, stage) LEFT JOIN states_now AS states USING (stage)
LEFT JOIN (SELECT who, sum(net) AS net FROM money WHERE occurred_at >= {year_ago} GROUP BY who)
USING (who) GROUP BY place, names.stage ORDER BY place
"""
_MOVES = """
WITH pairs AS (
    SELECT coalesce(f.stage, '{not_known}') AS from_stage, coalesce(t.stage, '{not_known}') AS
           to_stage, count(*) AS customers
    FROM states_before AS f FULL JOIN states_now AS t ON f.customer_id = t.customer_id GROUP BY ALL
), names AS (SELECT * FROM (VALUES {names}) AS names(place, stage))
SELECT f.stage AS from_stage, t.stage AS to_stage, coalesce(customers, 0) AS customers,
       CAST(sum(coalesce(customers, 0)) OVER (PARTITION BY f.stage) AS BIGINT) AS n
FROM names AS f CROSS JOIN names AS t
LEFT JOIN pairs ON pairs.from_stage = f.stage AND pairs.to_stage = t.stage
ORDER BY f.place, t.place
"""


def stages_now_table(data: IndicatorData) -> dict[str, pa.Table]:
    """`stages_now`: one row per stage, in the order of the stages, those without customers too."""
    load_stages(data)
    if not data.value("SELECT count(*) FROM states_now"):
        return {"stages_now": STAGES_NOW.say_missing(NOBODY, as_of=data.as_of)}
    rows = data.rows(
        _NOW.format(
            as_of=data.as_of,
            day=float(DAY_US),
            money=data.units("coalesce(sum(net), 0)") if data.has_purchase else "NULL",
            names=_names(),
            year_ago=data.year_ago,
        )
    )
    low, high = wilson(rows["n"].to_numpy(), rows["everybody"].to_numpy())
    rows = rows.append_column("low", pa.array(low)).append_column("high", pa.array(high))
    return {"stages_now": STAGES_NOW.fill(rows, as_of=data.as_of)}


def migration_table(data: IndicatorData) -> dict[str, pa.Table]:
    """`migration`: a row per pair of stages, as_of − horizon to as_of, where anybody was before."""
    load_stages(data)
    shape = _migration_shape(data)
    before = data.as_of - data.settings.churn.horizon_days * DAY_US
    states = stages_at(data.history.as_of(before), data.definitions)
    load(data.connection, states, "CREATE TABLE states_before AS SELECT * FROM incoming")
    if not data.value("SELECT count(*) FROM states_before"):
        days = data.settings.churn.horizon_days
        missing = f"a customer who was known {days} days before as_of"
        return {"migration": shape.say_missing(missing, as_of=data.as_of)}
    rows = data.rows(_MOVES.format(not_known=NOT_KNOWN, names=_names(NOT_KNOWN)))
    customers, n = rows["customers"].to_numpy(), rows["n"].to_numpy()
    low, high = wilson(customers, n)
    share = pa.array([x / y if y else None for x, y in zip(customers, n, strict=True)], NUMBER)
    rows = rows.append_column("share", share)
    for name, ends in (("low", low), ("high", high)):
        rows = rows.append_column(name, pa.array(ends, from_pandas=True))
    return {"migration": shape.fill(rows, as_of=data.as_of)}


def load_stages(data: IndicatorData) -> None:
    """Create the table `states_now` (who, customer_id, stage, recency_from in µs), if not there."""
    if data.has_table("states_now"):
        return
    create = (
        "CREATE TABLE states_now AS SELECT who, incoming.* FROM incoming "
        "JOIN people USING (customer_id)"
    )
    load(data.connection, stages_at(data.known, data.definitions), create)


def stages_at(known: Known, definitions: Definitions) -> pa.Table:
    """customer_id, stage and recency_from (µs) of everybody known; null for a prospect."""
    cover = current_cover(known) if definitions.contractual else None
    rows = state(known.activity, at=known.instant, definitions=definitions, cover=cover)
    states = rows.select("customer_id", "stage", "recency_from").collect(backend="pyarrow")
    others = prospects(known, contractual=definitions.contractual)
    waiting = pa.table(
        {
            "customer_id": pa.array(others, pa.string()),
            "stage": pa.array(["prospect"] * len(others), pa.string()),
            "recency_from": pa.nulls(len(others), pa.int64()),
        }
    )
    return pa.concat_tables([states.to_native().cast(waiting.schema), waiting])


def _names(*further: str) -> str:
    return ", ".join(f"({place}, '{name}')" for place, name in enumerate((*STAGES, *further)))


def _migration_shape(data: IndicatorData) -> TableShape:
    days = data.settings.churn.horizon_days
    return TableShape(
        "migration",
        f"customers by stage as known {days} days before as_of and at as_of; share: of n, those of "
        "from_stage, with its 95 % Wilson interval",
        "known customers, by their stage before",
        _MIGRATION,
    )
