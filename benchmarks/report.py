"""How long the page takes: `python -m benchmarks.report [--rows N] [--json]`.

A simulated shop of 3,000 customers is run; then its page is drawn at the end of a run, and drawn
again by `lifecycle report --tables` from tables in which each customer stands so often that there
are N rows of customers. The last line is one JSON object with each figure.
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

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

CUSTOMERS, ROWS = 3_000, 1_000_000
OF_CUSTOMERS = ("customers", "rfm", "win_back")  # the tables with a row for each customer


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--json", action="store_true", help="the last line alone")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), arguments.rows)
    if not arguments.json:
        print("\n".join(f"  {name:32}{figure['value']:10}" for name, figure in figures.items()))
    print(json.dumps(figures))


def measure(folder: Path, rows: int) -> dict[str, dict[str, object]]:
    environment = {**os.environ, "LIFECYCLE_HOME": str(folder / "home")}
    demo = ["demo", "--into", str(folder / "shop"), "--customers", str(CUSTOMERS)]
    run_command([*demo, "--no-report"], environment)
    at_the_end = seconds_at_the_end(folder)
    config = ["-c", str(folder / "shop" / "lifecycle.toml")]
    run_command(["value", "--out", str(folder / "tables"), *config], environment)
    for name in OF_CUSTOMERS:
        path = folder / "tables" / f"{name}.parquet"
        pq.write_table(repeated(pq.read_table(path), rows), path)
    page = folder / "report.html"
    command = ["report", "--tables", str(folder / "tables"), "--out", str(page), *config]
    began, before = time.perf_counter(), peak_of_children()
    run_command(command, environment)
    seconds, peak = time.perf_counter() - began, peak_of_children()
    if peak == before:
        raise SystemExit("a command before took more memory: the peak of the page is not known")
    return {
        "seconds_at_the_end_of_a_run": at_most(round(at_the_end, 2), 5.0),
        "seconds": at_most(round(seconds, 1), 60.0),
        "megabytes_of_the_page": at_most(round(page.stat().st_size / 1e6, 3), 1.5),
        "gigabytes_of_memory": at_most(round(peak / 1e6, 2), 2.0),
    }


def seconds_at_the_end(folder: Path) -> float:
    """How long the page takes where the history is loaded already, in a process of its own."""
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from features.core.settings import load_settings\n"
        "from features.tables.history import load_history\n"
        "from lifecycle.commands.report import NOT_DRAWN, Wish, make_page\n"
        "settings = load_settings(Path(sys.argv[1]))\n"
        "history, counts = load_history(settings)\n"
        "began = time.perf_counter()\n"
        "wish = Wish(Path(sys.argv[2]), str, without=NOT_DRAWN)\n"
        "make_page(history, counts, settings, None, wish)\n"
        "print(time.perf_counter() - began)\n"
    )
    home = {**os.environ, "LIFECYCLE_HOME": str(folder / "home")}
    arguments = [str(folder / "shop" / "lifecycle.toml"), str(folder / "end.html")]
    output = subprocess.run(
        [sys.executable, "-c", code, *arguments], env=home, check=True, capture_output=True
    )
    return float(output.stdout.split()[-1])


def run_command(arguments: list[str], environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "lifecycle", "--quiet", *arguments]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)


def repeated(table: pa.Table, rows: int) -> pa.Table:
    """The rows again and again, each customer under a new id."""
    table = table.filter(table["customer_id"].is_valid())
    table = table.take(np.arange(rows) % table.num_rows)
    place = table.column_names.index("customer_id")
    ids = np.char.add("c", np.arange(rows).astype(str))
    return table.set_column(place, "customer_id", pa.array(ids))


def peak_of_children() -> int:
    """The largest resident set of any child so far, in kilobytes."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss


def at_most(value: float, wanted: float) -> dict[str, object]:
    return {"value": value, "wanted": wanted, "holds": value <= wanted}


if __name__ == "__main__":
    main()
