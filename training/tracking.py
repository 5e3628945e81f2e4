"""MLflow, and only here: one parent run per training job, nested trial runs, metrics, pictures. Nothing about a customer.

The store is SQLite under `mlruns/` (or MLFLOW_TRACKING_URI). Telemetry is off. When the store cannot be used,
training goes on and says so.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from features.progress import say
from features.settings import home, tracking_address

EXPERIMENT = "lifecycle"


def address() -> str:
    """The tracking address: stated in the environment, else SQLite under the home folder."""
    root = home() / "mlruns"
    return tracking_address() or f"sqlite:///{root / 'mlflow.db'}"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    import logging

    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # read when mlflow is imported
    import mlflow.store.db.utils  # noqa: F401 its import sets the levels that are lowered here

    loggers = [logging.getLogger(name) for name in ("mlflow", "mlflow.store.db.utils", "alembic")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def record(
    job: str, *, params: dict[str, Any], metrics: dict[str, float], tags: dict[str, str], files: dict[str, Any],
    trials: tuple[dict[str, Any], ...], pictures: list[Path],
) -> str | None:  # fmt: skip
    """Write one finished job: a parent run and its trials. The run id, or None when the store could not be used."""
    try:
        with _quiet():
            return _record(job, params, metrics, tags, files, trials, pictures)
    except Exception as error:
        # Whatever the store's trouble (locked, full, unreachable), a trained model is worth more than its record.
        say(f"not recorded in MLflow: {type(error).__name__}")
        return None


def _record(job, params, metrics, tags, files, trials, pictures) -> str:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param, RunTag

    client = MlflowClient(tracking_uri=address())
    experiment = _experiment(client)
    run = client.create_run(experiment, run_name=job, tags={**tags, "lifecycle.job": job})
    name = run.info.run_id
    client.log_batch(
        name, metrics=[Metric(key, float(value), 0, 0) for key, value in metrics.items()],
        params=[Param(key, str(value)[:500]) for key, value in params.items()],
    )  # fmt: skip
    for file, content in files.items():
        client.log_text(name, json.dumps(content, indent=1, sort_keys=True, default=str), file)
    for picture in pictures:
        client.log_artifact(name, str(picture), "pictures")
    for number, trial in enumerate(trials):
        nested = client.create_run(experiment, run_name=f"{job}-trial-{number}", tags={"mlflow.parentRunId": name})
        known = [Metric("log_loss", float(trial["loss"]), 0, 0)] if trial["loss"] is not None else []
        chosen = [Param(key, str(value)) for key, value in trial["settings"].items()]
        client.log_batch(nested.info.run_id, metrics=known, params=chosen, tags=[RunTag("state", trial["state"])])
        client.set_terminated(nested.info.run_id)
    client.set_terminated(name)
    return name


def _experiment(client: Any) -> str:
    root = home() / "mlruns"
    root.mkdir(parents=True, exist_ok=True)
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return found.experiment_id
    return client.create_experiment(EXPERIMENT, artifact_location=(root / "artifacts").as_uri())
