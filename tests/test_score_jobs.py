"""Several `lifecycle score` on one home: one works, the others wait, and a killed one is no
obstacle.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys

import pytest

from features.core import errors, folder_lock, progress
from features.core.instants import DAY_US
from serving.api import lookup
from serving.batch import run_folders
from serving.release import release
from tests.support.checks import nonempty
from tests.support.command_line import ROOT

DAYS = ("2024-02-01", "2024-02-02")  # the data end at 2024-01-31
WAITING = "waiting for another `lifecycle score` to end\n"


def start_score(business, day):
    config = complete_until_the_last_day(business)
    return subprocess.Popen(
        [sys.executable, "-m", "lifecycle", "score", "-c", config, "--as-of", day],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


HOLDER = """
import pathlib, sys
from features.core.folder_lock import lock_folder

with lock_folder(pathlib.Path(sys.argv[1]), "score"):
    print("locked", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def another_job(root):
    """A process that has the lock of this folder of scores."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    ) as holder:
        assert holder.stdout.readline() == b"locked\n"
        yield holder
        holder.kill()


@pytest.mark.parametrize(
    "days",
    [
        DAYS[:1] * 2,
        pytest.param((*DAYS, DAYS[0]), marks=pytest.mark.slow),
        pytest.param(DAYS * 3, marks=[pytest.mark.slow, pytest.mark.long]),
    ],
)
@pytest.mark.long
def test_jobs_at_once_leave_whole_runs_and_the_newest_as_latest(healthy_home, trained_shop, days):
    shutil.rmtree(healthy_home / "scores")
    jobs = [start_score(trained_shop, day) for day in days]
    ended = [(job.communicate(timeout=300), job.returncode) for job in jobs]
    assert [code for _, code in ended] == [0] * len(days), ended
    # Of each day one job writes, the others find its run.
    assert sum("(already there)" in texts[0] for texts, _ in ended) == len(days) - len(set(days))
    for day in set(days):
        [folder] = (healthy_home / "scores" / f"as_of={day}").iterdir()
        assert lookup.load_lookup(folder).ids
    assert lookup.latest_run_folder().parent.name == f"as_of={max(days)}"
    assert not [path for path in (healthy_home / "scores").rglob(".*") if path.is_dir()]


def test_a_job_that_waits_too_long_says_why(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(folder_lock, "LOCK_WAIT_SECONDS", 0.5)
    progress.set_quiet(False)
    with (
        another_job(tmp_path),
        pytest.raises(errors.StoreFailed, match=r"another `lifecycle score` that did not end"),
        folder_lock.lock_folder(tmp_path, "score"),
    ):
        pass
    progress.set_quiet(None)
    assert capsys.readouterr().err == WAITING


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system has no SIGKILL")
def test_a_job_that_was_killed_has_no_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_lock, "LOCK_WAIT_SECONDS", 0)
    with another_job(tmp_path) as holder:
        holder.kill()
        holder.wait()
        with folder_lock.lock_folder(tmp_path, "score"):
            assert (tmp_path / folder_lock.FILE).is_file()


@pytest.mark.slow
@pytest.mark.long
def test_a_job_that_waits_can_be_interrupted(healthy_home, trained_shop, default_interrupts):
    with folder_lock.lock_folder(healthy_home / "scores", "score"):
        job = start_score(trained_shop, DAYS[0])
        while (line := job.stderr.readline()) != WAITING:
            assert line, "the job did not wait"
        job.send_signal(signal.SIGINT)
        _, text = job.communicate(timeout=60)
    assert (job.returncode, text.splitlines()[-1][:11]) == (5, "interrupted")


KILLED_AT_ITS_FIRST_TABLE = """
import os, signal, sys
import pyarrow.parquet as pq

write = pq.write_table

def write_and_die(table, where, **options):
    write(table, where, **options)
    os.kill(os.getpid(), signal.SIGKILL)

pq.write_table = write_and_die
"""
SCORE = KILLED_AT_ITS_FIRST_TABLE + "from lifecycle import cli; cli.main()"
WRITE_RELEASE = (
    KILLED_AT_ITS_FIRST_TABLE
    + """
import pathlib
from features.core.settings import load_settings
from features.recipes.population_stats import PopulationStats
from serving.release import release

known = release.load_release(release.current_release_folder())
release.write_release(
    known.scorer,
    all_columns=known.columns,
    settings=load_settings(pathlib.Path(sys.argv[1])),
    tables=known.tables,
    population=PopulationStats.read(known.folder / "population.parquet"),
    evaluation={},
    cards=dict.fromkeys(("card.md", "card.zh.md"), ""),
    times={},
)
"""
)


def kill_while_writing(code, *arguments):
    """Run the code, which kills itself."""
    ended = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL


def staging_folders(place):
    return [path for path in place.rglob(".staged-*") if path.is_dir()]


def complete_until_the_last_day(business):
    """A configuration beside the business's own: its purchases are complete, also if quiet."""
    fresh = f'[contract]\nfresh_until = {{ transactions = "{DAYS[1]}" }}'
    config = business.folder / f"complete-{os.getpid()}.toml"
    config.write_text((business.folder / "lifecycle.toml").read_text().replace("[contract]", fresh))
    return config


def make_old(folders):
    for folder in nonempty(folders):
        os.utime(folder, (folder.stat().st_mtime - 3600,) * 2)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system has no SIGKILL")
@pytest.mark.long
def test_after_a_killed_score_the_next_one_of_any_day_leaves_nothing_behind(
    healthy_home, trained_shop
):
    b, root = trained_shop, healthy_home / "scores"
    config = complete_until_the_last_day(b)
    kill_while_writing(SCORE, "score", "-c", config, "--as-of", DAYS[0])
    make_old(staging_folders(root))
    assert not (root / f"as_of={DAYS[0]}").exists()
    as_of = b.run.as_of + DAY_US
    assert run_folders.score_batch(b.history, b.settings, b.release, as_of=as_of).fresh
    assert staging_folders(root) == []


class Killed(BaseException):
    """A process that ends at once."""


@pytest.mark.parametrize(
    "points",
    [range(0, 80, 20), pytest.param(range(80), marks=[pytest.mark.slow, pytest.mark.long])],
    ids=["some", "all"],
)
def test_a_score_that_is_killed_at_any_write_leaves_a_whole_run_and_is_run_again_to_the_bit(
    healthy_home, trained_shop, monkeypatch, points
):
    b, root = trained_shop, healthy_home / "scores"
    former = (root / "LATEST").read_text()

    def score():
        return run_folders.score_batch(b.history, b.settings, b.release, as_of=b.run.as_of + DAY_US)

    folder = score().folder
    expected, newest = bytes_of(folder), (root / "LATEST").read_text()
    for point in points:
        shutil.rmtree(folder)
        (root / "LATEST").write_text(former)
        with monkeypatch.context() as patch:
            killed = ends_at(patch, point, score)
        # Whoever reads now has the former run, or this one.
        assert lookup.load_lookup(lookup.latest_run_folder()).ids
        assert score().folder == folder
        assert (bytes_of(folder), (root / "LATEST").read_text()) == (expected, newest)
        if not killed:
            break
    assert not killed
    assert point > 9


def bytes_of(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder): path.read_bytes() for path in nonempty(files)}


def ends_at(patch, point, action):
    """Let the action end at its `point`-th flush, rename or removal, and clean nothing up."""
    calls = []

    def counted(real):
        def call(*args, **options):
            calls.append(args)
            if len(calls) > point:
                raise Killed
            return real(*args, **options)

        return call

    for name in ("fsync", "replace", "unlink", "rmdir"):
        patch.setattr(os, name, counted(getattr(os, name)))
    try:
        action()
    except Killed:
        return True
    return False


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system has no SIGKILL")
def test_after_a_killed_training_the_next_one_leaves_nothing_behind(healthy_home, trained_shop):
    root = release.releases_folder()
    before = sorted(root.iterdir())
    kill_while_writing(WRITE_RELEASE, trained_shop.folder / "lifecycle.toml")
    make_old(staging_folders(root))
    release.refuse_unwritable_store()
    assert sorted(root.iterdir()) == before
