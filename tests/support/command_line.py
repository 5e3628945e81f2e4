"""The command line as its users start it, and the smallest business it reads."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from features.core import progress
from features.core.language import ENGLISH, set_language
from lifecycle import cli

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


def run_here(*arguments, **environment):
    """The same in this process, which is sooner: for what does not depend on a process of its own.

    Where the command line ends by itself, its exit code is that of the process.
    """
    said, complained, code = io.StringIO(), io.StringIO(), 0
    handler = signal.getsignal(signal.SIGINT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["lifecycle", *map(str, arguments)])
        for name, value in environment.items():
            patch.setenv(name, value)
        try:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
                cli.main()
        except SystemExit as end:
            code = end.code or 0
        finally:
            signal.signal(signal.SIGINT, handler)
            progress.set_quiet(None)
            set_language(ENGLISH)
    return subprocess.CompletedProcess(arguments, code, said.getvalue(), complained.getvalue())


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
