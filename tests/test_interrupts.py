"""Ctrl-C: whoever is at work, the command ends at once, with the exit code of a safe interrupt and without a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_cli import write_shop

ROOT = Path(__file__).resolve().parents[1]

WORDS = "interrupted; nothing half-written is used, run it again\n"
SOON = """
import os, signal, sys, threading, time
from lifecycle import cli
threading.Timer(float(sys.argv.pop(1)), os.kill, (os.getpid(), signal.SIGINT)).start()
"""


def interrupted(then, *arguments, after, **environment):
    return subprocess.run(
        [sys.executable, "-c", SOON + then, str(after), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=dict(os.environ) | environment,
        timeout=120,
    )


@pytest.mark.parametrize("after", [0.3, 2, 5])
def test_a_training_interrupted_at_any_moment_exits_with_five(tmp_path, after):
    events = [
        (f"c{who}", f"2024-{month:02d}-{1 + who % 27:02d}", 5)
        for who in range(300)
        for month in range(1, 13)
        if (who * month) % 7 < 4
    ]
    config = write_shop(tmp_path, events)
    config.write_text(
        config.read_text()
        .replace("trials = 1", "trials = 10000")
        .replace("seconds = 5", "seconds = 300")
    )
    done = interrupted(
        "cli.main()", "train", "-c", config, after=after, LIFECYCLE_HOME=str(tmp_path / "home")
    )
    assert (done.returncode, done.stderr[-len(WORDS) :]) == (5, WORDS)
    assert "Traceback" not in done.stderr


def test_an_engine_that_makes_an_error_of_its_own_of_an_interrupt_exits_with_five_too():
    then = "import duckdb\ncli.app = lambda: duckdb.sql('SELECT sum(range * 2) FROM range(1000000000000)').fetchall()\ncli.main()"
    done = interrupted(then, after=1)
    assert (done.returncode, done.stderr) == (5, WORDS)


def test_a_thread_that_never_ends_holds_nobody_back():
    then = """
from concurrent.futures import ThreadPoolExecutor
def work():
    pool = ThreadPoolExecutor(1)
    pool.submit(time.sleep, 600)
    time.sleep(600)
cli.app = work
cli.main()"""
    done = interrupted(then, after=1)
    assert (done.returncode, done.stderr) == (5, WORDS)


def test_where_interrupts_are_ignored_they_stay_so():
    then = (
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\ncli.app = lambda: time.sleep(2)\ncli.main()"
    )
    done = interrupted(then, after=0.5)
    assert (done.returncode, done.stderr) == (0, "")
