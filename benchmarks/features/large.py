"""A million customers, fifty million events in three tables, one as_of: time and memory."""

from __future__ import annotations

import resource
import time
from typing import Any

from benchmarks.features import worlds
from features.core.instants import DAY_US
from features.core.progress import print_status
from features.engine.build import build
from features.engine.columns import list_columns
from features.recipes.definitions import learn_definitions
from features.recipes.population_stats import population_stats


def measure(*, customers: int = 1_000_000, events: int = 50_000_000) -> dict[str, Any]:
    """Seconds of each step; peak memory in GB after drawing the events, and at the end."""
    print_status(f"drawing {events:,} events")
    history = worlds.shop(
        transactions=events // 2,
        interactions=events * 2 // 5,
        feedback=events // 10,
        customers=customers,
        memory="8GB",
        threads=2,
    )
    drawn, seconds, at = _peak_gb(), {}, worlds.START_US + 700 * DAY_US
    known = history.as_of(at)
    began = time.perf_counter()
    definitions = learn_definitions(known, worlds.settings(*history.names))
    seconds["definitions"] = time.perf_counter() - began
    base = population_stats(known, definitions)
    seconds["base"] = time.perf_counter() - began - seconds["definitions"]
    chosen, began = list_columns(definitions, tables=history.names), time.perf_counter()
    rows = build(known, population=base, definitions=definitions, columns=chosen)
    seconds["features"] = time.perf_counter() - began
    return {
        "customers": customers,
        "events": events,
        "rows": rows.num_rows,
        "columns": len(chosen),
        "bytes": rows.nbytes,
        "seconds": seconds,
        "drawn_gb": drawn,
        "peak_gb": _peak_gb(),
    }


def _peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def figures(result: dict[str, Any]) -> dict[str, float]:
    return {"peak_rss_gb": round(result["peak_gb"], 1)}


def report_text(result: dict[str, Any]) -> str:
    seconds = ", ".join(f"{name} {value:.0f} s" for name, value in result["seconds"].items())
    return (
        f"{result['customers']:,} customers, {result['events']:,} events: "
        f"{result['rows']:,} rows, {result['columns']} columns "
        f"({result['bytes'] / 1e9:.1f} GB)\n  {seconds}; peak memory {result['peak_gb']:.1f} GB "
        f"({result['drawn_gb']:.1f} GB after drawing the events)"
    )
