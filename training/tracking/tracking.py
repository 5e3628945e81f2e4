"""Access to MLflow: a run per training job with its trials, the registered models, the list.

A record is saved on disk before it is written to the store, so a training ends well whatever the
store does; the next command that reaches the store writes the pending records. Telemetry is off,
and nothing about a customer is written.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, TypeVar

from features.core.errors import StoreFailed
from features.core.language import say
from features.core.progress import print_status
from training.tracking import pending, registry, runs_table, ui_server
from training.tracking.pending import RunRecord
from training.tracking.run_writer import write_run
from training.tracking.runs_table import runs_text
from training.tracking.store import (
    BUSINESS,
    EXPERIMENT,
    Store,
    open_store,
    store_address,
    store_exists,
)

__all__ = [
    "BUSINESS",
    "EXPERIMENT",
    "RunRecord",
    "lagging_models",
    "list_runs",
    "record_run",
    "repair",
    "runs_text",
    "serve_ui",
    "store_address",
    "store_exists",
    "write_pending",
]

Result = TypeVar("Result")


def record_run(record: RunRecord) -> str | None:
    """Write one finished job after the pending ones. Its run id; None where it stays pending."""
    saved = _save(record)
    try:
        with open_store() as store:
            written = _write_all(store)
            run = written.get(record.key) or write_run(store, record)
            registry.repair_champions(store)
    except Exception as error:
        # A trained model is worth more than its record, whatever is wrong with the store.
        later = (
            say("its record is under mlruns/pending and is recorded later")
            if saved
            else say("and its record could not be saved")
        )
        print_status(
            say(
                "{job} is not recorded in MLflow now ({why}): {later}",
                job=record.job,
                why=_reason(error),
                later=later,
            )
        )
        return None
    return run


def write_pending() -> int:
    """Write every pending record; their number.

    StoreFailed where the store cannot be used or a record could not be written.
    """
    return len(_with_store(lambda store: _write_all(store, strict=True)))


def repair() -> list[str]:
    """Write what is pending and move `champion` to the served release; the models it moved on.

    StoreFailed where the store cannot be used.
    """
    if not store_exists() and not pending.list_pending():
        return []  # nothing was recorded here yet

    def write_and_move(store: Store) -> list[str]:
        _write_all(store)
        return registry.repair_champions(store)

    return _with_store(write_and_move)


def lagging_models() -> list[str]:
    """The registered models whose champion is not the served release. StoreFailed."""
    return _with_store(registry.lagging_models) if store_exists() else []


def list_runs(limit: int = 20, *, business: str | None = None) -> list[dict[str, Any]]:
    """The newest training jobs first, as `runs_table.describe_run` describes them. StoreFailed.

    `business`: of this one alone; of every business of this store where it is left out.
    """
    if not store_exists() and not pending.list_pending():
        return []

    def newest(store: Store) -> list[dict[str, Any]]:
        _write_all(store)
        registry.repair_champions(store)
        return runs_table.run_rows(store, limit, business)

    return _with_store(newest)


def serve_ui(
    port: int = 5000,
    host: str = "127.0.0.1",
    announce: ui_server.Announce = ui_server.print_url,
    *,
    business: str | None = None,
) -> int:
    """Serve MLflow's pages over this store until ctrl-c; the exit code.

    Once they answer, `announce` gets the address of the page with the runs of the business (the
    experiment of the newest run, where it has none or none is named). BadSetting where the port is
    taken, StoreFailed where the store cannot be used or the server does not start.
    """
    address = store_address()
    server = ui_server.public_url(address)
    if server is None:
        ui_server.refuse_taken_port(host, port)
    with contextlib.suppress(StoreFailed):
        repair()  # the pages show pending records as well
    # Opening the store creates it, so that the server finds all tables.
    experiment = _with_store(lambda store: runs_table.experiment_to_show(store, business))
    url = ui_server.page_url(server or f"http://{host}:{port}", experiment)
    if server:
        announce(url)  # a server has its own pages
        return 0
    return ui_server.run_server(address, host, port, lambda: announce(url))


def _save(record: RunRecord) -> bool:
    try:
        pending.save(record)
    except OSError:
        return False
    return True


def _with_store(use: Callable[[Store], Result]) -> Result:
    """The result of `use`; StoreFailed without the store's address, which may hold a password."""
    try:
        with open_store() as store:
            return use(store)
    except Exception as error:
        raise StoreFailed(
            where="the tracking store",
            got=_reason(error),
            rule="MLFLOW_TRACKING_URI (or mlruns/mlflow.db) must be there and writable.",
            fix="Start the server or correct MLFLOW_TRACKING_URI; pending records follow then.",
        ) from error


def _reason(error: Exception) -> str:
    """The reason in a few words; never the error's own text, which may hold a password."""
    if "out-of-date database schema" in str(error):
        return "its tables are of an older MLflow: run `mlflow db upgrade`"
    if isinstance(error, ModuleNotFoundError):
        return f"{error.name} is not installed"
    return f"the store could not be used: {type(error).__name__}"


def _write_all(store: Store, *, strict: bool = False) -> dict[str, str]:
    """Write the pending records; run id by key. One that fails does not stop the others.

    `strict` raises the last failure at the end.
    """
    written: dict[str, str] = {}
    failure = None
    for folder in pending.list_pending():
        try:
            record = pending.load(folder)
            written[record.key] = write_run(store, record)
        except Exception as error:
            failure = error
            continue
        pending.delete(folder)
    if strict and failure:
        raise failure
    return written
