"""The share of what can be known: our model, and the same model with the hidden state as columns.

The simulated shop, customers at risk. Hidden are satisfaction (0 … 4), having left for good, and
the own daily buying probability. One variant gets all three, another satisfaction alone. The share
is of the AUROC gain over .5: (ours − .5) / (with the hidden state − .5), with the means of the
dates. The Bayesian filter of `benchmarks.models.observer` is the most that the tables contain: no
event in them announces a leaving.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.models import observer, ours
from benchmarks.models.part import Options, figure
from benchmarks.models.sets import DATES, Case, simulated_folder
from features.core.instants import DAY_US, instant
from lifecycle import simulation
from lifecycle.simulation.world import LEAVES, MODES, draw_levels, draw_people, first_day
from training import metrics
from training.examples import Examples

SHARE = 0.95
HIDDEN_COLUMNS = {
    "the hidden state": ("latent_level", "latent_left", "latent_buys"),
    "satisfaction alone": ("latent_level",),
}
FILTER = "the Bayesian filter"
DAYS, SEED = 1096, 7  # as `simulate` has them


def measure(options: Options) -> dict[str, Any]:
    dates = []
    for day in DATES["simulation"]:
        case = Case("simulation", day, options.latent_customers)
        late = case.late
        mine, y = late["eligible"].to_numpy(), late["churned"].to_numpy()
        predictions = {
            "ours": ours.train(case, seconds=options.seconds)[0]["p"],
            "the truth": _truth(case, late),
        }
        predictions[FILTER] = observer.p_leave(
            options.latent_customers,
            customer_numbers(late),
            day=day_number(case.plan.evaluate[0]),
            horizon=case.settings.churn.horizon_days,
        )
        for name, columns in HIDDEN_COLUMNS.items():
            predictions[name] = ours.train(
                case,
                seconds=options.seconds,
                variant=f"given {name}",
                change=lambda example_set, given=columns: _add_hidden(
                    example_set, given, options.latent_customers
                ),
            )[0]["p"]
        dates.append(
            {
                "day": str(day),
                "rows": int(mine.sum()),
                "auroc": {
                    name: metrics.auroc(y[mine], p[mine])[0] for name, p in predictions.items()
                },
            }
        )
    return {"dates": dates, "customers": options.latent_customers}


def _truth(case: Case, late: pa.Table) -> np.ndarray:
    truth = pq.read_table(simulated_folder(case.customers) / "truth" / "truth.parquet")
    mine = truth.filter(pa.array([day == case.day for day in truth["as_of"].to_pylist()]))
    p = dict(zip(mine["customer_id"].to_pylist(), mine["p_leave"].to_pylist(), strict=True))
    return np.array([p[name] for name in late["customer_id"].to_pylist()])


def _add_hidden(example_set: Examples, columns: tuple[str, ...], customers: int) -> Examples:
    """The examples with the hidden state at each row's as_of as columns a model may use."""
    level, gone, buys = hidden_state(customers)
    who, day = customer_numbers(example_set.rows), day_number(example_set.rows["as_of"].to_numpy())
    hidden_columns = {
        "latent_level": level[day - 1, who],
        "latent_left": gone[who] < day,
        "latent_buys": buys[who],
    }
    rows = example_set.rows
    for name in columns:
        rows = rows.append_column(name, pa.array(hidden_columns[name].astype(np.float64)))
    return replace(example_set, rows=rows, modelled=(*example_set.modelled, *columns))


def customer_numbers(rows: pa.Table) -> np.ndarray:
    return np.array([int(name) for name in rows["customer_id"].to_pylist()]) - 1


def day_number(at: Any) -> Any:
    return (at - instant(simulation.START, zone="UTC")) // DAY_US


@cache
def hidden_state(customers: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(satisfaction (days, customers), day of leaving for good, daily buying probability).

    They are drawn as `simulate` draws them. AssertionError where they are not those of the
    simulated shop.
    """
    rng = np.random.default_rng([SEED, MODES.index("retail")])
    people = draw_people(rng, customers, DAYS)
    level = draw_levels(rng, people, DAYS)
    after = np.arange(DAYS)[:, None] > people.acquired
    gone = first_day(rng.random(level.shape, dtype=np.float32) < after * LEAVES[level])
    truth = pq.read_table(simulated_folder(customers) / "truth" / "truth.parquet")
    who = np.array([int(name) for name in truth["customer_id"].to_pylist()]) - 1
    day = np.array([(one - simulation.START).days for one in truth["as_of"].to_pylist()])
    if not np.array_equal(gone[who] < day, truth["left"].to_numpy()):
        raise AssertionError("the hidden state is not that of the simulated shop")
    return level, gone, people.purchase_probability


def _mean(result: dict[str, Any], name: str) -> float:
    return float(np.mean([one["auroc"][name] for one in result["dates"]])) - 0.5


def figures(result: dict[str, Any]) -> dict[str, Any]:
    shares = {
        name: _mean(result, "ours") / _mean(result, name)
        for name in (*HIDDEN_COLUMNS, "the truth", FILTER)
    }
    return {
        "share_of_the_hidden_state": figure(
            shares["the hidden state"],
            shares["the hidden state"] >= SHARE,
            f">= {SHARE}",
            customers=result["customers"],
        ),
        "share_of_satisfaction": figure(
            shares["satisfaction alone"], None, "given satisfaction alone"
        ),
        "share_of_the_truth": figure(shares["the truth"], None, "of the exact probability"),
        "share_of_what_the_tables_tell": figure(
            shares[FILTER],
            None,
            "of a perfect reading of the tables",
            reachable=round(_mean(result, FILTER) / _mean(result, "the hidden state"), 4),
        ),
    }


def report_text(result: dict[str, Any]) -> str:
    names = ("ours", FILTER, *HIDDEN_COLUMNS, "the truth")
    lines = [
        f"{result['customers']:,} customers, AUROC among those at risk",
        f"{'':24}" + "".join(f"{name:>28}" for name in names),
    ]
    lines += [
        f"{one['day']}, {one['rows']:6,} rows "
        + "".join(f"{one['auroc'][name]:28.4f}" for name in names)
        for one in result["dates"]
    ]
    shares = [_mean(result, "ours") / _mean(result, name) for name in names]
    return "\n".join(
        [*lines, f"{'share of the gain':24}" + "".join(f"{share:28.3f}" for share in shares)]
    )
