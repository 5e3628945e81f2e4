"""MLflow's door: one parent run a training job with its trials, both registered models, the list of runs, the page.

A record is kept on disk before it goes to the store, so training ends whatever the store's trouble; the next one who
reaches the store writes what waits. Telemetry is off, and nothing about a customer is written.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from features.core.errors import BadSetting, StoreFailed
from features.core.progress import say
from features.core.settings import home
from training.tracking import pending, registry, runs_table
from training.tracking.pending import Record
from training.tracking.runs_table import text
from training.tracking.store import EXPERIMENT, Store, address, exists, opened

__all__ = [
    "EXPERIMENT",
    "Record",
    "address",
    "deliver",
    "lagging",
    "record",
    "repair",
    "runs",
    "text",
    "ui",
]

JOB, KEY = "lifecycle.job", "lifecycle.record"
PARAMS_A_CALL = 100  # MLflow's limit


def record(entry: Record) -> str | None:
    """Write one finished job, after those that wait. Its run id, or None: kept on disk, and recorded later."""
    kept = _kept(entry)
    try:
        with opened() as store:
            written = _deliver(store)
            run = written.get(entry.key) or _write(store, entry)
            registry.repair(store)
    except Exception as error:
        # Whatever the store's trouble (locked, full, unreachable), a trained model is worth more than its record.
        later = (
            "it waits under mlruns/pending and is recorded later"
            if kept
            else "and it could not be kept for later"
        )
        say(f"{entry.job} is not recorded in MLflow now ({_reason(error)}): {later}")
        return None
    return run


def deliver() -> int:
    """Write every record that waits; how many. StoreFailed when the store cannot be used or one could not be written."""
    return len(_with_store(lambda store: _deliver(store, strict=True)))


def repair() -> list[str]:
    """Write what waits and move `champion` to the release that is served; the models it moved on. StoreFailed."""
    if not exists() and not pending.waiting():
        return []  # nobody has recorded anything here
    return _with_store(lambda store: (_deliver(store), registry.repair(store))[1])


def lagging() -> list[str]:
    """The registered models whose champion is not the release that is served. StoreFailed."""
    return _with_store(registry.lagging) if exists() else []


def runs(limit: int = 20) -> list[dict[str, Any]]:
    """The newest training jobs first, as `training.tracking.runs_table.row` describes them. StoreFailed."""
    if not exists() and not pending.waiting():
        return []

    def newest(store: Store) -> list[dict[str, Any]]:
        _deliver(store)
        registry.repair(store)
        return runs_table.rows(store, limit)

    return _with_store(newest)


def ui(port: int = 5000, host: str = "127.0.0.1", tell: Callable[[str], None] | None = None) -> int:
    """MLflow's pages over this store until ctrl-c; the exit code. `tell` gets their address (default: it is printed).

    BadSetting when the port is taken, StoreFailed when the store cannot be used.
    """
    tell = tell or (lambda url: print(f"MLflow at {url} (ctrl-c ends it)", flush=True))
    where = address()
    if where.startswith(("http://", "https://")):
        tell(re.sub(r"//[^/@]*@", "//", where))  # a server has pages of its own
        return 0
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, port))
        except OSError as error:
            raise BadSetting(
                where="--port",
                got=error.strerror or "a port that cannot be had",
                rule="The page needs a free port.",
                fix="Name another one.",
                values=[port],
            ) from error
    with contextlib.suppress(StoreFailed):
        repair()  # what waits is shown as well
    _with_store(lambda store: None)  # makes the store, so that the server finds all tables
    tell(f"http://{host}:{port}")
    return _serve(where, port, host)


def _serve(where: str, port: int, host: str) -> int:
    # The address may hold a password: in the environment it is not on every list of what runs here.
    switches = {
        "MLFLOW_BACKEND_STORE_URI": where,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_ENABLE_AI_GATEWAY": "false",
        "MLFLOW_DEFAULT_ARTIFACT_ROOT": (home() / "mlruns" / "artifacts").as_uri(),
    }
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--host",
        host,
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    # A session of its own: ctrl-c comes to us alone, and we end the server with all it has started.
    page = subprocess.Popen(
        command,
        env={**os.environ, **switches},
        start_new_session=os.name == "posix",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    before = {
        each: signal.signal(each, signal.default_int_handler)
        for each in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        return page.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        _end(page)


def _end(page: subprocess.Popen[bytes]) -> None:
    def tell(name: str) -> None:
        with contextlib.suppress(ProcessLookupError):
            if os.name == "posix":
                os.killpg(page.pid, getattr(signal, name))
            else:
                page.terminate()

    tell("SIGTERM")
    try:
        page.wait(10)
    except subprocess.TimeoutExpired:
        tell("SIGKILL")


def _kept(entry: Record) -> bool:
    try:
        pending.keep(entry)
    except OSError:
        return False
    return True


def _with_store(do: Any) -> Any:
    """StoreFailed where the store cannot be used, without its address (it may hold a password)."""
    try:
        with opened() as store:
            return do(store)
    except Exception as error:
        raise StoreFailed(
            where="the tracking store",
            got=_reason(error),
            rule="MLFLOW_TRACKING_URI (or mlruns/mlflow.db) must be there and writable.",
            fix="Start the server or mend the address; what waits under mlruns/pending is written then.",
        ) from error


def _reason(error: Exception) -> str:
    """In a few words, and never the error's own text: that may hold addresses and passwords."""
    if "out-of-date database schema" in str(error):
        return "its tables are of an older MLflow: run `mlflow db upgrade`"
    if isinstance(error, ModuleNotFoundError):
        return f"{error.name} is not installed"
    return f"the store could not be used: {type(error).__name__}"


