"""Old runs go by a rule, and none goes on which something stands."""

from __future__ import annotations

import json
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.core.errors import BadSetting
from features.core.instants import DAY_US, day_text
from features.core.latest_run import latest_text
from features.core.settings import load_settings
from serving.batch import run_manifest, shift
from serving.batch.retention import prune_runs
from serving.campaigns.store import write_campaign
from tests.support.campaigns import plan_at
from tests.support.command_line import run_here, write_shop

DAY = 1_700_000_000_000_000 // DAY_US


@pytest.fixture
def runs(home, tmp_path):
    """Runs of a hundred days: write(day, …) makes one, LATEST names the last; and the settings."""
    config = write_shop(tmp_path, [("a", "2024-01-01", 1)])
    with config.open("a") as file:
        file.write("[retention]\nruns_days = 10\n")
    settings = load_settings(config)
    digest = shift.configuration_digest(settings)

    def write(day, **about):
        at = (DAY + day) * DAY_US
        folder = home / "scores" / f"as_of={day_text(at, zone='UTC')}" / f"run={day:016x}"
        folder.mkdir(parents=True)
        for name in run_manifest.OUTPUTS:
            pq.write_table(pa.table({"customer_id": ["a"]}), folder / name)
        what = {"as_of": at, "run": f"{day:016x}", "configuration": digest, "release": "r"}
        text = run_manifest.manifest_text(folder, what | about, [])
        (folder / "manifest.json").write_text(text)
        return folder

    folders = {day: write(day) for day in range(0, 101, 5)}
    latest = latest_text((DAY + 100) * DAY_US, folders[100], home / "scores")
    (home / "scores" / "LATEST").write_text(latest)
    return folders, write, settings, config


def left(folders):
    return [day for day, folder in folders.items() if folder.exists()]


def test_older_runs_go_as_a_whole_and_a_dry_run_removes_none(runs, home):
    folders, _, settings, _ = runs
    counted = prune_runs(settings, dry_run=True)
    assert left(folders) == [*folders]
    pruned = prune_runs(settings)
    assert pruned.removed == counted.removed
    assert len(pruned.removed) == 18
    assert left(folders) == [90, 95, 100]
    assert sorted(path.name for path in (home / "scores").glob("[!.]*")) == [
        "LATEST",
        *sorted(folders[day].parent.name for day in (90, 95, 100)),
    ]
    assert prune_runs(settings).removed == ()


def test_a_run_on_which_something_stands_stays_and_why_is_said(runs, home):
    folders, write, _settings, config = runs
    later = write(101, shift={"compared_with": [{"run": f"{20:016x}"}]})
    plan = plan_at(1, ["a"], np.random.default_rng(1))
    write_campaign("spring", plan, {"as_of": (DAY + 30) * DAY_US, "horizon_days": 30})
    (folders[40] / "report").mkdir()
    (folders[40] / "report" / "report.html").write_text("")
    text = latest_text((DAY + 50) * DAY_US, folders[50], home / "scores")
    (home / "scores" / "LATEST").write_text(text)
    (home / "monitor").mkdir()
    lines = [{"run": f"{day:016x}"} for day in folders if day != 60]
    (home / "monitor" / "realised.jsonl").write_text("\n".join(map(json.dumps, lines)))
    done = run_here("prune", "-c", config, "--json")
    report = json.loads(done.stdout)
    assert left(folders) == [20, 30, 40, 50, 60, 95, 100]
    assert later.exists()
    assert sum(report["stayed"].values()) == 5
    assert set(report["stayed"].values()) == {1}
    assert "a campaign was decided by it" in run_here("prune", "-c", config).stdout


def test_runs_that_were_made_on_purpose_or_by_another_configuration_stay(runs):
    folders, write, settings, _ = runs
    others = [
        write(1, in_sample=True),
        write(2, backfill=True),
        write(3, configuration="another"),
    ]
    prune_runs(settings)
    assert all(folder.exists() for folder in others)
    assert left(folders) == [90, 95, 100]


def test_without_the_setting_nothing_goes(runs):
    folders, _, _, config = runs
    with pytest.raises(BadSetting, match="runs_days"):
        prune_runs(load_settings(config, {"retention": {}}))
    assert left(folders) == [*folders]


def test_a_kill_between_removes_leaves_whole_runs(runs, monkeypatch):
    folders, _, settings, _ = runs
    real = os.replace

    def kill(source, target):
        if "run=" in str(source) and len(left(folders)) < 15:
            raise KeyboardInterrupt
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", kill)
        with pytest.raises(KeyboardInterrupt):
            prune_runs(settings)
    assert len(left(folders)) == 14
    for day in left(folders):
        assert len(list(folders[day].iterdir())) == 4
    prune_runs(settings)
    assert left(folders) == [90, 95, 100]
