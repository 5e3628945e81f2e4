"""Registered models `churn` and `next_stage`: one version of each per release, and the aliases.

`challenger` is the release trained last, `champion` the served one. CURRENT alone decides what is
served; an alias that lags is moved by the next command that opens the store.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

import serving
from features.core.errors import StoreFailed
from serving.release import release as releases
from serving.release.model_columns import input_columns, output_columns
from serving.release.release_store import served_release_id
from training import promotion_log
from training.tracking.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Metric, Run
    from mlflow.models import ModelSignature

MODELS = {
    "churn": "P(churn in the horizon) of feature rows, as `lifecycle score` gives it.",
    "next_stage": "P(stage at the horizon's end) of feature rows, as `lifecycle score` gives it.",
}
CHALLENGER, CHAMPION = "challenger", "champion"
EXAMPLE_ROWS = 5


def register_release(
    store: Store,
    name: str,
    models: Sequence[str],
    *,
    run: str,
    tags: dict[str, str],
    metrics: Sequence[Metric],
) -> None:
    """A version of each model over release `name`, with the alias `challenger`.

    A release that was deleted gets none.
    """
    exists = (releases.releases_folder() / name).is_dir()
    for model in models:
        version_name = _version_of(store, model, name)
        if version_name is None and exists:
            version_name = _new_version(store, model, name, run, tags, metrics)
        if version_name is not None:
            store.client.set_registered_model_alias(model, CHALLENGER, version_name)


def delete_run_models(store: Store, run: Run) -> None:
    """Delete the versions and models of a run that was not written to its end."""
    for entry in store.client.search_model_versions(f"run_id = '{run.info.run_id}'"):
        store.client.delete_model_version(entry.name, entry.version)
    for output in run.outputs.model_outputs if run.outputs else ():
        store.client.delete_logged_model(output.model_id)


def lagging_models(store: Store) -> list[str]:
    """The models whose champion is not the served release; none when nothing is served."""
    served = served_release_id()
    return [
        model for model in MODELS if served and served != aliased_release(store, model, CHAMPION)
    ]


def repair_champions(store: Store) -> list[str]:
    """Move lagging champions to the served release, and register it where it is not yet.

    Returns the models whose champion moved.
    """
    served, moved = served_release_id(), []
    if served is None:
        return []
    for model in lagging_models(store):
        version_name = _version_of(store, model, served)
        if version_name is None:
            version_name = _new_version(store, model, served, None, {})
        store.client.set_registered_model_alias(model, CHAMPION, version_name)
        _set_tags(store, model, version_name, promotion_log.promotion_tags(served))
        moved.append(model)
    return moved


def _set_tags(store: Store, model: str, version_name: str, tags: dict[str, str]) -> None:
    """Why the release is served, on the version and on the run that trained it."""
    run = store.client.get_model_version(model, version_name).run_id
    for name, value in tags.items():
        store.client.set_model_version_tag(model, version_name, name, value)
        if run:
            store.client.set_tag(run, name, value)


def aliased_release(store: Store, model: str, alias: str) -> str | None:
    """The release that an alias points to; None where there is none."""
    from mlflow.exceptions import MlflowException

    with contextlib.suppress(MlflowException):
        return store.client.get_model_version_by_alias(model, alias).tags.get("release")
    return None


def _version_of(store: Store, model: str, name: str) -> str | None:
    versions = store.client.search_model_versions(f"name = '{model}' AND tags.release = '{name}'")
    return max((each.version for each in versions), key=int, default=None)


def _new_version(
    store: Store,
    model: str,
    name: str,
    run: str | None,
    tags: dict[str, str],
    metrics: Sequence[Metric] = (),
) -> str:
    """Log release `name` as a model of the run and register it; the new version."""
    from mlflow.exceptions import MlflowException

    client, logged = store.client, _log_model(store, model, releases.releases_folder() / name, run)
    if run:
        _link_to_run(client, run, logged, metrics)
    with contextlib.suppress(MlflowException):  # it is registered already
        client.create_registered_model(model, description=MODELS[model])
    created = client.create_model_version(
        model,
        source=f"models:/{logged}",
        run_id=run,
        model_id=logged,
        tags={**tags, "release": name},
    )
    return created.version


def _link_to_run(client: MlflowClient, run: str, logged: str, metrics: Sequence[Metric]) -> None:
    """The model as an output of its run, with the run's figures as its own."""
    from mlflow.entities import LoggedModelOutput, Metric

    client.log_outputs(run, [LoggedModelOutput(logged, step=0)])
    of_model = [
        Metric(each.key, each.value, each.timestamp, each.step, model_id=logged, run_id=run)
        for each in metrics
    ]
    client.log_batch(run, metrics=of_model)


