"""Population statistics: what features need to know of all customers, at one as_of.

Unlike the definitions, which a release freezes, they may be computed anew every day: quantiles of
money, and the parameters of the models of waits, activity and money. They come from Known, so from
nothing later than as_of.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.core.blas_threads import single_threaded_blas
from features.core.instants import DAY_US
from features.recipes import btyd, value_models
from features.recipes.definitions import Definitions
from features.recipes.item_means import item_mean_stats
from features.recipes.stages import usual_gap
from features.tables.history import Known


@dataclass(frozen=True)
class PopulationStats:
    """Statistics of all customers at one as_of.

    Money is in minor units, BG/NBD in days, instants in µs. amount_quantiles: 19 quantiles of money
    per customer. r, alpha, a, b: BG/NBD. wait_shape: shape of Weibull waits. money_p, money_q,
    money_v: Gamma-Gamma money per active day. cohort_cuts: the last instants of the first three
    quarters of customers by acquisition; cohort_quantiles: 19 quantiles of money for each quarter.
    earliest_at: the earliest known activity; 0 without any. items, item_means: see
    `features.recipes.item_means`.
    """

    as_of: int
    amount_quantiles: tuple[float, ...]
    r: float
    alpha: float
    a: float
    b: float
    wait_shape: float = value_models.NEUTRAL_SHAPE
    money_p: float = value_models.NEUTRAL_MONEY[0]
    money_q: float = value_models.NEUTRAL_MONEY[1]
    money_v: float = value_models.NEUTRAL_MONEY[2]
    cohort_cuts: tuple[int, ...] = (0, 0, 0)
    cohort_quantiles: tuple[float, ...] = (0.0,) * 76
    earliest_at: int = 0
    items: tuple[str, ...] = ()
    item_means: tuple[int, ...] = ()

    @classmethod
    def read(cls, path: Path) -> PopulationStats:
        """The statistics in the `population.parquet` of a release or a run folder."""
        [row] = pq.read_table(path).to_pylist()
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in row.items()
        }
        return cls(**values)


def population_stats(known: Known, definitions: Definitions) -> PopulationStats:
    """The statistics at `known.as_of`, of everybody known then; neutral values where nobody is."""
    with single_threaded_blas():
        return _fit_all(known, definitions)


def _fit_all(known: Known, definitions: Definitions) -> PopulationStats:
    days = known.activity.sort("customer_id", "occurred_at").collect(backend="pyarrow").to_native()
    at, position = days["occurred_at"].to_numpy(), days["position"].to_numpy()
    values: dict[str, Any] = {
        "as_of": known.instant,
        "amount_quantiles": _amount_quantiles(known),
        **_purchase_model(at, position, days["from_end"].to_numpy(), known.instant),
        **_wait_shape(days, known.instant, definitions),
        **_money(known, definitions),
        **item_mean_stats(known, definitions.scales),
        "earliest_at": int(at.min()) if at.size else 0,
    }
    return PopulationStats(**values)


def _amount_quantiles(known: Known) -> tuple[float, ...]:
    if "transactions" not in known.tables:
        return (0.0,) * 19
    bought = known.tables["transactions"].filter(nw.col("kind") == "purchase")
    totals = (
        bought.group_by("customer_id").agg(nw.col("amount").sum().cast(nw.Float64)).select("amount")
    )
    return value_models.quantiles(
        totals.collect(backend="pyarrow").to_native()["amount"].to_numpy()
    )


def _wait_shape(days: pa.Table, as_of: int, definitions: Definitions) -> dict[str, float]:
    """The shape of completed gaps and open waits, each in usual gaps of its customer."""
    at, last = days["occurred_at"].to_numpy(), days["from_end"].to_numpy() == 1
    count = days["position"].to_numpy()[last]
    gap = days["gap"].to_numpy(zero_copy_only=False).astype(np.float64)
    first = at[days["position"].to_numpy() == 1]
    usual = usual_gap(
        first=first,
        last=at[last],
        count=count,
        population_mean_gap_us=definitions.population_mean_gap_us,
    )
    gaps, open_waits = gap / np.repeat(usual, count), (as_of - at[last]) / usual
    completed = gaps[~np.isnan(gap)]
    waits = np.concatenate([completed, open_waits])
    return {"wait_shape": value_models.weibull_shape(waits, np.arange(waits.size) < completed.size)}


def _money(known: Known, definitions: Definitions) -> dict[str, Any]:
    """Gamma-Gamma over money per active day, and quantiles of money by quarter of acquisition."""
    first = nw.col("position") == (1 if definitions.acquired == "first_activity" else 2)
    acquired = nw.when(first).then(nw.col("occurred_at")).min()
    people = known.activity.group_by("customer_id").agg(
        n=nw.col("occurred_at").count(), acquired=acquired
    )
    table = people.collect(backend="pyarrow").to_native()
    cuts = value_models.cohort_cuts(table["acquired"].drop_null().to_numpy())
    if "transactions" not in known.tables:
        return {"cohort_cuts": cuts}
    buyers = people.join(_spent(known), on="customer_id", how="inner")
    buyers = buyers.collect(backend="pyarrow").to_native()
    p, q, v = value_models.gamma_gamma(
        buyers["spent"].to_numpy(), buyers["n"].to_numpy().astype(np.float64)
    )
    # Where tenure counts from the second activity, a customer with one has no cohort yet.
    dated = buyers.filter(pc.is_valid(buyers["acquired"]))
    by_cohort = value_models.cohort_quantiles(
        dated["acquired"].to_numpy(), dated["total"].to_numpy(), cuts
    )
    return {
        "money_p": p,
        "money_q": q,
        "money_v": v,
        "cohort_cuts": cuts,
        "cohort_quantiles": by_cohort,
    }


def _spent(known: Known) -> nw.LazyFrame:
    """Money of each customer's purchases: `total`, and `spent` without negative amounts."""
    bought = known.tables["transactions"].filter(nw.col("kind") == "purchase")
    spent = nw.when(nw.col("amount") > 0).then(nw.col("amount")).otherwise(nw.lit(0)).sum()
    return bought.group_by("customer_id").agg(
        total=nw.col("amount").sum().cast(nw.Float64), spent=spent.cast(nw.Float64)
    )


def _purchase_model(
    at: np.ndarray, position: np.ndarray, from_end: np.ndarray, as_of: int
) -> dict[str, float]:
    """The parameters of BG/NBD in days; neutral ones where nobody was active."""
    if not at.size:
        return {"r": 1.0, "alpha": 1.0, "a": 1.0, "b": 1.0}
    first, last, count = at[position == 1], at[from_end == 1], position[from_end == 1]
    fitted = btyd.fit(repeats=count - 1, last=(last - first) / DAY_US, age=(as_of - first) / DAY_US)
    return {name: float(getattr(fitted, name)) for name in ("r", "alpha", "a", "b")}
