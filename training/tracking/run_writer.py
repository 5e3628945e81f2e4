"""One record written to MLflow: a parent run, a nested run per trial, and model versions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from training.tracking import registry
from training.tracking.pending import RunRecord
from training.tracking.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Metric, Run

JOB, KEY = "lifecycle.job", "lifecycle.record"
BEST_TRIAL = "best_trial"
PARAMS_A_CALL = 100  # MLflow's limit
MODEL_TAGS = ("status", "verdict", "data_digest")
HALF_A_DAY_S = 43_200


def write_run(store: Store, record: RunRecord) -> str:
    """Write the record and return its run id.

    A finished run with the record's key is returned; an unfinished one is deleted and written anew.
    """
    if (finished := _finished_run(store, record)) is not None:
        return finished
    client, began = store.client, round(record.began * 1000)
    tags = {**record.tags, JOB: record.job, KEY: record.key}
    name = record.name or record.job
    best = best_trial(record.trials)
    if best is not None:
        tags[BEST_TRIAL] = trial_name(record, best)
    experiment = store.experiment_of(record.business)
    run = client.create_run(experiment, start_time=began, run_name=name, tags=tags)
    run_id = run.info.run_id
    metrics = _log(client, run_id, record)
    for number in range(len(record.trials)):
        _log_trial(client, run, record, number, is_best=number == best)
    if record.release:
        tags = {name: record.tags[name] for name in MODEL_TAGS if name in record.tags}
        registry.register_release(
            store, record.release, record.models, run=run_id, tags=tags, metrics=metrics
        )
    client.set_terminated(run_id, end_time=round(record.ended * 1000))
    return run_id


def _finished_run(store: Store, record: RunRecord) -> str | None:
    """The finished run with the record's key. Unfinished ones are of a killed job: deleted here."""
    client, experiments = store.client, list(store.experiments())
    if not experiments:
        return None
    for run in client.search_runs(experiments, f"tags.`{KEY}` = '{record.key}'"):
        if run.info.status == "FINISHED":
            return run.info.run_id
        registry.delete_run_models(store, run)
        trials = f"tags.`mlflow.parentRunId` = '{run.info.run_id}'"
        for trial in client.search_runs([run.info.experiment_id], trials):
            client.delete_run(trial.info.run_id)
        client.delete_run(run.info.run_id)
    return None


def _log(client: MlflowClient, run: str, record: RunRecord) -> list[Metric]:
    """Log everything of the parent run; returns its figures over all dates, for its models."""
    from mlflow.entities import Metric, Param

    ended = round(record.ended * 1000)
    params = [Param(name, str(value)) for name, value in record.params.items()]
    figures = [Metric(name, value, ended, 0) for name, value in record.metrics.items()]
    dated = [Metric(name, value, at // 1000, date_step(at)) for name, value, at in record.by_date]
    for start in range(0, len(params), PARAMS_A_CALL):
        client.log_batch(run, params=params[start : start + PARAMS_A_CALL])
    client.log_batch(run, metrics=[*figures, *dated])
    if record.datasets:
        client.log_inputs(run, datasets=[_dataset_input(each) for each in record.datasets])
    for name, content in record.files.items():
        client.log_text(run, _file_text(content), name)
    for picture in record.pictures:
        client.log_artifact(run, str(picture), "pictures")
    return figures


def _file_text(content: object) -> str:
    if isinstance(content, str):
        return content
    return json.dumps(content, indent=1, sort_keys=True, default=str)


def date_step(as_of: int) -> int:
    """The date as a number, 20110910: the same date is the same step in every run."""
    # An as_of (µs) is a local midnight; half a day later it is that date in UTC too, except near
    # the date line.
    return int(datetime.fromtimestamp(as_of / 1e6 + HALF_A_DAY_S, UTC).strftime("%Y%m%d"))


def _dataset_input(dataset: Mapping[str, Any]) -> DatasetInput:
    """Digest, columns and row count of the examples; no row, and not where they came from."""
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.types import ColSpec, Schema

    schema = Schema([ColSpec(kind, name) for name, kind in dataset["columns"]])
    source = CodeDatasetSource({"mlflow.source.name": "lifecycle examples"})
    meta = MetaDataset(  # type: ignore[abstract]  # MLflow's own code creates it as well
        source, name=dataset["name"], digest=dataset["digest"], schema=schema
    )
    content = meta.to_dict()
    entity = Dataset(
        name=content["name"],
        digest=content["digest"],
        source_type=content["source_type"],
        source=content["source"],
        schema=content["schema"],
        profile=json.dumps({"num_rows": dataset["rows"], "num_columns": len(dataset["columns"])}),
    )
    return DatasetInput(entity, [InputTag("mlflow.data.context", dataset["context"])])


def best_trial(trials: Sequence[Mapping[str, Any]]) -> int | None:
    """The place of the trial that the search chose: the lowest log loss of those completed."""
    completed = [
        (trial["loss"], number)
        for number, trial in enumerate(trials)
        if trial["state"] == "COMPLETE" and trial["loss"] is not None
    ]
    return min(completed)[1] if completed else None


def trial_name(record: RunRecord, number: int) -> str:
    return f"{record.job}-trial-{number}"


def _log_trial(
    client: MlflowClient, parent: Run, record: RunRecord, number: int, *, is_best: bool
) -> None:
    """A nested run with the settings of a search trial and its log loss, if it has one."""
    from mlflow.entities import Metric, Param

    trial, ended = record.trials[number], round(record.ended * 1000)
    marks = {"best": "true"} if is_best else {}
    run = client.create_run(
        parent.info.experiment_id,
        start_time=ended,
        run_name=trial_name(record, number),
        tags={"mlflow.parentRunId": parent.info.run_id, "state": trial["state"], **marks},
    )
    loss = trial["loss"]
    metrics = [] if loss is None else [Metric("log_loss", float(loss), ended, 0)]
    params = [Param(name, str(value)) for name, value in trial["settings"].items()]
    client.log_batch(run.info.run_id, metrics=metrics, params=params)
    client.set_terminated(run.info.run_id, end_time=ended)
