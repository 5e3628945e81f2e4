"""What training leaves in the tracking store, and what it never leaves there."""

from __future__ import annotations

import json
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from features.core import settings
from features.core.errors import NotEnoughData
from features.core.instants import DAY_US
from features.tables import history
from tests.support.checks import nonempty
from tests.support.tracking_stores import champion, client, parents
from training import job, rates_job
from training.formats import decimals
from training.promote import promote
from training.tracking import record, run_writer, tracking

PICTURES = {"pictures/calibration.png", "pictures/lift.png"}
PLANT = "pl4nt3d"


def run_of(at_home, name):
    return client().get_run(at_home.trained.runs[name])


def _read(run, name):
    return Path(client().download_artifacts(run.info.run_id, name)).read_text()


@pytest.mark.parametrize("name", ["churn", "next-stage"])
def test_mlflow_has_a_parent_run_with_nested_trials_and_pictures(at_home, name):
    run = run_of(at_home, name)
    assert run.data.tags["lifecycle.job"] == name
    assert run.info.status == "FINISHED"
    trials = client().search_runs(
        [run.info.experiment_id], f"tags.`mlflow.parentRunId` = '{run.info.run_id}'"
    )
    assert len(trials) == 2
    assert all(
        math.isfinite(trial.data.metrics["log_loss"]) and trial.data.params
        for trial in nonempty(trials)
    )
    assert {
        found.path for found in client().list_artifacts(run.info.run_id, "pictures")
    } >= PICTURES
    assert {"data_digest", "release", "status", "verdict", "version.duckdb"} <= set(run.data.tags)
    assert run.data.tags["release"] == at_home.trained.folder.name
    # The demo looks for the hold-out rows beside the store, by the first run's id.
    folder = at_home.home / "mlruns" / "holdout" / at_home.trained.runs["churn"]
    assert pq.read_table(folder / "predictions.parquet").num_rows > 50


@pytest.mark.parametrize("name", ["churn", "next-stage"])
def test_figures_are_those_of_the_evaluation_at_most_forty_and_by_date(at_home, name):
    run, account = run_of(at_home, name), at_home.trained.evaluation
    section = account["churn" if name == "churn" else "next_stage"]
    further = [
        name for name in run.data.metrics if name.startswith(("without.", "curve.", "value."))
    ]
    assert len(run.data.metrics) - len(further) <= 40
    for who in ("everyone", "eligible"):
        assert run.data.metrics[f"{who}_log_loss"] == section[who]["log_loss"]
        best = min(
            section[who]["paired_log_loss"],
            key=lambda other: section[who]["baselines"][other]["log_loss"],
        )
        pair = section[who]["paired_log_loss"][best]
        for end, of in (("", "difference"), ("_low", "low"), ("_high", "high")):
            assert run.data.metrics[f"{who}_minus_best_baseline{end}"] == pair[of]
        # One evaluation date: the figure of the date is the figure over all dates.
        dated = client().get_metric_history(run.info.run_id, f"by_date/{who}_log_loss")
        days = [int(day.replace("-", "")) for day in account["as_of"]["evaluate"]]
        assert [point.step for point in dated] == days
        assert dated[0].value == pytest.approx(section[who]["log_loss"], abs=1e-12)
    curve = {f"curve.{who}.integrated_brier" for who in account["curve"]["groups"]}
    assert (curve <= set(further)) == (name == "churn")
    value = account["value"]["horizons"]
    assert {f"value.{days}.rank" for days in value} <= set(further) or name == "next-stage"
    assert value
    if name == "next-stage":
        figures = run.data.metrics
        assert (
            figures["eligible_log_loss_low"]
            < figures["eligible_log_loss"]
            < figures["eligible_log_loss_high"]
        )


def test_predictions_of_the_holdout_are_for_their_owner_only(trained_shop):
    [path] = (trained_shop.home / "mlruns" / "holdout").rglob("*.parquet")
    assert "customer_id" in pq.read_schema(path).names
    assert path.stat().st_mode & 0o777 == 0o600