def _deliver(store: Store, *, strict: bool = False) -> dict[str, str]:
    """Run id by key of the records that waited and are written now. One that cannot be written does not stop others."""
    written: dict[str, str] = {}
    failed = None
    for kept in pending.waiting():
        try:
            entry = pending.read(kept)
            written[entry.key] = _write(store, entry)
        except Exception as error:
            failed = error
            continue
        pending.remove(kept)
    if strict and failed:
        raise failed
    return written


def _write(store: Store, entry: Record) -> str:
    """The record as runs, once: a run with its key that ended is the answer, one that did not is begun anew."""
    if (there := _written(store, entry)) is not None:
        return there
    client, began = store.client, round(entry.began * 1000)
    tags = {**entry.tags, JOB: entry.job, KEY: entry.key}
    run = client.create_run(
        store.experiment, start_time=began, run_name=entry.job, tags=tags
    ).info.run_id
    metrics = _log(client, run, entry)
    for number, trial in enumerate(entry.trials):
        _log_trial(store, run, entry, number, trial)
    if entry.release:
        about = {
            name: entry.tags[name]
            for name in ("status", "verdict", "data_digest")
            if name in entry.tags
        }
        registry.register(store, entry.release, entry.models, run=run, tags=about, metrics=metrics)
    client.set_terminated(run, end_time=round(entry.ended * 1000))
    return run


def _written(store: Store, entry: Record) -> str | None:
    for run in store.client.search_runs([store.experiment], f"tags.`{KEY}` = '{entry.key}'"):
        if run.info.status == "FINISHED":
            return run.info.run_id
        registry.forget(store, run)
        for trial in store.client.search_runs(
            [store.experiment], f"tags.`mlflow.parentRunId` = '{run.info.run_id}'"
        ):
            store.client.delete_run(trial.info.run_id)
        store.client.delete_run(run.info.run_id)
    return None


def _log(client: Any, run: str, entry: Record) -> list[Any]:
    """Everything of the parent run; its figures over all dates, for the models made of it."""
    from mlflow.entities import Metric, Param

    params = [Param(name, str(value)) for name, value in entry.params.items()]
    figures = [
        Metric(name, value, round(entry.ended * 1000), 0) for name, value in entry.metrics.items()
    ]
    dated = [Metric(name, value, at // 1000, _step(at)) for name, value, at in entry.by_date]
    for at in range(0, len(params), PARAMS_A_CALL):
        client.log_batch(run, params=params[at : at + PARAMS_A_CALL])
    client.log_batch(run, metrics=[*figures, *dated])
    if entry.datasets:
        client.log_inputs(run, datasets=[_dataset(stated) for stated in entry.datasets])
    for name, content in entry.files.items():
        text = (
            content
            if isinstance(content, str)
            else json.dumps(content, indent=1, sort_keys=True, default=str)
        )
        client.log_text(run, text, name)
    for picture in entry.pictures:
        client.log_artifact(run, str(picture), "pictures")
    return figures


def _step(as_of: int) -> int:
    """20110910: the same date is the same step in every run, and reads as the date."""
    # An as_of is a local midnight: half a day later it is that day everywhere but at the edges of the date line.
    return int(datetime.fromtimestamp(as_of / 1e6 + 43_200, UTC).strftime("%Y%m%d"))


def _dataset(stated: dict[str, Any]) -> Any:
    """Digest, columns and row count of the examples; no row, and no place they came from."""
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.types import ColSpec, Schema

    schema = Schema([ColSpec(kind, name) for name, kind in stated["columns"]])
    source = CodeDatasetSource({"mlflow.source.name": "lifecycle examples"})
    told = MetaDataset(
        source, name=stated["name"], digest=stated["digest"], schema=schema
    ).to_dict()
    profile = json.dumps({"num_rows": stated["rows"], "num_columns": len(stated["columns"])})
    dataset = Dataset(
        told["name"], told["digest"], told["source_type"], told["source"], told["schema"], profile
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", stated["context"])])


def _log_trial(store: Store, run: str, entry: Record, number: int, trial: dict[str, Any]) -> None:
    from mlflow.entities import Metric, Param

    at = round(entry.ended * 1000)
    tags = {"mlflow.parentRunId": run, "state": trial["state"]}
    nested = store.client.create_run(
        store.experiment, start_time=at, run_name=f"{entry.job}-trial-{number}", tags=tags
    )
    known = [Metric("log_loss", float(trial["loss"]), at, 0)] if trial["loss"] is not None else []
    chosen = [Param(name, str(value)) for name, value in trial["settings"].items()]
    store.client.log_batch(nested.info.run_id, metrics=known, params=chosen)
    store.client.set_terminated(nested.info.run_id, end_time=at)
