"""From raw events of one customer, and of a hundred, to a release's columns, in this process.

The simulated shop of 3,000 customers. A release of 120 columns is taken evenly from the whole
catalogue, so that every family, table and window is in it; the whole catalogue is measured too.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.core import settings as settings_of
from features.core.contract import CONTRACT
from features.core.instants import DAY_US
from features.engine.build import build
from features.engine.business_columns import columns_for
from features.engine.columns import FeatureColumn
from features.engine.prepared import PreparedFeatures, rows_to_arrow
from features.recipes.definitions import learn_definitions
from features.recipes.population_stats import population_stats
from features.tables import history as histories
from features.tables.history import History
from features.tables.terms import TermRules
from lifecycle import simulation

MOST_COLUMNS = 120
REQUESTS = 200


def measure() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        simulation.write(simulation.simulate(customers=3000), folder=Path(folder))
        settings = settings_of.load_settings(Path(folder) / "lifecycle.toml")
        history, _ = histories.load_history(settings)
    at = history.data_until - 40 * DAY_US
    known = history.as_of(at)
    definitions = learn_definitions(known, settings)
    base, every = population_stats(known, definitions), columns_for(history, definitions, settings)
    results: dict[str, Any] = {}
    for name, chosen in (("release", _take_evenly(every)), ("catalogue", every)):
        plan = PreparedFeatures(
            definitions=definitions,
            population=base,
            columns=chosen,
            tables=history.names,
            activity_kinds=history.activity_kinds,
            terms=TermRules.from_settings(settings),
        )
        whole = build(known, population=base, definitions=definitions, columns=chosen)
        results[name] = {"columns": len(chosen), **_measure_requests(plan, history, whole, at)}
    return results


def _take_evenly(every: list[FeatureColumn]) -> list[FeatureColumn]:
    positions = np.unique(np.linspace(0, len(every) - 1, MOST_COLUMNS).round().astype(int))
    return [every[position] for position in positions]


def _measure_requests(
    plan: PreparedFeatures, history: History, whole: pa.Table, at: int
) -> dict[str, Any]:
    """p50 and p99 in ms of requests whose events are Python rows.

    AssertionError where an answer differs from the batch rows.
    """
    rng, ids, out = np.random.default_rng(1), whole["customer_id"], {}
    for together, requests in ((1, REQUESTS), (100, REQUESTS // 10)):
        milliseconds = []
        for _ in range(requests):
            mine = ids.take(pa.array(np.sort(rng.choice(len(ids), together, replace=False))))
            payload = _payload(history, mine, at)
            began = time.perf_counter()
            rows = plan.build(
                {name: rows_to_arrow(name, events) for name, events in payload.items()}, as_of=at
            )
            milliseconds.append(1000 * (time.perf_counter() - began))
            if not rows.equals(whole.filter(pc.is_in(ids, mine.combine_chunks()))):
                raise AssertionError("the timed plan and the batch builder differ")
        timed = milliseconds[requests // 10 :]
        out[together] = {"p50": float(np.median(timed)), "p99": float(np.quantile(timed, 0.99))}
    return out


def _payload(history: History, ids: pa.ChunkedArray, at: int) -> dict[str, list[dict[str, Any]]]:
    """The tables that a caller would send: what was known before as_of."""
    known = history.as_of(at)
    tables = {
        name: rows.select(*CONTRACT[name].names).to_native().to_arrow_table()
        for name, rows in known.tables.items()
    }
    return {
        name: table.filter(pc.is_in(table["customer_id"], ids.combine_chunks())).to_pylist()
        for name, table in tables.items()
    }


def figures(result: dict[str, Any]) -> dict[str, float]:
    release = result["release"]
    return {
        "request_p50_ms": round(release[1]["p50"], 1),
        "request_100_p50_ms": round(release[100]["p50"], 1),
    }


def report_text(result: dict[str, Any]) -> str:
    return "\n".join(
        f"{name}, {side['columns']} columns: "
        f"one customer p50 {side[1]['p50']:.1f} ms, p99 {side[1]['p99']:.1f} ms; "
        f"100 customers p50 {side[100]['p50']:.1f} ms, p99 {side[100]['p99']:.1f} ms"
        for name, side in result.items()
    )
