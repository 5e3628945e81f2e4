"""Who is worth what: by stage and segment, and by what customers brought and are expected to bring.

The matrix is that of current and future value (Kumar 2008): the top fifth of the customers by each.
"""

from __future__ import annotations

import pyarrow as pa

from features.indicators.business_table import NUMBER, TEXT, TableShape
from features.indicators.headline import INDICATORS
from features.indicators.indicator_data import YEAR_DAYS, IndicatorData, exact_sum
from features.indicators.intervals import Z, wilson

TOP = 0.2
NO_VALUE = "a clv of a customer: the model card says why there is none"
WORTH = TableShape(
    "worth",
    f"clv: expected money of the days of [value], summed; money_last_year: purchases minus refunds "
    f"of the last {YEAR_DAYS} days; at_stake: clv_if_stays less clv of the eligible, summed: how "
    "much more it would be if none of them left; mean_p_churn: of everybody in the row",
    "customers with a clv",
    {
        "by": TEXT,
        "group": TEXT,
        "clv": NUMBER,
        "clv_share": NUMBER,
        "mean_clv": NUMBER,
        "at_stake": NUMBER,
        "mean_p_churn": NUMBER,
        "money_last_year": NUMBER,
    },
)
VALUE_MATRIX = TableShape(
    "value_matrix",
    f"current: money of the last {YEAR_DAYS} days; predicted: clv; high: the fifth of the "
    "customers with the most, equal values together; share: of the customers with a clv, with its "
    "95 % Wilson interval; stance: a suggestion, and no effect that was measured",
    "customers with a clv, by what they brought and are expected to bring",
    {
        "current": TEXT,
        "predicted": TEXT,
        "share": NUMBER,
        "money_last_year": NUMBER,
        "money_share": NUMBER,
        "clv": NUMBER,
        "clv_share": NUMBER,
        "mean_p_churn": NUMBER,
        "stance": TEXT,
    },
)
STANCES = {
    ("high", "high"): "protect: the first to be served, and to be asked when they fall silent",
    ("high", "low"): "find out why: they brought much and are expected to bring little",
    ("low", "high"): "develop: more is expected of them than they have brought",
    ("low", "low"): "serve as everybody: nothing extra is expected to pay",
}
_VALUED = """
CREATE TABLE valued AS
SELECT scores.who, scores.stage, scores.segment, clv, p_churn,
       CASE WHEN eligible THEN clv_if_stays - clv ELSE 0 END AS at_stake,
       coalesce(net, 0) AS year
FROM scores LEFT JOIN (
    SELECT who, sum(net) AS net FROM money WHERE occurred_at >= {year_ago} GROUP BY who
) USING (who)
WHERE clv IS NOT NULL
"""
_MEAN_CLV = f"""
WITH mean AS (SELECT count(clv) AS n, {exact_sum("clv")} / count(clv) AS value FROM scores)
SELECT n, value, sqrt({exact_sum("(clv - value) ** 2")} / greatest(n - 1, 1)) AS deviation
FROM scores, mean WHERE clv IS NOT NULL GROUP BY n, value
"""
_WORTH = f"""
SELECT '{{by}}' AS "by", {{group}} AS "group", count(*) AS n, {exact_sum("clv")} AS clv,
       {exact_sum("clv")} / nullif((SELECT {exact_sum("clv")} FROM valued), 0) AS clv_share,
       {exact_sum("clv")} / count(*) AS mean_clv, {exact_sum("at_stake")} AS at_stake,
       {exact_sum("p_churn")} / count(*) AS mean_p_churn, {{money}} AS money_last_year
FROM valued WHERE {{group}} IS NOT NULL GROUP BY ALL ORDER BY "group"
"""
_PLACES = f"""
CREATE TABLE matrix_cells AS
SELECT *, CASE WHEN year_place <= {TOP} * everybody AND year > 0 THEN 'high' ELSE 'low' END
              AS current,
       CASE WHEN clv_place <= {TOP} * everybody AND clv > 0 THEN 'high' ELSE 'low' END AS predicted
FROM (
    SELECT *, count(*) OVER () AS everybody, rank() OVER (ORDER BY year DESC) AS year_place,
           rank() OVER (ORDER BY clv DESC) AS clv_place
    FROM valued
)
"""
_MATRIX = f"""
WITH cells AS (
    SELECT * FROM (VALUES ('high', 'high'), ('high', 'low'), ('low', 'high'), ('low', 'low'))
        AS cells(current, predicted)
)
SELECT current, predicted, count(who) AS n,
       (SELECT count(*) FROM valued) AS everybody,
       count(who) / (SELECT count(*) FROM valued) AS share,
       {{money}} AS money_last_year,
       CAST(coalesce(sum(year), 0) AS DOUBLE) / nullif((SELECT sum(year) FROM valued), 0)
           AS money_share,
       coalesce({exact_sum("clv")}, 0) AS clv,
       coalesce({exact_sum("clv")}, 0) / nullif((SELECT {exact_sum("clv")} FROM valued), 0)
           AS clv_share,
       {exact_sum("p_churn")} / nullif(count(who), 0) AS mean_p_churn
FROM cells LEFT JOIN matrix_cells USING (current, predicted)
GROUP BY current, predicted ORDER BY current, predicted
"""


