"""A batch run on both kinds of business: repeatable, blind to what came later, whole, and free of
training.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from features.core import errors
from features.core.instants import DAY_US, instant
from serving.batch import run_folders
from serving.release import release
from tests.support import worlds
from tests.support.checks import nonempty

ROOT = Path(__file__).resolve().parents[1]


def test_a_run_again_is_a_no_op_and_latest_moves_forward_only(own_home):
    b = own_home
    before = sorted(path.stat().st_mtime_ns for path in b.run.folder.rglob("*"))
    again = run_folders.score_batch(b.history, b.settings, b.release, as_of=b.run.as_of)
    assert (again.id, again.fresh) == (b.run.id, False)
    assert sorted(path.stat().st_mtime_ns for path in b.run.folder.rglob("*")) == before
    latest = (b.home / "scores" / "LATEST").read_text()
    assert json.loads(latest)["as_of"] == b.run.as_of
    next_day = b.run.as_of + DAY_US
    run_folders.score_batch(b.history, b.settings, b.release, as_of=next_day)
    newest = (b.home / "scores" / "LATEST").read_text()
    assert json.loads(newest)["as_of"] == next_day
    run_folders.score_batch(b.history, b.settings, b.release, as_of=b.run.as_of)
    assert (b.home / "scores" / "LATEST").read_text() == newest


def test_rows_recorded_later_do_not_change_the_run(own_home):
    b, at = own_home, own_home.run.as_of - 45 * DAY_US
    tables = worlds.read_tables(b.history)
    # What the release has seen does not matter here: the run's own rows do.
    whole = run_folders.score_batch(b.history, b.settings, b.release, as_of=at, in_sample=True)
    cut = worlds.rebuild_history(
        b.history, worlds.shuffle_rows(worlds.truncate_history(tables, at))
    )
    again = run_folders.score_batch(cut, b.settings, b.release, as_of=at, in_sample=True)
    assert (again.id, again.fresh) == (whole.id, False)


def test_as_of_may_pass_the_data_a_little_with_a_warning(own_home):
    b = own_home
    run = run_folders.score_batch(
        b.history, b.settings, b.release, as_of=b.history.data_until + DAY_US
    )
    said = pq.read_table(run.folder / "scores.parquet")["warnings"].to_pylist()
    active = [warnings for warnings in said if "prospect:no_activity_yet" not in warnings]
    assert all(
        any(w.startswith("as_of_after_data_until") for w in warnings)
        for warnings in nonempty(active)
    )
    with pytest.raises(errors.AsOfTooLate):
        run_folders.score_batch(
            b.history, b.settings, b.release, as_of=b.history.data_until + 4 * DAY_US
        )
    with pytest.raises(errors.EmptyTable, match="no customer known"):
        run_folders.score_batch(b.history, b.settings, b.release, as_of=DAY_US, in_sample=True)


def test_the_run_folder_is_whole_and_hashed(business):
    about = json.loads((business.run.folder / "manifest.json").read_text())
    assert about["files"] == release.hash_files(business.run.folder)
    assert {"scores.parquet", "features.parquet", "population.parquet"} < set(about["files"])
    assert any(name.startswith("history/") for name in about["files"])


@pytest.mark.parametrize("business", ["trained_subscriptions"], indirect=True)
def test_scoring_works_where_training_optuna_and_mlflow_cannot_be_imported(own_home):
    b = own_home
    code = f"""
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        blocked = {{'training', 'optuna', 'mlflow', 'sklearn', 'matplotlib', 'bentoml'}}
        if name.split('.')[0] in blocked:
            raise ImportError(name + ' is blocked')
sys.meta_path.insert(0, Blocked())
from lifecycle import cli
sys.argv = ['lifecycle', 'score', '-c', {str(b.folder / "lifecycle.toml")!r}]
sys.argv += ['--as-of', '2024-02-01', '--json']
cli.main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=dict(os.environ),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"] > 100


def test_an_as_of_as_text_is_what_the_folder_says(business):
    assert business.run.folder.parent.name == "as_of=" + "2024-01-31"
    assert business.run.as_of == instant("2024-01-31", zone="UTC")
