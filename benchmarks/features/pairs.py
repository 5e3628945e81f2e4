"""Features at an as_of of each row's own, compared with featuretools on equal values.

Only purchases, at most one for a customer and day (so the last activity is the last purchase), on
whole seconds. Every as_of lies half a second off, so no purchase lies at an as_of or at the edge of
a window. featuretools takes one training window a call, so it is called once for each window, and
all calls count. It gets only the aggregates that are compared (one pandas column each), last time
indexes, and one process. Entity set, loading and drawing count for neither side.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.features import environment, worlds
from features.core.instants import DAY_US
from features.core.progress import print_status
from features.engine.columns import FeatureColumn, list_columns
from features.engine.pairs import build_pairs
from features.recipes.definitions import Definitions, learn_definitions
from features.recipes.population_stats import PopulationStats, population_stats
from features.tables.history import History

SEED, ALIKE = 7, 1e-9
AGGREGATES = ("count", "sum")
ALL_TIME = ("count", "sum", "mean", "max", "time_since_last_days", "time_since_first_days")
# What featuretools gets, and whether that is only the rows of the requested customers.
GIVEN = {"the same business": False, "the requested customers' rows alone": True}
# Our column: the featuretools column of the call for all time.
SHARED = {
    "purchases_all": "COUNT(transactions)",
    "amount_all": "SUM(transactions.amount)",
    "amount_mean": "MEAN(transactions.amount)",
    "amount_max": "MAX(transactions.amount)",
    "recency": "TIME_SINCE_LAST(transactions.occurred_at, unit=days)",
    "tenure": "TIME_SINCE_FIRST(transactions.occurred_at, unit=days)",
}


def measure(
    *,
    transactions: int = 1_150_000,
    customers: int = 20_000,
    ours: int = 200_000,
    theirs: int = 500,
    home: Path = environment.HOME,
) -> dict[str, Any]:
    """Rows per second of ours at both sizes, and of featuretools.

    The large size is the median of three runs between those of featuretools. SystemExit unless all
    values of the pairs that both computed are equal.
    """
    environment.make_environment(home)  # before any measurement
    history = _draw_purchases(transactions, customers)
    at = worlds.START_US + 365 * DAY_US
    began = time.perf_counter()
    definitions = learn_definitions(history.as_of(at), worlds.settings("transactions"))
    bases = [population_stats(history.as_of(at), definitions)]
    learned = time.perf_counter() - began
    chosen = [
        column
        for column in list_columns(definitions, tables=history.names)
        if column.name in _shared_columns()
    ]
    many = _requested_pairs(history, ours, bases[0].as_of)
    few = many.take(
        pa.array(np.sort(np.random.default_rng(SEED).permutation(many.num_rows)[:theirs]))
    )
    small = _run_ours(history, few, definitions, bases, chosen)
    large, sides = [_run_ours(history, many, definitions, bases, chosen)[1]], {}
    with tempfile.TemporaryDirectory(prefix="lifecycle-pairs-") as folder:
        for name, only_requested in GIVEN.items():
            matrix, sides[name] = _run_featuretools(
                Path(folder) / str(only_requested), history, few, only_requested, home
            )
            _check_equal(small[0], matrix)
            large.append(_run_ours(history, many, definitions, bases, chosen)[1])
    (rows,) = history.connection.execute("SELECT count(*) FROM transactions").fetchone()
    return {
        "transactions": rows,
        "columns": len(chosen),
        "learned_s": learned,
        "calls": 1 + len(worlds.WINDOWS),
        "ours": {ours: ours / float(np.median(large)), theirs: theirs / small[1]},
        "theirs": {name: theirs / seconds for name, seconds in sides.items()},
    }


def _draw_purchases(rows: int, customers: int) -> History:
    print_status("drawing purchases")
    history = worlds.shop(transactions=rows, customers=customers, memory="4GB", threads=2)
    history.connection.execute("""
        CREATE OR REPLACE TABLE transactions AS FROM transactions WHERE kind = 'purchase'
        QUALIFY row_number() OVER (
            PARTITION BY customer_id, local_day ORDER BY occurred_at, amount, discount, method
        ) = 1
        ORDER BY customer_id, occurred_at""")
    return history


def _shared_columns() -> dict[str, str]:
    """Our column -> featuretools' column, with the prefix of the window."""
    windowed = {
        f"{name}_{days}d": f"{days}d {SHARED[f'{name}_all']}"
        for name in ("purchases", "amount")
        for days in worlds.WINDOWS
    }
    return windowed | {name: f"all {theirs}" for name, theirs in SHARED.items()}


