"""Raw events of one customer, and of a hundred, to the columns of a release: the kept plan, in this process.

The simulated shop of 3,000 customers. A release of 120 columns is taken evenly from the whole catalogue, so that every
family, table and window is in it; the whole catalogue stands beside it.
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
from features.engine.columns import ColumnOf
from features.engine.prepared import PreparedFeatures, typed
from features.recipes.definitions import learn_definitions
from features.recipes.population_stats import population_stats
from features.tables import history as histories
from features.tables.history import History
from lifecycle import simulation

MOST_COLUMNS = 120
REQUESTS = 200


def measured() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        simulation.write(simulation.simulate(customers=3000), folder=Path(folder))
        stated = settings_of.load(Path(folder) / "lifecycle.toml")
        history, _ = histories.load(stated)
    at = history.data_until - 40 * DAY_US
    known = history.as_of(at)
    definitions = learn_definitions(known, stated)
    base, every = population_stats(known, definitions), columns_for(history, definitions, stated)
    found: dict[str, Any] = {}
    for name, chosen in (("release", _evenly(every)), ("catalogue", every)):
        plan = PreparedFeatures(
            definitions=definitions,
            base=base,
            columns=chosen,
            tables=history.names,
            activity_kinds=history.activity_kinds,
            zone=stated.zone,
        )
        whole = build(known, base=base, definitions=definitions, columns=chosen)
        found[name] = {"columns": len(chosen), **_times(plan, history, whole, at)}
    return found


def _evenly(every: list[ColumnOf]) -> list[ColumnOf]:
    positions = np.unique(np.linspace(0, len(every) - 1, MOST_COLUMNS).round().astype(int))
    return [every[position] for position in positions]


def _times(plan: PreparedFeatures, history: History, whole: pa.Table, at: int) -> dict[str, Any]:
    """p50 and p99 in ms, the requests' events as Python rows; every answer is compared with the batch rows."""
    rng, ids, out = np.random.default_rng(1), whole["customer_id"], {}
    for together, requests in ((1, REQUESTS), (100, REQUESTS // 10)):
        taken = []
        for _ in range(requests):
            mine = ids.take(pa.array(np.sort(rng.choice(len(ids), together, replace=False))))
            sent = _sent(history, mine, at)
            began = time.perf_counter()
            rows = plan.build(
                {name: typed(name, events) for name, events in sent.items()}, as_of=at
            )
            taken.append(1000 * (time.perf_counter() - began))
            if not rows.equals(whole.filter(pc.is_in(ids, mine.combine_chunks()))):
                raise AssertionError("the kept plan and the batch builder differ")
        kept = taken[requests // 10 :]
        out[together] = {"p50": float(np.median(kept)), "p99": float(np.quantile(kept, 0.99))}
    return out


def _sent(history: History, ids: pa.ChunkedArray, at: int) -> dict[str, list[dict[str, Any]]]:
    """What a caller would send: the contract's columns of what was known before as_of."""
    known = history.as_of(at)
    tables = {
        name: rows.select(*CONTRACT[name].names).to_native().to_arrow_table()
        for name, rows in known.tables.items()
    }
    return {
        name: table.filter(pc.is_in(table["customer_id"], ids.combine_chunks())).to_pylist()
        for name, table in tables.items()
    }


def figures(found: dict[str, Any]) -> dict[str, float]:
    release = found["release"]
    return {
        "request_p50_ms": round(release[1]["p50"], 1),
        "request_100_p50_ms": round(release[100]["p50"], 1),
    }


def text(found: dict[str, Any]) -> str:
    return "\n".join(
        f"{name}, {side['columns']} columns: one customer p50 {side[1]['p50']:.1f} ms, p99 {side[1]['p99']:.1f} ms; "
        f"100 customers p50 {side[100]['p50']:.1f} ms, p99 {side[100]['p99']:.1f} ms"
        for name, side in found.items()
    )
