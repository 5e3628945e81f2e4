"""How much of what can be known is found: our model beside the same model that is also given the hidden state.

The simulated shop, customers at risk. Hidden are satisfaction (0 … 4), having left for good, and the own daily buying
probability; all three are given, and once satisfaction alone. The share is of the AUROC gained over chance:
(ours − .5) / (with the hidden state − .5), the means of the dates. Beside it the most that the tables can tell
(`benchmarks.models.observer`): nothing in them announces a leaving.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.models import observer, ours
from benchmarks.models.part import Asked, figure
from benchmarks.models.sets import DATES, Case, simulated
from features.core.instants import DAY_US, instant
from lifecycle import simulation
from lifecycle.simulation.world import LEAVES, MODES, draw_levels, draw_people, first_day
from training import metrics
from training.examples import Examples

SHARE = 0.95
GIVEN = {
    "the hidden state": ("latent_level", "latent_left", "latent_buys"),
    "satisfaction alone": ("latent_level",),
}
READ = "the tables, read perfectly"
DAYS, SEED = 1096, 7  # as `simulate` has them


def measured(asked: Asked) -> dict[str, Any]:
    dates = []
    for day in DATES["simulation"]:
        case = Case("simulation", day, asked.latent_customers)
        late = case.late
        mine, y = late["eligible"].to_numpy(), late["churned"].to_numpy()
        said = {
            "ours": ours.learned(case, seconds=asked.seconds)[0]["p"],
            "the truth": _truth(case, late),
        }
        said[READ] = observer.p_leave(
            asked.latent_customers,
            _who(late),
            day=_day(case.plan.evaluate[0]),
            horizon=case.settings.churn.horizon_days,
        )
        for name, columns in GIVEN.items():
            said[name] = ours.learned(
                case,
                seconds=asked.seconds,
                variant=f"given {name}",
                change=lambda made, given=columns: _given(made, given, asked.latent_customers),
            )[0]["p"]
        dates.append(
            {
                "day": str(day),
                "rows": int(mine.sum()),
                "auroc": {name: metrics.auroc(y[mine], p[mine])[0] for name, p in said.items()},
            }
        )
    return {"dates": dates, "customers": asked.latent_customers}


def _truth(case: Case, late: pa.Table) -> np.ndarray:
    truth = pq.read_table(simulated(case.customers) / "truth" / "truth.parquet")
    mine = truth.filter(pa.array([day == case.day for day in truth["as_of"].to_pylist()]))
    p = dict(zip(mine["customer_id"].to_pylist(), mine["p_leave"].to_pylist(), strict=True))
    return np.array([p[name] for name in late["customer_id"].to_pylist()])


def _given(made: Examples, columns: tuple[str, ...], customers: int) -> Examples:
    """The examples with the hidden state at each row's as_of as columns a model may use."""
    level, gone, buys = hidden(customers)
    who, day = _who(made.rows), _day(made.rows["as_of"].to_numpy())
    found = {
        "latent_level": level[day - 1, who],
        "latent_left": gone[who] < day,
        "latent_buys": buys[who],
    }
    rows = made.rows
    for name in columns:
        rows = rows.append_column(name, pa.array(found[name].astype(np.float64)))
    return replace(made, rows=rows, modelled=(*made.modelled, *columns))


def _who(rows: pa.Table) -> np.ndarray:
    return np.array([int(name) for name in rows["customer_id"].to_pylist()]) - 1


def _day(at: Any) -> Any:
    return (at - instant(simulation.START, zone="UTC")) // DAY_US


@cache
def hidden(customers: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(satisfaction by day and customer, the day each left for good, daily buying probability): drawn as `simulate` does.

    AssertionError where they are not those of the simulated shop.
    """
    rng = np.random.default_rng([SEED, MODES.index("retail")])
    people = draw_people(rng, customers, DAYS)
    level = draw_levels(rng, people, DAYS)
    after = np.arange(DAYS)[:, None] > people.acquired
    gone = first_day(rng.random(level.shape, dtype=np.float32) < after * LEAVES[level])
    truth = pq.read_table(simulated(customers) / "truth" / "truth.parquet")
    who = np.array([int(name) for name in truth["customer_id"].to_pylist()]) - 1
    day = np.array([(one - simulation.START).days for one in truth["as_of"].to_pylist()])
    if not np.array_equal(gone[who] < day, truth["left"].to_numpy()):
        raise AssertionError("the hidden state is not that of the simulated shop")
    return level, gone, people.buys


def _mean(found: dict[str, Any], name: str) -> float:
    return float(np.mean([one["auroc"][name] for one in found["dates"]])) - 0.5


def figures(found: dict[str, Any]) -> dict[str, Any]:
    shares = {
        name: _mean(found, "ours") / _mean(found, name) for name in (*GIVEN, "the truth", READ)
    }
    return {
        "share_of_the_hidden_state": figure(
            shares["the hidden state"],
            shares["the hidden state"] >= SHARE,
            f">= {SHARE}",
            customers=found["customers"],
        ),
        "share_of_satisfaction": figure(
            shares["satisfaction alone"], None, "given satisfaction alone"
        ),
        "share_of_the_truth": figure(shares["the truth"], None, "of the exact probability"),
        "share_of_what_the_tables_tell": figure(
            shares[READ],
            None,
            "of a perfect reading of the tables",
            reachable=round(_mean(found, READ) / _mean(found, "the hidden state"), 4),
        ),
    }


def text(found: dict[str, Any]) -> str:
    names = ("ours", READ, *GIVEN, "the truth")
    lines = [
        f"{found['customers']:,} customers, AUROC among those at risk",
        f"{'':24}" + "".join(f"{name:>28}" for name in names),
    ]
    lines += [
        f"{one['day']}, {one['rows']:6,} rows "
        + "".join(f"{one['auroc'][name]:28.4f}" for name in names)
        for one in found["dates"]
    ]
    shares = [_mean(found, "ours") / _mean(found, name) for name in names]
    return "\n".join(
        [*lines, f"{'share of the gain':24}" + "".join(f"{share:28.3f}" for share in shares)]
    )
