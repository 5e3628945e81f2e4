"""A backtest knows nothing of what came after each date, says what it promised and what came, and
goes on after a kill.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from scipy.stats import spearmanr

from features.audit import perturbations as audited
from features.core.errors import ImmatureWindow, NotEnoughData
from features.core.instants import DAY_US, day_text, midnight_before
from features.engine.build import build
from features.labels.event_times import outcomes_until
from features.recipes.population_stats import population_stats
from serving.scoring.scorer import stage_index
from tests.support import worlds
from tests.support.backtests import quick_backtest
from tests.support.checks import nonempty
from training import examples, metrics, plan
from training.backtest import backtest
from training.backtest import plots as backtest_pictures
from training.backtest import predictions_store as backtest_kept
from training.backtest import report as backtest_report
from training.backtest import text as backtest_text
from training.backtest.dated_curve import judge_curve
from training.backtest.predictions_store import DatePredictions

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def walked(shop, tmp_path_factory):
    """(settings, history, home, backtest of two dates)."""
    _, settings, history = shop
    settings = quick_backtest(settings)
    home = tmp_path_factory.mktemp("walk")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIFECYCLE_HOME", str(home))
        dates = backtest.choose_dates(history, settings)[-2:]
        return settings, history, home, backtest.walk_dates(history, settings, as_of=dates)


def scores_at(made, history, at):
    known = history.as_of(at)
    rows = build(
        known,
        population=population_stats(known, made.scorer.definitions),
        definitions=made.scorer.definitions,
        columns=made.columns,
    )
    return rows["customer_id"].to_pylist(), *made.scorer.score(rows)


def test_nothing_after_a_date_matters_to_it(walked):
    """In a world without anything recorded later the model, its validation and its scores are the
    same bits.
    """
    settings, history, _, made = walked
    at = made.report["dates"][0]["at"]
    there = worlds.rebuild_history(
        history, worlds.truncate_history(worlds.read_tables(history), at)
    )
    found = backtest.train_as_of(there, settings, at)
    ids, p, p_next = scores_at(found, there, at)
    kept = made.predictions.filter(pc.equal(made.predictions["as_of"], at))
    assert kept["customer_id"].to_pylist() == ids
    assert kept["p_churn"].to_numpy().tobytes() == p.tobytes()
    for number, stage in enumerate(backtest.STAGES):
        assert kept[f"p_next_{stage}"].to_numpy().tobytes() == p_next[:, number].tobytes()
    said = {
        name: value for name, value in made.report["dates"][0].items() if name in found.metadata
    }
    assert json.dumps(said, sort_keys=True) == json.dumps(found.metadata, sort_keys=True)
    # How often its sets held is counted on what came.
    sets, outcome = (
        found.scorer.prediction_sets.membership(*sets_of(kept)),
        stage_index(kept["outcome_stage"].to_numpy()),
    )
    told = made.report["dates"][0]["coverage"]["sets"]["everyone"]
    assert told["coverage"] == sets[np.arange(len(outcome)), outcome].mean()
    assert made.report["coverage"]["sets"]["everyone"]["dates"] == 2
    assert "next-stage sets       coverage" in backtest_text.report_text(made.report)
    # The curve too is that of the day: judged on what came, it has the figures of the walk.
    rows, stats, _ = examples.label_rows(
        history, settings, at, definitions=found.scorer.definitions, columns=found.columns
    )
    judged = judge_curve(found.curve, found.examples, rows, p, stats, history, settings)
    assert json.dumps(judged, sort_keys=True) == json.dumps(
        made.report["dates"][0]["curve"], sort_keys=True
    )


def test_the_curve_of_each_date_is_judged_as_far_as_the_data_know(walked):
    settings, history, _, made = walked
    horizon, window = settings.churn.horizon_days, settings.outcome_window_us
    for date in nonempty(made.report["dates"]):
        everyone = date["curve"]["groups"]["everyone"]["horizons"]
        mature = [
            days
            for days in settings.curve_horizons
            if date["at"] + window + (days - horizon) * DAY_US <= history.data_until
        ]
        known = [days for days in mature if days <= date["curve"]["known_until"]]
        assert [f"{days}d" for days in known] == list(everyone)
        # At the horizon it is churn: the same rows, the same loss.
        churn, own = date["churn"]["everyone"], everyone[f"{horizon}d"]
        assert own["rows"] == churn["rows"]
        assert own["rate"] == pytest.approx(1 - churn["rate"])
        assert own["log_loss"] == pytest.approx(churn["log_loss"], abs=1e-6)
    pooled = made.report["curve"]["everyone"][f"{horizon}d"]
    y = made.predictions["churned"].to_numpy()
    p = made.predictions["p_churn"].to_numpy()
    assert (pooled["dates"], pooled["rows"]) == (2, len(y))
    assert pooled["log_loss"] == pytest.approx(metrics.log_losses(y, p).mean(), abs=1e-6)
    text = backtest_text.report_text(made.report)
    assert f"within {horizon}d" in text
    figures = backtest_report.report_metrics(made.report)
    assert figures[f"curve.everyone.{horizon}d.log_loss"] == pooled["log_loss"]
    # So is lifetime value, at each horizon of money that the data know by now.
    for date in made.report["dates"]:
        mature = [
            days
            for days in settings.money_horizons
            if date["at"] + days * DAY_US <= history.data_until
        ]
        assert list(date["value"]["horizons"]) == [f"{days}d" for days in mature]
    assert figures[f"value.{horizon}d.rank"] == made.report["value"][f"{horizon}d"]["rank"]
    by_date = backtest_report.metrics_by_date(made.report)
    assert sum(name == f"by_date/curve.gone.{horizon}d.log_loss" for name, *_ in by_date) == 2


def test_a_backtest_rests_on_rows_until_its_last_outcome_is_known(walked):
    settings, history, _, made = walked
    dates = [date["at"] for date in made.report["dates"]]
    until = outcomes_until(dates, history, settings)
    assert dates[-1] + settings.outcome_window_us <= until <= history.data_until
    # More data that close no window change nothing; a window that closes does.
    latency = settings.churn.label_latency_days
    ends = []
    for days in (90, 179, 180):
        shorter = replace(history, data_until=dates[0] + (days + latency) * DAY_US)
        ends.append((outcomes_until(dates, shorter, settings) - dates[0]) / DAY_US - latency)
    assert ends == [60 + 60, 60 + 90, 180]  # the second date is 60 days after the first


def sets_of(kept):
    return np.column_stack([kept[f"p_next_{stage}"].to_numpy() for stage in backtest.STAGES]), kept[
        "eligible"
    ].to_numpy()


@pytest.mark.long
@pytest.mark.slow
def test_another_future_and_late_records_do_not_matter_either(subscriptions, tmp_path, monkeypatch):
    """With contracts: everything known later says something else, and known rows come again,
    recorded late.
    """
    _, settings, history = subscriptions
    settings = quick_backtest(settings)
    at, tables = backtest.choose_dates(history, settings)[-1], worlds.read_tables(history)
    there = worlds.rebuild_history(
        history, audited.add_late_rows(worlds.scramble_future(tables, at), at)
    )
    found = []
    for number, world in enumerate((history, there)):
        monkeypatch.setenv(
            "LIFECYCLE_HOME", str(tmp_path / f"home-{number}")
        )  # no search answers another
        made = backtest.train_as_of(world, settings, at)
        ids, p, p_next = scores_at(made, world, at)
        found.append(
            (
                ids,
                p.tobytes(),
                p_next.tobytes(),
                json.dumps(made.metadata, sort_keys=True),
                json.dumps(made.curve.to_mapping(), sort_keys=True),
            )
        )
    assert found[0] == found[1]


def test_an_event_recorded_later_does_not_lengthen_the_history(shop):
    """Which windows fit into the history, and which dates can be trained on, rests on what was
    known.
    """
    _, settings, history = shop
    tables = worlds.read_tables(history)
    early = plan.first_activity(history) - 300 * DAY_US
    rows = tables[history.activity_table].slice(0, 1)
    for clock, value in (("occurred_at", early), ("recorded_at", history.data_until - DAY_US)):
        rows = rows.set_column(rows.column_names.index(clock), clock, pa.array([value], pa.int64()))
    rows = rows.set_column(
        rows.column_names.index("kind"), "kind", pa.array([history.activity_kinds[0]])
    )
    rows = rows.cast(tables[history.activity_table].schema)
    added = {history.activity_table: pa.concat_tables([tables[history.activity_table], rows])}
    there = worlds.rebuild_history(history, tables | added)
    assert plan.first_activity(there) == early
    at = history.data_until - 100 * DAY_US
    assert plan.first_activity(plan.truncated_at(there, at)) == plan.first_activity(history)
    assert plan.plan_as_of(there, settings, at) == plan.plan_as_of(history, settings, at)


def test_dates_go_back_in_steps_from_the_newest_complete_window(shop):
    _, settings, history = shop
    span = (settings.churn.horizon_days + settings.churn.label_latency_days) * DAY_US
    dates = backtest.choose_dates(history, settings)
    assert 6 <= len(dates) <= 8
    assert list(dates) == sorted(dates)
    assert dates[-1] == midnight_before(history.data_until - span, settings.zone)
    steps = np.diff(dates) / DAY_US
    assert (abs(steps - settings.training.step_days) < 0.1).all()
    for at in nonempty(dates):
        made = plan.plan_as_of(history, settings, at)
        assert made.train
        assert max(made.train) + span <= made.evaluate[0]
        assert max(made.refit) + span <= at
        assert all(
            day_text(one, zone=settings.zone).count("-") == 2 for one in nonempty(made.refit)
        )


def test_dates_that_cannot_be_walked_are_refused(shop):
    _, settings, history = shop
    with pytest.raises(ImmatureWindow) as caught:
        backtest.choose_dates(history, settings, [history.data_until - DAY_US])
    assert caught.value.where == "--as-of"
    with pytest.raises(NotEnoughData, match="no training date"):
        backtest.choose_dates(history, settings, [plan.first_activity(history) + 40 * DAY_US])
    longer = settings.model_copy(
        update={"churn": settings.churn.model_copy(update={"horizon_days": 400})}
    )
    with pytest.raises(NotEnoughData, match="three horizons of 400 days"):
        backtest.choose_dates(history, longer)


def test_the_account_holds_what_happened(walked):
    made = walked[-1]
    account = made.report
    assert json.loads(json.dumps(account, allow_nan=False)) == account
    assert [one["as_of"] for one in account["dates"]] == sorted(
        one["as_of"] for one in account["dates"]
    )
    for one in nonempty(account["dates"]):
        rows = made.predictions.filter(pc.equal(made.predictions["as_of"], one["at"]))
        y, p = rows["churned"].to_numpy(), rows["p_churn"].to_numpy()
        assert one["churn"]["everyone"]["rows"] == rows.num_rows
        assert one["churn"]["everyone"]["log_loss"] == pytest.approx(
            -np.log(np.where(y, p, 1 - p)).mean()
        )
        truth, said = one["churn"]["eligible"], one["validation"]["churn"]["eligible"]
        off = one["difference"]["churn"]["eligible"]["log_loss"]
        assert off["difference"] == pytest.approx(truth["log_loss"] - said["log_loss"])
        assert off["errors"] == pytest.approx(
            off["difference"] / math.hypot(truth["log_loss_error"], said["log_loss_error"])
        )
        assert one["validation"]["as_of"] < one["as_of"]
    for one in nonempty(account["dates"]):
        skill = metrics.has_skill(one["validation"]["churn"])
        assert one["status"] == ("ok" if skill else "no_skill")
        everyone = one["estimate"]["churn"]["everyone"]
        assert everyone["unweighed_log_loss"] == one["validation"]["churn"]["everyone"]["log_loss"]
    [age], [move] = account["decay"], account["stability"]
    assert age["age_days"] == 60
    first, second = (one["as_of"].replace(":", "") for one in account["dates"])
    before, after = (backtest_kept.load(made.folder, name) for name in (first, second))
    older, newer = (
        before.later_predictions["p_churn"].to_numpy(),
        after.predictions["p_churn"].to_numpy(),
    )
    assert len(older) == len(newer) > 100
    # One of the two models saw two months more: their order of the same customers is nearly one.
    assert move["everyone"]["same_rows"] == pytest.approx(
        spearmanr(older, newer).statistic, abs=1e-12
    )
    assert 0.5 < move["everyone"]["same_rows"] < 1
    one, other = (
        dict(
            zip(
                kept.predictions["customer_id"].to_pylist(),
                kept.predictions["p_churn"].to_pylist(),
                strict=True,
            )
        )
        for kept in (before, after)
    )
    common = sorted(one.keys() & other.keys())
    paired = spearmanr([one[who] for who in common], [other[who] for who in common]).statistic
    assert move["everyone"]["rank_correlation"] == pytest.approx(paired, abs=1e-12)
    assert move["everyone"]["customers"] == len(common) > 100
    assert account["dates"][0]["churn"]["everyone"]["auroc"] > 0.6


def test_the_account_and_its_text_and_pictures_name_nobody(walked, tmp_path):
    *_, made = walked
    ids = set(made.predictions["customer_id"].to_pylist())
    told = json.dumps(made.report) + backtest_text.report_text(made.report)
    assert not [name for name in ids if name in told.replace('"', " ").split()]
    drawn = backtest_pictures.draw(made.report, tmp_path)
    assert [path.name for path in drawn] == ["over_time.png", "decay.png", "stability.png"]
    assert all(path.stat().st_size > 10_000 for path in nonempty(drawn))


def test_a_finished_walk_is_read_and_not_done_again(walked, home):
    settings, history, first_home, made = walked
    shutil.copytree(first_home / "mlruns" / "backtests", home / "mlruns" / "backtests")
    before = {path: path.stat().st_mtime_ns for path in (home / "mlruns").rglob("*.parquet")}
    again = backtest.walk_dates(
        history, settings, as_of=[one["at"] for one in made.report["dates"]]
    )
    assert again.report == made.report
    assert again.predictions.equals(made.predictions)
    assert {
        path: path.stat().st_mtime_ns for path in (home / "mlruns").rglob("*.parquet")
    } == before
    assert len(before) >= 4
    assert not (home / "mlruns" / "studies").exists()  # nothing was searched


def test_a_date_that_cannot_be_read_is_done_again(tmp_path):
    folder = tmp_path / "dates"
    folder.mkdir()
    rows = pa.table({"customer_id": ["a"], "as_of": [1], "p_churn": [0.5]})
    backtest_kept.save(folder, "2024-01-01", DatePredictions({"as_of": "2024-01-01"}, rows, rows))
    assert backtest_kept.load(folder, "2024-01-01").predictions.equals(rows)
    (folder / "2024-01-01" / "later_predictions.parquet").write_bytes(b"PAR1 torn")
    assert backtest_kept.load(folder, "2024-01-01") is None
    backtest_kept.save(folder, "2024-01-01", DatePredictions({"as_of": "2024-01-01"}, rows, rows))
    assert backtest_kept.load(folder, "2024-01-01").later_predictions.equals(rows)
    assert [path.name for path in folder.iterdir()] == ["2024-01-01"]


def test_everything_that_decides_the_result_is_in_the_name(shop):
    _, settings, history = shop
    settings = quick_backtest(settings)
    dates, until = [history.data_until - 100 * DAY_US], history.data_until - 10 * DAY_US
    name = backtest_kept.backtest_id(history, settings, dates, until=until)
    tables = worlds.read_tables(history)
    same = worlds.rebuild_history(
        history,
        worlds.shuffle_rows(worlds.scramble_future(tables, history.data_until - 9 * DAY_US)),
    )
    assert backtest_kept.backtest_id(same, settings, dates, until=until) == name
    other = worlds.rebuild_history(history, worlds.scramble_future(tables, until - 60 * DAY_US))
    assert backtest_kept.backtest_id(other, settings, dates, until=until) != name
    assert (
        backtest_kept.backtest_id(history, quick_backtest(settings, seed=8), dates, until=until)
        != name
    )
    assert backtest_kept.backtest_id(history, settings, [dates[0] - DAY_US], until=until) != name


WALK = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from features.core.settings import load_settings
from features.tables.history import load_history
from tests.support.backtests import quick_backtest
from training.backtest import backtest
settings = quick_backtest(load_settings(Path(sys.argv[2])))
history, _ = load_history(settings)
backtest.walk_dates(history, settings, as_of=[int(at) for at in sys.argv[3:]])
print("done")
"""


