"""Features at several as_of dates, compared with one SQL statement of an expert.

The statement is an inequality join with filtered aggregates. Both run alternately on the same
table, in the same engine, with two threads; all values are compared.
"""

from __future__ import annotations

import time
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.features import worlds
from features.core.instants import DAY_US
from features.core.progress import print_status
from features.engine.additive_columns import build_columns
from features.engine.columns import FeatureColumn, list_columns
from features.engine.many_dates import build_many
from features.recipes.definitions import Definitions, learn_definitions
from features.recipes.population_stats import PopulationStats, population_stats
from features.tables.history import History

DATES = tuple(worlds.START_US + (365 + 30 * number) * DAY_US for number in range(12))
ROUNDS = 3


def measure(*, transactions: int = 10_000_000, customers: int = 200_000) -> dict[str, Any]:
    """Seconds of each round and side, of one plain scan, and of the whole catalogue."""
    print_status(f"drawing {transactions:,} transactions")
    history = worlds.shop(transactions=transactions, customers=customers, memory="8GB", threads=2)
    settings = worlds.settings("transactions")
    definitions = learn_definitions(history.as_of(DATES[0]), settings)
    base = population_stats(history.as_of(DATES[0]), definitions)
    bases = [PopulationStats(**{**vars(base), "as_of": at}) for at in DATES]
    every = list_columns(definitions, tables=history.names)
    chosen = [column for column in every if column.name in _expert_columns()]
    rounds = []
    for _ in range(ROUNDS):
        theirs, expert = _time(lambda: _expert(history))
        ours, result = _time(
            lambda: build_columns(
                history, definitions=definitions, populations=bases, columns=chosen
            )
        )
        scan, _ = _time(lambda: _scan(history))
        rounds.append({"ours": ours, "expert": theirs, "scan": scan})
    worst = _largest_difference(history, result, expert, chosen)
    print_status("the whole catalogue")
    return {
        "transactions": transactions,
        "customers": customers,
        "dates": len(DATES),
        "rows": result.num_rows,
        "columns": [column.name for column in chosen],
        "rounds": rounds,
        "largest_difference": worst,
        "catalogue": _catalogue(history, definitions, every),
    }


def _time(work: Any) -> tuple[float, Any]:
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def _expert_columns() -> dict[str, str]:
    """column -> the expert's aggregate.

    Money in currency, ages in days, windows of whole days before as_of.
    """
    out: dict[str, str] = {}
    for days in (*worlds.WINDOWS, None):
        name, since = (
            (f"{days}d", f" AND occurred_at >= as_of - {days * DAY_US}") if days else ("all", "")
        )
        out[f"purchases_{name}"] = f"count(*) FILTER (kind = 'purchase'{since})"
        out[f"amount_{name}"] = (
            f"coalesce(sum(amount) FILTER (kind = 'purchase'{since}), 0) / 100.0"
        )
        out[f"failed_payments_{name}"] = f"count(*) FILTER (kind = 'payment_failed'{since})"
    bought, given_back = "count(*) FILTER (kind = 'purchase')", "count(*) FILTER (kind = 'refund')"
    paid, off = "sum(amount) FILTER (kind = 'purchase')", "sum(discount) FILTER (kind = 'purchase')"
    out["amount_mean"] = f"{paid} / {bought} / 100"
    out["amount_max"] = "max(amount) FILTER (kind = 'purchase') / 100.0"
    out["refund_share"] = f"{given_back} / ({bought} + 1)"
    out["recency_refund"] = (
        f"(any_value(as_of) - max(occurred_at) FILTER (kind = 'refund')) / {DAY_US}"
    )
    out["discount_share"] = f"{off} / ({off} + {paid})"
    for days in worlds.WINDOWS:
        near, far = (f"as_of - {times * days * DAY_US}" for times in (1, 2))
        spent = [
            f"coalesce(sum(amount) FILTER (kind = 'purchase' AND occurred_at >= {near}), 0)",
            "coalesce(sum(amount) FILTER "
            f"(kind = 'purchase' AND occurred_at >= {far} AND occurred_at < {near}), 0)",
        ]
        out[f"amount_trend_{days}d"] = " - ".join(f"ln(1 + {money} / 100.0)" for money in spent)
    return out


