"""What training leaves in the tracking store, and that it goes on without one."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from tests.trained_business import at_home as at_home
from tests.trained_business import business as business


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
