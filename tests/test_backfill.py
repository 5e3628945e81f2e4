"""Past runs are what a backtest scored there, go on after a kill, and are never served."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from features.core import errors, progress
from features.core.instants import DAY_US, day_text, instant
from serving.batch import run_folders
from serving.release import release as releases
from serving.release.seen_future import is_backfill
from tests.support import worlds
from tests.support.backtests import quick_backtest
from training import backfill as backfills
from training import job
from training.backtest import backtest
from training.past import open_past
from training.promote import find_release_folder, newest_release_folder, promote


@pytest.fixture(scope="module")
def walked(shop, empty_store, tmp_path_factory):
    """(settings, history, home, the runs of two dates with one training)."""
    _, settings, history = shop
    settings = quick_backtest(settings)
    [at] = backtest.choose_dates(history, settings)[-1:]
    home = tmp_path_factory.mktemp("backfill")
    (home / "mlruns").mkdir()
    shutil.copyfile(empty_store, home / "mlruns" / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIFECYCLE_HOME", str(home))
        runs = backfills.backfill(
            history, settings, start=at, end=at + 9 * DAY_US, every="week", retrain="month"
        )
    return settings, history, home, runs


@pytest.fixture
def there(walked, home):
    """The same in a copy of its home."""
    settings, history, before, runs = walked
    shutil.copytree(before, home, dirs_exist_ok=True)
    return settings, history, runs


@pytest.mark.slow
@pytest.mark.long
def test_it_scores_what_a_backtest_scored_there(walked):
    settings, history, _, runs = walked
    at = runs[0].as_of
    model = backtest.train_as_of(history, settings, at)
    expected = backtest.score_rows(model, backtest.label_rows_at(model, history, settings, at))
    scores = pq.read_table(runs[0].run.folder / "scores.parquet")
    scores = scores.filter(pc.is_valid(scores["p_churn"]))
    assert scores["customer_id"].to_pylist() == expected["customer_id"].to_pylist()
    names = [name for name in expected.column_names if name.startswith("p_")]
    assert len(names) == 8
    for name in names:
        assert scores[name].to_numpy().tobytes() == expected[name].to_numpy().tobytes()


def test_its_release_saw_nothing_of_its_dates_and_rests_on_nothing_later(walked, store_home):
    """Where all later rows and cells have other values, no byte differs: the id is the same."""
    settings, history, _, runs = walked
    at = runs[0].as_of
    tables = worlds.scramble_future(worlds.read_tables(history), at, seed=3)
    other = worlds.rebuild_history(history, tables)
    cut, past_settings, past = open_past(other, settings, at, purpose="backfill")
    folder = job.train(cut, past_settings, past=past).folder
    assert folder.name == runs[0].release
    release = releases.load_release(folder)
    assert release.seen.earliest_as_of <= at
    assert release.seen.purpose == "backfill"


def test_one_training_scores_the_dates_until_the_next(walked):
    _, _, _, runs = walked
    assert len(runs) == 2
    assert runs[0].release == runs[1].release
    for each in runs:
        about = json.loads((each.run.folder / "manifest.json").read_text())
        assert (about["as_of"], about["backfill"]) == (each.as_of, True)


@pytest.mark.slow
@pytest.mark.long
def test_after_a_kill_it_goes_on_where_it_was(there, home):
    settings, history, runs = there
    [pointer] = (home / "mlruns" / "backfills").iterdir()
    release = home / "mlruns" / "releases" / runs[0].release
    before = (release / "manifest.json").read_bytes(), pointer.read_text()
    lost = home / runs[1].run.folder.relative_to(runs[1].run.folder.parents[2])
    shutil.rmtree(lost)

    def again():
        return backfills.backfill(
            history,
            settings,
            start=runs[0].as_of,
            end=runs[1].as_of,
            every="week",
            retrain="month",
        )

    assert [each.run.fresh for each in again()] == [False, True]
    assert [each.run.id for each in again()] == [each.run.id for each in runs]
    assert ((release / "manifest.json").read_bytes(), pointer.read_text()) == before


def test_no_release_of_a_backfill_is_promoted_served_or_scores_today(there, home):
    settings, history, runs = there
    assert not (home / "scores" / "LATEST").exists()
    with pytest.raises(errors.PromotionRefused, match="of a backfill"):
        promote(runs[0].release, force="the newest we have")
    assert not (home / "mlruns" / "releases" / "CURRENT").exists()
    with pytest.raises(errors.ReleaseRefused, match="no release"):
        newest_release_folder()
    folder = find_release_folder(runs[0].release)
    assert is_backfill(folder)
    with pytest.raises(errors.ReleaseRefused, match="backfill"):
        run_folders.score_batch(
            history, settings, releases.load_release(folder), as_of=history.data_until
        )


def test_dates_without_data_before_them_are_skipped_and_counted(shop, capsys):
    _, settings, history = shop
    settings = quick_backtest(settings)
    first = instant("2022-02-01", zone=settings.zone)
    progress.set_quiet(False)
    with pytest.raises(errors.NotEnoughData) as refused:
        backfills.backfill(history, settings, start=first, end=first + 20 * DAY_US)
    progress.set_quiet(None)
    assert "three horizons" in refused.value.rule
    lines = capsys.readouterr().err.splitlines()
    (line,) = [each for each in lines if each.startswith("backfill: 2022-02-01 ")]
    assert f"is skipped: {refused.value.got}" in line
    assert "is done" not in line
    skipped = [backfills.PastRun(first, why="no training date")]
    text = backfills.report_text(skipped, zone="UTC")
    assert "2022-02-01  skipped: no training date" in text
    assert "0 past runs, 1 dates skipped" in text


def test_dates_are_local_midnights_and_months_keep_their_day():
    zone = "Europe/London"
    start, end = (instant(day, zone=zone) for day in ("2023-01-31", "2023-05-01"))
    dates = backfills.step_dates(start, end, "month", zone=zone)
    days = [day_text(at, zone=zone) for at in dates]
    assert days == ["2023-01-31", "2023-02-28", "2023-03-31", "2023-04-30"]
    assert np.diff(backfills.step_dates(start, end, "week", zone=zone)).min() == 167 * DAY_US / 24
    for wrong in ({"every": "fortnight"}, {"every": "day", "end": start - 1}):
        with pytest.raises(errors.BadSetting):
            backfills.step_dates(**{"start": start, "end": end} | wrong, zone=zone)