def _expert(history: History) -> pa.Table:
    """customer_id, as_of and the columns, for customers with a purchase before as_of."""
    aggregates = ", ".join(f"{sql} AS {name}" for name, sql in _expert_columns().items())
    dates = ", ".join(f"({at})" for at in DATES)
    return history.connection.execute(
        f"SELECT customer_id, as_of, {aggregates} "
        f"FROM transactions JOIN (VALUES {dates}) AS dates(as_of) "
        "ON occurred_at < as_of AND recorded_at < as_of GROUP BY customer_id, as_of "
        "HAVING count(*) FILTER (kind = 'purchase') > 0"
    ).to_arrow_table()


def _scan(history: History) -> Any:
    """One scan of all cells that the columns need."""
    return history.connection.execute(
        "SELECT count(customer_id), max(occurred_at), max(recorded_at), "
        "count(*) FILTER (kind = 'purchase'), sum(amount), sum(discount) FROM transactions"
    ).fetchall()


def _largest_difference(
    history: History, ours: pa.Table, expert: pa.Table, chosen: list[FeatureColumn]
) -> float:
    """The largest relative difference of any value; infinite where one side alone is null.

    Both sides are sorted alike before they are compared.
    """
    order = [("as_of", "ascending"), ("customer_id", "ascending")]
    expert, worst = expert.sort_by(order), 0.0
    if not ours.select(["customer_id", "as_of"]).equals(expert.select(["customer_id", "as_of"])):
        return float("inf")
    for column in chosen:
        mine, theirs = (_floats(table, column.name) for table in (ours, expert))
        if not np.array_equal(np.isnan(mine), np.isnan(theirs)):
            return float("inf")
        worst = max(worst, float(np.nanmax(np.abs(mine - theirs) / np.maximum(1, np.abs(theirs)))))
    return worst


def _floats(table: pa.Table, name: str) -> np.ndarray:
    return table[name].to_numpy().astype(np.float64)


def _catalogue(
    history: History, definitions: Definitions, every: list[FeatureColumn]
) -> dict[str, Any]:
    """All columns with the current state at all dates: seconds, rows and bytes of the result."""
    began, rows, size = time.perf_counter(), 0, 0
    populations = [population_stats(history.as_of(at), definitions) for at in DATES]
    for table in build_many(
        history, definitions=definitions, columns=every, populations=populations
    ):
        rows, size = rows + table.num_rows, size + table.nbytes
    return {
        "seconds": time.perf_counter() - began,
        "columns": len(every),
        "rows": rows,
        "bytes": size,
    }


def figures(result: dict[str, Any]) -> dict[str, float]:
    rounds = result["rounds"]
    return {
        "expert_sql_ratio": round(median(one["expert"] / one["ours"] for one in rounds), 2),
        "scan_ratio": round(median(one["ours"] / one["scan"] for one in rounds), 1),
    }


def report_text(result: dict[str, Any]) -> str:
    whole, lines = result["catalogue"], []
    lines.append(
        f"{result['transactions']:,} transactions, {result['customers']:,} customers, "
        f"{result['dates']} dates, {len(result['columns'])} columns, {result['rows']:,} rows; "
        f"largest difference {result['largest_difference']:.1e}"
    )
    lines += [
        f"  ours {one['ours']:.2f} s, expert {one['expert']:.2f} s, scan {one['scan']:.3f} s"
        for one in result["rounds"]
    ]
    lines.append(
        f"  the whole catalogue: {whole['seconds']:.0f} s, {whole['columns']} columns, "
        f"{whole['rows']:,} rows, {whole['bytes'] / 1e9:.1f} GB"
    )
    return "\n".join(lines)
