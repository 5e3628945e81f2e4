"""Runs in featuretools' environment: `python featuretools_side.py FOLDER` (see environment.py).

FOLDER holds request.json, customers.parquet, requested.parquet (customer_id, time) and one parquet
file for each event table. featuretools counts rows at or before the cutoff: the caller avoids equal
instants or cuts a microsecond earlier.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import featuretools
import pandas
from featuretools.primitives import TimeSinceFirst, TimeSinceLast

OBJECTS = {
    "time_since_last_days": TimeSinceLast(unit="days"),
    "time_since_first_days": TimeSinceFirst(unit="days"),
}


def read(path):
    """A table as pandas, its instants in nanoseconds, which is what woodwork takes."""
    table = pandas.read_parquet(path)
    for name in table.select_dtypes("datetime"):
        table[name] = table[name].astype("datetime64[ns]")
    return table


def text_types(rows):
    """Types of the text columns.

    Without them woodwork reads ids of digits as numbers and matches no event of these customers.
    """
    return dict.fromkeys(rows.select_dtypes(["object", "string"]), "Categorical")


def build_entity_set(folder, events):
    """Customers and their event tables, with the last time indexes that training windows need."""
    entity_set = featuretools.EntitySet("business")
    customers = read(folder / "customers.parquet")
    entity_set.add_dataframe(
        dataframe_name="customers",
        dataframe=customers,
        index="customer_id",
        logical_types=text_types(customers),
    )
    for name in events:
        rows = read(folder / f"{name}.parquet")
        entity_set.add_dataframe(
            dataframe_name=name,
            dataframe=rows,
            index="row",
            make_index=True,
            time_index="occurred_at",
            logical_types=text_types(rows),
        )
        entity_set.add_relationship("customers", "customer_id", name, "customer_id")
    # Without them a training window leaves every aggregate empty.
    entity_set.add_last_time_indexes()
    return entity_set


def run_dfs(entity_set, requested, call):
    """One call of dfs: its matrix by (customer_id, time), and its seconds."""
    primitives = call["aggregations"] and [OBJECTS.get(name, name) for name in call["aggregations"]]
    began = time.perf_counter()
    matrix, _ = featuretools.dfs(
        entityset=entity_set,
        target_dataframe_name="customers",
        cutoff_time=requested,
        agg_primitives=primitives,
        trans_primitives=call["transforms"],
        training_window=call["window"],
        max_depth=call["depth"],
        cutoff_time_in_index=True,
        n_jobs=1,
    )
    seconds = time.perf_counter() - began
    numbers = matrix.select_dtypes(["number", "bool", "boolean"]).astype("float64")
    return numbers.add_prefix(call["prefix"]), matrix.shape[1], seconds


def main():
    folder = Path(sys.argv[1])
    request = json.loads((folder / "request.json").read_text())
    entity_set, requested = (
        build_entity_set(folder, request["events"]),
        read(folder / "requested.parquet"),
    )
    results = [run_dfs(entity_set, requested, call) for call in request["calls"]]
    whole = pandas.concat([matrix.sort_index() for matrix, _, _ in results], axis=1).reset_index()
    whole["customer_id"] = whole["customer_id"].astype(str)
    whole.to_parquet(folder / "answer.parquet", index=False)
    print(
        json.dumps(
            {
                "rows": len(requested),
                "columns": sum(count for _, count, _ in results),
                "seconds": [seconds for _, _, seconds in results],
            }
        )
    )


if __name__ == "__main__":
    main()