def _log_model(store: Store, model: str, folder: Path, run: str | None) -> str:
    """The id of a model in the store: release, code and signature.

    Step by step and not by `log_model`: that infers, validates by loading (a second per model), and
    writes the user's name and the script's path into the tags.
    """
    logged = store.client.create_logged_model(
        _experiment(store, folder, run),
        model,
        run,
        model_type="release",
        tags={"release": folder.name},
    )
    with tempfile.TemporaryDirectory(prefix="lifecycle-model-") as place:
        path = Path(place) / "model"
        _save_model(model, folder, path, logged, run)
        for cache in path.rglob("__pycache__"):
            shutil.rmtree(cache)
        store.client.log_model_artifacts(logged.model_id, str(path))
    store.client.finalize_logged_model(logged.model_id, "READY")
    return logged.model_id


def _experiment(store: Store, folder: Path, run: str | None) -> str:
    """The experiment of the run, or of the release's business where no run trained it here."""
    if run:
        return store.client.get_run(run).info.experiment_id
    config = json.loads((folder / "features.json").read_text())["config"]
    return store.experiment_of(config["business"]["name"])


def _save_model(model: str, folder: Path, path: Path, logged: LoggedModel, run: str | None) -> None:
    """Write the model as a folder. StoreFailed where MLflow dropped its signature."""
    import mlflow
    from mlflow.models import Model

    # Training checked the golden rows and every load checks them again; here the hashes suffice.
    releases.verify_release(folder)
    columns = _input_columns(model, folder)
    signature = _signature(columns, output_columns(model))
    names = [name for name, _ in columns]
    example = pq.read_table(folder / "golden" / "rows.parquet", columns=names)
    mlflow.pyfunc.save_model(
        path,
        mlflow_model=Model(logged.artifact_location, run_id=run, model_id=logged.model_id),
        python_model=str(Path(__file__).with_name("registered_model.py")),
        artifacts={"release": str(folder)},
        model_config={"answers": model},
        signature=signature,
        code_paths=_code(),
        pip_requirements=requirements(),
        input_example=example.slice(0, EXAMPLE_ROWS).to_pandas(),  # invented customers
    )
    if Model.load(str(path)).signature != signature:
        raise StoreFailed(
            where="the tracking store",
            got=f"a model {model} without its signature",
            rule="A registered model states its columns.",
            fix="Report this: it is an error of lifecycle or of this MLflow version.",
        )


def _input_columns(model: str, folder: Path) -> list[tuple[str, str]]:
    models, stages = (
        json.loads((folder / f"{name}.json").read_text()) for name in ("models", "stages")
    )
    return input_columns(models["columns"], model, contractual=stages["contractual"])


def _signature(inputs: list[tuple[str, str]], outputs: list[tuple[str, str]]) -> ModelSignature:
    """From the project's own schema: MLflow infers none for nullable integers."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import AnyType

    def schema(columns: list[tuple[str, str]]) -> Schema:
        return Schema(
            [ColSpec(AnyType() if kind == "any" else kind, name) for name, kind in columns]
        )

    return ModelSignature(inputs=schema(inputs), outputs=schema(outputs))


def requirements() -> list[str]:
    """What a model needs to be loaded: this project's requirements for scoring, and MLflow."""
    try:
        lines = [line for line in requires("customer-lifecycle") or [] if "extra ==" not in line]
    except PackageNotFoundError:
        lines = []
    major, minor = version("mlflow").split(".")[:2]
    return [f"mlflow>={major}.{minor}", *lines]


def _code() -> list[str]:
    """The code goes with the model, so it loads as it was, also where nothing is installed."""
    root = Path(serving.__file__).parent.parent
    # `lifecycle` too: a business's own feature file imports it.
    return [str(root / name) for name in ("features", "lifecycle", "serving")]
