"""The whole path on both kinds of business: examples, release, batch, and what they promise of each other."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from features import errors
from features.base import measure
from features.outcomes import mature, observe
from features.settings import DAY_US, instant
from features.stages import STAGES
from features.table import STATE, build
from serving import batch, release
from serving.scorer import stage_index
from training import examples, job, plan
from training.promote import promote

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module", params=["trained_shop", "trained_subscriptions"])
def business(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def at_home(business, monkeypatch):
    monkeypatch.setenv("LIFECYCLE_HOME", str(business.home))
    return business


def scores(business):
    return pq.read_table(business.run.folder / "scores.parquet")


def test_scores_are_one_distribution(business):
    table = scores(business)
    table = table.filter(table["p_churn"].is_valid())
    p = table["p_churn"].to_numpy()
    nexts = np.stack([table[f"p_next_{stage}"].to_numpy() for stage in STAGES], axis=1)
    s0 = stage_index(table["stage_if_inactive"].to_numpy())
    assert len(p) > 100
    assert np.abs(nexts.sum(axis=1) - 1).max() < 1e-9
    floor = nexts[np.arange(len(p)), s0]
    assert (floor >= p).all()
    stays = nexts.copy()
    stays[np.arange(len(p)), s0] -= p
    q = stays / (1 - p)[:, None]
    assert np.abs(p[:, None] * (np.arange(7) == s0[:, None]) + (1 - p)[:, None] * q - nexts).max() < 1e-9
    assert (q > -1e-9).all()
    edge = 1 / (2 * business.release.scorer.churn_rows)
    assert ((p >= edge) & (p <= 1 - edge)).all()


def test_the_score_file_has_the_columns_of_the_plan(business):
    wanted = ["customer_id", "as_of", "horizon_days", "eligible", "stage", "stage_rule", "p_churn", "stage_if_inactive"]
    wanted += [f"p_next_{stage}" for stage in STAGES] + ["reason_1", "reason_2", "reason_3", "warnings", "release_id"]
    table = scores(business)
    assert table.column_names == wanted
    assert table["customer_id"].to_pylist() == sorted(set(table["customer_id"].to_pylist()))
    assert set(table["release_id"].to_pylist()) == {business.release.id}


def test_everybody_with_activity_is_scored_and_prospects_have_a_stage_only(business):
    for row in scores(business).to_pylist():
        if row["stage"] == "prospect":
            assert (row["stage_rule"], row["p_churn"], row["reason_1"], row["eligible"]) == (2, None, None, False)
        else:
            assert row["p_churn"] is not None
        assert row["eligible"] or row["warnings"]


def test_reasons_are_words_with_a_direction(business):
    said = [row["reason_1"] for row in scores(business).to_pylist() if row["stage"] != "prospect"]
    assert all(text.startswith(("raises the risk: ", "lowers the risk: ")) for text in said)
    assert len(set(said)) > 10


def test_training_rows_equal_batch_rows_exactly(business):
    """200 customers: the row training learned from, and the row the nightly job would have made that day."""
    dates = plan.make(business.history, business.settings)
    made = examples.make(business.history, business.settings, dates)
    at = dates.evaluate[0]
    then = made.at([at])
    known = business.history.as_of(at)
    definitions = business.release.scorer.definitions
    assert definitions == made.definitions
    asked = then["customer_id"].to_pylist()[:200]
    now = build(
        known,
        base=measure(known, definitions),
        definitions=definitions,
        columns=business.release.columns,
        customers=asked,
    )
    assert now.equals(then.slice(0, 200).select(now.column_names).combine_chunks())
    assert set(STATE) < set(now.column_names)


def test_no_realised_stage_ever_had_probability_zero(business):
    dates = plan.make(business.history, business.settings)
    made = examples.make(business.history, business.settings, dates)
    _, nexts = business.release.scorer.score(made.rows)
    outcome = stage_index(made.rows["outcome_stage"].to_numpy())
    assert (nexts[np.arange(len(outcome)), outcome] > 0).all()


def test_a_churner_ends_where_doing_nothing_leads(business):
    dates = plan.make(business.history, business.settings)
    made = examples.make(business.history, business.settings, dates)
    left = made.rows.filter(made.rows["churned"])
    assert left.num_rows > 50
    assert left["outcome_stage"].to_pylist() == left["stage_if_inactive"].to_pylist()


def test_an_immature_window_is_refused(business):
    at = business.history.data_until - (business.settings.churn.horizon_days - 1) * DAY_US
    assert not mature(at, history=business.history, settings=business.settings)
    with pytest.raises(errors.ImmatureWindow, match="data end at"):
        observe(
            business.history,
            business.history.as_of(at),
            definitions=business.release.scorer.definitions,
            settings=business.settings,
        )


def test_the_model_learns_more_than_recency(business):
    eligible = business.trained.evaluation["churn"]["eligible"]
    assert business.trained.status == "ok"
    assert eligible["auroc"] > eligible["baselines"]["recency"]["auroc"] + 0.05


def test_a_run_again_is_a_no_op_and_latest_moves_forward_only(at_home):
    b = at_home
    before = sorted(path.stat().st_mtime_ns for path in b.run.folder.rglob("*"))
    again = batch.score(b.history, b.settings, b.release, as_of=b.run.as_of)
    assert (again.id, again.fresh) == (b.run.id, False)
    assert sorted(path.stat().st_mtime_ns for path in b.run.folder.rglob("*")) == before
    latest = (b.home / "scores" / "LATEST").read_text()
    older = batch.score(b.history, b.settings, b.release, as_of=b.run.as_of - 30 * DAY_US)
    assert older.fresh
    assert (b.home / "scores" / "LATEST").read_text() == latest
    assert json.loads(latest)["as_of"] >= b.run.as_of


def test_rows_recorded_later_do_not_change_the_run(at_home):
    from tests import worlds

    b, at = at_home, at_home.run.as_of - 45 * DAY_US
    tables = worlds.tables_of(b.history)
    whole = batch.score(b.history, b.settings, b.release, as_of=at)
    cut = worlds.rebuilt(b.history, worlds.shuffled(worlds.truncated(tables, at)))
    again = batch.score(cut, b.settings, b.release, as_of=at)
    assert (again.id, again.fresh) == (whole.id, False)


def test_as_of_may_pass_the_data_a_little_with_a_warning(at_home):
    b = at_home
    run = batch.score(b.history, b.settings, b.release, as_of=b.history.data_until + DAY_US)
    said = pq.read_table(run.folder / "scores.parquet")["warnings"].to_pylist()
    assert all(
        any(w.startswith("as_of_after_data_until") for w in warnings)
        for warnings in said
        if "prospect:no_activity_yet" not in warnings
    )
    with pytest.raises(errors.AsOfTooLate):
        batch.score(b.history, b.settings, b.release, as_of=b.history.data_until + 4 * DAY_US)
    with pytest.raises(errors.EmptyTable, match="nobody known"):
        batch.score(b.history, b.settings, b.release, as_of=DAY_US)


def test_the_run_folder_is_whole_and_hashed(business):
    about = json.loads((business.run.folder / "manifest.json").read_text())
    assert about["files"] == release.hashes(business.run.folder)
    assert {"scores.parquet", "features.parquet", "base.parquet"} < set(about["files"])
    assert any(name.startswith("history/") for name in about["files"])


def test_a_release_scores_only_under_its_configuration(at_home):
    b = at_home
    other = b.settings.model_copy(update={"churn": b.settings.churn.model_copy(update={"horizon_days": 45})})
    with pytest.raises(errors.ReleaseRefused, match="differs in churn"):
        batch.score(b.history, other, b.release, as_of=b.run.as_of)


@pytest.mark.parametrize("damage", ["change", "remove", "add", "shorten"])
def test_a_damaged_release_is_refused(at_home, tmp_path, monkeypatch, damage):
    folder = tmp_path / "home" / "mlruns" / "releases" / at_home.release.id
    shutil.copytree(at_home.release.folder, folder)
    monkeypatch.setenv("LIFECYCLE_HOME", str(tmp_path / "home"))
    promote(folder.name)
    file = folder / "models.json"
    if damage == "change":
        file.write_text(file.read_text().replace("1", "2", 1))
    elif damage == "remove":
        file.unlink()
    elif damage == "add":
        (folder / "extra.txt").write_text("x")
    else:
        file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(errors.ReleaseRefused, match="not as they were written"):
        release.load(folder)
    with pytest.raises(errors.ReleaseRefused):
        promote(folder.name)


def test_golden_scores_that_come_out_otherwise_stop_a_release(at_home, tmp_path):
    """The hashes fit (somebody wrote a consistent folder), and still the numbers do not."""
    folder = tmp_path / "forged"
    shutil.copytree(at_home.release.folder, folder)
    models = json.loads((folder / "models.json").read_text())
    models["calibration"]["shift"] += 1e-6
    (folder / "models.json").write_text(json.dumps(models))
    files = release.hashes(folder)
    about = json.loads((folder / "manifest.json").read_text()) | {"files": files, "id": release.identity(files)}
    (folder / "manifest.json").write_text(json.dumps(about))
    with pytest.raises(errors.ReleaseRefused, match="golden scores"):
        release.load(folder)


def test_a_release_holds_no_pickle_and_no_customer(business):
    ids = set(scores(business)["customer_id"].to_pylist())
    for path in business.release.folder.rglob("*"):
        assert path.suffix in {"", ".json", ".ubj", ".parquet", ".md"}, path.name
        if path.suffix in {".json", ".md"}:
            text = path.read_text()
            assert not any(f'"{customer}"' in text for customer in ids)


def test_scoring_works_where_training_optuna_and_mlflow_cannot_be_imported(at_home):
    b = at_home
    code = f"""
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in {{'training', 'optuna', 'mlflow', 'sklearn', 'matplotlib', 'bentoml'}}:
            raise ImportError(name + ' is blocked')