@pytest.mark.long
@pytest.mark.slow
def test_a_killed_walk_goes_on_where_it_was(walked, shop, home):
    """Killed after its first date, it does the other one only, and ends as an undisturbed one."""
    settings, history, _, made = walked
    dates = [one["at"] for one in made.report["dates"]]
    command = [
        sys.executable,
        "-c",
        WALK,
        str(ROOT),
        str(shop[0] / "lifecycle.toml"),
        *map(str, dates),
    ]
    process = subprocess.Popen(
        command, env=os.environ | {"LIFECYCLE_HOME": str(home)}, stdout=subprocess.PIPE
    )
    folder = home / "mlruns" / "backtests"
    first = made.report["dates"][0]["as_of"]
    until = time.monotonic() + 400
    while (
        not list(folder.glob(f"*/{first}")) and process.poll() is None and time.monotonic() < until
    ):
        time.sleep(0.02)
    assert process.poll() is None, "it ended before its first date was there"
    process.send_signal(signal.SIGKILL)
    assert b"done" not in process.communicate()[0]
    [begun] = folder.iterdir()
    assert [path.name for path in begun.iterdir() if path.name[0] != "."] == [first]
    finished = {path: path.stat().st_mtime_ns for path in (begun / first).iterdir()}
    assert len(finished) >= 2
    again = backtest.walk_dates(history, settings, as_of=dates)
    assert {path: path.stat().st_mtime_ns for path in (begun / first).iterdir()} == finished
    second = made.report["dates"][1]["as_of"]
    assert sorted(
        path.name for path in begun.iterdir() if path.is_dir() and path.name[0] != "."
    ) == [first, second]
    assert again.folder == begun
    # Another process may multiply matrices with another number of threads: the last bit is not
    # promised there.
    for name in nonempty(made.predictions.column_names):
        ours, theirs = again.predictions[name].to_numpy(), made.predictions[name].to_numpy()
        near = ours.dtype.kind == "f" and np.allclose(ours, theirs, rtol=0, atol=1e-9)
        assert near or ours.tolist() == theirs.tolist(), name
    assert again.report["headline_population"] == made.report["headline_population"]