def test_several_evaluation_dates_are_several_steps(trained_shop):
    holdout = trained_shop.home / "mlruns" / "holdout" / trained_shop.trained.runs["churn"]
    rows = pq.read_table(holdout / "predictions.parquet")
    half = rows.num_rows // 2
    as_of = rows["as_of"].to_numpy() + np.where(np.arange(rows.num_rows) < half, 0, 7 * DAY_US)
    both = rows.set_column(rows.column_names.index("as_of"), "as_of", [as_of])
    held = record.Holdout(both, rows["p_churn"].to_numpy(), np.zeros((rows.num_rows, 7)))
    points = list(record.metrics_by_date("churn", held))
    assert len({name for name, _, _ in points}) == 6
    rates = [
        (value, run_writer.date_step(at))
        for name, value, at in points
        if name == "by_date/everyone_rate"
    ]
    left = rows["churned"].to_numpy()
    assert [value for value, _ in rates] == [left[:half].mean(), left[half:].mean()]
    assert len({step for _, step in rates}) == 2


def test_the_whole_configuration_is_there_without_the_text_of_a_select(at_home):
    run, stated = run_of(at_home, "churn"), at_home.settings
    assert run.data.params["churn.horizon_days"] == str(stated.churn.horizon_days)
    assert run.data.params["training.trials"] == "2"
    assert run.data.params["as_of.evaluate"] == ", ".join(
        at_home.trained.evaluation["as_of"]["evaluate"]
    )
    assert run.data.params["features"] == str(len(at_home.release.scorer.columns))
    whole = json.loads(_read(run, "configuration.json"))
    assert set(whole) == set(type(stated).model_fields) - {"folder"}
    everything = json.dumps([whole, run.data.params])
    assert "SELECT" not in everything
    assert ".csv" not in everything
    assert len(whole["tables"]["transactions"]["sha256"]) == 64
    features = json.loads(_read(run, "features.json"))
    assert [f["name"] for f in features if f["modelled"]] == list(at_home.release.scorer.columns)


def test_two_configurations_that_differ_in_one_select_differ_in_its_hash(at_home):
    stated = at_home.settings
    name = next(iter(stated.tables))
    other = stated.model_copy(
        update={"tables": {**stated.tables, name: stated.tables[name] + " WHERE true"}}
    )
    one, two = record.masked_configuration(stated), record.masked_configuration(other)
    assert [key for key in one["tables"] if one["tables"][key] != two["tables"][key]] == [name]


def test_datasets_have_digests_and_schemas_and_no_rows(at_home):
    inputs = run_of(at_home, "churn").inputs.dataset_inputs
    contexts = {each.tags[0].value: each.dataset for each in inputs}
    assert set(contexts) == {"training", "evaluation"}
    train = contexts["training"]
    assert json.loads(train.profile)["num_rows"] == at_home.trained.evaluation["train_rows"]
    assert len(train.digest) == 16
    assert train.digest != contexts["evaluation"].digest
    assert {"as_of", "churned", "recency"} < {
        column["name"] for column in json.loads(train.schema)["mlflow_colspec"]
    }
    assert str(at_home.folder) not in json.dumps([dataset.source for dataset in contexts.values()])


def test_the_revision_is_a_tag_where_git_knows_one(tmp_path):
    import subprocess

    from training.tracking.revision import revision_tags

    assert not [name for name in revision_tags(tmp_path) if name.startswith("configuration")]
    (tmp_path / "lifecycle.toml").write_text("a = 1")
    who = ["-c", "user.name=nobody", "-c", "user.email=nobody@localhost"]
    for arguments in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "first"]):
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True)
    clean = revision_tags(tmp_path)
    assert re.fullmatch("[0-9a-f]{40}", clean["configuration.revision"])
    assert clean["configuration.dirty"] == "false"
    (tmp_path / "lifecycle.toml").write_text("a = 2")
    assert revision_tags(tmp_path)["configuration.dirty"] == "true"