sys.meta_path.insert(0, Blocked())
import lifecycle
sys.argv = ['lifecycle', 'score', '-c', {str(b.folder / "lifecycle.toml")!r}, '--as-of', '2023-12-20', '--json']
lifecycle.main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, env=dict(os.environ), check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"] > 100


def test_mlflow_has_a_parent_run_with_nested_trials_and_pictures(at_home):
    mlflow = pytest.importorskip("mlflow")
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{at_home.home / 'mlruns' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("lifecycle")
    runs = client.search_runs([experiment.experiment_id])
    parents = {run.data.tags["lifecycle.job"]: run for run in runs if "lifecycle.job" in run.data.tags}
    assert set(parents) == {"churn", "next-stage"}
    for job_name, run_id in at_home.trained.runs.items():
        assert parents[job_name].info.run_id == run_id
        trials = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == run_id]
        assert len(trials) == 2
        pictures = {artifact.path for artifact in client.list_artifacts(run_id, "pictures")}
        assert pictures == {"pictures/calibration.png", "pictures/lift.png"}
        assert len(parents[job_name].data.metrics) <= 40
        assert {"data_digest", "release", "status"} <= set(parents[job_name].data.tags)
    folder = at_home.home / "mlruns" / "holdout" / at_home.trained.runs["churn"]
    assert pq.read_table(folder / "predictions.parquet").num_rows > 50