def _requested_pairs(history: History, count: int, after: int) -> pa.Table:
    """Pairs of a customer who bought before `after` and an instant in the year after it.

    All instants are distinct.
    """
    rng, customers = (
        np.random.default_rng(SEED),
        history.as_of(after).customers.sort("customer_id").collect(),
    )
    ids = customers.to_native()["customer_id"].combine_chunks()
    second = np.unique(rng.integers(0, 364 * 86_400, count + count // 50))
    at = after + rng.permutation(second)[:count] * 1_000_000 + 500_000
    return pa.table(
        {"customer_id": ids.take(pa.array(rng.integers(0, len(ids), len(at)))), "as_of": at}
    )


def _run_ours(
    history: History,
    requested: pa.Table,
    definitions: Definitions,
    bases: list[PopulationStats],
    chosen: list[FeatureColumn],
) -> tuple[pa.Table, float]:
    began = time.perf_counter()
    result = build_pairs(
        history, requested, definitions=definitions, populations=bases, columns=chosen, state=False
    )
    return result.rows, time.perf_counter() - began


def _run_featuretools(
    folder: Path, history: History, requested: pa.Table, only_requested: bool, home: Path
) -> tuple[pa.Table, float]:
    """Their matrix, by (as_of, customer_id), and the seconds of all calls of dfs."""
    print_status(f"pairs: {requested.num_rows:,} of featuretools")
    run = history.connection.cursor()
    run.register("requested", requested)
    mine = "WHERE customer_id IN (SELECT customer_id FROM requested)" if only_requested else ""
    events = (
        "SELECT customer_id, make_timestamp(occurred_at) AS occurred_at, amount / 100 AS amount "
        f"FROM transactions {mine}"
    )
    tables = {
        "customers": run.sql(
            f"SELECT DISTINCT customer_id FROM transactions {mine} ORDER BY ALL"
        ).to_arrow_table(),
        "transactions": run.sql(events).to_arrow_table(),
        "requested": run.sql(
            "SELECT customer_id, make_timestamp(as_of) AS time FROM requested"
        ).to_arrow_table(),
    }
    whole = {
        "prefix": "all ",
        "window": None,
        "aggregations": ALL_TIME,
        "transforms": [],
        "depth": 1,
    }
    windows = [
        whole | {"prefix": f"{days}d ", "window": f"{days} days", "aggregations": AGGREGATES}
        for days in worlds.WINDOWS
    ]
    answer = environment.answer(
        environment.start(
            folder, {"events": ["transactions"], "calls": [whole, *windows]}, tables, home
        )
    )
    return pq.read_table(folder / "answer.parquet").sort_by([("time", "ascending")]), sum(
        answer["seconds"]
    )


def _check_equal(ours: pa.Table, theirs: pa.Table) -> None:
    """SystemExit unless both tables have all values and they are equal.

    Every instant is distinct, so both are ordered by time alone.
    """
    if ours["customer_id"].to_pylist() != theirs["customer_id"].to_pylist():
        raise SystemExit("featuretools answered other pairs than were requested")
    for name, other in _shared_columns().items():
        one, two = (side.to_numpy().astype(float) for side in (ours[name], theirs[other]))
        if (
            not np.allclose(one, two, rtol=ALIKE, atol=ALIKE, equal_nan=True)
            or not np.nanmax(np.abs(two)) > 0
        ):
            raise SystemExit(f"{name} differs from featuretools' {other}")


def figures(result: dict[str, Any]) -> dict[str, float]:
    """`featuretools_ratio`: both get the same business. The other: only the requested customers."""
    most, (same, fewer) = max(result["ours"].values()), result["theirs"].values()
    return {
        "featuretools_ratio": round(most / same),
        "featuretools_ratio_fewer_rows": round(most / fewer),
    }


def report_text(result: dict[str, Any]) -> str:
    lines = [
        f"{result['transactions']:,} purchases, {result['columns']} columns, "
        f"values equal within {ALIKE:g}; "
        f"definitions and population statistics, not timed: {result['learned_s']:.1f} s"
    ]
    lines += [
        f"  {f'ours, {count:,} pairs':66}{speed:>10,.1f} rows/s"
        for count, speed in result["ours"].items()
    ]
    for name, speed in result["theirs"].items():
        over = ", ".join(
            f"× {ours / speed:,.0f} at {count:,}" for count, ours in result["ours"].items()
        )
        who = f"featuretools {environment.VERSION}, {result['calls']} calls, given {name}"
        lines.append(f"  {who:66}{speed:>10,.1f} rows/s: ours {over}")
    return "\n".join(lines)
