"""Population statistics: what features need to know of all customers, at one as_of.

Unlike the definitions, which a release freezes, they may be computed anew every day: quantiles of
money, and the parameters of the models of waits, activity and money. They come from Known, so from
nothing later than as_of.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.core.blas_threads import single_threaded_blas
from features.core.instants import DAY_US
from features.recipes import btyd, value_models
from features.recipes.definitions import Definitions
from features.recipes.item_means import item_means
from features.recipes.population_facts import Facts, population_facts
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
    return fit_population(population_facts(known, definitions), as_of=known.instant)


def fit_population(facts: Facts, *, as_of: int) -> PopulationStats:
    """The statistics at `as_of` (µs UTC) from the facts of all customers.

    Facts of disjoint groups of customers, one below the other (`join_facts`), give the same bits as
    those of all at once: every fit sorts its numbers before it sums them.
    """
    active = facts["active"]
    first, last, count = (active[name].to_numpy() for name in ("first_at", "last_at", "days"))
    waits = facts["waits"]
    with single_threaded_blas():
        values: dict[str, Any] = {
            "amount_quantiles": _amount_quantiles(facts),
            **_purchase_model(first, last, count, as_of),
            "wait_shape": value_models.weibull_shape(
                waits["wait"].to_numpy(), waits["is_closed"].to_numpy()
            ),
            **_money(facts),
            **item_means(facts["items"]),
            "earliest_at": int(first.min()) if first.size else 0,
        }
    return PopulationStats(as_of, **values)


def _amount_quantiles(facts: Facts) -> tuple[float, ...]:
    if "spent" not in facts:
        return (0.0,) * 19
    return value_models.quantiles(facts["spent"]["total"].to_numpy())


def _money(facts: Facts) -> dict[str, Any]:
    """Gamma-Gamma over money per active day, and quantiles of money by quarter of acquisition."""
    cuts = value_models.cohort_cuts(facts["active"]["acquired"].drop_null().to_numpy())
    if "buyers" not in facts:
        return {"cohort_cuts": cuts}
    buyers = facts["buyers"]
    p, q, v = value_models.gamma_gamma(
        buyers["spent"].to_numpy(), buyers["days"].to_numpy().astype(np.float64)
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


def _purchase_model(
    first: np.ndarray, last: np.ndarray, count: np.ndarray, as_of: int
) -> dict[str, float]:
    """The parameters of BG/NBD in days; neutral ones where nobody was active."""
    if not first.size:
        return {"r": 1.0, "alpha": 1.0, "a": 1.0, "b": 1.0}
    fitted = btyd.fit(repeats=count - 1, last=(last - first) / DAY_US, age=(as_of - first) / DAY_US)
    return {name: float(getattr(fitted, name)) for name in ("r", "alpha", "a", "b")}
