"""One record written to MLflow: a parent run, a nested run per trial, and model versions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from training.tracking import registry
from training.tracking.pending import RunRecord
from training.tracking.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Metric

JOB, KEY = "lifecycle.job", "lifecycle.record"
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
    run = client.create_run(store.experiment, start_time=began, run_name=name, tags=tags)
    run_id = run.info.run_id
    metrics = _log(client, run_id, record)
    for number, trial in enumerate(record.trials):
        _log_trial(store, run_id, record, number, trial)
    if record.release:
        tags = {name: record.tags[name] for name in MODEL_TAGS if name in record.tags}
        registry.register_release(
            store, record.release, record.models, run=run_id, tags=tags, metrics=metrics
        )
    client.set_terminated(run_id, end_time=round(record.ended * 1000))
    return run_id


def _finished_run(store: Store, record: RunRecord) -> str | None:
    """The finished run with the record's key. Unfinished ones are of a killed job: deleted here."""
    client = store.client
    for run in client.search_runs([store.experiment], f"tags.`{KEY}` = '{record.key}'"):
        if run.info.status == "FINISHED":
            return run.info.run_id
        registry.delete_run_models(store, run)
        trials = f"tags.`mlflow.parentRunId` = '{run.info.run_id}'"
        for trial in client.search_runs([store.experiment], trials):
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


def _log_trial(
    store: Store, parent: str, record: RunRecord, number: int, trial: Mapping[str, Any]
) -> None:
    """A nested run with the settings of a search trial and its log loss, if it has one."""
    from mlflow.entities import Metric, Param

    ended = round(record.ended * 1000)
    run = store.client.create_run(
        store.experiment,
        start_time=ended,
        run_name=f"{record.job}-trial-{number}",
        tags={"mlflow.parentRunId": parent, "state": trial["state"]},
    )
    loss = trial["loss"]
    metrics = [] if loss is None else [Metric("log_loss", float(loss), ended, 0)]
    params = [Param(name, str(value)) for name, value in trial["settings"].items()]
    store.client.log_batch(run.info.run_id, metrics=metrics, params=params)
    store.client.set_terminated(run.info.run_id, end_time=ended)
