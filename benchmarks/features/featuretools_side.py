"""What runs inside featuretools' environment: `python featuretools_side.py FOLDER` (see environment.py).

FOLDER holds request.json, customers.parquet, asked.parquet (customer_id, time) and one parquet file an event table.
A row counts when its time is at or before the cutoff: the caller keeps instants apart or cuts a microsecond earlier.
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
    found = pandas.read_parquet(path)
    for name in found.select_dtypes("datetime"):
        found[name] = found[name].astype("datetime64[ns]")
    return found


def texts(rows):
    """Said outright: left to guess, woodwork takes ids of digits for numbers, and finds no event of theirs."""
    return dict.fromkeys(rows.select_dtypes(["object", "string"]), "Categorical")


def entities(folder, events):
    """Customers and their event tables, with the last time indexes that training windows need."""
    made = featuretools.EntitySet("business")
    customers = read(folder / "customers.parquet")
    made.add_dataframe(
        dataframe_name="customers",
        dataframe=customers,
        index="customer_id",
        logical_types=texts(customers),
    )
    for name in events:
        rows = read(folder / f"{name}.parquet")
        made.add_dataframe(
            dataframe_name=name,
            dataframe=rows,
            index="row",
            make_index=True,
            time_index="occurred_at",
            logical_types=texts(rows),
        )
        made.add_relationship("customers", "customer_id", name, "customer_id")
    # Without them a training window leaves every aggregate empty.
    made.add_last_time_indexes()
    return made


def one(made, asked, call):
    """One call of dfs: its matrix by (customer_id, time), and its seconds."""
    primitives = call["aggregations"] and [OBJECTS.get(name, name) for name in call["aggregations"]]
    began = time.perf_counter()
    matrix, _ = featuretools.dfs(
        entityset=made,
        target_dataframe_name="customers",
        cutoff_time=asked,
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
    made, asked = entities(folder, request["events"]), read(folder / "asked.parquet")
    found = [one(made, asked, call) for call in request["calls"]]
    whole = pandas.concat([matrix.sort_index() for matrix, _, _ in found], axis=1).reset_index()
    whole["customer_id"] = whole["customer_id"].astype(str)
    whole.to_parquet(folder / "found.parquet", index=False)
    print(
        json.dumps(
            {
                "rows": len(asked),
                "columns": sum(count for _, count, _ in found),
                "seconds": [seconds for _, _, seconds in found],
            }
        )
    )


if __name__ == "__main__":
    main()
