"""Beyond memory: `python -m benchmarks.scale [--customers N] [--events N] [--only PART] [--json]`.

Parts: `ingest` (what one more day costs, beside the whole), `features` (time and peak memory of the
features of one date, in a process of its own), `shares` (the same from a kept history, as typed: as
a whole, in shares, on Spark with as many cores, and of a tenth of the customers). The last line is
one JSON object with the value of each figure, what is wanted, and whether it holds. The goals are
of a million customers with fifty million events.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.core.file_hashes import hash_file
from features.core.settings import load_settings
from features.tables.history_store.ingest import ingest

DAYS, DAY_US = 1_096, 86_400_000_000
START_US = 1_640_995_200_000_000  # 2022-01-01
CONFIG = """\
[files]
transactions = "transactions.parquet"
interactions = "interactions.parquet"
feedback = "feedback.parquet"
[tables]
transactions = "SELECT * FROM transactions"
interactions = "SELECT * FROM interactions"
feedback = "SELECT * FROM feedback"
[business]
zone = "UTC"
[history]
folder = "history"
"""
SHARES = {"transactions": 0.5, "interactions": 0.4, "feedback": 0.1}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--only", choices=("ingest", "features", "shares"))
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=50_000_000)
    parser.add_argument("--json", action="store_true", help="the last line alone")
    arguments = parser.parse_args()
    figures: dict[str, Any] = {}
    if arguments.only in (None, "ingest"):
        figures |= measure_ingest(arguments.customers, arguments.events)
    if arguments.only in (None, "features"):
        figures |= measure_features(arguments.customers, arguments.events)
    if arguments.only in (None, "shares"):
        figures |= measure_shares(arguments.customers, arguments.events)
    if not arguments.json:
        print("\n".join(f"  {name:30} {each}" for name, each in figures.items()))
    print(json.dumps(figures))


def measure_ingest(customers: int, events: int) -> dict[str, Any]:
    """The first ingest of all days but one, then the last day alone, then the same day again."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "lifecycle.toml").write_text(CONFIG)
        settings = load_settings(folder / "lifecycle.toml")
        rng = np.random.default_rng(7)
        seconds = {}
        for step, (first, last) in {
            "whole": (0, DAYS - 1),
            "one day": (DAYS - 1, DAYS),
            "the day again": (DAYS - 1, DAYS),
        }.items():
            if step != "the day again":
                for table, share in SHARES.items():
                    size = max(int(events * share * (last - first) / DAYS), 1)
                    rows = draw_events(rng, table, size, customers, first, last)
                    pq.write_table(rows, folder / f"{table}.parquet")
            began = time.perf_counter()
            ingest(settings)
            seconds[step] = time.perf_counter() - began
        size = sum(path.stat().st_size for path in (folder / "history").rglob("*.parquet"))
    share = seconds["one day"] / seconds["whole"]
    return {
        "ingest_of_one_day": {
            "value": round(share, 4),
            "wanted": "<= .05 of the whole",
            "holds": share <= 0.05,
            "seconds": {step: round(each, 1) for step, each in seconds.items()},
            "history_bytes_an_event": round(size / events, 1),
        }
    }


