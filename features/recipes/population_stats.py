"""Two kinds of knowledge about the whole business, both from Known and never from anything after it.

Definitions are frozen once per release, the same for every as_of: base gap, stage multiples, windows, half-lives.
The Base may move daily: quantiles of money, the parameters of the models of waits, activity and money.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.core.instants import DAY_US
from features.recipes import btyd, value_models
from features.recipes import item_means as items
from features.recipes.definitions import Definitions
from features.recipes.stages import usual_gap
from features.tables.history import Known


@dataclass(frozen=True)
class PopulationStats:
    """What a feature needs from other customers, at one as_of. Money in minor units, BG/NBD in days, instants in µs.

    wait_shape: of Weibull waits. money_p, money_q, money_v: Gamma-Gamma money an active day. cohort_cuts: the last
    instants of the first three quarters by acquisition; cohort_quantiles: 19 quantiles of money for each quarter.
    earliest_at: the earliest activity known; 0 where there is none. items, item_means: see `features.recipes.item_means`.
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
    def stored(cls, path: Path) -> PopulationStats:
        """The base a release or a run folder holds as `base.parquet`."""
        import pyarrow.parquet as pq

        [row] = pq.read_table(path).to_pylist()
        return cls(
            **{
                name: tuple(value) if isinstance(value, list) else value
                for name, value in row.items()
            }
        )


def population_stats(known: Known, definitions: Definitions) -> PopulationStats:
    """The base at `known.as_of`, from everybody known then. Total: an empty past gives a neutral base."""
    days = known.activity.sort("customer_id", "occurred_at").collect(backend="pyarrow").to_native()
    at, position = days["occurred_at"].to_numpy(), days["position"].to_numpy()
    model = _purchase_model(at, position, days["from_end"].to_numpy(), known.as_of)
    model |= _wait_shape(days, known.as_of, definitions) | _money(known, definitions)
    model |= {"earliest_at": int(at.min()) if at.size else 0} | items.measure(known, definitions)
    return PopulationStats(known.as_of, _amount_quantiles(known), **model)


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
    """The shape of waits from completed gaps and the open ones, each in its customer's usual gaps."""
    at, last = days["occurred_at"].to_numpy(), days["from_end"].to_numpy() == 1
    count = days["position"].to_numpy()[last]
    gap = days["gap"].to_numpy(zero_copy_only=False).astype(np.float64)
    first = at[days["position"].to_numpy() == 1]
    usual = usual_gap(first=first, last=at[last], count=count, base_gap_us=definitions.base_gap_us)
    gaps, open_waits = gap / np.repeat(usual, count), (as_of - at[last]) / usual
    completed = gaps[~np.isnan(gap)]
    waits = np.concatenate([completed, open_waits])
    return {"wait_shape": value_models.weibull_shape(waits, np.arange(waits.size) < completed.size)}


def _money(known: Known, definitions: Definitions) -> dict[str, Any]:
    """Gamma-Gamma over the money of an active day, and the quantiles of money by quarter of acquisition."""
    first = nw.col("position") == (1 if definitions.acquired == "first_activity" else 2)
    acquired = nw.when(first).then(nw.col("occurred_at")).min()
    people = known.activity.group_by("customer_id").agg(
        n=nw.col("occurred_at").count(), acquired=acquired
    )
    table = people.collect(backend="pyarrow").to_native()
    cuts = value_models.cohort_cuts(table["acquired"].drop_null().to_numpy())
    if "transactions" not in known.tables:
        return {"cohort_cuts": cuts}
    bought = known.tables["transactions"].filter(nw.col("kind") == "purchase")
    spent = nw.when(nw.col("amount") > 0).then(nw.col("amount")).otherwise(nw.lit(0)).sum()
    totals = bought.group_by("customer_id").agg(
        total=nw.col("amount").sum().cast(nw.Float64), spent=spent.cast(nw.Float64)
    )
    found = (
        people.join(totals, on="customer_id", how="inner").collect(backend="pyarrow").to_native()
    )
    model = value_models.gamma_gamma(
        found["spent"].to_numpy(), found["n"].to_numpy().astype(np.float64)
    )
    joined = found.filter(pc.is_valid(found["acquired"]))
    by_cohort = value_models.cohort_quantiles(
        joined["acquired"].to_numpy(), joined["total"].to_numpy(), cuts
    )
    named = dict(zip(("money_p", "money_q", "money_v"), model, strict=True))
    return named | {"cohort_cuts": cuts, "cohort_quantiles": by_cohort}


def _purchase_model(
    at: np.ndarray, position: np.ndarray, from_end: np.ndarray, as_of: int
) -> dict[str, float]:
    if not at.size:
        return {"r": 1.0, "alpha": 1.0, "a": 1.0, "b": 1.0}
    first, last, count = at[position == 1], at[from_end == 1], position[from_end == 1]
    fitted = btyd.fit(repeats=count - 1, last=(last - first) / DAY_US, age=(as_of - first) / DAY_US)
    return {name: float(getattr(fitted, name)) for name in ("r", "alpha", "a", "b")}