def test_training_goes_on_when_the_store_is_away(monkeypatch):
    from training import tracking

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////dev/null/store.db")
    said = tracking.record("churn", params={}, metrics={}, tags={}, files={}, trials=(), pictures=[])
    assert said is None


def test_one_model_alone_takes_the_other_from_the_newest_release(at_home):
    b = at_home
    one = job.train(b.history, b.settings, only="churn")
    loaded = release.load(one.folder)
    rows = pq.read_table(b.run.folder / "features.parquet")
    assert np.array_equal(loaded.scorer.q_stay(rows), b.release.scorer.q_stay(rows))
    changed = b.settings.model_copy(update={"features": b.settings.features.model_copy(update={"off": ["rhythm"]})})
    with pytest.raises(errors.ReleaseRefused, match="the configuration, the features"):
        job.train(b.history, changed, only="churn")


def test_equal_training_gives_an_equal_release(at_home):
    b = at_home
    bounded = b.settings.model_copy(update={"training": b.settings.training.model_copy(update={"seconds": 600.0})})
    assert job.train(b.history, bounded).folder.name == job.train(b.history, bounded).folder.name


def test_an_as_of_as_text_is_what_the_folder_says(business):
    assert business.run.folder.parent.name == "as_of=" + "2024-01-31"
    assert business.run.as_of == instant("2024-01-31", zone="UTC")
