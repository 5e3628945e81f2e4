"""An as_of of its own for each row: ours beside featuretools, on the aggregates both can say, their values compared.

Purchases alone, at most one a customer and day (so the last activity is the last purchase), on whole seconds; every
as_of lies half a second off, so no purchase lies at an instant asked about or at the edge of a window. featuretools
takes one training window a call, so it is called once a window, and all calls count. It gets only the aggregates that
are compared (one pandas column each), last time indexes, one process. Entity set, loading and drawing count for nobody.
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
from features.core.progress import say
from features.engine.columns import ColumnOf, columns
from features.engine.pairs import build_pairs
from features.recipes.definitions import Definitions, learn_definitions
from features.recipes.population_stats import PopulationStats, population_stats
from features.tables.history import History

SEED, ALIKE = 7, 1e-9
AGGREGATES = ("count", "sum")
ALL_TIME = ("count", "sum", "mean", "max", "time_since_last_days", "time_since_first_days")
# What featuretools is given, and whether that is only the rows of the customers asked about.
GIVEN = {"the same business": False, "the asked customers' rows alone": True}
# Our column: the featuretools column of the call for all time.
SHARED = {
    "purchases_all": "COUNT(transactions)",
    "amount_all": "SUM(transactions.amount)",
    "amount_mean": "MEAN(transactions.amount)",
    "amount_max": "MAX(transactions.amount)",
    "recency": "TIME_SINCE_LAST(transactions.occurred_at, unit=days)",
    "tenure": "TIME_SINCE_FIRST(transactions.occurred_at, unit=days)",
}


def measured(
    *,
    transactions: int = 1_150_000,
    customers: int = 20_000,
    ours: int = 200_000,
    theirs: int = 500,
    home: Path = environment.HOME,
) -> dict[str, Any]:
    """Rows per second: ours at both sizes (the large one a median of three, between featuretools' runs), and theirs.

    SystemExit unless every value of the pairs that both did is alike.
    """
    environment.interpreter(home)  # made before anything is measured
    history = _purchases(transactions, customers)
    at = worlds.START_US + 365 * DAY_US
    began = time.perf_counter()
    definitions = learn_definitions(history.as_of(at), worlds.settings("transactions"))
    bases = [population_stats(history.as_of(at), definitions)]
    learned = time.perf_counter() - began
    chosen = [
        column for column in columns(definitions, tables=history.names) if column.name in _shared()
    ]
    many = _asked(history, ours, bases[0].as_of)
    few = many.take(
        pa.array(np.sort(np.random.default_rng(SEED).permutation(many.num_rows)[:theirs]))
    )
    small = _ours(history, few, definitions, bases, chosen)
    large, sides = [_ours(history, many, definitions, bases, chosen)[1]], {}
    with tempfile.TemporaryDirectory(prefix="lifecycle-pairs-") as folder:
        for name, alone in GIVEN.items():
            matrix, sides[name] = _theirs(Path(folder) / str(alone), history, few, alone, home)
            _refuse_unlike(small[0], matrix)
            large.append(_ours(history, many, definitions, bases, chosen)[1])
    (rows,) = history.connection.execute("SELECT count(*) FROM transactions").fetchone()
    return {
        "transactions": rows,
        "columns": len(chosen),
        "learned_s": learned,
        "calls": 1 + len(worlds.WINDOWS),
        "ours": {ours: ours / float(np.median(large)), theirs: theirs / small[1]},
        "theirs": {name: theirs / seconds for name, seconds in sides.items()},
    }


def _purchases(rows: int, customers: int) -> History:
    say("drawing purchases")
    history = worlds.shop(transactions=rows, customers=customers, memory="4GB", threads=2)
    history.connection.execute("""
        CREATE OR REPLACE TABLE transactions AS FROM transactions WHERE kind = 'purchase'
        QUALIFY row_number() OVER (PARTITION BY customer_id, local_day ORDER BY occurred_at, amount, discount, method) = 1
        ORDER BY customer_id, occurred_at""")
    return history


def _shared() -> dict[str, str]:
    """Our column: theirs, with the window's prefix."""
    windowed = {
        f"{name}_{days}d": f"{days}d {SHARED[f'{name}_all']}"
        for name in ("purchases", "amount")
        for days in worlds.WINDOWS
    }
    return windowed | {name: f"all {theirs}" for name, theirs in SHARED.items()}


def _asked(history: History, count: int, after: int) -> pa.Table:
    """Distinct pairs of customers who bought before `after` and instants in the year after it, all of them distinct."""
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


def _ours(
    history: History,
    asked: pa.Table,
    definitions: Definitions,
    bases: list[PopulationStats],
    chosen: list[ColumnOf],
) -> tuple[pa.Table, float]:
    began = time.perf_counter()
    found = build_pairs(
        history, asked, definitions=definitions, bases=bases, columns=chosen, state=False
    )
    return found.rows, time.perf_counter() - began


def _theirs(
    folder: Path, history: History, asked: pa.Table, alone: bool, home: Path
) -> tuple[pa.Table, float]:
    """Their matrix, by (as_of, customer_id), and the seconds of all calls of dfs."""
    say(f"pairs: {asked.num_rows:,} of featuretools")
    run = history.connection.cursor()
    run.register("asked", asked)
    mine = "WHERE customer_id IN (SELECT customer_id FROM asked)" if alone else ""
    events = f"SELECT customer_id, make_timestamp(occurred_at) AS occurred_at, amount / 100 AS amount FROM transactions {mine}"
    tables = {
        "customers": run.sql(
            f"SELECT DISTINCT customer_id FROM transactions {mine} ORDER BY ALL"
        ).to_arrow_table(),
        "transactions": run.sql(events).to_arrow_table(),
        "asked": run.sql(
            "SELECT customer_id, make_timestamp(as_of) AS time FROM asked"
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
    said = environment.answer(
        environment.start(
            folder, {"events": ["transactions"], "calls": [whole, *windows]}, tables, home
        )
    )
    return pq.read_table(folder / "found.parquet").sort_by([("time", "ascending")]), sum(
        said["seconds"]
    )


def _refuse_unlike(ours: pa.Table, theirs: pa.Table) -> None:
    """SystemExit unless every value is there and alike in both; every instant is distinct, so time alone orders."""
    if ours["customer_id"].to_pylist() != theirs["customer_id"].to_pylist():
        raise SystemExit("featuretools answered other pairs than were asked")
    for name, other in _shared().items():
        one, two = (side.to_numpy().astype(float) for side in (ours[name], theirs[other]))
        if (
            not np.allclose(one, two, rtol=ALIKE, atol=ALIKE, equal_nan=True)
            or not np.nanmax(np.abs(two)) > 0
        ):
            raise SystemExit(f"{name} differs from featuretools' {other}")


def figures(found: dict[str, Any]) -> dict[str, float]:
    """`featuretools_ratio`: both had the same business. The other is told beside it."""
    most, (same, fewer) = max(found["ours"].values()), found["theirs"].values()
    return {
        "featuretools_ratio": round(most / same),
        "featuretools_ratio_fewer_rows": round(most / fewer),
    }


def text(found: dict[str, Any]) -> str:
    lines = [
        f"{found['transactions']:,} purchases, {found['columns']} columns, values alike within {ALIKE:g}; "
        f"definitions and base, before the clock: {found['learned_s']:.1f} s"
    ]
    lines += [
        f"  {f'ours, {count:,} pairs':66}{speed:>10,.1f} rows/s"
        for count, speed in found["ours"].items()
    ]
    for name, speed in found["theirs"].items():
        over = ", ".join(
            f"× {ours / speed:,.0f} at {count:,}" for count, ours in found["ours"].items()
        )
        who = f"featuretools {environment.VERSION}, {found['calls']} calls, given {name}"
        lines.append(f"  {who:66}{speed:>10,.1f} rows/s: ours {over}")
    return "\n".join(lines)