def clv_indicator(data: IndicatorData, missing: str | None = None) -> pa.Table:
    """The row `clv` of `indicators`: mean_clv of all in `worth`; or what is missing."""
    about = {
        "indicator": "clv",
        "population": WORTH.population,
        "definition": "mean_clv of all in `worth`: expected money of a customer within the days of "
        "[value]; the interval is that of the mean over customers, not of the model",
    }
    if missing is None and not data.value("SELECT count(clv) FROM scores"):
        missing = NO_VALUE
    if missing is not None:
        return INDICATORS.say_missing(missing, as_of=data.as_of, **about)
    [row] = data.rows(_MEAN_CLV).to_pylist()
    half = Z * row["deviation"] / row["n"] ** 0.5 if row["n"] > 1 else None
    low, high = (None, None) if half is None else (row["value"] - half, row["value"] + half)
    cells = {**about, "value": row["value"], "n": row["n"], "low": low, "high": high}
    return INDICATORS.fill_rows([cells], as_of=data.as_of)


def worth_table(data: IndicatorData) -> dict[str, pa.Table]:
    """`worth`: everybody, then by stage, then by segment where customers have one."""
    if not load_valued(data):
        return {"worth": WORTH.say_missing(NO_VALUE, as_of=data.as_of)}
    money = data.units("sum(year)")
    groups = [("all", "'all'"), ("stage", "stage"), ("segment", "segment")]
    tables = [data.rows(_WORTH.format(by=by, group=group, money=money)) for by, group in groups]
    return {"worth": WORTH.fill(pa.concat_tables(tables), as_of=data.as_of)}


def value_matrix_table(data: IndicatorData) -> dict[str, pa.Table]:
    """`value_matrix`: its four cells, those without customers too."""
    if not load_valued(data):
        return {"value_matrix": VALUE_MATRIX.say_missing(NO_VALUE, as_of=data.as_of)}
    load_matrix(data)
    rows = data.rows(_MATRIX.format(money=data.units("coalesce(sum(year), 0)")))
    low, high = wilson(rows["n"].to_numpy(), rows["everybody"].to_numpy())
    names = zip(rows["current"].to_pylist(), rows["predicted"].to_pylist(), strict=True)
    rows = rows.append_column("stance", pa.array([STANCES[each] for each in names]))
    rows = rows.append_column("low", pa.array(low)).append_column("high", pa.array(high))
    return {"value_matrix": VALUE_MATRIX.fill(rows, as_of=data.as_of)}


def load_valued(data: IndicatorData) -> bool:
    """Whether anybody has a clv; the table `valued` of them is created, if it is not there."""
    if not data.has_table("valued"):
        data.connection.execute(_VALUED.format(year_ago=data.year_ago))
    return bool(data.value("SELECT count(*) FROM valued"))


def load_matrix(data: IndicatorData) -> None:
    """Create `matrix_cells`, the table `valued` with current and predicted, if it is not there."""
    load_valued(data)
    if not data.has_table("matrix_cells"):
        data.connection.execute(_PLACES)
