"""Ctrl-C: the command ends at once, with the exit code of a safe interrupt and without a
traceback.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.command_line import ROOT, write_shop

WORDS = "interrupted; nothing half-written is used, run it again\n"
# The first argument: seconds until the interrupt; the rest is the command line.
INTERRUPTED = """
import os, signal, sys, threading
from lifecycle import cli
threading.Timer(float(sys.argv.pop(1)), os.kill, (os.getpid(), signal.SIGINT)).start()
cli.main()
"""
IGNORED = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n" + INTERRUPTED


@pytest.fixture(autouse=True)
def interruptible(default_interrupts):
    """Also where the tests themselves run in the background."""


def interrupted(*arguments, after, code=INTERRUPTED, **environment):
    return subprocess.run(
        [sys.executable, "-c", code, str(after), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=dict(os.environ) | environment,
        timeout=120,
    )


@pytest.mark.parametrize(
    "after",
    [
        0.3,
        pytest.param(2, marks=pytest.mark.slow),
        pytest.param(5, marks=[pytest.mark.slow, pytest.mark.long]),
    ],
)
def test_a_training_interrupted_at_any_moment_exits_with_five(tmp_path, after):
    events = [
        (f"c{who}", f"2024-{month:02d}-{1 + who % 27:02d}", 5)
        for who in range(300)
        for month in range(1, 13)
        if (who * month) % 7 < 4
    ]
    config = write_shop(tmp_path, events)
    text = (
        config.read_text()
        .replace("trials = 1", "trials = 10000")
        .replace("seconds = 5", "seconds = 300")
    )
    config.write_text(text)
    done = interrupted("train", "-c", config, after=after, LIFECYCLE_HOME=str(tmp_path / "home"))
    assert (done.returncode, done.stderr[-len(WORDS) :]) == (5, WORDS)
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.long
def test_an_engine_that_raises_an_error_of_its_own_on_an_interrupt_exits_with_five_too(tmp_path):
    """DuckDB is counting, and turns the interrupt into an error of its own."""
    config = write_shop(tmp_path, [("a", "2024-01-05", 5)])
    endless = (
        "SELECT customer_id, occurred_at, sum(range * 2) AS amount FROM t, range(1000000000000)"
        " GROUP BY ALL"
    )
    config.write_text(config.read_text().replace("SELECT * FROM t", endless))
    done = interrupted("check", "-c", config, after=3)
    assert (done.returncode, done.stderr) == (5, WORDS)


def with_own_features(folder, code):
    """A configuration whose own features run this code when they are loaded."""
    config = write_shop(
        folder, [(f"c{who}", f"2024-0{month}-05", 5) for who in range(9) for month in range(1, 7)]
    )
    (folder / "mine.py").write_text(code)
    config.write_text(config.read_text().replace("[features]\n", '[features]\nown = "mine.py"\n'))
    return config


@pytest.mark.slow
@pytest.mark.long
def test_a_thread_that_never_ends_does_not_keep_the_command_alive(tmp_path):
    config = with_own_features(
        tmp_path,
        """
import time
from concurrent.futures import ThreadPoolExecutor
ThreadPoolExecutor(1).submit(time.sleep, 600)
time.sleep(600)
""",
    )
    out = tmp_path / "rows.csv"
    done = interrupted("features", "-c", config, "--as-of", "2024-06-01", "--out", out, after=3)
    assert (done.returncode, done.stderr) == (5, WORDS)
    assert not out.exists()


@pytest.mark.slow
@pytest.mark.long
def test_where_interrupts_are_ignored_they_stay_ignored(tmp_path):
    config = with_own_features(
        tmp_path,
        """
import signal, time
from lifecycle import Recipe, Reduction, feature
until = time.monotonic() + 3
while time.monotonic() < until:
    time.sleep(0.1)

@feature(tables=("transactions",), unit="purchases", words="{value:.0f} purchases", windows="")
def bought():
    '''Purchases.

    Formula: count. Window: all time. Null: never (0). Source: ours.
    '''
    return Recipe({"n": Reduction("transactions", "count")}, lambda r, now: r.n)
""",
    )
    out = tmp_path / "rows.csv"
    done = interrupted(
        "features", "-c", config, "--as-of", "2024-06-01", "--out", out, after=2, code=IGNORED
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(out.read_text().splitlines()) == 10