def test_runs_are_listed_newest_first_with_their_verdict_and_role(at_home):
    found = {row["run"]: row for row in tracking.list_runs(100)}
    row = found[at_home.trained.runs["churn"]]
    section = at_home.trained.evaluation["churn"]["eligible"]
    assert (row["figure"], row["population"], row["value"], row["low"], row["high"]) == (
        "auroc",
        "eligible",
        section["auroc"],
        section["auroc_low"],
        section["auroc_high"],
    )
    assert row["verdict"] in section["verdicts"]
    assert (row["release"], row["champion"], row["served"]) == (at_home.release.id, True, True)
    starts = [each["started"] for each in tracking.list_runs(100)]
    assert starts == sorted(starts, reverse=True)
    assert len(tracking.list_runs(1)) == 1
    text = tracking.runs_text(list(found.values()))
    assert f"AUROC {decimals(section['auroc'])}" in text
    assert "served" in text
    assert json.loads(json.dumps(row)) == row


def test_nothing_of_a_customer_is_in_the_store(shop, store_home):
    """Ids, categories and channels of every row carry a planted word; one training, one promotion;
    then every byte.

    A release names the levels of attributes that 1 % and five customers share; the planted region
    has four.
    """
    folder = store_home / "planted"
    shutil.copytree(shop[0], folder)
    for path in (folder / "data").glob("*.csv"):
        path.write_text(_planted(path.read_text()))
    stated = settings.load_settings(folder / "lifecycle.toml")
    quick = stated.training.model_copy(
        update={"trials": 1, "seconds": 5, "evaluate": [], "max_dates": 3, "step_days": 90}
    )
    stated = stated.model_copy(update={"training": quick})
    found, _ = history.load_history(stated)
    assert PLANT in found.connection.table("transactions").fetchone()[0]
    made = job.train(found, stated)
    promote(made.folder.name)
    assert all(made.runs.values())
    holdout = store_home / "mlruns" / "holdout"
    assert any(_holds_plant(path) for path in holdout.rglob("*.parquet")), (
        "the search would not find a planted word"
    )
    files = [
        path
        for path in (store_home / "mlruns").rglob("*")
        if path.is_file() and holdout not in path.parents
    ]
    assert len(files) > 100
    assert [str(path) for path in files if _holds_plant(path)] == []


def _planted(text):
    header, *lines = text.splitlines()
    names = header.split(",")
    customers = "region" in names
    planted = (
        ("customer_id",)
        if customers
        else ("customer_id", "category", "channel", "topic", "transaction_id")
    )
    columns = [at for at, name in enumerate(names) if name in planted]
    out = [header]
    for number, line in enumerate(lines):
        cells = line.split(",")
        if customers and number < 4:
            cells[names.index("region")] = PLANT
        out.append(
            ",".join(
                f"{PLANT}-{cell}" if at in columns and cell else cell
                for at, cell in enumerate(cells)
            )
        )
    return "\n".join(out) + "\n"


def _holds_plant(path):
    if path.suffix == ".parquet":
        return PLANT in str(pq.read_table(path).to_pylist())
    return PLANT.encode() in path.read_bytes()


@pytest.mark.slow
@pytest.mark.long
def test_a_business_without_enough_data_is_recorded_as_such(shop, store_home):
    _, stated, found = shop
    why = NotEnoughData(where="here", got="too little", rule="More.", fix="Wait.")
    quick = stated.training.model_copy(update={"evaluate": [], "max_dates": 2, "step_days": 90})
    made = rates_job.train_rates(found, stated.model_copy(update={"training": quick}), why)
    assert set(made.runs) == {"churn", "next-stage"}
    tags = [run.data.tags for run in parents(store_home)]
    assert [(each["status"], each["verdict"]) for each in tags] == [
        ("not_enough_data", "not enough data")
    ] * 2
    assert champion("churn", store_home) == (None, made.folder.name)
