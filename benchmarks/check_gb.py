"""`check` of 1 GB of CSV: `python -m benchmarks.check_gb [--rows N] [--json]`.

Invents a file of transactions in a temporary folder, runs `lifecycle check` on it in a process of
its own, and prints its seconds, its seconds of processor time (user and system) and its peak
memory. Seconds say something only where nothing else runs on the machine; the other two also where
others work on it. With fewer rows the three are those of the smaller file.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from features.tables.sources import connect

ROWS = 15_000_000
MOST_SECONDS, MOST_MB = 30, 1_000
# Two cores for the seconds wanted; no more can be used in that time.
MOST_CPU_SECONDS = 2 * MOST_SECONDS
CONFIG = '''
[business]
zone = "Europe/London"
currency = "GBP"
[files]
tx = "tx.csv"
[tables]
transactions = """
SELECT customer_id, order_id AS transaction_id, ordered_at AS occurred_at, amount FROM tx
"""
'''


def write_business(folder: Path, rows: int) -> None:
    """tx.csv of some 67 bytes a row: 40 purchases a customer in 900 days, and the configuration."""
    (folder / "lifecycle.toml").write_text(CONFIG, encoding="utf-8")
    customer = f"1 + hash(i) % {max(1, rows // 40)}"
    connect(memory="1GB").execute(
        f"""COPY (SELECT 'C' || lpad(CAST({customer} AS VARCHAR), 9, '0') AS customer_id,
        'T' || lpad(CAST(i AS VARCHAR), 9, '0') AS order_id,
        strftime(TIMESTAMP '2022-01-03' + to_seconds(CAST(hash(i + 1) % 77760000 AS BIGINT)),
                 '%Y-%m-%d %H:%M:%S') AS ordered_at,
        CAST(hash(i + 2) % 20000 / 100 + 5 AS DECIMAL(10, 2)) AS amount,
        ['web', 'store', 'app'][CAST(1 + hash(i + 3) % 3 AS BIGINT)] AS channel,
        'purchase' AS kind FROM range({rows}) AS t(i))
        TO '{folder / "tx.csv"}' (HEADER)"""
    )


def measure(rows: int) -> dict[str, Any]:
    """Seconds, processor time and peak memory (MB) of one check."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_business(folder, rows)
        before, began = _cpu_seconds(), time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "lifecycle", "check", "-c", str(folder / "lifecycle.toml")],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        seconds, used = time.monotonic() - began, _cpu_seconds() - before
        size = os.path.getsize(folder / "tx.csv")
    # The peak of the largest child; on Linux in KiB.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {
        "rows": rows,
        "file_gb": round(size / 1e9, 2),
        "check_gb_seconds": _figure(seconds, MOST_SECONDS),
        "check_gb_cpu_seconds": _figure(used, MOST_CPU_SECONDS),
        "check_gb_memory_mb": _figure(peak, MOST_MB),
    }


def _cpu_seconds() -> float:
    """User and system time of all children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _figure(value: float, wanted: float) -> dict[str, Any]:
    return {"value": round(value, 1), "wanted": wanted, "holds": value <= wanted}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    result = measure(arguments.rows)
    if arguments.json:
        print(json.dumps(result))
        return
    print(f"{result['rows']:,} rows, {result['file_gb']} GB")
    for name in ("check_gb_seconds", "check_gb_cpu_seconds", "check_gb_memory_mb"):
        figure = result[name]
        holds = "holds" if figure["holds"] else "does not hold"
        print(f"{name:<22} {figure['value']:>10,} at most {figure['wanted']:,}: {holds}")


if __name__ == "__main__":
    main()