def measure_shares(customers: int, events: int) -> dict[str, Any]:
    """`lifecycle features` of one date from a kept history, each time in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        small, large = Path(name) / "small", Path(name) / "large"
        for folder, part in ((small, 10), (large, 1)):
            # In a process of its own: a child's peak counts from the memory of its parent on.
            code = "from benchmarks.scale import write_history; from pathlib import Path; "
            code += f"write_history(Path({str(folder)!r}), {customers // part}, {events // part})"
            subprocess.run([sys.executable, "-c", code], check=True)
        runs = {
            "tenth": type_features(small, "engine.memory=64GB"),
            "whole": type_features(large, "engine.memory=64GB"),
            "shares": type_features(large, "engine.memory=1GB"),
            "spark": type_features(large, "engine.name=spark"),
        }
    growth = runs["whole"]["cpu"] / runs["tenth"]["cpu"] / 10
    ratio = runs["spark"]["seconds"] / runs["whole"]["seconds"]
    equal = len({runs[each]["sha256"] for each in ("whole", "shares", "spark")}) == 1
    return {
        "equal_bytes": {"value": equal, "wanted": "True", "holds": equal, "runs": runs},
        "shares_peak_gb": {
            "value": runs["shares"]["peak_gb"],
            "wanted": "<= 1 GB",
            "holds": runs["shares"]["peak_gb"] <= 1,
        },
        "time_beside_linear": {
            "value": round(growth, 2),
            "wanted": ".8 to 1.2",
            "holds": 0.8 <= growth <= 1.2,
        },
        "spark_beside_one_machine": {
            "value": round(ratio, 2),
            "wanted": "<= 2, start included",
            "holds": ratio <= 2,
        },
    }


def write_history(folder: Path, customers: int, events: int) -> None:
    """A business with a kept history in the folder."""
    folder.mkdir()
    (folder / "lifecycle.toml").write_text(CONFIG)
    rng = np.random.default_rng(7)
    for table, share in SHARES.items():
        rows = draw_events(rng, table, int(events * share), customers, 0, DAYS)
        pq.write_table(rows, folder / f"{table}.parquet")
    ingest(load_settings(folder / "lifecycle.toml"))


def type_features(folder: Path, change: str) -> dict[str, Any]:
    """Wall and CPU seconds and peak memory of `lifecycle features --set CHANGE`; CPU and memory of
    its own process alone. The file of the features is compared by its hash.
    """
    out = folder / "features.parquet"
    command = [sys.executable, "-m", "lifecycle", "features", "-c", str(folder / "lifecycle.toml")]
    command += ["--as-of", "2025-01-01", "--out", str(out), "--set", change, "--json"]
    began = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"lifecycle features --set {change} ended with {status}")
    return {
        "seconds": round(time.perf_counter() - began, 1),
        "cpu": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_gb": round(usage.ru_maxrss / 1e6, 2),
        "sha256": hash_file(out)["sha256"],
    }


def draw_events(
    rng: np.random.Generator, table: str, size: int, customers: int, first: int, last: int
) -> pa.Table:
    """Events of a table, evenly over the days from `first` up to `last`."""
    who = rng.integers(0, customers, size)
    at = START_US + rng.integers(first * DAY_US // 1_000_000, last * DAY_US // 1_000_000, size) * (
        1_000_000
    )
    instants = pa.array(at, pa.timestamp("us", tz="UTC"))
    rows = {
        "customer_id": pa.array(np.char.mod("%08d", who)),
        "occurred_at": instants,
    }
    numbers = np.char.mod(f"{first}-%09d", np.arange(size))
    match table:
        case "transactions":
            rows["transaction_id"] = pa.array(numbers)
            rows["amount"] = pa.array(rng.integers(100, 9_999, size) / 100)
        case "interactions":
            rows["kind"] = pa.array(np.array(["visit", "call", "opened"])[rng.integers(0, 3, size)])
        case _:
            rows["kind"] = pa.array(["csat"] * size)
            rows["score"] = pa.array(rng.integers(1, 6, size).astype(float))
            rows["answered_at"] = instants
    return pa.table(rows)


def measure_features(customers: int, events: int) -> dict[str, Any]:
    """Seconds and peak memory, as `benchmarks.features --only large` measures them."""
    code = (
        "import json; from benchmarks.features import large; "
        f"print(json.dumps(large.measure(customers={customers}, events={events})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    result = json.loads(done.splitlines()[-1])
    took, peak = result["seconds"]["features"], result["peak_gb"]
    return {
        "features_seconds": {"value": round(took, 1), "wanted": "<= 90 s", "holds": took <= 90},
        "features_peak_gb": {
            "value": round(peak, 2),
            "wanted": "<= 4 GB",
            "holds": peak <= 4,
            "before_gb": round(result["drawn_gb"], 2),
        },
    }


if __name__ == "__main__":
    main()
