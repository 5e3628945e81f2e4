"""The command line as its users start it, and the smallest business it reads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What the command line does with a business does not depend on these.
OFF = ["streaks", "trend", "monetary", "value", "breadth"]


def lifecycle(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "lifecycle", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ) | environment,
    )


def write_shop(folder, rows, **training):
    (folder / "t.csv").write_text(
        "customer_id,occurred_at,amount\n"
        + "".join(f"{c},{day},{amount}\n" for c, day, amount in rows)
    )
    lines = [
        "[features]",
        "windows_days = [30]",
        f"off = {OFF}",
        "[business]",
        'zone = "UTC"',
        "[files]",
        't = "t.csv"',
        "[tables]",
        'transactions = "SELECT * FROM t"',
        "[churn]",
        "horizon_days = 30",
        "[training]",
        "trials = 1",
    ]
    (folder / "lifecycle.toml").write_text(
        "\n".join(lines + [f"{k} = {v}" for k, v in training.items()]) + "\n"
    )
    return folder / "lifecycle.toml"
